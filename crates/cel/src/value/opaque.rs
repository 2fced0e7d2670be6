//! Values that only functions look into.

use crate::library::authorizer::{Check, CheckDecision, Checker};
use crate::library::formats::Format;
use crate::library::net::Cidr;
use crate::library::urls::Url;
use std::net::IpAddr;
use std::sync::Arc;

#[derive(Clone, Debug)]
pub enum Opaque {
    Url(Arc<Url>),
    Ip(IpAddr),
    Cidr(Cidr),
    Quantity(api::quantity::Quantity),
    Semver(Arc<semver::Version>),
    Format(&'static Format),
    Authorizer(Arc<Checker>),
    PathCheck(Arc<Check>),
    GroupCheck(Arc<Check>),
    ResourceCheck(Arc<Check>),
    Decision(Arc<CheckDecision>),
}

pub(crate) const URL: &str = "kubernetes.URL";
pub(crate) const IP: &str = "net.IP";
pub(crate) const CIDR: &str = "net.CIDR";
pub(crate) const QUANTITY: &str = "kubernetes.Quantity";
pub(crate) const SEMVER: &str = "kubernetes.Semver";
pub(crate) const FORMAT: &str = "kubernetes.NamedFormat";
pub(crate) const AUTHORIZER: &str = "kubernetes.authorization.Authorizer";
pub(crate) const PATH_CHECK: &str = "kubernetes.authorization.PathCheck";
pub(crate) const GROUP_CHECK: &str = "kubernetes.authorization.GroupCheck";
pub(crate) const RESOURCE_CHECK: &str = "kubernetes.authorization.ResourceCheck";
pub(crate) const DECISION: &str = "kubernetes.authorization.Decision";

impl Opaque {
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Opaque::Url(_) => URL,
            Opaque::Ip(_) => IP,
            Opaque::Cidr(_) => CIDR,
            Opaque::Quantity(_) => QUANTITY,
            Opaque::Semver(_) => SEMVER,
            Opaque::Format(_) => FORMAT,
            Opaque::Authorizer(_) => AUTHORIZER,
            Opaque::PathCheck(_) => PATH_CHECK,
            Opaque::GroupCheck(_) => GROUP_CHECK,
            Opaque::ResourceCheck(_) => RESOURCE_CHECK,
            Opaque::Decision(_) => DECISION,
        }
    }

    /// The bytes that an address or a prefix has.
    pub(crate) fn size(&self) -> Option<u64> {
        match self {
            Opaque::Ip(IpAddr::V4(_)) => Some(4),
            Opaque::Ip(IpAddr::V6(_)) => Some(16),
            Opaque::Cidr(cidr) => Some(u64::from(cidr.length).div_ceil(8)),
            _ => None,
        }
    }

    pub(crate) fn equals(&self, other: &Opaque) -> bool {
        match (self, other) {
            (Opaque::Url(a), Opaque::Url(b)) => a == b,
            (Opaque::Ip(a), Opaque::Ip(b)) => a == b,
            (Opaque::Cidr(a), Opaque::Cidr(b)) => a == b,
            (Opaque::Quantity(a), Opaque::Quantity(b)) => a == b,
            (Opaque::Semver(a), Opaque::Semver(b)) => a.cmp_precedence(b).is_eq(),
            (Opaque::Format(a), Opaque::Format(b)) => a.name == b.name,
            (Opaque::Authorizer(a), Opaque::Authorizer(b)) => Arc::ptr_eq(a, b),
            (Opaque::PathCheck(a), Opaque::PathCheck(b))
            | (Opaque::GroupCheck(a), Opaque::GroupCheck(b))
            | (Opaque::ResourceCheck(a), Opaque::ResourceCheck(b)) => Arc::ptr_eq(a, b),
            (Opaque::Decision(a), Opaque::Decision(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }
}
