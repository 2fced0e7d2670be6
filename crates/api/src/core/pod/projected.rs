//! Whether volumes made of several sources at once make sense: each source, and that no two make the same file.

use super::volumes::{downward_file, keys, mode, unreserved_path};
use crate::certificates::signer_name;
use crate::check::{self, Errors};
use crate::field::{FieldError, FieldPath};
use crate::labels;
use k8s_openapi::api::core::v1::{
    ClusterTrustBundleProjection, PodCertificateProjection, ProjectedVolumeSource, ServiceAccountTokenProjection,
    VolumeProjection,
};

const TOKEN_SECONDS_MIN: i64 = 10 * 60;
const TOKEN_SECONDS_MAX: i64 = 1 << 32;
const KEY_TYPES: &[&str] = &["ECDSAP256", "ECDSAP384", "ECDSAP521", "ED25519", "RSA3072", "RSA4096"];
const CERTIFICATE_SECONDS_MIN: i32 = 3600;
const CERTIFICATE_SECONDS_MAX: i32 = 91 * 86_400;
/// What Kubernetes' own signers sign for.
const CERTIFICATE_SECONDS_OWN: i32 = 86_400;

/// All sources of one volume.
pub(super) fn validate(errors: &mut Errors, path: &FieldPath, volume: &ProjectedVolumeSource) {
    mode(errors, &path.child("defaultMode"), volume.default_mode);
    let mut taken: Vec<&str> = Vec::new();
    for (index, source) in volume.sources.iter().flatten().enumerate() {
        let at = path.child("sources").index(index);
        projection(errors, path, &at, source);
        for (file, shown) in files(source) {
            if file.is_empty() {
                continue;
            }
            if taken.contains(&file) {
                errors.push(FieldError::invalid(path.clone(), shown, "conflicting duplicate paths"));
            } else {
                taken.push(file);
            }
        }
    }
}

fn projection(errors: &mut Errors, volume: &FieldPath, at: &FieldPath, source: &VolumeProjection) {
    let mut sources = 0;
    if let Some(secret) = &source.secret {
        sources += 1;
        check::present(errors, at.child("secret").child("name"), Some(&secret.name));
        keys(errors, &at.child("secret").child("items"), secret.items.as_deref().unwrap_or_default());
    }
    if let Some(config_map) = &source.config_map {
        sources += 1;
        check::present(errors, at.child("configMap").child("name"), Some(&config_map.name));
        keys(errors, &at.child("configMap").child("items"), config_map.items.as_deref().unwrap_or_default());
    }
    if let Some(downward) = &source.downward_api {
        sources += 1;
        let path = at.child("downwardAPI");
        downward.items.iter().flatten().for_each(|file| downward_file(errors, &path, file));
    }
    if let Some(token) = &source.service_account_token {
        sources += 1;
        projected_token(errors, volume, &at.child("serviceAccountToken"), token);
    }
    if let Some(bundle) = &source.cluster_trust_bundle {
        sources += 1;
        trust_bundle(errors, &at.child("clusterTrustBundle"), bundle);
    }
    if let Some(certificate) = &source.pod_certificate {
        sources += 1;
        pod_certificate(errors, &at.child("podCertificate"), certificate);
    }
    if sources > 1 {
        errors.push(FieldError::forbidden(at.clone(), "may not specify more than 1 volume type per source"));
    }
}

fn projected_token(errors: &mut Errors, volume: &FieldPath, path: &FieldPath, token: &ServiceAccountTokenProjection) {
    let seconds = token.expiration_seconds.unwrap_or_default();
    if seconds < TOKEN_SECONDS_MIN {
        let detail = "may not specify a duration less than 10 minutes";
        errors.push(FieldError::invalid(path.child("expirationSeconds"), &seconds, detail));
    }
    if seconds > TOKEN_SECONDS_MAX {
        let detail = "may not specify a duration larger than 2^32 seconds";
        errors.push(FieldError::invalid(path.child("expirationSeconds"), &seconds, detail));
    }
    if token.path.is_empty() {
        errors.push(FieldError::required(volume.child("path"), ""));
    } else {
        unreserved_path(errors, &volume.child("path"), &token.path);
    }
}

