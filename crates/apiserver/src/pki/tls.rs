//! The server's side of TLS: the certificate that is shown now, and who may show one.

use super::authority::Authority;
use super::credential::Credential;
use super::{Pki, PkiError};
use arc_swap::ArcSwap;
use rustls::crypto::ring as provider;
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::sync::Arc;

/// The serving certificate, replaced without a restart: later handshakes show the new one.
#[derive(Debug)]
pub struct ServingCertificate {
    present: ArcSwap<CertifiedKey>,
}

fn certified(credential: &Credential) -> Result<CertifiedKey, PkiError> {
    let (chain, key) = credential.tls()?;
    CertifiedKey::from_der(chain, key, &provider::default_provider()).map_err(|error| PkiError::Tls(error.to_string()))
}

impl ServingCertificate {
    pub fn new(credential: &Credential) -> Result<ServingCertificate, PkiError> {
        Ok(ServingCertificate { present: ArcSwap::from_pointee(certified(credential)?) })
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

impl ResolvesServerCert for ServingCertificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.present.load_full())
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
    pub fn server_config(&self, certificate: Arc<ServingCertificate>) -> Result<ServerConfig, PkiError> {
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

    /// How the API server talks to kubelets: trusts what the server CA signed, shows its kubelet client certificate.
    pub fn kubelet_client_config(&self) -> Result<ClientConfig, PkiError> {
        let bad = |error: rustls::Error| PkiError::Tls(error.to_string());
        let (chain, key) = self.kubelet_client.tls()?;
        ClientConfig::builder_with_provider(Arc::new(provider::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(bad)?
            .with_root_certificates(roots(&self.server_ca)?)
            .with_client_auth_cert(chain, key)
            .map_err(bad)
    }
}
