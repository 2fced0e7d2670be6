//! A pod's priority is its class's, and at most one class is the default.

use super::{Plugin, Sources, find, is, refused};
use api::{Object, Status};
use async_trait::async_trait;
use client::{Cache, Client};
use k8s_openapi::api::core::v1::{Pod, PodSpec};
use k8s_openapi::api::scheduling::v1::PriorityClass;
use registry::{Attempt, Operation};
use std::sync::Arc;

pub(crate) fn make(sources: &Sources<'_>) -> Box<dyn Plugin> {
    Box::new(Priority { client: sources.client.clone(), classes: sources.client.cache() })
}

struct Priority {
    client: Client,
    classes: Cache<PriorityClass>,
}

/// The class of pods that name none; of several (two that became default at once) the lowest.
pub(crate) fn default_class(classes: &[Arc<PriorityClass>]) -> Option<&Arc<PriorityClass>> {
    classes.iter().filter(|class| class.global_default == Some(true)).min_by_key(|class| class.value)
}

/// Takes the class's values over; `class` is `None` where the pod names none and there is no default.
pub(crate) fn resolve(spec: &mut PodSpec, class: Option<&PriorityClass>) -> Result<(), String> {
    let priority = class.and_then(|class| class.value).unwrap_or_default();
    if let Some(own) = spec.priority.filter(|own| *own != priority) {
        return Err(format!(
            "the integer value of priority ({own}) must not be provided in pod spec; priority admission controller \
             computed {priority} from the given PriorityClass name"
        ));
    }
    let policy = class.and_then(|class| class.preemption_policy.as_deref());
    if let (Some(own), Some(policy)) = (spec.preemption_policy.as_deref(), policy)
        && own != policy
    {
        return Err(format!(
            "the string value of PreemptionPolicy ({own}) must not be provided in pod spec; priority admission \
             controller computed {policy} from the given PriorityClass name"
        ));
    }
    spec.priority = Some(priority);
    if let Some(policy) = policy {
        spec.preemption_policy = Some(policy.to_owned());
    }
    if spec.priority_class_name.as_deref().is_none_or(str::is_empty) {
        spec.priority_class_name = class.and_then(|class| class.metadata.name.clone());
    }
    Ok(())
}

impl Priority {
    async fn admit(&self, spec: &mut PodSpec) -> Result<Result<(), String>, Status> {
        let Some(name) = spec.priority_class_name.clone().filter(|name| !name.is_empty()) else {
            let classes = self.classes.list();
            return Ok(resolve(spec, default_class(&classes).map(|class| &**class)));
        };
        Ok(match find(&self.client, &self.classes, "", &name).await? {
            Some(class) => resolve(spec, Some(&class)),
            None => Err(format!("no PriorityClass with name {name} was found")),
        })
    }
}

#[async_trait]
impl Plugin for Priority {
    fn judges(&self, attempt: &Attempt<'_>) -> bool {
        attempt.subresource.is_none()
            && attempt.operation != Operation::Delete
            && (is::<Pod>(attempt) || is::<PriorityClass>(attempt))
    }

    async fn mutate(
        &self,
        attempt: &Attempt<'_>,
        object: &mut Box<dyn Object>,
        old: Option<&dyn Object>,
    ) -> Result<(), Status> {
        let Some(pod) = object.downcast_mut::<Pod>() else { return Ok(()) };
        let Some(spec) = pod.spec.as_mut() else { return Ok(()) };
        if attempt.operation == Operation::Create {
            return self.admit(spec).await?.map_err(|why| refused(attempt, Some(pod), &why));
        }
        // Clients that do not know the field must not lose it.
        let old = old.and_then(|old| old.downcast::<Pod>()).and_then(|old| old.spec.as_ref());
        if spec.priority.is_none() {
            spec.priority = old.and_then(|old| old.priority);
        }
        Ok(())
    }

    async fn validate(
        &self,
        attempt: &Attempt<'_>,
        object: Option<&dyn Object>,
        _old: Option<&dyn Object>,
    ) -> Result<(), Status> {
        let Some(class) = object.and_then(|object| object.downcast::<PriorityClass>()) else { return Ok(()) };
        let classes = self.classes.list();
        let other = default_class(&classes).and_then(|present| present.metadata.name.as_deref());
        match other.filter(|other| class.metadata.name.as_deref() != Some(other)) {
            Some(other) if class.global_default == Some(true) => {
                let why = format!("PriorityClass {other} is already marked as default. Only one default can exist");
                Err(refused(attempt, object, &why))
            }
            _ => Ok(()),
        }
    }
}
