//! ResourceQuota: how much a namespace may hold.

use super::resources::{self, Holder};
use crate::check::{self, Errors};
use crate::core::columns;
use crate::field::{FieldError, FieldPath};
use crate::kind::Kind;
use crate::resource::{Column, ResourceDef, Scope, Subresource};
use crate::table::Cell;
use k8s_openapi::api::core::v1::{ResourceQuota, ScopedResourceSelectorRequirement};
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
            let limited: Vec<&str> = spec.hard.iter().flatten().map(|(name, _)| name.as_str()).collect();
            if scopes.iter().any(|scope| limited.iter().any(|name| !may_limit(scope, name))) {
                let detail = "unsupported scope applied to resource";
                errors.push(FieldError::invalid(path.child("scopes"), scopes, detail));
            }
            let selector = spec.scope_selector.iter().flat_map(|selector| selector.match_expressions.iter().flatten());
            for (index, scope) in selector.enumerate() {
                let path = path.child("scopeSelector").child("matchExpressions").index(index);
                selected_scope(&mut errors, &path, scope);
                if limited.iter().any(|name| !may_limit(&scope.scope_name, name)) {
                    let detail = "unsupported scope applied to resource";
                    errors.push(FieldError::invalid(path.child("scopeName"), &scope.scope_name, detail));
                }
            }
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

/// Whether a scope goes with a resource: pods are told apart by most, claims by one.
fn may_limit(scope: &str, resource: &str) -> bool {
    const COMPUTE: &[&str] = &["cpu", "limits.cpu", "limits.memory", "memory", "requests.cpu", "requests.memory"];
    let is_claim = matches!(resource, "persistentvolumeclaims" | "requests.storage");
    match scope {
        _ if !resources::is_standard_quota(resource) => true,
        "BestEffort" => resource == "pods",
        "VolumeAttributesClass" => is_claim,
        scope if SCOPES.contains(&scope) => resource == "pods" || COMPUTE.contains(&resource),
        _ => true,
    }
}

/// Scopes whose classes have names.
const NAMED: [&str; 2] = ["PriorityClass", "VolumeAttributesClass"];

fn selected_scope(errors: &mut Errors, path: &FieldPath, scope: &ScopedResourceSelectorRequirement) {
    if !SCOPES.contains(&scope.scope_name.as_str()) {
        errors.push(FieldError::invalid(path.child("scopeName"), &scope.scope_name, "unsupported scope"));
    } else if !NAMED.contains(&scope.scope_name.as_str()) && scope.operator != "Exists" {
        let detail = "must be 'Exist' when scope is any of ResourceQuotaScopeTerminating, \
                      ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort \
                      or ResourceQuotaScopeCrossNamespacePodAffinity";
        errors.push(FieldError::invalid(path.child("operator"), &scope.operator, detail));
    }
    let values = scope.values.as_deref().unwrap_or_default();
    match scope.operator.as_str() {
        "In" | "NotIn" if values.is_empty() => {
            let detail = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector";
            errors.push(FieldError::required(path.child("values"), detail));
        }
        "Exists" | "DoesNotExist" if !values.is_empty() => {
            let detail = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector";
            errors.push(FieldError::invalid(path.child("values"), values, detail));
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
        other => errors.push(FieldError::invalid(path.child("operator"), other, "not a valid selector operator")),
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
