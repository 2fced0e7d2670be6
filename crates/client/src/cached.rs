//! What a cache holds of an object: the object itself, or a projection that has only what its consumers ask for.
//!
//! Invariant: a projection cannot be written back, as it is not whole; who writes an object reads it whole before.

use api::{Kind, ResourceDef};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use k8s_openapi::jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;

pub type Labels = BTreeMap<String, String>;

static NO_LABELS: Labels = Labels::new();

/// Of an object's metadata what consumers of any kind ask for; absent texts are empty.
#[derive(Clone, Copy, Debug)]
pub struct Meta<'a> {
    pub namespace: &'a str,
    pub name: &'a str,
    pub uid: &'a str,
    pub resource_version: &'a str,
    pub labels: &'a Labels,
    pub owners: &'a [OwnerReference],
    /// Since when it has been told to end.
    pub deletion: Option<Timestamp>,
    pub has_finalizers: bool,
}

/// What a cache may hold: every kind, and projections of kinds that are many.
pub trait Cached: Sized + Send + Sync + 'static {
    const RESOURCE: ResourceDef;

    /// What the objects of one cache share with each other.
    type Shelf: Default + Send;

    fn decode(json: &[u8], shelf: &mut Self::Shelf) -> Result<Self, serde_json::Error>;

    fn meta(&self) -> Meta<'_>;

    /// `namespace/name`, or `name` for cluster-scoped kinds.
    fn key(&self) -> Arc<str> {
        let meta = self.meta();
        if meta.namespace.is_empty() || !Self::RESOURCE.namespaced() {
            meta.name.into()
        } else {
            format!("{}/{}", meta.namespace, meta.name).into()
        }
    }
}

impl<K: Kind> Cached for K {
    const RESOURCE: ResourceDef = <K as Kind>::DEF;

    type Shelf = ();

    fn decode(json: &[u8], _: &mut ()) -> Result<K, serde_json::Error> {
        let mut object: K = serde_json::from_slice(json)?;
        // As large as all the rest; a write that does not name them leaves them as they are.
        object.metadata_mut().managed_fields = None;
        Ok(object)
    }

    fn meta(&self) -> Meta<'_> {
        let meta = self.metadata();
        Meta {
            namespace: meta.namespace.as_deref().unwrap_or_default(),
            name: meta.name.as_deref().unwrap_or_default(),
            uid: meta.uid.as_deref().unwrap_or_default(),
            resource_version: meta.resource_version.as_deref().unwrap_or_default(),
            labels: meta.labels.as_ref().unwrap_or(&NO_LABELS),
            owners: meta.owner_references.as_deref().unwrap_or_default(),
            deletion: meta.deletion_timestamp.as_ref().map(|time| time.0),
            has_finalizers: meta.finalizers.as_ref().is_some_and(|finalizers| !finalizers.is_empty()),
        }
    }
}

impl<'a> Meta<'a> {
    /// The owner that manages the object; at most one is marked so.
    pub fn controller(&self) -> Option<&'a OwnerReference> {
        self.owners.iter().find(|owner| owner.controller == Some(true))
    }
}
