//! What a server shows of itself before anyone believes it: how a joining node finds the authority of its token's pin.

use crate::config::ConfigError;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use rustls::DigitallySignedStruct;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};

const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(10);

/// The certificates that the server at `https://HOST:PORT` presents, unverified. Nothing is sent but the handshake.
pub async fn presented_certificates(server: &str) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    let failed = |reason: String| ConfigError::Tls(format!("a first look at {server}: {reason}"));
    let address =
        server.strip_prefix("https://").ok_or_else(|| failed("the address must begin with https://".to_owned()))?;
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host).trim_matches(['[', ']']);
    let name = ServerName::try_from(host.to_owned()).map_err(|error| failed(error.to_string()))?;
    let tls = unverified_tls().map_err(|error| failed(error.to_string()))?;
    let look = async {
        let tcp = TcpStream::connect(address).await?;
        TlsConnector::from(Arc::new(tls)).connect(name, tcp).await
    };
    let stream = tokio::time::timeout(HANDSHAKE_TIME_MAX, look).await;
    let stream = stream.map_err(|_| failed(format!("no handshake within {HANDSHAKE_TIME_MAX:?}")))?;
    let stream = stream.map_err(|error| failed(error.to_string()))?;
    let certificates = stream.get_ref().1.peer_certificates().unwrap_or_default();
    Ok(certificates.iter().map(|certificate| certificate.clone().into_owned()).collect())
}

/// TLS that believes any server: for those whom nobody vouches for, and who are told nothing secret.
pub fn unverified_tls() -> Result<rustls::ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let verifier = Arc::new(AnyServer::default());
    Ok(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
}

/// Believes any server, for a client with more of its own than `unverified_tls` has.
pub fn any_server() -> Arc<dyn ServerCertVerifier> {
    Arc::new(AnyServer::default())
}

#[derive(Debug)]
struct AnyServer {
    algorithms: WebPkiSupportedAlgorithms,
}

impl Default for AnyServer {
    fn default() -> Self {
        AnyServer { algorithms: rustls::crypto::ring::default_provider().signature_verification_algorithms }
    }
}

impl ServerCertVerifier for AnyServer {
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
        rustls::crypto::verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
