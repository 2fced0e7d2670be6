//! Namespace: a room for names, and what is deleted with it.

use crate::check::{self, Errors};
use crate::core::columns;
use crate::field::{FieldError, FieldPath};
use crate::kind::{FieldValues, Kind};
use crate::resource::{Column, ResourceDef, Scope, Subresource};
use crate::table::Cell;
use k8s_openapi::api::core::v1::{Namespace, NamespaceStatus};
use k8s_openapi::jiff::Timestamp;

/// The label by which selectors find a namespace by its name.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";
/// Keeps a namespace until all that is in it is gone.
pub const FINALIZER: &str = "kubernetes";

impl Kind for Namespace {
    const DEF: ResourceDef = ResourceDef {
        short_names: &["ns"],
        subresources: &[Subresource::Status, Subresource::Finalize],
        columns: &[Column::NAME, Column::text("Status").about("Active, or Terminating."), Column::AGE],
        selectable: &["status.phase"],
        ..ResourceDef::new(
            "",
            "v1",
            "Namespace",
            "namespaces",
            "namespace",
            Scope::Cluster,
            "k8s.io.api.core.v1.Namespace",
        )
    };

    fn defaults(&mut self) {
        if let Some(name) = self.metadata.name.clone().filter(|name| !name.is_empty()) {
            self.metadata.labels.get_or_insert_default().insert(NAME_LABEL.to_owned(), name);
        }
        let status = self.status.get_or_insert_default();
        if status.phase.as_deref().unwrap_or_default().is_empty() {
            status.phase = Some("Active".to_owned());
        }
    }

    fn prepare_create(&mut self) {
        self.status = Some(NamespaceStatus { phase: Some("Active".to_owned()), ..NamespaceStatus::default() });
        let finalizers = self.spec.get_or_insert_default().finalizers.get_or_insert_default();
        if !finalizers.iter().any(|finalizer| finalizer == FINALIZER) {
            finalizers.push(FINALIZER.to_owned());
        }
    }

    fn prepare_update(&mut self, old: &Namespace) {
        self.spec.clone_from(&old.spec);
        self.status.clone_from(&old.status);
    }

    fn prepare_status(&mut self, old: &Namespace) {
        self.spec.clone_from(&old.spec);
    }

    fn prepare_subresource(&mut self, _subresource: Subresource, old: &Namespace) {
        // `finalize`: the finalizers of the spec are what it is for.
        self.status.clone_from(&old.status);
    }

    fn validate(&self) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let path = FieldPath::new("spec").child("finalizers");
        for finalizer in self.spec.iter().flat_map(|spec| spec.finalizers.iter().flatten()) {
            check::label_key(&mut errors, &path, finalizer);
            if !finalizer.contains('/') && finalizer != FINALIZER && finalizer != "orphan" {
                let detail = "name is neither a standard finalizer name nor is it fully qualified";
                errors.push(FieldError::invalid(path.clone(), finalizer, detail));
            }
        }
        errors
    }

    fn validate_update(&self, old: &Namespace) -> Vec<FieldError> {
        if self.status == old.status {
            return Vec::new();
        }
        let phase = self.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default();
        let (wanted, when) = match &self.metadata.deletion_timestamp {
            None => ("Active", "is empty"),
            Some(_) => ("Terminating", "is not empty"),
        };
        if phase == wanted {
            return Vec::new();
        }
        let path = FieldPath::new("status").child("Phase");
        vec![FieldError::invalid(path, phase, format!("may only be '{wanted}' if `deletionTimestamp` {when}"))]
    }

    fn validate_subresource(&self, _subresource: Subresource, _old: &Namespace) -> Vec<FieldError> {
        Vec::new()
    }

    fn fields(&self) -> FieldValues {
        let phase = self.status.as_ref().and_then(|status| status.phase.clone());
        std::iter::once(("status.phase", phase.unwrap_or_default())).collect()
    }

    fn row(&self, now: Timestamp) -> Vec<Cell> {
        let phase = self.status.as_ref().and_then(|status| status.phase.as_deref());
        vec![
            columns::name(&self.metadata),
            Cell::from(phase.unwrap_or_default()),
            columns::created(&self.metadata, now),
        ]
    }

    fn validate_name(name: &str, prefix_only: bool) -> Vec<String> {
        crate::labels::dns1123_label(name, prefix_only)
    }
}
