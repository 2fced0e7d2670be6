//! Whom a target is believed by, and as whom it is asked.

use super::error::Unreached;
use super::{Identity, Target};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use std::path::Path;
use std::sync::{Arc, OnceLock};

/// Where distributions keep their authorities: Debian, Fedora, SUSE, Alpine.
const SYSTEM_BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

pub(super) fn config(target: &Target, protocols: &[&[u8]]) -> Result<Arc<ClientConfig>, Unreached> {
    let bad = |error: rustls::Error| Unreached::Unusable(error.to_string());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(bad)?
        .dangerous()
        .with_custom_certificate_verifier(verifier(target, provider)?);
    let mut config = match &target.identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let (chain, key) = identity.parse()?;
            builder.with_client_auth_cert(chain, key).map_err(bad)?
        }
    };
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    Ok(Arc::new(config))
}

impl Identity {
    fn parse(&self) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), Unreached> {
        let bad = |error: rustls::pki_types::pem::Error| Unreached::Unusable(format!("client certificate: {error}"));
        let chain = CertificateDer::pem_slice_iter(self.certificate_pem.as_bytes()).collect::<Result<_, _>>();
        Ok((chain.map_err(bad)?, PrivateKeyDer::from_pem_slice(self.key_pem.as_bytes()).map_err(bad)?))
    }
}

fn verifier(target: &Target, provider: Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>, Unreached> {
    if target.insecure_skip_tls_verify {
        return Ok(client::any_server());
    }
    if target.ca_bundle.is_empty() {
        let inner = verified_by(system_roots()?.clone(), provider)?;
        return Ok(Arc::new(Believer { inner, authorities: Vec::new() }));
    }
    let authorities = CertificateDer::pem_slice_iter(&target.ca_bundle).collect::<Result<Vec<_>, _>>();
    let authorities = authorities.unwrap_or_default();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(authorities.iter().cloned());
    if roots.is_empty() {
        let why = "unable to load root certificates: unable to parse bytes as PEM block";
        return Err(Unreached::Unusable(why.to_owned()));
    }
    Ok(Arc::new(Believer { inner: verified_by(roots, provider)?, authorities }))
}

fn verified_by(roots: RootCertStore, provider: Arc<CryptoProvider>) -> Result<Arc<WebPkiServerVerifier>, Unreached> {
    let built = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
    built.map_err(|error| Unreached::Unusable(error.to_string()))
}

/// Read once: parsing a bundle takes milliseconds, and it changes with the system's updates only.
fn system_roots() -> Result<&'static RootCertStore, Unreached> {
    static ROOTS: OnceLock<RootCertStore> = OnceLock::new();
    if let Some(roots) = ROOTS.get() {
        return Ok(roots);
    }
    let none = |why: String| Unreached::Unusable(format!("no caBundle is given, and the system's authorities: {why}"));
    let file = SYSTEM_BUNDLES.iter().map(Path::new).find(|file| file.exists());
    let file = file.ok_or_else(|| none(format!("none of {}", SYSTEM_BUNDLES.join(", "))))?;
    let bad = |error: rustls::pki_types::pem::Error| none(format!("{}: {error}", file.display()));
    let certificates = CertificateDer::pem_file_iter(file).map_err(bad)?.collect::<Result<Vec<_>, _>>().map_err(bad)?;
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates);
    Ok(ROOTS.get_or_init(|| roots))
}

/// Believes what an authority signed, and a server that shows the very certificate that it is to be believed by: users
/// make themselves one certificate and put it in both places, which webpki refuses for an authority's.
#[derive(Debug)]
struct Believer {
    inner: Arc<WebPkiServerVerifier>,
    authorities: Vec<CertificateDer<'static>>,
}

fn is_in_time(certificate: &CertificateDer<'_>, now: UnixTime) -> Result<(), rustls::Error> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate)
        .map_err(|_| rustls::Error::InvalidCertificate(CertificateError::BadEncoding))?;
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    let validity = parsed.validity();
    if now < validity.not_before.timestamp() || now > validity.not_after.timestamp() {
        return Err(rustls::Error::InvalidCertificate(CertificateError::Expired));
    }
    Ok(())
}

impl ServerCertVerifier for Believer {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if self.authorities.iter().any(|own| own.as_ref() == end_entity.as_ref()) {
            is_in_time(end_entity, now)?;
            rustls::client::verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
            return Ok(ServerCertVerified::assertion());
        }
        self.inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
