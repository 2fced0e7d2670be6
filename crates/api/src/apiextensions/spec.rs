//! What is wrong with a definition's spec.
//!
//! Upstream keeps what all versions have alike in one place, and names that place in its errors: `spec.validation`,
//! `spec.subresources`, `spec.additionalPrinterColumns`, although no such fields are in version 1.

use super::{names, versions};
use crate::check::{self, Errors};
use crate::field::{FieldError, FieldPath};
use crate::labels;
use crate::webhook::{self, Service};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceConversion, CustomResourceDefinitionSpec, CustomResourceDefinitionVersion,
};

pub(super) fn spec(errors: &mut Errors, spec: &CustomResourceDefinitionSpec) {
    let path = FieldPath::new("spec");
    group(errors, &path.child("group"), &spec.group);
    check::supported(errors, &path.child("scope"), Some(&spec.scope), &["Cluster", "Namespaced"]);
    for (index, version) in spec.versions.iter().enumerate() {
        if version.schema.as_ref().is_none_or(|schema| schema.open_api_v3_schema.is_none()) {
            let path = path.child("versions").index(index).child("schema").child("openAPIV3Schema");
            errors.push(FieldError::required(path, "schemas are required"));
        }
    }
    self::versions(errors, &path, &spec.versions);
    names::required(errors, &path.child("names"), &spec.names);
    names::names(errors, &path.child("names"), &spec.names);
    if let Some(conversion) = &spec.conversion {
        self::conversion(errors, &path.child("conversion"), conversion);
    }
    if spec.preserve_unknown_fields == Some(true) {
        let detail = "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in \
                      spec.versions[*].schema instead";
        errors.push(FieldError::invalid(path.child("preserveUnknownFields"), &true, detail));
    }
}

fn group(errors: &mut Errors, path: &FieldPath, group: &str) {
    let complaints = labels::dns1123_subdomain(group, false);
    if group.is_empty() {
        errors.push(FieldError::required(path.clone(), ""));
    } else if !complaints.is_empty() {
        errors.push(FieldError::invalid(path.clone(), group, complaints.join(",")));
    } else if !group.contains('.') {
        let detail = "should be a domain with at least one dot";
        errors.push(FieldError::invalid(path.clone(), group, detail));
    }
}

fn versions(errors: &mut Errors, path: &FieldPath, versions: &[CustomResourceDefinitionVersion]) {
    let own = path.child("versions");
    let alike = Alike::of(versions);
    for (index, version) in versions.iter().enumerate() {
        let path = own.index(index);
        let complaints = labels::dns1035_label(&version.name, false);
        if !complaints.is_empty() {
            errors.push(FieldError::invalid(path.child("name"), &version.name, complaints.join(",")));
        }
        versions::deprecation(errors, &path, version);
        if !alike.schemas {
            versions::schema(errors, &path.child("schema"), version);
        }
        if !alike.subresources {
            versions::subresources(errors, &path.child("subresources"), version);
        }
        if !alike.columns {
            versions::columns(errors, &path.child("additionalPrinterColumns"), version);
        }
        versions::selectable(errors, &path.child("selectableFields"), version);
    }
    let named_twice =
        versions.iter().enumerate().any(|(index, own)| versions[..index].iter().any(|other| other.name == own.name));
    if named_twice {
        errors.push(FieldError::invalid(own.clone(), versions, "must contain unique version names"));
    }
    if versions.iter().filter(|version| version.storage).count() != 1 {
        let detail = "must have exactly one version marked as storage version";
        errors.push(FieldError::invalid(own, versions, detail));
    }
    let Some(first) = versions.first() else { return };
    if alike.schemas {
        versions::schema(errors, &path.child("validation"), first);
    }
    if alike.subresources {
        versions::subresources(errors, &path.child("subresources"), first);
    }
    if alike.columns {
        versions::columns(errors, &path.child("additionalPrinterColumns"), first);
    }
}

/// Which parts all versions share.
struct Alike {
    schemas: bool,
    subresources: bool,
    columns: bool,
}

impl Alike {
    fn of(versions: &[CustomResourceDefinitionVersion]) -> Alike {
        let all = |same: fn(&CustomResourceDefinitionVersion, &CustomResourceDefinitionVersion) -> bool| {
            versions.first().is_some_and(|first| versions.iter().all(|other| same(first, other)))
        };
        Alike {
            schemas: all(|a, b| a.schema == b.schema),
            subresources: all(|a, b| a.subresources == b.subresources),
            columns: all(|a, b| a.additional_printer_columns == b.additional_printer_columns),
        }
    }
}

fn conversion(errors: &mut Errors, path: &FieldPath, conversion: &CustomResourceConversion) {
    check::supported(errors, &path.child("strategy"), Some(&conversion.strategy), &["None", "Webhook"]);
    let client_path = path.child("webhookClientConfig");
    let versions_path = path.child("conversionReviewVersions");
    let client = conversion.webhook.as_ref().and_then(|webhook| webhook.client_config.as_ref());
    let versions = conversion.webhook.as_ref().map_or(&[][..], |webhook| &webhook.conversion_review_versions);
    if conversion.strategy != "Webhook" {
        let detail = "should not be set when strategy is not set to Webhook";
        if client.is_some() {
            errors.push(FieldError::forbidden(client_path, detail));
        }
        if !versions.is_empty() {
            errors.push(FieldError::forbidden(versions_path, detail));
        }
        return;
    }
    match client {
        None => errors.push(FieldError::required(client_path, "required when strategy is set to Webhook")),
        Some(client) => {
            let service = client.service.as_ref().map(|service| Service {
                name: &service.name,
                namespace: &service.namespace,
                path: service.path.as_deref(),
                port: service.port,
            });
            webhook::client(errors, &client_path, client.url.as_deref(), service.as_ref());
        }
    }
    webhook::review_versions(errors, &versions_path, versions, "");
}
