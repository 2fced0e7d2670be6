//! A leaf certificate with its key.

use super::PkiError;
use super::authority::Authority;
use super::files;
use super::profile::{LEAF_SECONDS, Profile, SKEW_SECONDS, make};
use rcgen::KeyPair;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;

/// When one part of so many of its life is left, a leaf is made anew.
const LAST_PART: i64 = 3;

/// A key and the certificate that was made for it, followed by its authority's if it is a server's.
#[derive(Clone)]
pub struct Credential {
    certificate_pem: String,
    key_pem: String,
    not_before: i64,
    not_after: i64,
}

impl Credential {
    /// Reads the credential from its file; makes it where there is none or it does not fit any more.
    pub(crate) fn open(
        path: &Path,
        authority: &Authority,
        profile: &Profile,
        now: i64,
    ) -> Result<Credential, PkiError> {
        if let Some(text) = files::read(path)?
            && let Some(credential) = Credential::parse(&text)
            && credential.fits(authority, profile, now)
        {
            return Ok(credential);
        }
        let credential = Credential::issue(authority, profile, now)?;
        files::write_private(path, &format!("{}{}", credential.key_pem, credential.certificate_pem))?;
        Ok(credential)
    }

    pub(crate) fn issue(authority: &Authority, profile: &Profile, now: i64) -> Result<Credential, PkiError> {
        const WHAT: &str = "a certificate of the cluster";
        let until = (now + LEAF_SECONDS).min(authority.not_after());
        let key = KeyPair::generate().map_err(make(WHAT))?;
        let from = now - SKEW_SECONDS;
        let params = profile.params(from, until).map_err(make(WHAT))?;
        let certificate = params.signed_by(&key, authority.issuer()).map_err(make(WHAT))?;
        // A server also shows its authority, so that a joining node can compare it with the hash that it was told.
        let authority_pem = if profile.server { authority.bundle_pem() } else { "" };
        let certificate_pem = format!("{}{authority_pem}", certificate.pem());
        Ok(Credential { certificate_pem, key_pem: key.serialize_pem(), not_before: from, not_after: until })
    }

    /// `None` for what cannot be read: it is made anew, nothing is lost with a leaf.
    pub(crate) fn parse(text: &str) -> Option<Credential> {
        let key_pem = files::pem_blocks(text, "PRIVATE KEY").into_iter().next()?;
        let certificate_pem = files::pem_blocks(text, "CERTIFICATE").concat();
        let der = CertificateDer::from_pem_slice(certificate_pem.as_bytes()).ok()?;
        let (_, parsed) = x509_parser::parse_x509_certificate(&der).ok()?;
        let key = KeyPair::from_pem(&key_pem).ok()?;
        if parsed.public_key().subject_public_key.data.as_ref() != key.public_key_raw() {
            return None;
        }
        let (not_before, not_after) =
            (parsed.validity().not_before.timestamp(), parsed.validity().not_after.timestamp());
        Some(Credential { certificate_pem, key_pem, not_before, not_after })
    }

    fn fits(&self, authority: &Authority, profile: &Profile, now: i64) -> bool {
        let Ok(der) = CertificateDer::from_pem_slice(self.certificate_pem.as_bytes()) else { return false };
        let Ok((_, parsed)) = x509_parser::parse_x509_certificate(&der) else { return false };
        now < self.due()
            && self.not_before <= now
            && authority.signed(&parsed)
            && subject(&parsed) == (Some(profile.common_name.clone()), profile.organization.clone())
            && names(&parsed)
                == Some((profile.dns.iter().cloned().collect(), profile.addresses.iter().copied().collect()))
    }

    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    pub fn key_pem(&self) -> &str {
        &self.key_pem
    }

    /// In seconds since the epoch.
    pub fn not_after(&self) -> i64 {
        self.not_after
    }

    /// When it is to be made anew, in seconds since the epoch. Of its own life, which is short when the authority's end
    /// is near.
    pub fn due(&self) -> i64 {
        self.not_after - (self.not_after - self.not_before) / LAST_PART
    }

    /// The chain and key as TLS takes them.
    pub fn tls(&self) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), PkiError> {
        let bad = |error: rustls::pki_types::pem::Error| PkiError::Tls(error.to_string());
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(self.certificate_pem.as_bytes()).collect();
        Ok((chain.map_err(bad)?, PrivateKeyDer::from_pem_slice(self.key_pem.as_bytes()).map_err(bad)?))
    }
}

fn subject(certificate: &X509Certificate<'_>) -> (Option<String>, Option<String>) {
    let subject = certificate.subject();
    let text = |attribute: Option<&x509_parser::x509::AttributeTypeAndValue<'_>>| {
        attribute.and_then(|attribute| attribute.as_str().ok()).map(str::to_owned)
    };
    (text(subject.iter_common_name().next()), text(subject.iter_organization().next()))
}

fn names(certificate: &X509Certificate<'_>) -> Option<(BTreeSet<String>, BTreeSet<IpAddr>)> {
    let (mut dns, mut addresses) = (BTreeSet::new(), BTreeSet::new());
    if let Some(extension) = certificate.subject_alternative_name().ok()? {
        for name in &extension.value.general_names {
            match name {
                GeneralName::DNSName(name) => drop(dns.insert((*name).to_owned())),
                GeneralName::IPAddress(bytes) => drop(addresses.insert(address(bytes)?)),
                _ => return None,
            }
        }
    }
    Some((dns, addresses))
}

/// An IP address of a certificate: 4 or 16 bytes.
pub(crate) fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        _ => None,
    }
}
