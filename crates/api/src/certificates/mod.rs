//! The kinds of the certificates group.

mod certificate_signing_request;
mod cluster_trust_bundle;
mod pod_certificate_request;
mod signer_name;

pub(crate) use signer_name::signer_name;
