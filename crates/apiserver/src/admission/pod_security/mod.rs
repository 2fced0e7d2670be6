//! The Pod Security Standards, as a namespace's labels ask for them.
//!
//! Invariants: only pods are refused, not what makes them, as upstream. A label that cannot be read is refused where
//! it is written, and counts as the strictest where it stands.

mod baseline;
mod checks;
mod pods;
mod policy;
mod restricted;

use super::{Plugin, Sources, find, is, refused};
use api::{Kind, Object, Status, Subresource};
use async_trait::async_trait;
use checks::violations;
use client::{Cache, Client};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use pods::Subject;
use policy::{Level, Policy};
use registry::{Attempt, Operation};

pub(crate) fn make(sources: &Sources<'_>) -> Box<dyn Plugin> {
    Box::new(PodSecurity { client: sources.client.clone(), namespaces: sources.client.cache() })
}

struct PodSecurity {
    client: Client,
    namespaces: Cache<Namespace>,
}

/// Of a pod's later writes only those that bring new containers, or let present ones do more, are judged again.
fn is_significant(attempt: &Attempt<'_>, pod: &Pod, old: Option<&Pod>) -> bool {
    let annotations = |pod: &Pod| pod.metadata.annotations.clone().unwrap_or_default();
    match (attempt.operation, attempt.subresource) {
        (Operation::Create, None) => true,
        (Operation::Update, Some(Subresource::EphemeralContainers | Subresource::Resize)) => true,
        (Operation::Update, None) => old.is_some_and(|old| annotations(old) != annotations(pod)),
        _ => false,
    }
}

fn judge_namespace(attempt: &Attempt<'_>, new: &Namespace, old: Option<&Namespace>) -> Result<(), Status> {
    let (_, errors) = Policy::of(new.metadata.labels.as_ref());
    let before = old.map(|old| Policy::of(old.metadata.labels.as_ref()).1).unwrap_or_default();
    if errors.is_empty() || errors == before {
        return Ok(());
    }
    Err(Status::invalid(attempt.def, attempt.name, &errors))
}

fn judge_pod(attempt: &Attempt<'_>, pod: &Pod, namespace: &Namespace) -> Result<(), Status> {
    let (policy, _) = Policy::of(namespace.metadata.labels.as_ref());
    let Some(subject) = Subject::of_pod(pod).filter(|_| policy.enforce.level > Level::Privileged) else {
        return Ok(());
    };
    match violations(&subject, policy.enforce) {
        Some(text) => Err(refused(attempt, Some(pod), &format!("violates {text}"))),
        None => Ok(()),
    }
}

#[async_trait]
impl Plugin for PodSecurity {
    fn judges(&self, attempt: &Attempt<'_>) -> bool {
        attempt.operation != Operation::Delete
            && (is::<Pod>(attempt) || (is::<Namespace>(attempt) && attempt.subresource.is_none()))
    }

    async fn validate(
        &self,
        attempt: &Attempt<'_>,
        object: Option<&dyn Object>,
        old: Option<&dyn Object>,
    ) -> Result<(), Status> {
        if let Some(namespace) = object.and_then(|object| object.downcast::<Namespace>()) {
            return judge_namespace(attempt, namespace, old.and_then(|old| old.downcast::<Namespace>()));
        }
        let Some(pod) = object.and_then(|object| object.downcast::<Pod>()) else { return Ok(()) };
        if !is_significant(attempt, pod, old.and_then(|old| old.downcast::<Pod>())) {
            return Ok(());
        }
        let namespace = find(&self.client, &self.namespaces, "", attempt.namespace).await?;
        let namespace = namespace.ok_or_else(|| Status::not_found(&Namespace::DEF, attempt.namespace))?;
        judge_pod(attempt, pod, &namespace)
    }
}

#[cfg(test)]
mod tests;
