//! How a pod is treated when its node runs short: its class, and what its containers ask for together.

use crate::core::resources::ResourceList;
use crate::quantity::Quantity;
use k8s_openapi::api::core::v1::{Container, PodSpec, ResourceRequirements};
use std::collections::BTreeMap;

const COMPUTE: [&str; 2] = ["cpu", "memory"];

/// `Guaranteed`, `Burstable` or `BestEffort`.
pub fn qos_class(spec: &PodSpec) -> &'static str {
    if let Some(resources) = spec.resources.as_ref().filter(|resources| has_compute(resources)) {
        return class([resources].into_iter());
    }
    let containers = spec.containers.iter().chain(spec.init_containers.iter().flatten());
    let none = ResourceRequirements::default();
    class(containers.map(|container| container.resources.as_ref().unwrap_or(&none)))
}

fn amount(list: Option<&ResourceList>, name: &str) -> Option<Quantity> {
    let quantity = Quantity::try_from(list?.get(name)?).ok()?;
    Some(quantity).filter(|quantity| !quantity.is_zero())
}

fn has_compute(resources: &ResourceRequirements) -> bool {
    COMPUTE.iter().any(|name| {
        amount(resources.requests.as_ref(), name).is_some() || amount(resources.limits.as_ref(), name).is_some()
    })
}

/// Guaranteed: every container bounds both, and asks for what it bounds. Best effort: none names either.
fn class<'a>(all: impl Iterator<Item = &'a ResourceRequirements>) -> &'static str {
    let (mut any, mut guaranteed) = (false, true);
    for resources in all {
        any |= has_compute(resources);
        guaranteed &= COMPUTE.iter().all(|name| {
            let limit = amount(resources.limits.as_ref(), name);
            let request = amount(resources.requests.as_ref(), name);
            limit.is_some() && (request.is_none() || request == limit)
        });
    }
    match (any, guaranteed) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

/// An init container that goes on running beside the others.
pub fn is_sidecar(container: &Container) -> bool {
    container.restart_policy.as_deref() == Some("Always")
}

/// What the containers ask for together: the sum of those that run side by side, or the most that one of the init
/// containers needs (beside the sidecars started before it), whichever is more. Without the pod's overhead.
pub fn container_requests(spec: &PodSpec) -> BTreeMap<String, Quantity> {
    together(spec, |resources| resources.requests.as_ref())
}

/// As `container_requests`, of what the containers are bound by. A resource is in it if any container bounds it.
pub fn container_limits(spec: &PodSpec) -> BTreeMap<String, Quantity> {
    together(spec, |resources| resources.limits.as_ref())
}

type Listed = fn(&ResourceRequirements) -> Option<&ResourceList>;

fn together(spec: &PodSpec, listed: Listed) -> BTreeMap<String, Quantity> {
    let mut running = BTreeMap::new();
    let mut most: BTreeMap<String, Quantity> = BTreeMap::new();
    for container in spec.init_containers.iter().flatten() {
        if is_sidecar(container) {
            add(&mut running, container, listed);
            raise(&mut most, &running);
        } else {
            let mut beside = running.clone();
            add(&mut beside, container, listed);
            raise(&mut most, &beside);
        }
    }
    spec.containers.iter().for_each(|container| add(&mut running, container, listed));
    raise(&mut most, &running);
    most
}

fn add(sum: &mut BTreeMap<String, Quantity>, container: &Container, listed: Listed) {
    for (name, quantity) in container.resources.as_ref().and_then(listed).into_iter().flatten() {
        let Ok(quantity) = Quantity::try_from(quantity) else { continue };
        let entry = sum.entry(name.clone()).or_insert(Quantity::from_units(0, quantity.format()));
        // More than can be counted stays the most that was counted; no node has it anyway.
        *entry = entry.checked_add(quantity).unwrap_or(*entry);
    }
}

fn raise(most: &mut BTreeMap<String, Quantity>, other: &BTreeMap<String, Quantity>) {
    for (name, quantity) in other {
        let entry = most.entry(name.clone()).or_insert(*quantity);
        *entry = (*entry).max(*quantity);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn spec(value: serde_json::Value) -> PodSpec {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn the_class_follows_from_requests_and_limits() {
        let of = |resources: serde_json::Value| {
            qos_class(&spec(json!({"containers": [{"name": "a", "resources": resources}]})))
        };
        assert_eq!(of(json!({})), "BestEffort");
        assert_eq!(of(json!({"requests": {"cpu": "0"}})), "BestEffort");
        assert_eq!(of(json!({"requests": {"cpu": "1"}})), "Burstable");
        assert_eq!(of(json!({"limits": {"cpu": "1", "memory": "1Gi"}})), "Guaranteed");
        assert_eq!(of(json!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1000m"}})), "Guaranteed");
        assert_eq!(of(json!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1m"}})), "Burstable");
        assert_eq!(of(json!({"limits": {"cpu": "1"}})), "Burstable");
    }

    #[test]
    fn init_containers_count_by_the_most_of_them() {
        let requests = container_requests(&spec(json!({
            "containers": [
                {"name": "a", "resources": {"requests": {"cpu": "100m"}}},
                {"name": "b", "resources": {"requests": {"cpu": "100m", "memory": "1Gi"}}},
            ],
            "initContainers": [
                {"name": "c", "resources": {"requests": {"cpu": "300m"}}},
                {"name": "d", "restartPolicy": "Always", "resources": {"requests": {"cpu": "50m"}}},
                {"name": "e", "resources": {"requests": {"cpu": "200m"}}},
            ],
        })));
        let texts: Vec<String> = requests.iter().map(|(name, amount)| format!("{name}={amount}")).collect();
        assert_eq!(texts, ["cpu=300m", "memory=1Gi"]);
    }
}
