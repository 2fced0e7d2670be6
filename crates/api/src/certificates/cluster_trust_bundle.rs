//! ClusterTrustBundle: certificates that pods may trust.

use super::signer_name::signer_name;
use crate::check::{self, Errors};
use crate::core::columns;
use crate::field::{FieldError, FieldPath};
use crate::kind::{FieldValues, Kind};
use crate::labels;
use crate::resource::{Column, ResourceDef, Scope};
use crate::table::Cell;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::certificates::v1::ClusterTrustBundle;
use k8s_openapi::jiff::Timestamp;

const BEGIN: &str = "-----BEGIN ";
/// Upstream shows no part of a bundle.
const OMITTED: &str = "<value omitted>";

impl Kind for ClusterTrustBundle {
    const DEF: ResourceDef = ResourceDef {
        columns: &[Column::NAME, Column::text("SignerName").about("Whose certificates it trusts.")],
        selectable: &["spec.signerName"],
        unattended: true,
        ..ResourceDef::new(
            "certificates.k8s.io",
            "v1",
            "ClusterTrustBundle",
            "clustertrustbundles",
            "clustertrustbundle",
            Scope::Cluster,
            "k8s.io.api.certificates.v1.ClusterTrustBundle",
        )
    };

    fn validate(&self) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let name = self.metadata.name.as_deref().unwrap_or_default();
        let signer = self.spec.signer_name.as_deref().unwrap_or_default();
        bundle_name(&mut errors, &FieldPath::new("metadata").child("name"), name, signer);
        let path = FieldPath::new("spec");
        if !signer.is_empty() {
            signer_name(&mut errors, &path.child("signerName"), signer);
        }
        certificates(&mut errors, &path.child("trustBundle"), &self.spec.trust_bundle);
        errors
    }

    fn validate_update(&self, old: &ClusterTrustBundle) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let path = FieldPath::new("spec").child("signerName");
        check::immutable(&mut errors, path, &self.spec.signer_name, &old.spec.signer_name);
        errors
    }

    fn fields(&self) -> FieldValues {
        std::iter::once(("spec.signerName", self.spec.signer_name.clone().unwrap_or_default())).collect()
    }

    fn row(&self, _now: Timestamp) -> Vec<Cell> {
        let signer = self.spec.signer_name.as_deref().filter(|name| !name.is_empty());
        vec![columns::name(&self.metadata), Cell::from(signer.unwrap_or("<none>"))]
    }

    /// With a signer it has a colon in it, which is told only together with the spec.
    fn validate_name(name: &str, prefix_only: bool) -> Vec<String> {
        labels::path_segment(name, prefix_only)
    }
}

/// Bundles of a signer begin with its name, `example.com:signer:rest`; others have no colon.
fn bundle_name(errors: &mut Errors, path: &FieldPath, name: &str, signer: &str) {
    if signer.is_empty() {
        if name.contains(':') {
            let detail = "ClusterTrustBundle without signer name must not have \":\" in its name";
            errors.push(FieldError::invalid(path.clone(), name, detail));
        }
        check::dns1123_subdomain(errors, path, name);
        return;
    }
    let prefix = format!("{}:", signer.replace('/', ":"));
    match name.strip_prefix(&prefix) {
        Some(rest) => check::each(errors, path, name, labels::dns1123_subdomain(rest, false)),
        None => {
            let detail = format!("ClusterTrustBundle for signerName {signer} must be named with prefix {prefix}");
            errors.push(FieldError::invalid(path.clone(), name, detail));
        }
    }
}

/// That there is at least one certificate, and nothing else. What is in them is for those who use them.
fn certificates(errors: &mut Errors, path: &FieldPath, text: &str) {
    let blocks: Vec<&str> = text.split(BEGIN).skip(1).collect();
    let mut seen: Vec<(String, usize)> = Vec::new();
    for (index, block) in blocks.iter().enumerate() {
        let Some((label, rest)) = block.split_once("-----") else { continue };
        if label != "CERTIFICATE" {
            let detail = format!("entry {index} has bad block type: {label}");
            errors.push(FieldError::invalid(path.clone(), OMITTED, detail));
            continue;
        }
        let body: String = rest.split("-----END").next().unwrap_or_default().split_whitespace().collect();
        if STANDARD.decode(&body).is_err() {
            let detail = format!("entry {index} does not parse as X.509 certificate");
            errors.push(FieldError::invalid(path.clone(), OMITTED, detail));
        } else if let Some((_, first)) = seen.iter().find(|(other, _)| *other == body) {
            let detail = format!("duplicate trust anchor (indices [{first} {index}])");
            errors.push(FieldError::invalid(path.clone(), OMITTED, detail));
        }
        seen.push((body, index));
    }
    if blocks.is_empty() {
        let detail = "at least one trust anchor must be provided";
        errors.push(FieldError::invalid(path.clone(), OMITTED, detail));
    }
}
