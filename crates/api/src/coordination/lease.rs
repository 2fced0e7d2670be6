//! Lease: who holds something, and until when.

use crate::check::{self, Errors};
use crate::core::columns;
use crate::field::{FieldError, FieldPath};
use crate::kind::Kind;
use crate::resource::{Column, ResourceDef, Scope};
use crate::table::Cell;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::jiff::Timestamp;

impl Kind for Lease {
    const DEF: ResourceDef = ResourceDef {
        create_on_update: true,
        unconditional_update: false,
        columns: &[Column::NAME, Column::text("Holder").about("Who holds it."), Column::AGE],
        ..ResourceDef::new(
            "coordination.k8s.io",
            "v1",
            "Lease",
            "leases",
            "lease",
            Scope::Namespaced,
            "k8s.io.api.coordination.v1.Lease",
        )
    };

    fn defaults(&mut self) {
        self.spec.get_or_insert_default();
    }

    fn validate(&self) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let path = FieldPath::new("spec");
        let Some(spec) = &self.spec else { return errors };
        if let Some(seconds) = spec.lease_duration_seconds.filter(|seconds| *seconds <= 0) {
            let path = path.child("leaseDurationSeconds");
            errors.push(FieldError::invalid(path, &seconds, "must be greater than 0"));
        }
        check::non_negative(&mut errors, path.child("leaseTransitions"), spec.lease_transitions);
        match spec.strategy.as_deref().unwrap_or_default() {
            "" => {
                if spec.preferred_holder.as_ref().is_some_and(|holder| !holder.is_empty()) {
                    let detail = "may only be specified if `strategy` is defined";
                    errors.push(FieldError::forbidden(path.child("preferredHolder"), detail));
                }
            }
            strategy if strategy.contains('/') => {
                check::label_key(&mut errors, &path.child("strategy").child("strategy"), strategy);
            }
            strategy => {
                let path = path.child("strategy").child("strategy");
                check::supported_if_set(&mut errors, &path, Some(strategy), &["OldestEmulationVersion"]);
            }
        }
        errors
    }

    fn row(&self, now: Timestamp) -> Vec<Cell> {
        let holder = self.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref());
        vec![
            columns::name(&self.metadata),
            Cell::from(holder.unwrap_or_default()),
            columns::created(&self.metadata, now),
        ]
    }
}
