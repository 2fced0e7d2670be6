//! Which set is of which version of a deployment's template: hashes, and the annotations that `kubectl rollout` reads.

use super::sets::Set;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, ReplicaSetSpec};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use reconcile::owner;
use std::collections::BTreeMap;

pub(super) const REVISION: &str = "deployment.kubernetes.io/revision";
const HISTORY: &str = "deployment.kubernetes.io/revision-history";
const DESIRED: &str = "deployment.kubernetes.io/desired-replicas";
const MAX: &str = "deployment.kubernetes.io/max-replicas";
const HASH: &str = "pod-template-hash";
/// Annotations of the deployment that say nothing about its sets.
const NOT_COPIED: [&str; 6] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    HISTORY,
    DESIRED,
    MAX,
    "deprecated.deployment.rollback.to",
];
/// Characters of `HISTORY`; the oldest revisions give way.
const HISTORY_LENGTH_MAX: usize = 2000;

fn annotation<'a>(meta: &'a ObjectMeta, name: &str) -> Option<&'a str> {
    meta.annotations.as_ref()?.get(name).map(String::as_str)
}

/// The revision noted on an object; 0 where there is none.
pub(super) fn of(meta: &ObjectMeta) -> i64 {
    annotation(meta, REVISION).and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// The replicas that the deployment wanted when it last scaled the set.
pub(super) fn desired(set: &Set) -> Option<i32> {
    annotation(&set.object.metadata, DESIRED)?.parse().ok()
}

/// The most pods that the deployment would have had then.
pub(super) fn max(set: &Set) -> Option<i32> {
    annotation(&set.object.metadata, MAX)?.parse().ok()
}

/// Notes on a set what the deployment wants.
pub(super) fn note_replicas(set: &mut Set, desired: i32, max: i32) {
    let annotations = set.object.metadata.annotations.get_or_insert_default();
    annotations.insert(DESIRED.to_owned(), desired.to_string());
    annotations.insert(MAX.to_owned(), max.to_string());
}

/// Whether the set runs the deployment's present template.
pub(super) fn is_of_template(set: &ReplicaSet, deployment: &Deployment) -> bool {
    let of_set = set.spec.template.as_ref();
    of_set.is_some_and(|of_set| without_hash(of_set) == without_hash(&deployment.spec.template))
}

/// A template as templates are compared: empty and absent are one, as they are to upstream.
fn without_hash(template: &PodTemplateSpec) -> PodTemplateSpec {
    let mut template = template.clone();
    let mut meta = template.metadata.take().unwrap_or_default();
    if let Some(labels) = &mut meta.labels {
        labels.remove(HASH);
    }
    meta.labels = meta.labels.filter(|labels| !labels.is_empty());
    meta.annotations = meta.annotations.filter(|annotations| !annotations.is_empty());
    meta.finalizers = meta.finalizers.filter(|finalizers| !finalizers.is_empty());
    meta.creation_timestamp = None;
    template.metadata = Some(meta);
    template
}

/// Brings the annotations of a set up to its being the newest; `revision` is one more than all others'.
pub(super) fn annotate(set: &mut Set, deployment: &Deployment, revision: i64) {
    let copied = deployment.metadata.annotations.iter().flatten();
    let copied: Vec<_> = copied.filter(|(name, _)| !NOT_COPIED.contains(&name.as_str())).collect();
    let old = annotation(&set.object.metadata, REVISION).unwrap_or_default().to_owned();
    let history = annotation(&set.object.metadata, HISTORY).unwrap_or_default().to_owned();
    let annotations = set.object.metadata.annotations.get_or_insert_default();
    for (name, value) in copied {
        annotations.insert(name.clone(), value.clone());
    }
    // It may be greater already: sets that were newer have been deleted.
    if old.parse().unwrap_or(0) < revision {
        annotations.insert(REVISION.to_owned(), revision.to_string());
        if set.original.is_some() && !old.is_empty() {
            annotations.insert(HISTORY.to_owned(), extended(&history, &old));
        }
    }
}

fn extended(history: &str, revision: &str) -> String {
    if history.is_empty() {
        return revision.to_owned();
    }
    let mut rest = history;
    while !rest.is_empty() && rest.len() + revision.len() + 1 > HISTORY_LENGTH_MAX {
        rest = rest.split_once(',').map_or("", |(_, later)| later);
    }
    if rest.is_empty() { revision.to_owned() } else { format!("{rest},{revision}") }
}

/// The set of the deployment's present template, with no replicas.
pub(super) fn new_set(deployment: &Deployment, revision: i64) -> Set {
    let spec = deployment.spec.clone();
    let collisions = deployment.status.as_ref().and_then(|status| status.collision_count);
    let hash = hash(&spec.template, collisions);
    let mut template = spec.template;
    let labels = template.metadata.get_or_insert_default().labels.get_or_insert_default();
    labels.insert(HASH.to_owned(), hash.clone());
    let labels: BTreeMap<_, _> = labels.clone();
    let mut selector = spec.selector;
    selector.match_labels.get_or_insert_default().insert(HASH.to_owned(), hash.clone());
    let object = ReplicaSet {
        metadata: ObjectMeta {
            name: Some(format!("{}-{hash}", deployment.metadata.name.as_deref().unwrap_or_default())),
            namespace: deployment.metadata.namespace.clone(),
            labels: Some(labels),
            owner_references: Some(vec![owner::reference(deployment)]),
            ..ObjectMeta::default()
        },
        spec: ReplicaSetSpec {
            replicas: Some(0),
            min_ready_seconds: spec.min_ready_seconds,
            selector,
            template: Some(template),
        },
        status: None,
    };
    let mut set = Set { object, original: None, delete: false };
    annotate(&mut set, deployment, revision);
    set
}

/// A short name for a template, other than upstream's: it hashes Go's own rendering of the struct. Another controller
/// that takes over compares templates, not hashes.
fn hash(template: &PodTemplateSpec, collisions: Option<i32>) -> String {
    let text = serde_json::to_vec(template).expect("a template that was decoded from JSON encodes to JSON");
    let salt = collisions.map(i32::to_le_bytes).unwrap_or_default();
    let mut hash: u32 = 0x811c_9dc5;
    for byte in text.iter().chain(salt.iter().filter(|_| collisions.is_some())) {
        hash = (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
    }
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    hash.to_string().bytes().map(|digit| char::from(ALPHABET[usize::from(digit) % ALPHABET.len()])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_history_drops_its_oldest_when_it_is_full() {
        assert_eq!(extended("", "1"), "1");
        assert_eq!(extended("1,3", "5"), "1,3,5");
        let long: Vec<String> = (1..600).map(|n| n.to_string()).collect();
        let cut = extended(&long.join(","), "600");
        assert!(
            cut.len() <= HISTORY_LENGTH_MAX && cut.ends_with(",599,600") && !cut.starts_with("1,"),
            "{}",
            cut.len()
        );
    }

    #[test]
    fn a_hash_depends_on_template_and_collisions_only() {
        let template = PodTemplateSpec::default();
        assert_eq!(hash(&template, None), hash(&template, None));
        assert_ne!(hash(&template, None), hash(&template, Some(0)));
        assert_ne!(hash(&template, Some(0)), hash(&template, Some(1)));
    }
}
