//! Client certificates: the common name is the user, the organizations are the groups.

use api::user::User;
use rustls::pki_types::CertificateDer;
use std::collections::BTreeMap;
use x509_parser::certificate::X509Certificate;

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CertificateError {
    #[error("the client certificate cannot be parsed")]
    Malformed,
    #[error("the client certificate is not for clients")]
    Usage,
    #[error("the client certificate names nobody")]
    Nameless,
    #[error("the client certificate has more than one common name")]
    Several,
    #[error("the client certificate has expired or is not yet valid")]
    Dates,
}

/// What a certificate says for as long as it holds.
#[derive(Debug)]
pub(crate) struct Identity {
    user: User,
    not_before: i64,
    not_after: i64,
}

impl Identity {
    /// TLS verified the chain; what it does not look at is checked here.
    pub(crate) fn parse(der: &CertificateDer<'_>) -> Result<Identity, CertificateError> {
        let (_, certificate) = x509_parser::parse_x509_certificate(der).map_err(|_| CertificateError::Malformed)?;
        if !for_clients(&certificate)? {
            return Err(CertificateError::Usage);
        }
        let text = |attribute: &x509_parser::x509::AttributeTypeAndValue<'_>| {
            attribute.as_str().map(str::to_owned).map_err(|_| CertificateError::Malformed)
        };
        let subject = certificate.subject();
        let mut names = subject.iter_common_name();
        let name = text(names.next().ok_or(CertificateError::Nameless)?)?;
        if names.next().is_some() {
            return Err(CertificateError::Several);
        }
        if name.is_empty() {
            return Err(CertificateError::Nameless);
        }
        let mut groups: Vec<String> = subject.iter_organization().map(text).collect::<Result<_, _>>()?;
        super::add_authenticated(&mut groups);
        let digest = ring::digest::digest(&ring::digest::SHA256, der);
        let fingerprint: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        let extra = BTreeMap::from([(super::CREDENTIAL_ID.to_owned(), vec![format!("X509SHA256={fingerprint}")])]);
        let validity = certificate.validity();
        Ok(Identity {
            user: User { name, uid: String::new(), groups, extra },
            not_before: validity.not_before.timestamp(),
            not_after: validity.not_after.timestamp(),
        })
    }

    /// Asked on every request: a connection may outlive its certificate.
    pub(crate) fn user(&self, now: i64) -> Result<&User, CertificateError> {
        if now < self.not_before || now > self.not_after { Err(CertificateError::Dates) } else { Ok(&self.user) }
    }
}

/// A certificate without extended usages is for everything.
fn for_clients(certificate: &X509Certificate<'_>) -> Result<bool, CertificateError> {
    let usages = certificate.extended_key_usage().map_err(|_| CertificateError::Malformed)?;
    Ok(usages.is_none_or(|usages| usages.value.client_auth || usages.value.any))
}
