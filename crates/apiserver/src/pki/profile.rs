//! What a certificate says: subject, names, usages and how long it holds.

use super::{PkiError, ServerNames};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose, SanType, SerialNumber,
};
use ring::rand::{SecureRandom, SystemRandom};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

pub(crate) const DAY: i64 = 24 * 60 * 60;
pub(crate) const LEAF_SECONDS: i64 = 365 * DAY;
pub(crate) const AUTHORITY_SECONDS: i64 = 3650 * DAY;
/// How long before now certificates begin, for clients whose clocks are late.
pub(crate) const SKEW_SECONDS: i64 = 5 * 60;

/// A leaf certificate to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Profile {
    pub(crate) common_name: String,
    /// One at most: those that we make need no more, and the library writes each attribute once.
    pub(crate) organization: Option<String>,
    pub(crate) dns: Vec<String>,
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) server: bool,
    pub(crate) client: bool,
}

impl Profile {
    pub(crate) fn client(user: &str, groups: &[&str]) -> Profile {
        Profile {
            common_name: user.to_owned(),
            organization: groups.first().map(|group| (*group).to_owned()),
            dns: Vec::new(),
            addresses: Vec::new(),
            server: false,
            client: true,
        }
    }

    pub(crate) fn apiserver(names: &ServerNames) -> Profile {
        let service = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "localhost"];
        let mut dns: Vec<String> = service.map(str::to_owned).to_vec();
        dns.push(format!("kubernetes.default.svc.{}", names.cluster_domain));
        dns.push(names.node_name.clone());
        dns.extend(names.dns.iter().cloned());
        let mut addresses = names.addresses.clone();
        addresses.extend([IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)]);
        addresses.retain(|address| !address.is_unspecified());
        Profile { server: true, client: false, ..Profile::client("kube-apiserver", &[]) }.with_names(dns, addresses)
    }

    pub(crate) fn kubelet(node: &str, addresses: &[IpAddr]) -> Profile {
        let client = Profile::client(&format!("system:node:{node}"), &["system:nodes"]);
        let mut addresses = addresses.to_vec();
        addresses.push(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let dns = vec![node.to_owned(), "localhost".to_owned()];
        Profile { server: true, client: false, ..client }.with_names(dns, addresses)
    }

    fn with_names(mut self, mut dns: Vec<String>, mut addresses: Vec<IpAddr>) -> Profile {
        dns.retain(|name| !name.is_empty());
        dns.sort();
        dns.dedup();
        addresses.sort();
        addresses.dedup();
        self.dns = dns;
        self.addresses = addresses;
        self
    }

    pub(crate) fn params(&self, from: i64, until: i64) -> Result<CertificateParams, rcgen::Error> {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        if let Some(organization) = &self.organization {
            params.distinguished_name.push(DnType::OrganizationName, organization.as_str());
        }
        params.distinguished_name.push(DnType::CommonName, self.common_name.as_str());
        for name in &self.dns {
            params.subject_alt_names.push(SanType::DnsName(name.as_str().try_into()?));
        }
        params.subject_alt_names.extend(self.addresses.iter().copied().map(SanType::IpAddress));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        for (wanted, usage) in
            [(self.server, ExtendedKeyUsagePurpose::ServerAuth), (self.client, ExtendedKeyUsagePurpose::ClientAuth)]
        {
            if wanted {
                params.extended_key_usages.push(usage);
            }
        }
        leaf(&mut params, from, until)?;
        Ok(params)
    }
}

/// What every leaf has.
pub(crate) fn leaf(params: &mut CertificateParams, from: i64, until: i64) -> Result<(), rcgen::Error> {
    params.is_ca = IsCa::ExplicitNoCa;
    params.use_authority_key_identifier_extension = true;
    dated(params, from, until)
}

/// An authority's own certificate; its name is unique, so that a successor is told apart.
pub(crate) fn authority(name: &str, now: i64) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, format!("{name}@{now}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    dated(&mut params, now - SKEW_SECONDS, now + AUTHORITY_SECONDS)?;
    Ok(params)
}

fn dated(params: &mut CertificateParams, from: i64, until: i64) -> Result<(), rcgen::Error> {
    let at = |seconds: i64| {
        rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(u64::try_from(seconds).unwrap_or_default())
    };
    params.not_before = at(from);
    params.not_after = at(until);
    let mut serial = [0u8; 16];
    SystemRandom::new().fill(&mut serial).map_err(|_| rcgen::Error::RingUnspecified)?;
    // A positive number that needs no padding byte.
    serial[0] = serial[0] & 0x7f | 0x40;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    Ok(())
}

pub(crate) fn make(what: &'static str) -> impl FnOnce(rcgen::Error) -> PkiError {
    move |source| PkiError::Make { what, source }
}
