//! Certificate signing requests: what each signer demands, and the signing.
//!
//! Invariants: nothing of a request is signed that was not checked here; the certificate's usages are the signer's,
//! its extensions are ours, never copied; it ends before its authority does.

use super::Pki;
use super::authority::Authority;
use super::credential::address;
use super::profile::{LEAF_SECONDS, Profile, SKEW_SECONDS};
use super::subject::with_subject;
use rcgen::SubjectPublicKeyInfo;
use rustls::pki_types::CertificateSigningRequestDer;
use rustls::pki_types::pem::PemObject;
use std::net::IpAddr;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::FromDer;

pub const KUBE_APISERVER_CLIENT: &str = "kubernetes.io/kube-apiserver-client";
pub const KUBE_APISERVER_CLIENT_KUBELET: &str = "kubernetes.io/kube-apiserver-client-kubelet";
pub const KUBELET_SERVING: &str = "kubernetes.io/kubelet-serving";

const NODES: &str = "system:nodes";
const NODE_PREFIX: &str = "system:node:";
/// The shortest life that may be asked for.
const SECONDS_MIN: i64 = 600;

/// Why a request is not signed; upstream's words, for the request's `Failed` condition.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum CsrError {
    #[error("PEM block type must be CERTIFICATE REQUEST")]
    NotPem,
    #[error("the request cannot be parsed: {0}")]
    Malformed(String),
    #[error("the request is not signed with its own key")]
    Signature,
    #[error("subject organization is not system:nodes")]
    NotNodes,
    #[error("subject common name does not begin with system:node:")]
    NotNode,
    #[error("DNS or IP subjectAltName is required")]
    NamesRequired,
    #[error("{0} subjectAltNames are not allowed")]
    NamesForbidden(&'static str),
    #[error("usages did not match {0:?}")]
    Usages(&'static [&'static str]),
    #[error("the subject has more than one common name")]
    Names,
    #[error("signing: {0}")]
    Sign(String),
}

/// A signer of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signer {
    Client,
    KubeletClient,
    KubeletServing,
}

const CLIENT_USAGES: &[&str] = &["client auth", "digital signature", "key encipherment"];
const SERVING_USAGES: &[&str] = &["digital signature", "key encipherment", "server auth"];

impl Signer {
    /// By `spec.signerName`; `None` for signers that are somebody else's.
    pub fn parse(name: &str) -> Option<Signer> {
        match name {
            KUBE_APISERVER_CLIENT => Some(Signer::Client),
            KUBE_APISERVER_CLIENT_KUBELET => Some(Signer::KubeletClient),
            KUBELET_SERVING => Some(Signer::KubeletServing),
            _ => None,
        }
    }

    /// Whether the signer would sign it.
    pub fn check(self, view: &CsrView, usages: &[String]) -> Result<(), CsrError> {
        match self {
            Signer::Client => exactly(usages, CLIENT_USAGES, &["client auth"]),
            Signer::KubeletClient => {
                view.of_node()?;
                view.without(&[
                    (!view.dns.is_empty(), "DNS"),
                    (view.email, "Email"),
                    (!view.addresses.is_empty(), "IP"),
                    (view.uri, "URI"),
                ])?;
                exactly(usages, CLIENT_USAGES, &["client auth", "digital signature"])
            }
            Signer::KubeletServing => {
                view.of_node()?;
                if view.dns.is_empty() && view.addresses.is_empty() {
                    return Err(CsrError::NamesRequired);
                }
                view.without(&[(view.email, "Email"), (view.uri, "URI")])?;
                exactly(usages, SERVING_USAGES, &["digital signature", "server auth"])
            }
        }
    }
}

/// All usages are `allowed` ones, and all `required` ones are among them (`key encipherment` is for RSA keys only).
fn exactly(usages: &[String], allowed: &'static [&'static str], required: &[&str]) -> Result<(), CsrError> {
    let known = usages.iter().all(|usage| allowed.contains(&usage.as_str()));
    let complete = required.iter().all(|usage| usages.iter().any(|own| own == usage));
    if known && complete { Ok(()) } else { Err(CsrError::Usages(allowed)) }
}

/// What a request asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CsrView {
    pub common_name: String,
    pub organizations: Vec<String>,
    pub dns: Vec<String>,
    pub addresses: Vec<IpAddr>,
    /// Whether there are e-mail addresses, URIs among the names.
    pub email: bool,
    pub uri: bool,
    /// In DER.
    subject: Vec<u8>,
    public_key: Vec<u8>,
}

fn malformed(error: impl std::fmt::Display) -> CsrError {
    CsrError::Malformed(error.to_string())
}

