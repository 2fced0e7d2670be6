//! The order of a kustomization's objects.

use super::file::SortOptions;
use super::resource::{Id, Set};
use crate::failure::{Failure, Result};

const FIRST: [&str; 22] = [
    "Namespace",
    "ResourceQuota",
    "StorageClass",
    "CustomResourceDefinition",
    "ServiceAccount",
    "PodSecurityPolicy",
    "Role",
    "ClusterRole",
    "RoleBinding",
    "ClusterRoleBinding",
    "ConfigMap",
    "Secret",
    "Endpoints",
    "Service",
    "LimitRange",
    "PriorityClass",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "Deployment",
    "StatefulSet",
    "CronJob",
    "PodDisruptionBudget",
];
const LAST: [&str; 2] = ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"];

pub(super) fn sort(set: &mut Set, options: Option<&SortOptions>) -> Result<()> {
    let texts = |list: &[&str]| list.iter().map(|kind| (*kind).to_owned()).collect::<Vec<_>>();
    let (first, last) = match options {
        None => (texts(&FIRST), texts(&LAST)),
        Some(options) => match (options.order.as_str(), &options.legacy_sort_options) {
            ("fifo", None) => return Ok(()),
            ("fifo", Some(_)) => {
                return Err(Failure::message(
                    "the field 'sortOptions.legacySortOptions' is set but the order is not 'legacy'",
                ));
            }
            ("legacy", None) => (texts(&FIRST), texts(&LAST)),
            ("legacy", Some(own)) => (own.order_first.clone(), own.order_last.clone()),
            (other, _) => {
                return Err(Failure::message(format!(
                    "the field 'sortOptions.order' must be one of [fifo, legacy], not {other:?}"
                )));
            }
        },
    };
    set.sort_by_cached_key(|resource| {
        let id = resource.id();
        (place(&id.kind, &first, &last), kinds(&id), rest(&id))
    });
    Ok(())
}

fn place(kind: &str, first: &[String], last: &[String]) -> isize {
    let index = |list: &[String]| list.iter().position(|known| known == kind);
    let signed = |length: usize| isize::try_from(length).unwrap_or(isize::MAX);
    match (index(first), index(last)) {
        (Some(index), _) => signed(index) - signed(first.len()),
        (None, Some(index)) => signed(index) + 1,
        (None, None) => 0,
    }
}

/// What is empty sorts as a tilde and a letter.
fn or<'a>(text: &'a str, otherwise: &'a str) -> &'a str {
    if text.is_empty() { otherwise } else { text }
}

fn kinds(id: &Id) -> String {
    [or(&id.group, "~G"), or(&id.version, "~V"), or(&id.kind, "~K")].join("_")
}

fn rest(id: &Id) -> String {
    [or(&id.namespace, "~X"), or(&id.name, "~N")].join("|")
}
