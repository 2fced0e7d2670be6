//! One certificate with its key, which can be replaced while connections use it.

use super::CertificateError;
use jiff::Timestamp;
use parking_lot::RwLock;
use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

/// Presented at every handshake, as client or as server: whatever is current then.
pub struct Identity {
    current: RwLock<Current>,
}

struct Current {
    key: Arc<CertifiedKey>,
    not_before: Timestamp,
    not_after: Timestamp,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Identity").field("not_after", &self.not_after()).finish()
    }
}

impl Identity {
    /// From PEM: the chain, the leaf first, and its key.
    pub fn from_pem(chain_pem: &str, key_pem: &str) -> Result<Identity, CertificateError> {
        Ok(Identity { current: RwLock::new(Current::from_pem(chain_pem, key_pem)?) })
    }

    /// From a file that holds both. `None` when there is none yet.
    pub fn load(path: &Path) -> Result<Option<Identity>, CertificateError> {
        match std::fs::read_to_string(path) {
            Ok(text) => Identity::from_pem(&text, &text).map(Some),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(CertificateError::File { path: path.to_owned(), source }),
        }
    }

    pub(crate) fn replace(&self, chain_pem: &str, key_pem: &str) -> Result<(), CertificateError> {
        let fresh = Current::from_pem(chain_pem, key_pem)?;
        *self.current.write() = fresh;
        Ok(())
    }

    pub fn not_after(&self) -> Timestamp {
        self.current.read().not_after
    }

    pub fn is_valid(&self, now: Timestamp) -> bool {
        let current = self.current.read();
        current.not_before <= now && now < current.not_after
    }

    /// When it should be renewed: after four fifths of its life.
    pub(crate) fn renew_at(&self) -> Timestamp {
        let current = self.current.read();
        let life = current.not_after.duration_since(current.not_before);
        current.not_before + life * 4 / 5
    }
}

impl Current {
    fn from_pem(chain_pem: &str, key_pem: &str) -> Result<Current, CertificateError> {
        let malformed = |what: &'static str| {
            move |error: rustls::pki_types::pem::Error| CertificateError::Malformed { what, reason: error.to_string() }
        };
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(chain_pem.as_bytes())
            .collect::<Result<_, _>>()
            .map_err(malformed("the certificate"))?;
        let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes()).map_err(malformed("the key"))?;
        let leaf = chain
            .first()
            .ok_or(CertificateError::Malformed { what: "the certificate", reason: "it is empty".into() })?;
        let (_, parsed) = x509_parser::parse_x509_certificate(leaf)
            .map_err(|error| CertificateError::Malformed { what: "the certificate", reason: error.to_string() })?;
        let time =
            |time: x509_parser::time::ASN1Time| Timestamp::from_second(time.timestamp()).unwrap_or(Timestamp::MAX);
        let (not_before, not_after) = (time(parsed.validity().not_before), time(parsed.validity().not_after));
        let signing = rustls::crypto::ring::sign::any_supported_type(&key)
            .map_err(|error| CertificateError::Malformed { what: "the key", reason: error.to_string() })?;
        Ok(Current { key: Arc::new(CertifiedKey::new(chain, signing)), not_before, not_after })
    }
}

impl ResolvesClientCert for Identity {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.current.read().key.clone())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl ResolvesServerCert for Identity {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.read().key.clone())
    }
}

/// Writes chain and key into one file that only root reads, whole or not at all.
pub(super) fn store(path: &Path, chain_pem: &str, key_pem: &str) -> Result<(), CertificateError> {
    let failed = |source: std::io::Error| CertificateError::File { path: path.to_owned(), source };
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(failed)?;
    }
    let fresh = path.with_extension("new");
    let mut file =
        std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh).map_err(failed)?;
    file.write_all(chain_pem.as_bytes()).and_then(|()| file.write_all(key_pem.as_bytes())).map_err(failed)?;
    file.sync_all().map_err(failed)?;
    std::fs::rename(&fresh, path).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_is_loaded() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pki/client.pem");
        assert!(Identity::load(&path).unwrap().is_none());
        let made = rcgen::generate_simple_self_signed(vec!["n1".to_owned()]).unwrap();
        store(&path, &made.cert.pem(), &made.signing_key.serialize_pem()).unwrap();
        let identity = Identity::load(&path).unwrap().unwrap();
        assert!(identity.is_valid(Timestamp::now()) && identity.renew_at() < identity.not_after());
        std::fs::write(&path, "nonsense").unwrap();
        assert!(Identity::load(&path).is_err());
    }
}
