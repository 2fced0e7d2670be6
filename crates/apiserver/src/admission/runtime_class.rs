//! A pod that names a RuntimeClass takes over what such pods cost beside their containers, and where they can run.

use super::{Plugin, Sources, find, is, refused};
use api::{Object, Status};
use async_trait::async_trait;
use client::{Cache, Client};
use k8s_openapi::api::core::v1::{Pod, PodSpec};
use k8s_openapi::api::node::v1::RuntimeClass;
use registry::{Attempt, Operation};

pub(crate) fn make(sources: &Sources<'_>) -> Box<dyn Plugin> {
    Box::new(RuntimeClasses { client: sources.client.clone(), classes: sources.client.cache() })
}

struct RuntimeClasses {
    client: Client,
    classes: Cache<RuntimeClass>,
}

/// Takes over; what contradicts the class is refused.
fn take(spec: &mut PodSpec, class: &RuntimeClass) -> Result<(), String> {
    if let Some(scheduling) = &class.scheduling {
        for (key, value) in scheduling.node_selector.iter().flatten() {
            let own = spec.node_selector.get_or_insert_default().entry(key.clone()).or_insert_with(|| value.clone());
            if own != value {
                return Err(format!(
                    "conflict: runtimeClass.scheduling.nodeSelector[{key}] = {value}; pod.spec.nodeSelector[{key}] = {own}"
                ));
            }
        }
        for toleration in scheduling.tolerations.iter().flatten() {
            let own = spec.tolerations.get_or_insert_default();
            if !own.contains(toleration) {
                own.push(toleration.clone());
            }
        }
    }
    let fixed = class.overhead.as_ref().and_then(|overhead| overhead.pod_fixed.as_ref());
    match (&spec.overhead, fixed) {
        (None, Some(fixed)) => spec.overhead = Some(fixed.clone()),
        (Some(own), Some(fixed)) if own != fixed => {
            return Err("pod's overhead doesn't match RuntimeClass's defined overhead".to_owned());
        }
        (Some(own), None) if !own.is_empty() => {
            return Err("pod's overhead doesn't match RuntimeClass's defined overhead".to_owned());
        }
        _ => {}
    }
    Ok(())
}

#[async_trait]
impl Plugin for RuntimeClasses {
    fn judges(&self, attempt: &Attempt<'_>) -> bool {
        attempt.operation == Operation::Create && attempt.subresource.is_none() && is::<Pod>(attempt)
    }

    async fn mutate(
        &self,
        attempt: &Attempt<'_>,
        object: &mut Box<dyn Object>,
        _old: Option<&dyn Object>,
    ) -> Result<(), Status> {
        let Some(pod) = object.downcast_mut::<Pod>() else { return Ok(()) };
        let Some(spec) = pod.spec.as_mut() else { return Ok(()) };
        let Some(name) = spec.runtime_class_name.clone().filter(|name| !name.is_empty()) else {
            let alone = spec.overhead.as_ref().is_some_and(|overhead| !overhead.is_empty());
            let why = "Pod Overhead set without corresponding RuntimeClass defined Overhead";
            return if alone { Err(refused(attempt, Some(pod), why)) } else { Ok(()) };
        };
        let taken = match find(&self.client, &self.classes, "", &name).await? {
            Some(class) => take(spec, &class),
            None => Err(format!("pod rejected: RuntimeClass {name:?} not found")),
        };
        taken.map_err(|why| refused(attempt, Some(pod), &why))
    }
}
