//! CertificateSigningRequest: asks a signer for a certificate.

use super::signer_name::signer_name;
use crate::check::{self, Errors};
use crate::core::columns;
use crate::field::{FieldError, FieldPath};
use crate::kind::{FieldValues, Kind};
use crate::resource::{Column, ResourceDef, Scope, Subresource};
use crate::table::{Cell, duration};
use k8s_openapi::api::certificates::v1::{
    CertificateSigningRequest, CertificateSigningRequestCondition, CertificateSigningRequestStatus,
};
use k8s_openapi::jiff::Timestamp;

const EXPIRATION_SECONDS_MIN: i32 = 600;
const USAGES: &[&str] = &[
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
];

/// The signer of requests that named none, when that was possible.
const LEGACY_SIGNER: &str = "kubernetes.io/legacy-unknown";

impl Kind for CertificateSigningRequest {
    const DEF: ResourceDef = ResourceDef {
        short_names: &["csr"],
        subresources: &[Subresource::Status, Subresource::Approval],
        columns: &[
            Column::NAME,
            Column::AGE,
            Column::text("SignerName").about("Who is asked."),
            Column::text("Requestor").about("Who asks."),
            Column::text("RequestedDuration").about("How long the certificate is to hold."),
            Column::text("Condition").about("What has become of it."),
        ],
        selectable: &["spec.signerName"],
        ..ResourceDef::new(
            "certificates.k8s.io",
            "v1",
            "CertificateSigningRequest",
            "certificatesigningrequests",
            "certificatesigningrequest",
            Scope::Cluster,
            "k8s.io.api.certificates.v1.CertificateSigningRequest",
        )
    };

    fn defaults(&mut self) {
        self.status.get_or_insert_default();
    }

    /// Who asks is said by the server, from the request; what a client says of it is dropped here.
    fn prepare_create(&mut self) {
        self.status = None;
        self.spec.username = None;
        self.spec.uid = None;
        self.spec.groups = None;
        self.spec.extra = None;
    }

    fn prepare_update(&mut self, old: &CertificateSigningRequest) {
        self.spec.clone_from(&old.spec);
        self.status.clone_from(&old.status);
    }

    /// The signer may do everything but approve.
    fn prepare_status(&mut self, old: &CertificateSigningRequest) {
        self.spec.clone_from(&old.spec);
        let decides =
            |condition: &&CertificateSigningRequestCondition| matches!(condition.type_.as_str(), "Approved" | "Denied");
        let kept: Vec<_> = conditions(old).iter().filter(decides).cloned().collect();
        let own: Vec<_> = conditions(self).iter().filter(|condition| !decides(condition)).cloned().collect();
        let all: Vec<_> = kept.into_iter().chain(own).collect();
        self.status.get_or_insert_default().conditions = Some(all).filter(|all| !all.is_empty());
    }

    /// Who approves may do nothing else.
    fn prepare_subresource(&mut self, _subresource: Subresource, old: &CertificateSigningRequest) {
        self.spec.clone_from(&old.spec);
        let conditions = self.status.take().and_then(|status| status.conditions);
        let status = old.status.clone().unwrap_or_default();
        self.status = Some(CertificateSigningRequestStatus { conditions, ..status });
    }

    fn validate(&self) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let path = FieldPath::new("spec");
        request(&mut errors, &path.child("request"), &self.spec.request.0);
        signer_name(&mut errors, &path.child("signerName"), &self.spec.signer_name);
        let usages = self.spec.usages.as_deref().unwrap_or_default();
        if usages.is_empty() {
            errors.push(FieldError::required(path.child("usages"), "usages must be provided"));
        }
        for (index, usage) in usages.iter().enumerate() {
            let path = path.child("usages").index(index);
            check::supported_if_set(&mut errors, &path, Some(usage), USAGES);
            if usages[..index].contains(usage) {
                errors.push(FieldError::duplicate(path, usage));
            }
        }
        if let Some(seconds) = self.spec.expiration_seconds.filter(|seconds| *seconds < EXPIRATION_SECONDS_MIN) {
            let detail = "may not specify a duration less than 600 seconds (10 minutes)";
            errors.push(FieldError::invalid(path.child("expirationSeconds"), &seconds, detail));
        }
        conditions_make_sense(&mut errors, &FieldPath::new("status").child("conditions"), conditions(self));
        if let Some(certificate) = self.status.as_ref().and_then(|status| status.certificate.as_ref()) {
            issued(&mut errors, &FieldPath::new("status").child("certificate"), &certificate.0);
        }
        errors
    }

    fn validate_create(&self) -> Vec<FieldError> {
        let mut errors = Errors::new();
        if self.spec.signer_name == LEGACY_SIGNER {
            let detail = "the legacy signerName is not allowed via this API version";
            let path = FieldPath::new("spec").child("signerName");
            errors.push(FieldError::invalid(path, &self.spec.signer_name, detail));
        }
        errors
    }

    fn validate_update(&self, old: &CertificateSigningRequest) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let path = FieldPath::new("status");
        for condition in conditions(old) {
            let kind = condition.type_.as_str();
            if matches!(kind, "Approved" | "Denied" | "Failed") && !conditions(self).iter().any(|own| own.type_ == kind)
            {
                let detail = format!("updates may not remove a condition of type {kind:?}");
                errors.push(FieldError::forbidden(path.child("conditions"), detail));
            }
        }
        let issued =
            |csr: &CertificateSigningRequest| csr.status.as_ref().and_then(|status| status.certificate.clone());
        if let Some(before) = issued(old).filter(|certificate| !certificate.0.is_empty())
            && issued(self).as_ref() != Some(&before)
        {
            let detail = "updates may not change a certificate";
            errors.push(FieldError::forbidden(path.child("certificate"), detail));
        }
        errors
    }

    fn fields(&self) -> FieldValues {
        std::iter::once(("spec.signerName", self.spec.signer_name.clone())).collect()
    }

    fn row(&self, now: Timestamp) -> Vec<Cell> {
        let lasts = self.spec.expiration_seconds.map(|seconds| duration(seconds.into()));
        vec![
            columns::name(&self.metadata),
            columns::created(&self.metadata, now),
            columns::or_none(Some(&self.spec.signer_name)),
            Cell::from(self.spec.username.as_deref().unwrap_or_default()),
            columns::or_none(lasts.as_deref()),
            Cell::Text(state(self)),
        ]
    }

    fn validate_name(name: &str, prefix_only: bool) -> Vec<String> {
        crate::labels::path_segment(name, prefix_only)
    }
}

