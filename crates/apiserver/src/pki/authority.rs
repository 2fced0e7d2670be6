//! A certificate authority: its key, and the certificates that vouch for what it signs.

use super::PkiError;
use super::files;
use super::profile::{self, make};
use rcgen::{Issuer, KeyPair};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::path::Path;

/// Signs with its first certificate; further ones are trusted only (an authority that is being replaced).
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Every certificate, the signing one first.
    certificates: Vec<CertificateDer<'static>>,
    bundle: String,
    not_after: i64,
}

impl Authority {
    /// Reads the authority from its file, or makes it.
    pub fn open(path: &Path, name: &'static str, now: i64) -> Result<Authority, PkiError> {
        if let Some(text) = files::read(path)? {
            return Authority::parse(path, &text);
        }
        let key = KeyPair::generate().map_err(make(name))?;
        let certificate =
            profile::authority(name, now).and_then(|params| params.self_signed(&key)).map_err(make(name))?;
        let text = format!("{}{}", key.serialize_pem(), certificate.pem());
        files::write_private(path, &text)?;
        Authority::parse(path, &text)
    }

    fn parse(path: &Path, text: &str) -> Result<Authority, PkiError> {
        let damaged = |why: String| PkiError::Damaged { path: path.to_owned(), why };
        let key = files::pem_blocks(text, "PRIVATE KEY");
        let key = key.first().ok_or_else(|| damaged("no private key".to_owned()))?;
        let key = KeyPair::from_pem(key).map_err(|error| damaged(error.to_string()))?;
        let blocks = files::pem_blocks(text, "CERTIFICATE");
        let first = blocks.first().ok_or_else(|| damaged("no certificate".to_owned()))?;
        let certificates: Result<Vec<_>, _> =
            blocks.iter().map(|block| CertificateDer::from_pem_slice(block.as_bytes())).collect();
        let certificates = certificates.map_err(|error| damaged(error.to_string()))?;
        let (_, parsed) =
            x509_parser::parse_x509_certificate(&certificates[0]).map_err(|error| damaged(error.to_string()))?;
        if parsed.public_key().subject_public_key.data.as_ref() != key.public_key_raw() {
            return Err(damaged("the key is not the certificate's".to_owned()));
        }
        let not_after = parsed.validity().not_after.timestamp();
        let issuer = Issuer::from_ca_cert_pem(first, key).map_err(|error| damaged(error.to_string()))?;
        Ok(Authority { issuer, bundle: blocks.concat(), certificates, not_after })
    }

    pub(crate) fn issuer(&self) -> &Issuer<'static, KeyPair> {
        &self.issuer
    }

    /// When nothing that it signed holds any more, in seconds since the epoch.
    pub(crate) fn not_after(&self) -> i64 {
        self.not_after
    }

    pub fn certificates(&self) -> &[CertificateDer<'static>] {
        &self.certificates
    }

    /// What those who trust it are given, in PEM.
    pub fn bundle_pem(&self) -> &str {
        &self.bundle
    }

    /// `sha256:` and the hex digest of the signing certificate's public key: what a joining node compares.
    pub fn public_key_hash(&self) -> Option<String> {
        let (_, parsed) = x509_parser::parse_x509_certificate(&self.certificates[0]).ok()?;
        let digest = ring::digest::digest(&ring::digest::SHA256, parsed.public_key().raw);
        let hex: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        Some(format!("sha256:{hex}"))
    }

    /// Whether it signed the certificate (compared by name and verified by key).
    pub(crate) fn signed(&self, certificate: &x509_parser::certificate::X509Certificate<'_>) -> bool {
        let Ok((_, own)) = x509_parser::parse_x509_certificate(&self.certificates[0]) else { return false };
        certificate.issuer() == own.subject() && certificate.verify_signature(Some(own.public_key())).is_ok()
    }
}
