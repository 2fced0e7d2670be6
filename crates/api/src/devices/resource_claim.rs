//! ResourceClaim: asks for devices, and says which were given.

use super::{allocation, requests};
use crate::check::{self, Errors};
use crate::core::columns;
use crate::field::{FieldError, FieldPath};
use crate::kind::{Kind, status_apart};
use crate::resource::{Column, ResourceDef, Scope, Subresource};
use crate::table::Cell;
use k8s_openapi::api::resource::v1::{ResourceClaim, ResourceClaimStatus};
use k8s_openapi::jiff::Timestamp;

impl Kind for ResourceClaim {
    const DEF: ResourceDef = ResourceDef {
        subresources: &[Subresource::Status],
        columns: &[Column::NAME, Column::text("State").about("What has become of it."), Column::AGE],
        unattended: true,
        ..ResourceDef::new(
            "resource.k8s.io",
            "v1",
            "ResourceClaim",
            "resourceclaims",
            "resourceclaim",
            Scope::Namespaced,
            "k8s.io.api.resource.v1.ResourceClaim",
        )
    };

    fn defaults(&mut self) {
        let spec = self.spec.get_or_insert_default();
        spec.devices.get_or_insert_default();
        requests::defaults(spec);
        self.status.get_or_insert_default();
    }

    status_apart!(ResourceClaim);

    fn validate(&self) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let spec = self.spec.clone().unwrap_or_default();
        requests::spec(&mut errors, &FieldPath::new("spec"), &spec);
        if let Some(status) = &self.status {
            let devices = spec.devices.unwrap_or_default();
            allocation::status(&mut errors, &FieldPath::new("status"), status, &devices);
        }
        errors
    }

    fn validate_update(&self, old: &ResourceClaim) -> Vec<FieldError> {
        let mut errors = Errors::new();
        check::immutable(&mut errors, FieldPath::new("spec"), &self.spec, &old.spec);
        let path = FieldPath::new("status");
        let (new, before) = (status(self), status(old));
        if before.allocation.is_some() && new.allocation.is_some() {
            check::immutable(&mut errors, path.child("allocation"), &new.allocation, &before.allocation);
        }
        let known = before.reserved_for.unwrap_or_default();
        let added = new.reserved_for.iter().flatten().any(|user| !known.contains(user));
        if self.metadata.deletion_timestamp.is_some() && added {
            let detail = "new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set";
            errors.push(FieldError::forbidden(path.child("reservedFor"), detail));
        }
        errors
    }

    fn row(&self, now: Timestamp) -> Vec<Cell> {
        let status = status(self);
        let deleted = self.metadata.deletion_timestamp.is_some();
        let mut states = Vec::new();
        if deleted {
            states.push("deleted");
        }
        if status.allocation.is_some() {
            states.push("allocated");
            if status.reserved_for.is_some_and(|users| !users.is_empty()) {
                states.push("reserved");
            }
        } else if !deleted {
            states.push("pending");
        }
        vec![columns::name(&self.metadata), Cell::Text(states.join(",")), columns::created(&self.metadata, now)]
    }
}

fn status(claim: &ResourceClaim) -> ResourceClaimStatus {
    claim.status.clone().unwrap_or_default()
}
