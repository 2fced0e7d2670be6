//! Amounts of resources: what a pod asks for, what a node has.

use api::quantity::Quantity;
use client::pods::{Container, Spec};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as ApiQuantity;
use smallvec::SmallVec;
use std::collections::BTreeMap;

/// What a container that asks for nothing is taken to use when nodes are compared, so that such pods spread.
const CPU_ASSUMED_MILLI: i64 = 100;
const MEMORY_ASSUMED: i64 = 200 << 20;

/// Amounts; CPU in thousandths of a core, memory and storage in bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    pub cpu_milli: i64,
    pub memory: i64,
    pub ephemeral_storage: i64,
    /// Extended resources, huge pages. Few, so a list.
    pub scalars: SmallVec<[(Box<str>, i64); 1]>,
}

pub(crate) type Amounts = BTreeMap<String, ApiQuantity>;

impl Resources {
    /// A text that is no quantity, which validation refuses, counts as nothing.
    pub fn from_amounts(amounts: &Amounts) -> Resources {
        let mut resources = Resources::default();
        for (name, amount) in amounts {
            let Ok(amount) = Quantity::try_from(amount) else { continue };
            match name.as_str() {
                "cpu" => resources.cpu_milli = amount.milli_value(),
                "memory" => resources.memory = amount.value(),
                "ephemeral-storage" => resources.ephemeral_storage = amount.value(),
                "pods" => {}
                _ => resources.scalars.push((name.as_str().into(), amount.value())),
            }
        }
        resources
    }

    pub fn scalar(&self, name: &str) -> i64 {
        self.scalars.iter().find(|(known, _)| **known == *name).map_or(0, |(_, amount)| *amount)
    }

    pub fn add(&mut self, other: &Resources) {
        self.combine(other, |a, b| a.saturating_add(b));
    }

    pub fn subtract(&mut self, other: &Resources) {
        self.combine(other, |a, b| a.saturating_sub(b));
    }

    fn at_least(&mut self, other: &Resources) {
        self.combine(other, i64::max);
    }

    fn combine(&mut self, other: &Resources, with: impl Fn(i64, i64) -> i64) {
        self.cpu_milli = with(self.cpu_milli, other.cpu_milli);
        self.memory = with(self.memory, other.memory);
        self.ephemeral_storage = with(self.ephemeral_storage, other.ephemeral_storage);
        for (name, amount) in &other.scalars {
            match self.scalars.iter_mut().find(|(known, _)| known == name) {
                Some((_, known)) => *known = with(*known, *amount),
                None => self.scalars.push((name.clone(), with(0, *amount))),
            }
        }
    }

    pub fn is_zero(&self) -> bool {
        *self == Resources::default()
    }
}

/// What a pod asks for.
pub(crate) fn of_pod(spec: &Spec) -> Resources {
    total(spec, &|container| {
        let requests = container.resources.as_ref().and_then(|resources| resources.requests.as_ref());
        requests.map(Resources::from_amounts).unwrap_or_default()
    })
}

/// CPU in thousandths and memory as nodes are compared by: as asked for, or as assumed.
pub(crate) fn assumed_of_pod(spec: &Spec) -> (i64, i64) {
    let all = total(spec, &|container| {
        let requests = container.resources.as_ref().and_then(|resources| resources.requests.as_ref());
        let asked = requests.map(Resources::from_amounts).unwrap_or_default();
        let asks = |name| requests.is_some_and(|requests| requests.contains_key(name));
        Resources {
            cpu_milli: if asks("cpu") { asked.cpu_milli } else { CPU_ASSUMED_MILLI },
            memory: if asks("memory") { asked.memory } else { MEMORY_ASSUMED },
            ..Resources::default()
        }
    });
    (all.cpu_milli, all.memory)
}

/// Containers run side by side; init containers one after the other before them, beside those init containers that
/// stay (restart policy `Always`). What the pod as a whole asks for goes before the sum; the overhead comes on top.
fn total(spec: &Spec, of: &dyn Fn(&Container) -> Resources) -> Resources {
    let mut all = Resources::default();
    for container in &spec.containers {
        all.add(&of(container));
    }
    let (mut staying, mut most) = (Resources::default(), Resources::default());
    for container in &spec.init_containers {
        let asked = of(container);
        if container.stays() {
            all.add(&asked);
            staying.add(&asked);
            most.at_least(&staying);
        } else {
            let mut peak = staying.clone();
            peak.add(&asked);
            most.at_least(&peak);
        }
    }
    all.at_least(&most);
    if let Some(whole) = spec.resources.as_ref().and_then(|resources| resources.requests.as_ref()) {
        let asked = Resources::from_amounts(whole);
        if whole.contains_key("cpu") {
            all.cpu_milli = asked.cpu_milli;
        }
        if whole.contains_key("memory") {
            all.memory = asked.memory;
        }
    }
    if let Some(overhead) = &spec.overhead {
        all.add(&Resources::from_amounts(overhead));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn container(cpu: &str, stays: bool) -> Value {
        let policy = if stays { json!("Always") } else { Value::Null };
        json!({"name": "c", "restartPolicy": policy, "resources": {"requests": {"cpu": cpu}}})
    }

    fn spec_of(spec: &Value) -> std::sync::Arc<Spec> {
        serde_json::from_value::<client::PodView>(json!({"metadata": {}, "spec": spec})).unwrap().spec
    }

    fn check(spec: Value, cpu_milli: i64) {
        assert_eq!(of_pod(&spec_of(&spec)).cpu_milli, cpu_milli, "{spec}");
    }

    #[test]
    fn a_pod_asks_for_the_most_that_runs_at_once() {
        let (one, two) = (container("1", false), container("2", false));
        check(json!({"containers": [one, two]}), 3000);
        check(json!({"containers": [one], "initContainers": [two]}), 2000);
        check(json!({"containers": [two], "initContainers": [one, one]}), 2000);
        check(json!({"containers": [one], "initContainers": [container("500m", true), two]}), 2500);
        check(json!({"containers": [two], "initContainers": [container("500m", true), one]}), 2500);
        check(json!({"containers": [one], "overhead": {"cpu": "250m"}}), 1250);
        check(json!({"containers": [one], "resources": {"requests": {"cpu": "5"}}}), 5000);
    }

    #[test]
    fn a_pod_that_asks_for_nothing_is_assumed_to_use_a_little() {
        let spec = spec_of(&json!({"containers": [{"name": "a"}, {"name": "b"}]}));
        assert_eq!(assumed_of_pod(&spec), (200, 400 << 20));
        assert!(of_pod(&spec).is_zero());
    }
}