fn trust_bundle(errors: &mut Errors, path: &FieldPath, bundle: &ClusterTrustBundleProjection) {
    match (&bundle.name, &bundle.signer_name) {
        (Some(_), Some(_)) => {
            errors.push(FieldError::invalid(path.clone(), bundle, "only one of name and signerName may be used"));
        }
        (None, None) => {
            errors.push(FieldError::required(path.clone(), "either name or signerName must be specified"));
        }
        (Some(name), None) => {
            let at = path.child("name");
            if name.is_empty() {
                errors.push(FieldError::required(at.clone(), "must be a valid object name"));
            }
            // `example.com:signer:rest` is a bundle of that signer.
            let mut parts = name.splitn(3, ':');
            let own = match (parts.next(), parts.next(), parts.next()) {
                (_, _, Some(rest)) => rest,
                _ => name,
            };
            let complaints = labels::dns1123_subdomain(own, false).into_iter();
            let complaints = complaints.map(|text| format!("not a valid clustertrustbundlename: {text}"));
            check::each(errors, &at, name, complaints);
            if let Some(selector) = &bundle.label_selector {
                let detail = "labelSelector must be unset if name is specified";
                errors.push(FieldError::invalid(path.child("labelSelector"), selector, detail));
            }
        }
        (None, Some(signer)) => {
            let at = path.child("signerName");
            if signer.is_empty() {
                errors.push(FieldError::required(at.clone(), "must be a valid signer name"));
            }
            signer_name(errors, &at, signer);
            if let Some(selector) = &bundle.label_selector {
                check::label_selector(errors, &path.child("labelSelector"), selector);
            }
        }
    }
    check::present(errors, path.child("path"), Some(&bundle.path));
    unreserved_path(errors, &path.child("path"), &bundle.path);
}

fn pod_certificate(errors: &mut Errors, path: &FieldPath, certificate: &PodCertificateProjection) {
    signer_name(errors, &path.child("signerName"), &certificate.signer_name);
    check::supported_if_set(errors, &path.child("keyType"), Some(&certificate.key_type), KEY_TYPES);
    let at = path.child("maxExpirationSeconds");
    let most = if certificate.signer_name.starts_with("kubernetes.io/") {
        CERTIFICATE_SECONDS_OWN
    } else {
        CERTIFICATE_SECONDS_MAX
    };
    match certificate.max_expiration_seconds {
        Some(seconds) if seconds < CERTIFICATE_SECONDS_MIN => {
            let detail = format!("if provided, maxExpirationSeconds must be >= {CERTIFICATE_SECONDS_MIN}");
            errors.push(FieldError::invalid(at, &seconds, detail));
        }
        Some(seconds) if seconds > most => {
            let detail = format!("if provided, maxExpirationSeconds must be <= {most}");
            errors.push(FieldError::invalid(at, &seconds, detail));
        }
        _ => {}
    }
    let mut files = 0;
    for (field, file) in [
        ("credentialBundlePath", &certificate.credential_bundle_path),
        ("keyPath", &certificate.key_path),
        ("certificateChainPath", &certificate.certificate_chain_path),
    ] {
        if let Some(file) = file.as_deref().filter(|file| !file.is_empty()) {
            files += 1;
            unreserved_path(errors, &path.child(field), file);
        }
    }
    if files == 0 {
        let detail = "specify at least one of credentialBundlePath, keyPath, and certificateChainPath";
        errors.push(FieldError::required(path.clone(), detail));
    }
}

/// The files that a projection makes, each with what upstream shows when another makes the same.
fn files(source: &VolumeProjection) -> Vec<(&str, &str)> {
    let mut files = Vec::new();
    if let Some(secret) = &source.secret {
        files.extend(secret.items.iter().flatten().map(|item| (item.path.as_str(), secret.name.as_str())));
    }
    if let Some(config_map) = &source.config_map {
        files.extend(config_map.items.iter().flatten().map(|item| (item.path.as_str(), config_map.name.as_str())));
    }
    if let Some(downward) = &source.downward_api {
        files.extend(downward.items.iter().flatten().map(|file| (file.path.as_str(), file.path.as_str())));
    }
    if let Some(bundle) = &source.cluster_trust_bundle {
        files.push((&bundle.path, &bundle.path));
    }
    if let Some(certificate) = &source.pod_certificate {
        let paths = [&certificate.credential_bundle_path, &certificate.key_path, &certificate.certificate_chain_path];
        files.extend(paths.into_iter().flatten().map(|path| (path.as_str(), path.as_str())));
    }
    files
}
