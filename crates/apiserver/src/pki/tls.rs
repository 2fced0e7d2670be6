//! The server's side of TLS: the certificates that are shown now, and who may show one.

use super::authority::Authority;
use super::credential::Credential;
use super::{Pki, PkiError};
use arc_swap::ArcSwap;
use rustls::client::ResolvesClientCert;
use rustls::crypto::ring as provider;
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, ServerConfig, SignatureScheme};
use std::sync::Arc;

/// A certificate that is replaced without a restart: later handshakes show the new one, connections go on.
#[derive(Debug)]
pub struct ShownCertificate {
    present: ArcSwap<CertifiedKey>,
}

fn certified(credential: &Credential) -> Result<CertifiedKey, PkiError> {
    let (chain, key) = credential.tls()?;
    CertifiedKey::from_der(chain, key, &provider::default_provider()).map_err(|error| PkiError::Tls(error.to_string()))
}

impl ShownCertificate {
    pub fn new(credential: &Credential) -> Result<ShownCertificate, PkiError> {
        Ok(ShownCertificate { present: ArcSwap::from_pointee(certified(credential)?) })
    }

    #[cfg(test)]
    pub(crate) fn present(&self) -> Arc<CertifiedKey> {
        self.present.load_full()
    }

    pub fn replace(&self, credential: &Credential) -> Result<(), PkiError> {
        self.present.store(Arc::new(certified(credential)?));
        Ok(())
    }
}

impl ResolvesServerCert for ShownCertificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.present.load_full())
    }
}

impl ResolvesClientCert for ShownCertificate {
    fn resolve(&self, _authorities: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.present.load_full())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

pub(crate) fn roots(authority: &Authority) -> Result<RootCertStore, PkiError> {
    let mut roots = RootCertStore::empty();
    for certificate in authority.certificates() {
        roots.add(certificate.clone()).map_err(|error| PkiError::Tls(error.to_string()))?;
    }
    Ok(roots)
}

impl Pki {
    /// How the API server answers handshakes: a client certificate is optional, and must be of the client CA.
    pub fn server_config(&self, certificate: Arc<ShownCertificate>) -> Result<ServerConfig, PkiError> {
        let bad = |error: &dyn std::fmt::Display| PkiError::Tls(error.to_string());
        let provider = Arc::new(provider::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(&self.client_ca)?), provider.clone())
            .allow_unauthenticated()
            .build()
            .map_err(|error| bad(&error))?;
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| bad(&error))?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(certificate);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }

    /// How the API server talks to kubelets: trusts what the server CA signed, shows this certificate of its own.
    pub fn kubelet_client_config(&self, certificate: Arc<ShownCertificate>) -> Result<ClientConfig, PkiError> {
        let bad = |error: rustls::Error| PkiError::Tls(error.to_string());
        let config = ClientConfig::builder_with_provider(Arc::new(provider::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(bad)?
            .with_root_certificates(roots(&self.server_ca)?)
            .with_client_cert_resolver(certificate);
        Ok(config)
    }
}