impl CsrView {
    /// Parses a request and checks that it is signed with the key that it is for.
    pub fn parse(pem: &[u8]) -> Result<CsrView, CsrError> {
        let der = CertificateSigningRequestDer::from_pem_slice(pem).map_err(|_| CsrError::NotPem)?;
        let (rest, request) = X509CertificationRequest::from_der(&der).map_err(malformed)?;
        if !rest.is_empty() {
            return Err(malformed("bytes after its end"));
        }
        request.verify_signature().map_err(|_| CsrError::Signature)?;
        let info = &request.certification_request_info;
        let texts = |attributes: &mut dyn Iterator<Item = &x509_parser::x509::AttributeTypeAndValue<'_>>| {
            attributes.map(|one| one.as_str().map(str::to_owned).map_err(malformed)).collect::<Result<Vec<_>, _>>()
        };
        let mut names = texts(&mut info.subject.iter_common_name())?;
        if names.len() > 1 {
            // What is checked must be what others will read: some take the first, some the last.
            return Err(CsrError::Names);
        }
        let mut view = CsrView {
            common_name: names.pop().unwrap_or_default(),
            subject: info.subject.as_raw().to_vec(),
            organizations: texts(&mut info.subject.iter_organization())?,
            public_key: info.subject_pki.raw.to_vec(),
            ..CsrView::default()
        };
        for extension in request.requested_extensions().into_iter().flatten() {
            if let ParsedExtension::SubjectAlternativeName(names) = extension {
                for name in &names.general_names {
                    view.take_name(name)?;
                }
            }
        }
        Ok(view)
    }

    fn take_name(&mut self, name: &GeneralName<'_>) -> Result<(), CsrError> {
        match name {
            GeneralName::DNSName(name) => self.dns.push((*name).to_owned()),
            GeneralName::IPAddress(bytes) => {
                self.addresses.push(address(bytes).ok_or_else(|| malformed("an IP address of a strange length"))?);
            }
            GeneralName::RFC822Name(_) => self.email = true,
            GeneralName::URI(_) => self.uri = true,
            other => return Err(malformed(format!("a name of an unknown kind: {other}"))),
        }
        Ok(())
    }

    fn of_node(&self) -> Result<(), CsrError> {
        if self.organizations != [NODES] {
            return Err(CsrError::NotNodes);
        }
        if !self.common_name.starts_with(NODE_PREFIX) || self.common_name.len() == NODE_PREFIX.len() {
            return Err(CsrError::NotNode);
        }
        Ok(())
    }

    fn without(&self, forbidden: &[(bool, &'static str)]) -> Result<(), CsrError> {
        match forbidden.iter().find(|(present, _)| *present) {
            Some((_, name)) => Err(CsrError::NamesForbidden(name)),
            None => Ok(()),
        }
    }

    /// Without a subject: the request's own is put in as it is.
    fn profile(&self, signer: Signer) -> Profile {
        // Names are of use to servers only; a client's were refused or mean nothing.
        let server = signer == Signer::KubeletServing;
        Profile {
            dns: if server { self.dns.clone() } else { Vec::new() },
            addresses: if server { self.addresses.clone() } else { Vec::new() },
            server,
            client: !server,
            ..Profile::client("", &[])
        }
    }
}

impl Pki {
    /// Signs a request after the signer's checks; the certificate in PEM. `now` in seconds since the epoch.
    pub fn sign_csr(
        &self,
        pem: &[u8],
        signer: Signer,
        usages: &[String],
        expiration_seconds: Option<i32>,
        now: i64,
    ) -> Result<String, CsrError> {
        let view = CsrView::parse(pem)?;
        signer.check(&view, usages)?;
        let authority = match signer {
            Signer::Client | Signer::KubeletClient => &self.client_ca,
            Signer::KubeletServing => &self.server_ca,
        };
        sign(authority, &view, signer, expiration_seconds, now)
    }
}

fn sign(
    authority: &Authority,
    view: &CsrView,
    signer: Signer,
    expiration_seconds: Option<i32>,
    now: i64,
) -> Result<String, CsrError> {
    let failed = |error: rcgen::Error| CsrError::Sign(error.to_string());
    let life = expiration_seconds.map_or(LEAF_SECONDS, |seconds| i64::from(seconds).clamp(SECONDS_MIN, LEAF_SECONDS));
    let until = (now + life).min(authority.not_after());
    let key = SubjectPublicKeyInfo::from_der(&view.public_key).map_err(failed)?;
    let params = view.profile(signer).params(now - SKEW_SECONDS, until).map_err(failed)?;
    let certificate = params.signed_by(&key, authority.issuer()).map_err(failed)?;
    with_subject(authority, certificate.der(), &view.subject)
}
