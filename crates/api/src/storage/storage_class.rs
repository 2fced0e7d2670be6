//! StorageClass: a sort of storage that can be asked for.

use super::rules;
use crate::check::{self, Errors};
use crate::core::columns;
use crate::field::{FieldError, FieldPath};
use crate::kind::Kind;
use crate::resource::{Column, ResourceDef, Scope};
use crate::table::Cell;
use k8s_openapi::api::core::v1::TopologySelectorTerm;
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::jiff::Timestamp;

const DEFAULT: &str = "storageclass.kubernetes.io/is-default-class";

impl Kind for StorageClass {
    const DEF: ResourceDef = ResourceDef {
        short_names: &["sc"],
        columns: &[
            Column::NAME,
            Column::text("Provisioner").about("Who makes its volumes."),
            Column::text("ReclaimPolicy").about("What becomes of a volume that nobody claims any more."),
            Column::text("VolumeBindingMode").about("When a claim gets its volume."),
            Column::boolean("AllowVolumeExpansion").about("Whether its volumes can grow."),
            Column::AGE,
        ],
        unattended: true,
        ..ResourceDef::new(
            "storage.k8s.io",
            "v1",
            "StorageClass",
            "storageclasses",
            "storageclass",
            Scope::Cluster,
            "k8s.io.api.storage.v1.StorageClass",
        )
    };

    fn defaults(&mut self) {
        self.reclaim_policy.get_or_insert_with(|| "Delete".to_owned());
        self.volume_binding_mode.get_or_insert_with(|| "Immediate".to_owned());
    }

    fn validate(&self) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let path = FieldPath::new("provisioner");
        check::present(&mut errors, path.clone(), Some(&self.provisioner));
        if !self.provisioner.is_empty() {
            check::label_key(&mut errors, &path, &self.provisioner.to_lowercase());
        }
        let policies = &["Delete", "Retain"];
        let policy = self.reclaim_policy.as_deref();
        check::supported_if_set(&mut errors, &FieldPath::new("reclaimPolicy"), policy, policies);
        let modes = &["Immediate", "WaitForFirstConsumer"];
        let mode = self.volume_binding_mode.as_deref();
        check::supported(&mut errors, &FieldPath::new("volumeBindingMode"), mode, modes);
        rules::parameters(&mut errors, &FieldPath::new("parameters"), self.parameters.as_ref());
        let terms = self.allowed_topologies.as_deref().unwrap_or_default();
        topologies(&mut errors, &FieldPath::new("allowedTopologies"), terms);
        errors
    }

    fn validate_update(&self, old: &StorageClass) -> Vec<FieldError> {
        const FORBIDDEN: &str = "updates to ";
        let mut errors = Errors::new();
        for (field, kept) in [
            ("parameters", check::same(&self.parameters, &old.parameters)),
            ("provisioner", self.provisioner == old.provisioner),
            ("reclaimPolicy", self.reclaim_policy == old.reclaim_policy),
        ] {
            if !kept {
                let detail = format!("{FORBIDDEN}{field} are forbidden.");
                errors.push(FieldError::forbidden(FieldPath::new(field), detail));
            }
        }
        let path = FieldPath::new("volumeBindingMode");
        check::immutable(&mut errors, path, &self.volume_binding_mode, &old.volume_binding_mode);
        errors
    }

    fn row(&self, now: Timestamp) -> Vec<Cell> {
        let mut name = self.metadata.name.clone().unwrap_or_default();
        let default = self.metadata.annotations.as_ref().and_then(|annotations| annotations.get(DEFAULT));
        if default.is_some_and(|value| value == "true") {
            name.push_str(" (default)");
        }
        vec![
            Cell::Text(name),
            Cell::from(self.provisioner.as_str()),
            Cell::from(self.reclaim_policy.as_deref().unwrap_or("Delete")),
            Cell::from(self.volume_binding_mode.as_deref().unwrap_or("<unset>")),
            Cell::Text(self.allow_volume_expansion.unwrap_or_default().to_string()),
            columns::created(&self.metadata, now),
        ]
    }
}

/// Where its volumes may be: labels of nodes, each with values of its own.
fn topologies(errors: &mut Errors, path: &FieldPath, terms: &[TopologySelectorTerm]) {
    for (index, term) in terms.iter().enumerate() {
        let path = path.index(index).child("matchLabelExpressions");
        let expressions = term.match_label_expressions.as_deref().unwrap_or_default();
        for (index, expression) in expressions.iter().enumerate() {
            let path = path.index(index);
            if expression.values.is_empty() {
                errors.push(FieldError::required(path.child("values"), ""));
            }
            for (at, value) in expression.values.iter().enumerate() {
                if expression.values[..at].contains(value) {
                    errors.push(FieldError::duplicate(path.child("values").index(at), value));
                }
            }
            check::label_key(errors, &path.child("key"), &expression.key);
            if expressions[..index].iter().any(|other| other.key == expression.key) {
                errors.push(FieldError::duplicate(path.child("key"), &expression.key));
            }
        }
        if terms[..index].contains(term) {
            errors.push(FieldError::duplicate(path, ""));
        }
    }
}
