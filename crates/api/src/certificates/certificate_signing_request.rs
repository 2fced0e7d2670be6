//! CertificateSigningRequest: asks a signer for a certificate.

use crate::kind::Kind;
use crate::resource::{ResourceDef, Scope, Subresource};
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;

impl Kind for CertificateSigningRequest {
    const DEF: ResourceDef = ResourceDef {
        short_names: &["csr"],
        subresources: &[Subresource::Status, Subresource::Approval],
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
}
