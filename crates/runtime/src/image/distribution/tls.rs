//! Whom to trust: the system's certificate authorities, a registry's own, or anybody where the user says so.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::{RegistryError, RegistryOptions};

/// Where distributions keep their bundle: Debian, Fedora, SUSE, Alpine.
const SYSTEM_BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// A connector for this registry.
pub(super) fn connector(options: &RegistryOptions) -> Result<HttpsConnector<HttpConnector>, RegistryError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("ring supports the default protocol versions");
    let config = if options.insecure {
        let anybody = Arc::new(Anybody { provider });
        builder.dangerous().with_custom_certificate_verifier(anybody).with_no_client_auth()
    } else {
        let mut roots = system_roots()?.clone();
        if let Some(file) = &options.ca_file {
            add_bundle(&mut roots, file)?;
        }
        builder.with_root_certificates(roots).with_no_client_auth()
    };
    Ok(HttpsConnectorBuilder::new().with_tls_config(config).https_or_http().enable_all_versions().build())
}

/// Read once: parsing a bundle takes milliseconds, and it changes with the system's updates only.
fn system_roots() -> Result<&'static RootCertStore, RegistryError> {
    static ROOTS: OnceLock<RootCertStore> = OnceLock::new();
    if let Some(roots) = ROOTS.get() {
        return Ok(roots);
    }
    let mut roots = RootCertStore::empty();
    // None at all is no error: a node may speak to registries on loopback or with their own authority only. Where
    // it matters, the handshake fails with "unknown issuer".
    if let Some(file) = SYSTEM_BUNDLES.iter().map(Path::new).find(|file| file.exists()) {
        add_bundle(&mut roots, file)?;
    }
    Ok(ROOTS.get_or_init(|| roots))
}

fn add_bundle(roots: &mut RootCertStore, file: &Path) -> Result<(), RegistryError> {
    let failed = |error: rustls::pki_types::pem::Error| RegistryError::Authorities {
        file: file.display().to_string(),
        reason: error.to_string(),
    };
    let certificates =
        CertificateDer::pem_file_iter(file).map_err(failed)?.collect::<Result<Vec<_>, _>>().map_err(failed)?;
    let (added, ignored) = roots.add_parsable_certificates(certificates);
    tracing::debug!(file = %file.display(), added, ignored, "read certificate authorities");
    Ok(())
}

/// Accepts any certificate; signatures are still checked.
#[derive(Debug)]
struct Anybody {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
