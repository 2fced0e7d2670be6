//! LeaseCandidate: who stands for a lease.

use api::kind::FieldValues;
use api::resource::{Column, ResourceDef, Scope};
use api::table::{Cell, age};
use api::{FieldError, FieldPath, Kind};
use k8s_openapi::Metadata;
use k8s_openapi::api::coordination::v1beta1 as coordination;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::ops::{Deref, DerefMut};

/// A name of its own for a type that is another crate's: only `api` may say how that one behaves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct LeaseCandidate(coordination::LeaseCandidate);

impl k8s_openapi::Resource for LeaseCandidate {
    const API_VERSION: &'static str = <coordination::LeaseCandidate as k8s_openapi::Resource>::API_VERSION;
    const GROUP: &'static str = <coordination::LeaseCandidate as k8s_openapi::Resource>::GROUP;
    const KIND: &'static str = <coordination::LeaseCandidate as k8s_openapi::Resource>::KIND;
    const VERSION: &'static str = <coordination::LeaseCandidate as k8s_openapi::Resource>::VERSION;
    const URL_PATH_SEGMENT: &'static str = <coordination::LeaseCandidate as k8s_openapi::Resource>::URL_PATH_SEGMENT;
    type Scope = k8s_openapi::NamespaceResourceScope;
}

impl Metadata for LeaseCandidate {
    type Ty = ObjectMeta;
    fn metadata(&self) -> &ObjectMeta {
        self.0.metadata()
    }
    fn metadata_mut(&mut self) -> &mut ObjectMeta {
        self.0.metadata_mut()
    }
}

impl Deref for LeaseCandidate {
    type Target = coordination::LeaseCandidate;
    fn deref(&self) -> &coordination::LeaseCandidate {
        &self.0
    }
}

impl DerefMut for LeaseCandidate {
    fn deref_mut(&mut self) -> &mut coordination::LeaseCandidate {
        &mut self.0
    }
}

impl Kind for LeaseCandidate {
    const DEF: ResourceDef = ResourceDef {
        short_names: &["lcand"],
        columns: &[Column::NAME, Column::text("LeaseName"), Column::AGE],
        selectable: &["spec.leaseName"],
        ..ResourceDef::new(
            "coordination.k8s.io",
            "v1beta1",
            "LeaseCandidate",
            "leasecandidates",
            "leasecandidate",
            Scope::Namespaced,
            "k8s.io.api.coordination.v1beta1.LeaseCandidate",
        )
    };

    fn defaults(&mut self) {
        let binary = self.spec.binary_version.clone();
        self.spec.emulation_version.get_or_insert(binary);
    }

    fn validate(&self) -> Vec<FieldError> {
        let path = FieldPath::new("spec").child("leaseName");
        if self.spec.lease_name.is_empty() { vec![FieldError::required(path, "")] } else { Vec::new() }
    }

    fn fields(&self) -> FieldValues {
        FieldValues::from_iter([("spec.leaseName", self.spec.lease_name.clone())])
    }

    fn row(&self, now: Timestamp) -> Vec<Cell> {
        let name = self.metadata.name.as_deref().unwrap_or_default();
        let created = self.metadata.creation_timestamp.as_ref();
        vec![Cell::from(name), Cell::from(self.spec.lease_name.as_str()), age(created, now)]
    }
}
