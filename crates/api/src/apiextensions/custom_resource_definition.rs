//! CustomResourceDefinition: a kind that a user adds.

use super::{names, spec};
use crate::check::{self, Errors};
use crate::core::columns;
use crate::field::{FieldError, FieldPath};
use crate::kind::Kind;
use crate::resource::{Column, ResourceDef, Scope, Subresource};
use crate::table::Cell;
use crate::webhook::PORT_DEFAULT;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceConversion, CustomResourceDefinition, CustomResourceDefinitionStatus,
};
use k8s_openapi::jiff::Timestamp;

const APPROVED: &str = "api-approved.kubernetes.io";
const APPROVAL_PAGE: &str = "see https://github.com/kubernetes/enhancements/pull/1111";

impl Kind for CustomResourceDefinition {
    const DEF: ResourceDef = ResourceDef {
        unconditional_update: false,
        short_names: &["crd", "crds"],
        categories: &["api-extensions"],
        subresources: &[Subresource::Status],
        columns: &[Column::NAME, Column::CREATED_AT],
        ..ResourceDef::new(
            "apiextensions.k8s.io",
            "v1",
            "CustomResourceDefinition",
            "customresourcedefinitions",
            "customresourcedefinition",
            Scope::Cluster,
            "k8s.io.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition",
        )
    };

    fn defaults(&mut self) {
        let names = &mut self.spec.names;
        let empty = |text: &Option<String>| text.as_deref().unwrap_or_default().is_empty();
        if empty(&names.singular) {
            names.singular = Some(names.kind.to_lowercase()).filter(|name| !name.is_empty());
        }
        if empty(&names.list_kind) && !names.kind.is_empty() {
            names.list_kind = Some(format!("{}List", names.kind));
        }
        let conversion = self.spec.conversion.get_or_insert_with(|| CustomResourceConversion {
            strategy: "None".to_owned(),
            ..CustomResourceConversion::default()
        });
        let client = conversion.webhook.as_mut().and_then(|webhook| webhook.client_config.as_mut());
        if let Some(service) = client.and_then(|client| client.service.as_mut()) {
            service.port.get_or_insert(PORT_DEFAULT);
        }
    }

    fn prepare_create(&mut self) {
        self.status = Some(CustomResourceDefinitionStatus::default());
        store_in(self);
    }

    fn prepare_update(&mut self, old: &CustomResourceDefinition) {
        self.status.clone_from(&old.status);
        store_in(self);
    }

    fn prepare_status(&mut self, old: &CustomResourceDefinition) {
        self.spec.clone_from(&old.spec);
    }

    const GENERATION: bool = true;

    fn spec_differs(&self, old: &CustomResourceDefinition) -> bool {
        !check::same(&self.spec, &old.spec)
    }

    fn validate(&self) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let required = format!("{}.{}", self.spec.names.plural, self.spec.group);
        let name = self.metadata.name.as_deref().unwrap_or_default();
        if name != required {
            let detail = "must be spec.names.plural+\".\"+spec.group";
            errors.push(FieldError::invalid(FieldPath::new("metadata").child("name"), name, detail));
        }
        spec::spec(&mut errors, &self.spec);
        status(&mut errors, self);
        approval(&mut errors, self);
        errors
    }

    fn validate_update(&self, old: &CustomResourceDefinition) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let path = FieldPath::new("spec");
        let (new, before) = (&self.spec, &old.spec);
        // What is stored is found by the scope and called by the kind.
        if is_established(old) {
            check::immutable(&mut errors, path.child("scope"), &new.scope, &before.scope);
            check::immutable(&mut errors, path.child("names").child("kind"), &new.names.kind, &before.names.kind);
        }
        check::immutable(&mut errors, path.child("group"), &new.group, &before.group);
        check::immutable(&mut errors, path.child("names").child("plural"), &new.names.plural, &before.names.plural);
        errors
    }

    fn row(&self, _now: Timestamp) -> Vec<Cell> {
        vec![columns::name(&self.metadata), columns::created_at(&self.metadata)]
    }
}

fn is_established(definition: &CustomResourceDefinition) -> bool {
    let mut conditions = definition.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.any(|condition| condition.type_ == "Established" && condition.status == "True")
}

/// Remembers that objects are stored in the present storage version from now on.
fn store_in(definition: &mut CustomResourceDefinition) {
    let storage = definition.spec.versions.iter().find(|version| version.storage).map(|version| version.name.clone());
    let stored = definition.status.get_or_insert_default().stored_versions.get_or_insert_default();
    stored.extend(storage.filter(|name| !stored.contains(name)));
}

fn status(errors: &mut Errors, definition: &CustomResourceDefinition) {
    let Some(status) = &definition.status else { return };
    let path = FieldPath::new("status");
    if let Some(accepted) = &status.accepted_names {
        names::names(errors, &path.child("acceptedNames"), accepted);
    }
    let path = path.child("storedVersions");
    let stored = status.stored_versions.as_deref().unwrap_or_default();
    if stored.is_empty() {
        errors.push(FieldError::invalid(path, stored, "must have at least one stored version"));
        return;
    }
    let versions = &definition.spec.versions;
    for version in versions.iter().filter(|version| version.storage && !stored.contains(&version.name)) {
        let detail = format!("must have the storage version {}", version.name);
        errors.push(FieldError::invalid(path.clone(), stored, detail));
    }
    for (index, name) in stored.iter().enumerate() {
        if !versions.iter().any(|version| version.name == *name) {
            let detail = format!(
                "missing from spec.versions; {name} was previously a storage version, and must remain in spec.versions \
                 until a storage migration ensures no data remains persisted in {name} and removes {name} from \
                 status.storedVersions"
            );
            errors.push(FieldError::invalid(path.index(index), name, detail));
        }
    }
}

/// Kubernetes' own groups are not for everyone.
fn approval(errors: &mut Errors, definition: &CustomResourceDefinition) {
    let group = definition.spec.group.as_str();
    let is_protected = ["k8s.io", "kubernetes.io"]
        .iter()
        .any(|domain| group.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')));
    if !is_protected {
        return;
    }
    let path = FieldPath::new("metadata").child("annotations").key(APPROVED);
    let annotations = definition.metadata.annotations.as_ref();
    match annotations.and_then(|annotations| annotations.get(APPROVED)).map(String::as_str) {
        None | Some("") => {
            let detail = format!("protected groups must have approval annotation \"{APPROVED}\", {APPROVAL_PAGE}");
            errors.push(FieldError::required(path, &detail));
        }
        Some(text) if text.starts_with("unapproved") || text.contains("://") => {}
        Some(text) => {
            let detail = format!(
                "protected groups must have approval annotation \"{APPROVED}\" with either a URL or a reason starting \
                 with \"unapproved\", {APPROVAL_PAGE}"
            );
            errors.push(FieldError::invalid(path, text, detail));
        }
    }
}
