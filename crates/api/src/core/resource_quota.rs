//! ResourceQuota: how much a namespace may hold.

use super::resources::{self, Holder};
use crate::check::{self, Errors};
use crate::core::columns;
use crate::field::{FieldError, FieldPath};
use crate::kind::Kind;
use crate::resource::{Column, ResourceDef, Scope, Subresource};
use crate::table::Cell;
use k8s_openapi::api::core::v1::ResourceQuota;
use k8s_openapi::jiff::Timestamp;

const SCOPES: &[&str] = &[
    "BestEffort",
    "CrossNamespacePodAffinity",
    "NotBestEffort",
    "NotTerminating",
    "PriorityClass",
    "Terminating",
    "VolumeAttributesClass",
];

impl Kind for ResourceQuota {
    const DEF: ResourceDef = ResourceDef {
        short_names: &["quota"],
        subresources: &[Subresource::Status],
        columns: &[
            Column::NAME,
            Column::text("Request").about("What is asked for, of what may be."),
            Column::text("Limit").about("What is allowed, of what may be."),
            Column::AGE,
        ],
        unattended: true,
        ..ResourceDef::new(
            "",
            "v1",
            "ResourceQuota",
            "resourcequotas",
            "resourcequota",
            Scope::Namespaced,
            "k8s.io.api.core.v1.ResourceQuota",
        )
    };

    fn defaults(&mut self) {
        self.spec.get_or_insert_default();
        self.status.get_or_insert_default();
    }

    fn prepare_create(&mut self) {
        self.status = None;
    }

    fn prepare_update(&mut self, old: &ResourceQuota) {
        self.status.clone_from(&old.status);
    }

    fn prepare_status(&mut self, old: &ResourceQuota) {
        self.spec.clone_from(&old.spec);
    }

    fn validate(&self) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let path = FieldPath::new("spec");
        if let Some(spec) = &self.spec {
            resources::list(&mut errors, &path.child("hard"), spec.hard.as_ref(), Holder::Quota);
            let scopes = spec.scopes.as_deref().unwrap_or_default();
            scope_names(&mut errors, &path.child("scopes"), scopes);
        }
        if let Some(status) = &self.status {
            let path = FieldPath::new("status");
            resources::list(&mut errors, &path.child("hard"), status.hard.as_ref(), Holder::Quota);
            resources::list(&mut errors, &path.child("used"), status.used.as_ref(), Holder::Quota);
        }
        errors
    }

    fn validate_update(&self, old: &ResourceQuota) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let scopes = |quota: &ResourceQuota| quota.spec.as_ref().and_then(|spec| spec.scopes.clone());
        check::immutable(&mut errors, FieldPath::new("spec").child("scopes"), &scopes(self), &scopes(old));
        errors
    }

    fn row(&self, now: Timestamp) -> Vec<Cell> {
        let (mut requests, mut limits) = (Vec::new(), Vec::new());
        let used = self.status.as_ref().and_then(|status| status.used.as_ref());
        let hard = self.status.as_ref().and_then(|status| status.hard.as_ref());
        for (name, most) in hard.into_iter().flatten() {
            let used = used.and_then(|used| used.get(name)).map_or("0", |amount| amount.0.as_str());
            let text = format!("{name}: {used}/{}", most.0);
            if name.starts_with("limits.") { &mut limits } else { &mut requests }.push(text);
        }
        vec![
            columns::name(&self.metadata),
            Cell::Text(requests.join(", ")),
            Cell::Text(limits.join(", ")),
            columns::created(&self.metadata, now),
        ]
    }
}

fn scope_names(errors: &mut Errors, path: &FieldPath, scopes: &[String]) {
    if scopes.iter().any(|scope| !SCOPES.contains(&scope.as_str())) {
        errors.push(FieldError::invalid(path.clone(), scopes, "unsupported scope"));
    }
    let has = |name: &str| scopes.iter().any(|scope| scope == name);
    if (has("BestEffort") && has("NotBestEffort")) || (has("Terminating") && has("NotTerminating")) {
        errors.push(FieldError::invalid(path.clone(), scopes, "conflicting scopes"));
    }
}
