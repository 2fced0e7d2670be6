//! A namespace's status while it ends, in upstream's words. Pure.

use super::content::Remaining;
use k8s_openapi::api::core::v1::{Namespace, NamespaceCondition, NamespaceStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use std::collections::BTreeMap;

pub(super) fn of(namespace: &Namespace, remaining: &Remaining, now: Timestamp) -> NamespaceStatus {
    let counted = |counts: &BTreeMap<String, usize>, what: &str| -> String {
        counts
            .iter()
            .map(|(name, count)| format!("{name} {what} {count} resource instances"))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let content = (!remaining.objects.is_empty())
        .then(|| format!("Some resources are remaining: {}", counted(&remaining.objects, "has")));
    let finalizers = (!remaining.finalizers.is_empty()).then(|| {
        format!("Some content in the namespace has finalizers remaining: {}", counted(&remaining.finalizers, "in"))
    });
    let failures = (!remaining.failures.is_empty()).then(|| {
        let texts: Vec<String> = remaining.failures.iter().map(ToString::to_string).collect();
        format!("Failed to delete all resource types, {} remaining: {}", texts.len(), texts.join(", "))
    });
    let states = [
        (
            "NamespaceDeletionDiscoveryFailure",
            remaining.undiscovered.clone(),
            "DiscoveryFailed",
            "ResourcesDiscovered",
            "All resources successfully discovered",
        ),
        (
            "NamespaceDeletionGroupVersionParsingFailure",
            None,
            "",
            "ParsedGroupVersions",
            "All legacy kube types successfully parsed",
        ),
        (
            "NamespaceDeletionContentFailure",
            failures,
            "ContentDeletionFailed",
            "ContentDeleted",
            "All content successfully deleted, may be waiting on finalization",
        ),
        (
            "NamespaceContentRemaining",
            content,
            "SomeResourcesRemain",
            "ContentRemoved",
            "All content successfully removed",
        ),
        (
            "NamespaceFinalizersRemaining",
            finalizers,
            "SomeFinalizersRemain",
            "ContentHasNoFinalizers",
            "All content-preserving finalizers finished",
        ),
    ];
    let old = namespace.status.as_ref().and_then(|status| status.conditions.as_ref());
    let condition = |(type_, trouble, bad, good, fine): (&str, Option<String>, &str, &str, &str)| {
        let status = if trouble.is_some() { "True" } else { "False" };
        let known = old.into_iter().flatten().find(|old| old.type_ == type_ && old.status == status);
        NamespaceCondition {
            type_: type_.to_owned(),
            status: status.to_owned(),
            reason: Some(if trouble.is_some() { bad } else { good }.to_owned()),
            message: Some(trouble.unwrap_or_else(|| fine.to_owned())),
            last_transition_time: known.and_then(|known| known.last_transition_time.clone()).or(Some(Time(now))),
        }
    };
    NamespaceStatus {
        phase: Some("Terminating".to_owned()),
        conditions: Some(states.into_iter().map(condition).collect()),
    }
}