fn conditions(csr: &CertificateSigningRequest) -> &[CertificateSigningRequestCondition] {
    csr.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default()
}

/// That it is one PEM block with a request; whether that holds is for the signer, who must parse it anyway.
fn request(errors: &mut Errors, path: &FieldPath, request: &[u8]) {
    let begins = b"-----BEGIN CERTIFICATE REQUEST-----";
    let found = request.windows(begins.len()).any(|window| window == begins);
    if !found {
        let detail = "PEM block type must be CERTIFICATE REQUEST";
        errors.push(FieldError::invalid(path.clone(), &k8s_openapi::ByteString(request.to_vec()), detail));
    }
}

/// What was issued, if anything was: certificates as PEM blocks without headers, and no other block.
fn issued(errors: &mut Errors, path: &FieldPath, pem: &[u8]) {
    const SHOWN: &str = "<certificate data>";
    let text = String::from_utf8_lossy(pem);
    let mut found = 0;
    for block in text.split("-----BEGIN ").skip(1) {
        let Some((kind, rest)) = block.split_once("-----") else { continue };
        let body = rest.split("-----END").next().unwrap_or_default();
        let detail = if kind != "CERTIFICATE" {
            format!("only CERTIFICATE PEM blocks are allowed, found {kind:?}")
        } else if body.contains(':') {
            "no PEM block headers are permitted".to_owned()
        } else {
            found += 1;
            continue;
        };
        errors.push(FieldError::invalid(path.clone(), SHOWN, detail));
        return;
    }
    if found == 0 && !pem.is_empty() {
        errors.push(FieldError::invalid(path.clone(), SHOWN, "must contain at least one CERTIFICATE PEM block"));
    }
}

fn conditions_make_sense(errors: &mut Errors, path: &FieldPath, conditions: &[CertificateSigningRequestCondition]) {
    let has = |kind: &str| conditions.iter().any(|condition| condition.type_ == kind);
    for (index, condition) in conditions.iter().enumerate() {
        let path = path.index(index);
        check::present(errors, path.child("type"), Some(&condition.type_));
        if condition.type_ == "Denied" && has("Approved") {
            let detail = "Approved and Denied conditions are mutually exclusive";
            errors.push(FieldError::invalid(path.child("type"), &condition.type_, detail));
        }
        let statuses: &[&str] = match condition.type_.as_str() {
            "Approved" | "Denied" | "Failed" => &["True"],
            _ => &["False", "True", "Unknown"],
        };
        check::supported(errors, &path.child("status"), Some(&condition.status), statuses);
        if conditions[..index].iter().any(|other| other.type_ == condition.type_) {
            errors.push(FieldError::duplicate(path.child("type"), &condition.type_));
        }
    }
}

fn state(csr: &CertificateSigningRequest) -> String {
    let has = |kind: &str| conditions(csr).iter().any(|condition| condition.type_ == kind);
    let mut state = match (has("Denied"), has("Approved")) {
        (true, _) => "Denied",
        (false, true) => "Approved",
        (false, false) => "Pending",
    }
    .to_owned();
    if has("Failed") {
        state.push_str(",Failed");
    }
    let certificate = csr.status.as_ref().and_then(|status| status.certificate.as_ref());
    if certificate.is_some_and(|certificate| !certificate.0.is_empty()) {
        state.push_str(",Issued");
    }
    state
}
