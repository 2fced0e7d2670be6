//! Who asks: client certificates, bearer tokens, or nobody.
//!
//! Invariants: credentials that are presented and wrong are always 401, never the anonymous user; every identity but
//! the anonymous one carries `system:authenticated`.

use api::Status;
use api::user::User;
use rustls::pki_types::CertificateDer;

/// All ways in which a request may prove who sends it.
pub struct Authenticators {}

impl Authenticators {
    /// `peer_certificates` as TLS verified them against the client CA, leaf first; empty without one.
    pub async fn authenticate(
        &self,
        _parts: &http::request::Parts,
        peer_certificates: &[CertificateDer<'static>],
    ) -> Result<User, Status> {
        if peer_certificates.is_empty() { Ok(User::anonymous()) } else { Err(Status::unauthorized()) }
    }
}
