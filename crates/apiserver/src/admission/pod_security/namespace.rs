//! A namespace whose labels change: they are judged, and the pods that are there are looked at by the new standard.
//!
//! Bounds, as upstream's: so many pods and so much time; what was not looked at is said.

use super::checks::reasons;
use super::configuration::Configuration;
use super::pods::Subject;
use super::policy::{Level, Policy, Standard, is_said};
use api::{Kind, Status};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use registry::{Attempt, Entry, Registry};
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::time::{Duration, Instant};

const PODS_MAX: usize = 3000;
const TIME_MAX: Duration = Duration::from_secs(1);
/// Pods after which others get a turn.
const BATCH: usize = 32;

pub(super) async fn judge(
    configuration: &Configuration,
    registry: &Registry,
    attempt: &Attempt<'_>,
    new: &Namespace,
    old: Option<&Namespace>,
) -> Result<(), Status> {
    let defaults = configuration.defaults;
    let (policy, errors) = Policy::of(new.metadata.labels.as_ref(), defaults);
    let before = old.map(|old| Policy::of(old.metadata.labels.as_ref(), defaults));
    if !errors.is_empty() && before.as_ref().is_none_or(|(_, before)| *before != errors) {
        return Err(Status::invalid(attempt.def, attempt.name, &errors));
    }
    if configuration.exemptions.has_namespace(attempt.name) {
        warn_of_exemption(attempt, new, &policy, &defaults);
        return Ok(());
    }
    let Some((before, _)) = before else { return Ok(()) };
    if is_stricter(policy.enforce, before.enforce) {
        warn(configuration, registry, attempt, policy.enforce).await?;
    }
    Ok(())
}

/// That labels come to nothing is said to who wrote them.
fn warn_of_exemption(attempt: &Attempt<'_>, new: &Namespace, policy: &Policy, defaults: &Policy) {
    let modes = policy.modes();
    if policy == defaults || modes.iter().all(|(_, standard)| standard.level == Level::Privileged) {
        return;
    }
    let said = modes
        .iter()
        .filter(|(mode, standard)| standard.level != Level::Privileged && is_said(new.metadata.labels.as_ref(), mode));
    let said: Vec<String> = said.map(|(mode, standard)| format!("{mode}={standard}")).collect();
    let (name, said) = (attempt.name, said.join(", "));
    attempt
        .notes
        .warn(format!("namespace {name:?} is exempt from Pod Security, and the policy ({said}) will be ignored"));
}

fn is_stricter(new: Standard, old: Standard) -> bool {
    let is_relaxed = new.version == old.version && new.level <= old.level;
    new != old && new.level != Level::Privileged && !is_relaxed
}

/// Of pods that violate alike: the first by name, and how many there are.
type Alike = BTreeMap<String, (String, usize)>;

async fn warn(
    configuration: &Configuration,
    registry: &Registry,
    attempt: &Attempt<'_>,
    standard: Standard,
) -> Result<(), Status> {
    let pods = registry.resource(&Pod::DEF)?;
    let first = Pod::DEF.key(attempt.name, "");
    let snapshot = pods.snapshot();
    let range = snapshot.objects.range::<_, str>((Bound::Included(first.as_str()), Bound::Unbounded));
    let there: Vec<Arc<Entry>> =
        range.take_while(|(key, _)| key.starts_with(&first)).map(|(_, entry)| entry.clone()).collect();
    drop(snapshot);
    let begun = Instant::now();
    let mut alike = Alike::new();
    let mut looked_at = 0;
    for entry in there.iter().take(PODS_MAX) {
        let object = entry.decode(pods.kind).map_err(Status::internal)?;
        let exemptions = &configuration.exemptions;
        let subject = object.downcast::<Pod>().and_then(Subject::of_pod);
        let subject = subject.filter(|subject| !exemptions.has_runtime_class(subject.runtime_class()));
        if let Some(why) = subject.and_then(|subject| reasons(&subject, standard)) {
            // In key order, so that the first is the first by name.
            alike.entry(why).or_insert_with(|| (entry.name().to_owned(), 0)).1 += 1;
        }
        looked_at += 1;
        if begun.elapsed() > TIME_MAX {
            break;
        }
        if looked_at % BATCH == 0 {
            tokio::task::yield_now().await;
        }
    }
    for text in texts(attempt.name, standard, alike, (looked_at, there.len())) {
        attempt.notes.warn(text);
    }
    Ok(())
}

fn texts(namespace: &str, standard: Standard, alike: Alike, (looked_at, total): (usize, usize)) -> Vec<String> {
    let mut texts = Vec::new();
    if looked_at < total {
        texts.push(format!(
            "new PodSecurity enforce level only checked against the first {looked_at} of {total} existing pods"
        ));
    }
    if !alike.is_empty() {
        let standard = standard.to_string();
        texts.push(format!(
            "existing pods in namespace {namespace:?} violate the new PodSecurity enforce level {standard:?}"
        ));
    }
    let mut pods: Vec<String> = alike
        .into_iter()
        .map(|(why, (pod, count))| match count {
            1 => format!("{pod}: {why}"),
            2 => format!("{pod} (and 1 other pod): {why}"),
            more => format!("{pod} (and {} other pods): {why}", more - 1),
        })
        .collect();
    pods.sort();
    texts.extend(pods);
    texts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standard(labels: &[(&str, &str)]) -> Standard {
        let labels =
            labels.iter().map(|(key, value)| (format!("pod-security.kubernetes.io/{key}"), (*value).to_owned()));
        Policy::of(Some(&labels.collect()), Policy::default()).0.enforce
    }

    #[test]
    fn pods_are_looked_at_when_more_is_asked_of_them() {
        let table = [
            (standard(&[]), standard(&[("enforce", "baseline")]), true),
            (standard(&[("enforce", "baseline")]), standard(&[("enforce", "restricted")]), true),
            (standard(&[("enforce", "restricted")]), standard(&[("enforce", "baseline")]), false),
            (standard(&[("enforce", "baseline")]), standard(&[("enforce", "baseline")]), false),
            (standard(&[("enforce", "baseline")]), standard(&[]), false),
            (
                standard(&[("enforce", "baseline"), ("enforce-version", "v1.20")]),
                standard(&[("enforce", "baseline")]),
                true,
            ),
        ];
        for (old, new, expected) in table {
            assert_eq!(is_stricter(new, old), expected, "{old} to {new}");
        }
    }

    #[test]
    fn pods_that_violate_alike_share_a_warning() {
        let alike = [("privileged", "b", 3), ("hostPort", "a", 2), ("host namespaces", "c", 1)];
        let alike = alike.iter().map(|(why, pod, count)| ((*why).to_owned(), ((*pod).to_owned(), *count))).collect();
        assert_eq!(
            texts("dev", standard(&[("enforce", "baseline")]), alike, (6, 9)),
            [
                "new PodSecurity enforce level only checked against the first 6 of 9 existing pods",
                "existing pods in namespace \"dev\" violate the new PodSecurity enforce level \"baseline:latest\"",
                "a (and 1 other pod): hostPort",
                "b (and 2 other pods): privileged",
                "c: host namespaces",
            ]
        );
    }
}
