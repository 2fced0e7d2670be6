//! A deployment's sets as a plan works on them: copies that change, beside the originals that they are compared with.

use super::revision;
use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetStatus};
use k8s_openapi::jiff::Timestamp;
use std::sync::Arc;

#[derive(Clone)]
pub(super) struct Set {
    pub(super) object: ReplicaSet,
    /// `None`: to be created.
    pub(super) original: Option<Arc<ReplicaSet>>,
    pub(super) delete: bool,
}

impl Set {
    pub(super) fn existing(set: &Arc<ReplicaSet>) -> Set {
        Set { object: (**set).clone(), original: Some(set.clone()), delete: false }
    }

    pub(super) fn name(&self) -> &str {
        self.object.metadata.name.as_deref().unwrap_or_default()
    }

    pub(super) fn replicas(&self) -> i32 {
        self.object.spec.replicas.unwrap_or(1)
    }

    pub(super) fn set_replicas(&mut self, replicas: i32) {
        self.object.spec.replicas = Some(replicas);
    }

    fn status(&self) -> Option<&ReplicaSetStatus> {
        self.object.status.as_ref()
    }

    /// Pods that exist.
    pub(super) fn actual(&self) -> i32 {
        self.status().map_or(0, |status| status.replicas)
    }

    pub(super) fn ready(&self) -> i32 {
        self.status().and_then(|status| status.ready_replicas).unwrap_or(0)
    }

    pub(super) fn available(&self) -> i32 {
        self.status().and_then(|status| status.available_replicas).unwrap_or(0)
    }

    /// Available pods that the set will keep: its status may still count those that it is deleting.
    pub(super) fn lasting(&self) -> i32 {
        self.available().min(self.replicas())
    }

    pub(super) fn terminating(&self) -> i32 {
        self.status().and_then(|status| status.terminating_replicas).unwrap_or(0)
    }

    pub(super) fn created(&self) -> Option<Timestamp> {
        self.object.metadata.creation_timestamp.as_ref().map(|time| time.0)
    }

    /// Oldest first; by name within one second.
    pub(super) fn age_order(&self) -> (Option<Timestamp>, String) {
        (self.created(), self.name().to_owned())
    }

    pub(super) fn revision(&self) -> i64 {
        revision::of(&self.object.metadata)
    }

    pub(super) fn changed(&self) -> bool {
        self.original.as_deref().is_some_and(|original| *original != self.object)
    }
}
