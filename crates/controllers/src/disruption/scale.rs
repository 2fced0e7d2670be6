//! How many pods those who keep them want.

use api::Kind;
use client::{Cache, Client};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::ReplicationController;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use reconcile::owner;
use std::sync::Arc;

/// Every kind that keeps pods and has a scale.
#[derive(Clone)]
pub(super) struct Owners {
    pub(super) deployments: Cache<Deployment>,
    pub(super) replica_sets: Cache<ReplicaSet>,
    pub(super) stateful_sets: Cache<StatefulSet>,
    pub(super) replication_controllers: Cache<ReplicationController>,
}

fn get<K: Kind>(cache: &Cache<K>, namespace: &str, owner: &OwnerReference) -> Option<Arc<K>> {
    let found = cache.get(namespace, &owner.name).filter(|_| owner::refers_to::<K>(owner))?;
    (found.metadata().uid.as_ref() == Some(&owner.uid)).then_some(found)
}

impl Owners {
    pub(super) fn new(client: &Client) -> Owners {
        Owners {
            deployments: client.cache(),
            replica_sets: client.cache(),
            stateful_sets: client.cache(),
            replication_controllers: client.cache(),
        }
    }

    /// The uid of who decides on the number of a pod's siblings, and that number. A deployment decides for its sets.
    pub(super) fn scale(&self, owner: &OwnerReference, namespace: &str) -> Option<(String, i32)> {
        if let Some(set) = get(&self.replica_sets, namespace, owner) {
            let parent = owner::controller(&set.metadata).filter(|parent| owner::refers_to::<Deployment>(parent));
            let Some(parent) = parent else { return Some((owner.uid.clone(), set.spec.replicas.unwrap_or(1))) };
            let deployment = get(&self.deployments, namespace, parent)?;
            return Some((parent.uid.clone(), deployment.spec.replicas.unwrap_or(1)));
        }
        if let Some(set) = get(&self.stateful_sets, namespace, owner) {
            return Some((owner.uid.clone(), set.spec.replicas.unwrap_or(1)));
        }
        let controller = get(&self.replication_controllers, namespace, owner)?;
        Some((owner.uid.clone(), controller.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1)))
    }
}
