//! PodCertificateRequest: a node asks a signer for a certificate for one of its pods.

use super::signer_name::signer_name;
use crate::check::{self, Errors};
use crate::core::columns;
use crate::field::{FieldError, FieldPath};
use crate::kind::{FieldValues, Kind, status_apart};
use crate::labels;
use crate::resource::{Column, ResourceDef, Scope, Subresource};
use crate::table::Cell;
use k8s_openapi::api::certificates::v1::PodCertificateRequest;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::jiff::Timestamp;

const UID_BYTES_MAX: usize = 128;
const REQUEST_BYTES_MAX: usize = 10 * 1024;
const SECONDS_MIN: i32 = 3600;
const SECONDS_MAX: i32 = 91 * 86_400;
/// What Kubernetes' own signers sign for.
const SECONDS_MAX_OWN: i32 = 86_400;
const OUTCOMES: &[&str] = &["Issued", "Denied", "Failed"];

impl Kind for PodCertificateRequest {
    const DEF: ResourceDef = ResourceDef {
        subresources: &[Subresource::Status],
        columns: &[
            Column::NAME,
            Column::text("PodName").about("The pod that it is for."),
            Column::text("ServiceAccountName").about("Whom the pod acts as."),
            Column::text("NodeName").about("The node that asks."),
            Column::text("SignerName").about("Who is asked."),
            Column::text("State").about("What has become of it."),
        ],
        selectable: &["spec.signerName", "spec.podName", "spec.nodeName"],
        unattended: true,
        ..ResourceDef::new(
            "certificates.k8s.io",
            "v1",
            "PodCertificateRequest",
            "podcertificaterequests",
            "podcertificaterequest",
            Scope::Namespaced,
            "k8s.io.api.certificates.v1.PodCertificateRequest",
        )
    };

    fn defaults(&mut self) {
        self.spec.max_expiration_seconds.get_or_insert(SECONDS_MAX_OWN);
        self.status.get_or_insert_default();
    }

    status_apart!(PodCertificateRequest);

    fn validate(&self) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let spec = &self.spec;
        let path = FieldPath::new("spec");
        signer_name(&mut errors, &path.child("signerName"), &spec.signer_name);
        for (field, name) in [
            ("podName", &spec.pod_name),
            ("serviceAccountName", &spec.service_account_name),
            ("nodeName", &spec.node_name),
        ] {
            check::dns1123_subdomain(&mut errors, &path.child(field), name);
        }
        for (field, uid) in
            [("podUID", &spec.pod_uid), ("serviceAccountUID", &spec.service_account_uid), ("nodeUID", &spec.node_uid)]
        {
            if uid.is_empty() {
                errors.push(FieldError::invalid(path.child(field), uid, "must not be empty"));
            }
            if uid.len() > UID_BYTES_MAX {
                errors.push(FieldError::too_long(path.child(field), UID_BYTES_MAX));
            }
        }
        let seconds = spec.max_expiration_seconds.unwrap_or_default();
        let most = if spec.signer_name.starts_with("kubernetes.io/") { SECONDS_MAX_OWN } else { SECONDS_MAX };
        if !(SECONDS_MIN..=most).contains(&seconds) {
            let detail = format!("must be in the range [{SECONDS_MIN}, {most}]");
            errors.push(FieldError::invalid(path.child("maxExpirationSeconds"), &seconds, detail));
        }
        for key in spec.unverified_user_annotations.iter().flat_map(|map| map.keys()) {
            let path = path.child("unverifiedUserAnnotations");
            check::each(&mut errors, &path, key, labels::label_key(&key.to_lowercase()));
        }
        if spec.stub_pkc_s10_request.0.len() > REQUEST_BYTES_MAX {
            errors.push(FieldError::too_long(path.child("stubPKCS10Request"), REQUEST_BYTES_MAX));
        }
        outcome(&mut errors, conditions(self));
        errors
    }

    fn validate_update(&self, old: &PodCertificateRequest) -> Vec<FieldError> {
        let mut errors = Errors::new();
        check::immutable(&mut errors, FieldPath::new("spec"), &self.spec, &old.spec);
        let path = FieldPath::new("status");
        if !conditions(old).is_empty() && !check::same(&self.status, &old.status) {
            let detail = "immutable after PodCertificateRequest is issued, denied, or failed";
            errors.push(FieldError::invalid(path, &self.status, detail));
        }
        errors
    }

    fn fields(&self) -> FieldValues {
        let spec = &self.spec;
        [
            ("spec.signerName", spec.signer_name.clone()),
            ("spec.podName", spec.pod_name.clone()),
            ("spec.nodeName", spec.node_name.clone()),
        ]
        .into_iter()
        .collect()
    }

    fn row(&self, _now: Timestamp) -> Vec<Cell> {
        let spec = &self.spec;
        let state = OUTCOMES.iter().find(|kind| conditions(self).iter().any(|own| own.type_ == **kind));
        vec![
            columns::name(&self.metadata),
            Cell::from(spec.pod_name.as_str()),
            Cell::from(spec.service_account_name.as_str()),
            Cell::from(spec.node_name.as_str()),
            Cell::from(spec.signer_name.as_str()),
            Cell::from(*state.unwrap_or(&"Pending")),
        ]
    }
}

fn conditions(request: &PodCertificateRequest) -> &[Condition] {
    request.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default()
}

fn outcome(errors: &mut Errors, conditions: &[Condition]) {
    for (index, condition) in conditions.iter().enumerate() {
        let path = FieldPath::new("status").child("conditions").index(index);
        if !OUTCOMES.contains(&condition.type_.as_str()) {
            check::supported_if_set(errors, &path.child("type"), Some(&condition.type_), OUTCOMES);
            continue;
        }
        if index > 0 {
            let detail = "There may be at most one condition with type \"Issued\", \"Denied\", or \"Failed\"";
            errors.push(FieldError::invalid(path.child("type"), &condition.type_, detail));
        }
        check::supported_if_set(errors, &path.child("status"), Some(&condition.status), &["True"]);
    }
}
