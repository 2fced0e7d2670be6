//! A namespace's LimitRanges: defaults for what its containers ask for, bounds for containers, pods and claims.
//!
//! Invariant: defaults are filled in where a pod is created and never later; every bound that is broken is named, in one
//! answer.

use super::{Plugin, Sources, is, refused};
use api::quantity::Quantity;
use api::{Object, Status, Subresource};
use async_trait::async_trait;
use client::Cache;
use k8s_openapi::api::core::v1::{
    Container, LimitRange, LimitRangeItem, PersistentVolumeClaim, Pod, PodSpec, ResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as ApiQuantity;
use registry::{Attempt, Operation};
use std::collections::BTreeMap;
use std::sync::Arc;

const ANNOTATION: &str = "kubernetes.io/limit-ranger";

pub(crate) fn make(sources: &Sources<'_>) -> Box<dyn Plugin> {
    Box::new(LimitRanger { ranges: sources.client.cache() })
}

struct LimitRanger {
    ranges: Cache<LimitRange>,
}

type List = BTreeMap<String, ApiQuantity>;
type Amounts = BTreeMap<String, Quantity>;

fn items(ranges: &[Arc<LimitRange>]) -> impl Iterator<Item = &LimitRangeItem> {
    ranges.iter().filter_map(|range| range.spec.as_ref()).flat_map(|spec| &spec.limits)
}

/// Takes over what `list` lacks of `defaults`; answers with the names that it lacked.
fn complete(list: &mut Option<List>, defaults: Option<&List>) -> Vec<String> {
    let mut set = Vec::new();
    for (name, amount) in defaults.into_iter().flatten() {
        let list = list.get_or_insert_default();
        if !list.contains_key(name) {
            list.insert(name.clone(), amount.clone());
            set.push(name.clone());
        }
    }
    set
}

fn default_container(container: &mut Container, sort: &str, item: &LimitRangeItem, notes: &mut Vec<String>) {
    let resources = container.resources.get_or_insert_default();
    let limits = complete(&mut resources.limits, item.default.as_ref());
    let requests = complete(&mut resources.requests, item.default_request.as_ref());
    for (set, what) in [(requests, "request"), (limits, "limit")] {
        if !set.is_empty() {
            notes.push(format!("{} {what} for {sort} {}", set.join(", "), container.name));
        }
    }
}

/// Fills in what the containers do not ask for themselves, and notes it on the pod.
fn fill(pod: &mut Pod, ranges: &[Arc<LimitRange>]) {
    let Some(spec) = pod.spec.as_mut() else { return };
    let mut notes = Vec::new();
    for item in items(ranges).filter(|item| item.type_ == "Container") {
        for container in &mut spec.containers {
            default_container(container, "container", item, &mut notes);
        }
        for container in spec.init_containers.iter_mut().flatten() {
            default_container(container, "init container", item, &mut notes);
        }
    }
    if !notes.is_empty() {
        let note = format!("LimitRanger plugin set: {}", notes.join("; "));
        pod.metadata.annotations.get_or_insert_default().insert(ANNOTATION.to_owned(), note);
    }
}

/// Requests and limits of one thing that is bounded.
#[derive(Default)]
struct Asked {
    requests: Amounts,
    limits: Amounts,
}

fn amounts(list: Option<&List>) -> Amounts {
    let parsed =
        list.into_iter().flatten().filter_map(|(name, text)| Some((name.clone(), Quantity::try_from(text).ok()?)));
    parsed.collect()
}

impl Asked {
    fn of(resources: Option<&ResourceRequirements>) -> Asked {
        Asked {
            requests: amounts(resources.and_then(|resources| resources.requests.as_ref())),
            limits: amounts(resources.and_then(|resources| resources.limits.as_ref())),
        }
    }

    fn of_pod(spec: &PodSpec) -> Asked {
        Asked { requests: api::core::pod::container_requests(spec), limits: api::core::pod::container_limits(spec) }
    }
}

/// What of `item` is broken by what was asked for.
fn broken(item: &LimitRangeItem, asked: &Asked, wants_limits: bool) -> Vec<String> {
    let mut errors = Vec::new();
    let kind = item.type_.as_str();
    for (name, least) in amounts(item.min.as_ref()) {
        let rule = format!("minimum {name} usage per {kind} is {least}");
        match (asked.requests.get(&name), asked.limits.get(&name)) {
            (None, _) => errors.push(format!("{rule}.  No request is specified")),
            (Some(request), _) if *request < least => errors.push(format!("{rule}, but request is {request}")),
            (_, Some(limit)) if *limit < least => errors.push(format!("{rule}, but limit is {limit}")),
            _ => {}
        }
    }
    for (name, most) in amounts(item.max.as_ref()) {
        let rule = format!("maximum {name} usage per {kind} is {most}");
        match (asked.requests.get(&name), asked.limits.get(&name)) {
            (_, None) if wants_limits => errors.push(format!("{rule}.  No limit is specified")),
            (_, Some(limit)) if *limit > most => errors.push(format!("{rule}, but limit is {limit}")),
            (None, None) => errors.push(format!("{rule}.  No request is specified")),
            (Some(request), _) if *request > most => errors.push(format!("{rule}, but request is {request}")),
            _ => {}
        }
    }
    for (name, most) in amounts(item.max_limit_request_ratio.as_ref()) {
        let rule = format!("{name} max limit to request ratio per {kind} is {most}");
        let positive = |amounts: &Amounts| amounts.get(&name).map(|amount| amount.as_f64()).filter(|one| *one > 0.0);
        match (positive(&asked.requests), positive(&asked.limits)) {
            (None, _) => errors.push(format!("{rule}, but no request is specified or request is 0")),
            (_, None) => errors.push(format!("{rule}, but no limit is specified or limit is 0")),
            (Some(request), Some(limit)) if limit / request > most.as_f64() => {
                errors.push(format!("{rule}, but provided ratio is {:.6}", limit / request));
            }
            _ => {}
        }
    }
    errors
}

fn judge_pod(pod: &Pod, ranges: &[Arc<LimitRange>]) -> Vec<String> {
    let Some(spec) = &pod.spec else { return Vec::new() };
    let containers = || spec.containers.iter().chain(spec.init_containers.iter().flatten());
    let of = |item: &LimitRangeItem| match item.type_.as_str() {
        "Container" => containers().flat_map(|one| broken(item, &Asked::of(one.resources.as_ref()), true)).collect(),
        "Pod" => broken(item, &Asked::of_pod(spec), true),
        _ => Vec::new(),
    };
    items(ranges).flat_map(of).collect()
}

fn judge_claim(claim: &PersistentVolumeClaim, ranges: &[Arc<LimitRange>]) -> Vec<String> {
    let requests = claim.spec.as_ref().and_then(|spec| spec.resources.as_ref()?.requests.as_ref());
    let asked = Asked { requests: amounts(requests), limits: Amounts::new() };
    items(ranges)
        .filter(|item| item.type_ == "PersistentVolumeClaim")
        .flat_map(|item| broken(item, &asked, false))
        .collect()
}

/// One sentence, or a list of distinct ones.
fn sentence(mut errors: Vec<String>) -> Option<String> {
    let mut seen = std::collections::HashSet::new();
    errors.retain(|error| seen.insert(error.clone()));
    match errors.as_slice() {
        [] => None,
        [one] => Some(one.clone()),
        many => Some(format!("[{}]", many.join(", "))),
    }
}

#[async_trait]
impl Plugin for LimitRanger {
    fn judges(&self, attempt: &Attempt<'_>) -> bool {
        match (attempt.operation, attempt.subresource) {
            (Operation::Create, None) => is::<Pod>(attempt) || is::<PersistentVolumeClaim>(attempt),
            (Operation::Update, None) => is::<PersistentVolumeClaim>(attempt),
            (Operation::Update, Some(Subresource::Resize)) => is::<Pod>(attempt),
            _ => false,
        }
    }

    async fn mutate(
        &self,
        attempt: &Attempt<'_>,
        object: &mut Box<dyn Object>,
        _old: Option<&dyn Object>,
    ) -> Result<(), Status> {
        if attempt.operation != Operation::Create {
            return Ok(());
        }
        if let Some(pod) = object.downcast_mut::<Pod>() {
            fill(pod, &self.ranges.list_namespace(attempt.namespace));
        }
        Ok(())
    }

    async fn validate(
        &self,
        attempt: &Attempt<'_>,
        object: Option<&dyn Object>,
        _old: Option<&dyn Object>,
    ) -> Result<(), Status> {
        let ranges = self.ranges.list_namespace(attempt.namespace);
        if ranges.is_empty() {
            return Ok(());
        }
        let pod = object.and_then(|object| object.downcast::<Pod>()).map(|pod| judge_pod(pod, &ranges));
        let claim = object.and_then(|object| object.downcast::<PersistentVolumeClaim>());
        let errors = pod.or_else(|| claim.map(|claim| judge_claim(claim, &ranges))).unwrap_or_default();
        sentence(errors).map_or(Ok(()), |why| Err(refused(attempt, object, &why)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn of<K: serde::de::DeserializeOwned>(value: Value) -> K {
        serde_json::from_value(value).unwrap()
    }

    fn ranges(limits: Value) -> Vec<Arc<LimitRange>> {
        vec![Arc::new(of(json!({"metadata": {"name": "l"}, "spec": {"limits": limits}})))]
    }

    fn pod(resources: Value) -> Pod {
        of(json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "resources": resources}]}}))
    }

    #[test]
    fn a_silent_container_asks_for_the_default() {
        let ranges = ranges(json!([{"type": "Container", "default": {"cpu": "1", "memory": "1Gi"},
                                     "defaultRequest": {"cpu": "500m"}}]));
        let mut one = pod(json!({"limits": {"memory": "2Gi"}}));
        fill(&mut one, &ranges);
        assert_eq!(
            serde_json::to_value(&one.spec.as_ref().unwrap().containers[0].resources).unwrap(),
            json!({"limits": {"cpu": "1", "memory": "2Gi"}, "requests": {"cpu": "500m"}})
        );
        assert_eq!(
            one.metadata.annotations.as_ref().unwrap()[ANNOTATION],
            "LimitRanger plugin set: cpu request for container c; cpu limit for container c"
        );
        let once = one.clone();
        fill(&mut one, &ranges);
        assert_eq!(one, once, "a retry changes no more");
    }

    #[test]
    fn every_broken_bound_is_named() {
        let check = |limits: Value, resources: Value, expected: &str| {
            let said = sentence(judge_pod(&pod(resources.clone()), &ranges(limits.clone())));
            assert_eq!(said.unwrap_or_default(), expected, "{limits} {resources}");
        };
        let bounds = json!([{"type": "Container", "min": {"cpu": "100m"}, "max": {"cpu": "1"}}]);
        let asks = |request: &str, limit: &str| json!({"requests": {"cpu": request}, "limits": {"cpu": limit}});
        check(bounds.clone(), asks("100m", "1"), "");
        check(bounds.clone(), asks("50m", "1"), "minimum cpu usage per Container is 100m, but request is 50m");
        check(bounds.clone(), asks("200m", "2"), "maximum cpu usage per Container is 1, but limit is 2");
        check(
            bounds,
            json!({}),
            "[minimum cpu usage per Container is 100m.  No request is specified, \
             maximum cpu usage per Container is 1.  No limit is specified]",
        );
        check(
            json!([{"type": "Pod", "maxLimitRequestRatio": {"cpu": "2"}}]),
            asks("100m", "500m"),
            "cpu max limit to request ratio per Pod is 2, but provided ratio is 5.000000",
        );
    }

    #[test]
    fn claims_are_bounded_by_what_they_request() {
        let ranges =
            ranges(json!([{"type": "PersistentVolumeClaim", "max": {"storage": "1Gi"}, "min": {"storage": "1Mi"}}]));
        let claim = |amount: &str| of(json!({"spec": {"resources": {"requests": {"storage": amount}}}}));
        assert_eq!(judge_claim(&claim("1Gi"), &ranges), Vec::<String>::new());
        let text = "maximum storage usage per PersistentVolumeClaim is 1Gi, but request is 2Gi";
        assert_eq!(judge_claim(&claim("2Gi"), &ranges), [text]);
    }
}
