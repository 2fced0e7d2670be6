//! The Pod Security Standards, as a namespace's labels and the administrator's configuration ask for them.
//!
//! Invariants: only pods are refused, not what makes them, as upstream; their templates are warned of and audited. A
//! label that cannot be read is refused where it is written, and of those that stand, the one that refuses counts as the
//! strictest.

mod baseline;
mod checks;
mod configuration;
mod namespace;
mod pods;
mod policy;
mod restricted;

pub(super) use configuration::Configuration;

use super::{Plugin, Sources, find, is, refused};
use api::{Kind, Object, Status, Subresource, warnings};
use async_trait::async_trait;
use checks::violations;
use client::{Cache, Client};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use pods::Subject;
use policy::{Level, Policy, Standard};
use registry::{Attempt, Operation, Registry};
use std::sync::Arc;

const AUDIT: &str = "pod-security.kubernetes.io/";

pub(crate) fn make(sources: &Sources<'_>) -> Box<dyn Plugin> {
    Box::new(PodSecurity {
        client: sources.client.clone(),
        registry: sources.registry.clone(),
        namespaces: sources.client.cache(),
        configuration: sources.settings.plugins.pod_security.clone(),
    })
}

struct PodSecurity {
    client: Client,
    registry: Arc<Registry>,
    namespaces: Cache<Namespace>,
    configuration: Arc<Configuration>,
}

/// Of a pod's later writes only those that bring new containers or images, or let present ones do more, are judged
/// again.
fn is_significant(attempt: &Attempt<'_>, pod: &Pod, old: Option<&Pod>) -> bool {
    let annotations = |pod: &Pod| pod.metadata.annotations.clone().unwrap_or_default();
    match (attempt.operation, attempt.subresource) {
        (Operation::Create, None) => true,
        (Operation::Update, Some(Subresource::EphemeralContainers | Subresource::Resize)) => true,
        (Operation::Update, None) => {
            old.is_some_and(|old| annotations(old) != annotations(pod) || images(old) != images(pod))
        }
        _ => false,
    }
}

fn images(pod: &Pod) -> Vec<(&str, Option<&str>)> {
    let spec = pod.spec.iter();
    let containers = spec.flat_map(|spec| spec.init_containers.iter().flatten().chain(&spec.containers));
    containers.map(|container| (container.name.as_str(), container.image.as_deref())).collect()
}

/// Refuses what is enforced, warns of the rest and notes both for the audit log. Who is refused needs no warning.
fn judge(
    attempt: &Attempt<'_>,
    policy: &Policy,
    subject: &Subject<'_>,
    enforced_on: Option<&Pod>,
) -> Result<(), Status> {
    let notes = attempt.notes;
    if let Some(text) = violations(subject, policy.audit) {
        notes.annotate(&format!("{AUDIT}audit-violations"), format!("would violate {text}"));
    }
    if let Some(pod) = enforced_on {
        notes.annotate(&format!("{AUDIT}enforce-policy"), policy.enforce.to_string());
        if let Some(text) = violations(subject, policy.enforce) {
            return Err(refused(attempt, Some(pod), &format!("violates {text}")));
        }
    }
    if let Some(text) = violations(subject, policy.warn) {
        notes.warn(format!("would violate {text}"));
    }
    Ok(())
}

/// Whether nothing is asked of anybody.
fn is_idle(standards: &[Standard]) -> bool {
    standards.iter().all(|standard| standard.level == Level::Privileged)
}

impl PodSecurity {
    /// What the namespace of a write asks for.
    async fn policy(&self, attempt: &Attempt<'_>) -> Result<Policy, Status> {
        let namespace = find(&self.client, &self.namespaces, "", attempt.namespace).await?;
        let namespace = namespace.ok_or_else(|| Status::not_found(&Namespace::DEF, attempt.namespace))?;
        let (policy, errors) = Policy::of(namespace.metadata.labels.as_ref(), self.configuration.defaults);
        if !errors.is_empty() {
            let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
            let text = match texts.as_slice() {
                [one] => one.clone(),
                many => format!("[{}]", many.join(", ")),
            };
            attempt.notes.annotate(&format!("{AUDIT}error"), format!("Failed to parse policy: {text}"));
        }
        Ok(policy)
    }

    /// Whether whoever writes, or where, is not judged; the audit log is told why.
    fn is_exempt(&self, attempt: &Attempt<'_>, subject: Option<&Subject<'_>>) -> bool {
        let exemptions = &self.configuration.exemptions;
        let reason = match subject {
            None if exemptions.has_namespace(attempt.namespace) => "namespace",
            None if exemptions.has_user(&attempt.user.name) => "user",
            Some(subject) if exemptions.has_runtime_class(subject.runtime_class()) => "runtimeClass",
            _ => return false,
        };
        attempt.notes.annotate(&format!("{AUDIT}exempt"), reason);
        true
    }

    async fn judge_pod(&self, attempt: &Attempt<'_>, pod: &Pod, old: Option<&Pod>) -> Result<(), Status> {
        if !is_significant(attempt, pod, old) || self.is_exempt(attempt, None) {
            return Ok(());
        }
        let policy = self.policy(attempt).await?;
        match Subject::of_pod(pod) {
            Some(subject) if self.is_exempt(attempt, Some(&subject)) => Ok(()),
            Some(subject) if !is_idle(&[policy.enforce, policy.audit, policy.warn]) => {
                judge(attempt, &policy, &subject, Some(pod))
            }
            _ => {
                attempt.notes.annotate(&format!("{AUDIT}enforce-policy"), policy.enforce.to_string());
                Ok(())
            }
        }
    }

    async fn judge_template(&self, attempt: &Attempt<'_>, object: &dyn Object) -> Result<(), Status> {
        let Some(subject) = warnings::template(object).and_then(Subject::of_template) else { return Ok(()) };
        if self.is_exempt(attempt, None) || self.is_exempt(attempt, Some(&subject)) {
            return Ok(());
        }
        let policy = self.policy(attempt).await?;
        match is_idle(&[policy.audit, policy.warn]) {
            true => Ok(()),
            false => judge(attempt, &policy, &subject, None),
        }
    }
}

#[async_trait]
impl Plugin for PodSecurity {
    fn judges(&self, attempt: &Attempt<'_>) -> bool {
        let writes = matches!(attempt.operation, Operation::Create | Operation::Update);
        let whole = attempt.subresource.is_none() && (is::<Namespace>(attempt) || warnings::is_templated(attempt.def));
        writes && (is::<Pod>(attempt) || whole)
    }

    async fn validate(
        &self,
        attempt: &Attempt<'_>,
        object: Option<&dyn Object>,
        old: Option<&dyn Object>,
    ) -> Result<(), Status> {
        let Some(object) = object else { return Ok(()) };
        if let Some(namespace) = object.downcast::<Namespace>() {
            let old = old.and_then(|old| old.downcast::<Namespace>());
            return namespace::judge(&self.configuration, &self.registry, attempt, namespace, old).await;
        }
        match object.downcast::<Pod>() {
            Some(pod) => self.judge_pod(attempt, pod, old.and_then(|old| old.downcast::<Pod>())).await,
            None => self.judge_template(attempt, object).await,
        }
    }
}

#[cfg(test)]
mod tests;
