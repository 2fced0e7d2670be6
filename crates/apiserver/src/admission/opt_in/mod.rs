//! Plugins that judge only where an administrator asks for them: one file each, or two that belong together.

pub(super) mod always;
pub(super) mod anti_affinity;
pub(super) mod event_rate;
pub(super) mod extended_resources;
pub(super) mod external_ips;
pub(super) mod image_policy;
pub(super) mod namespaces;
pub(super) mod node_selector;
pub(super) mod owner_references;
pub(super) mod pull_images;
mod toleration_sets;
pub(super) mod tolerations;

use super::options::decoded;
use super::{Plugin, Sources, is, refused};
use k8s_openapi::api::core::v1::Pod;
use registry::{Attempt, Operation};

/// Whether a pod itself is created or updated.
fn writes_pod(attempt: &Attempt<'_>) -> bool {
    matches!(attempt.operation, Operation::Create | Operation::Update)
        && attempt.subresource.is_none()
        && is::<Pod>(attempt)
}
