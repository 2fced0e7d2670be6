//! Addresses and ranges of addresses.

use super::{NO_OVERLOAD, Result, bool, text};
use crate::error::EvalError;
use crate::functions::Row;
use crate::value::{Opaque, Value};
use ipnet::IpNet;
use std::net::IpAddr;

pub(crate) const ROWS: &[Row] = &[
    ("ip", "string_to_ip", "(string) IP", to_ip),
    ("ip", "cidr_ip", "CIDR.() IP", cidr_ip),
    ("isIP", "is_ip", "(string) bool", is_ip),
    ("ip.isCanonical", "ip_is_canonical", "(string) bool", is_canonical),
    ("family", "ip_family", "IP.() int", family),
    ("isUnspecified", "ip_is_unspecified", "IP.() bool", is_unspecified),
    ("isLoopback", "ip_is_loopback", "IP.() bool", is_loopback),
    ("isLinkLocalMulticast", "ip_is_link_local_multicast", "IP.() bool", is_link_local_multicast),
    ("isLinkLocalUnicast", "ip_is_link_local_unicast", "IP.() bool", is_link_local_unicast),
    ("isGlobalUnicast", "ip_is_global_unicast", "IP.() bool", is_global_unicast),
    ("string", "ip_to_string", "(IP) string", to_text),
    ("cidr", "string_to_cidr", "(string) CIDR", to_cidr),
    ("isCIDR", "is_cidr", "(string) bool", is_cidr),
    ("containsIP", "cidr_contains_ip_string", "CIDR.(string) bool", contains_ip),
    ("containsIP", "cidr_contains_ip_ip", "CIDR.(IP) bool", contains_ip),
    ("containsCIDR", "cidr_contains_cidr_string", "CIDR.(string) bool", contains_cidr),
    ("containsCIDR", "cidr_contains_cidr", "CIDR.(CIDR) bool", contains_cidr),
    ("prefixLength", "cidr_prefix_length", "CIDR.() int", prefix_length),
    ("masked", "cidr_masked", "CIDR.() CIDR", masked),
    ("string", "cidr_to_string", "(CIDR) string", to_text),
];

/// An address and how many of its bits name the network. Bits beyond them are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    pub address: IpAddr,
    pub length: u8,
}

impl Cidr {
    fn net(self) -> Option<IpNet> {
        IpNet::new(self.address, self.length).ok()
    }

    fn contains(self, address: IpAddr) -> bool {
        self.net().is_some_and(|net| net.contains(&address))
    }

    fn masked(self) -> Cidr {
        Cidr { address: self.net().map_or(self.address, |net| net.network()), ..self }
    }
}

impl std::fmt::Display for Cidr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

fn parse_ip(source: &str) -> std::result::Result<IpAddr, EvalError> {
    if source.contains('%') && source.contains(':') {
        return Err(EvalError::failed(format!("IP address {source:?} with zone value is not allowed")));
    }
    let address: IpAddr = source.parse().map_err(|_| {
        let why = format!("ParseAddr({source:?}): unable to parse IP");
        EvalError::failed(format!("IP Address {source:?} parse error during conversion from string: {why}"))
    })?;
    refuse_mapped(source, address)?;
    Ok(address)
}

fn refuse_mapped(source: &str, address: IpAddr) -> std::result::Result<(), EvalError> {
    match address {
        IpAddr::V6(address) if address.to_ipv4_mapped().is_some() => {
            Err(EvalError::failed(format!("IPv4-mapped IPv6 address {source:?} is not allowed")))
        }
        _ => Ok(()),
    }
}

fn parse_cidr(source: &str) -> std::result::Result<Cidr, EvalError> {
    let wrong = |why: &str| {
        EvalError::failed(format!(
            "network address parse error during conversion from string: network address parse error during conversion \
             from string: netip.ParsePrefix({source:?}): {why}"
        ))
    };
    let (address, length) = source.rsplit_once('/').ok_or_else(|| wrong("no '/'"))?;
    let address: IpAddr = address.parse().map_err(|_| wrong("unable to parse IP"))?;
    let plain = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
    if !plain || (length.len() > 1 && length.starts_with('0')) {
        return Err(wrong(&format!("bad bits after slash: {length:?}")));
    }
    let most = if address.is_ipv4() { 32 } else { 128 };
    let length = length.parse().ok().filter(|length: &u8| *length <= most);
    let length = length.ok_or_else(|| wrong("prefix length out of range"))?;
    refuse_mapped(source, address).map_err(|error| {
        EvalError::failed(format!("network address parse error during conversion from string: {error}"))
    })?;
    Ok(Cidr { address, length })
}

fn ip<'v>(address: IpAddr) -> Value<'v> {
    Value::Opaque(Opaque::Ip(address))
}

fn to_ip<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    match arguments {
        [Value::String(source)] => parse_ip(source).map(ip),
        _ => Err(NO_OVERLOAD),
    }
}

fn is_ip<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    match arguments {
        [Value::String(source)] => bool(parse_ip(source).is_ok()),
        _ => Err(NO_OVERLOAD),
    }
}

fn is_canonical<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    match arguments {
        [Value::String(source)] => bool(parse_ip(source)?.to_string() == **source),
        _ => Err(NO_OVERLOAD),
    }
}

fn to_text<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    match arguments {
        [Value::Opaque(Opaque::Ip(address))] => text(address.to_string()),
        [Value::Opaque(Opaque::Cidr(cidr))] => text(cidr.to_string()),
        _ => Err(NO_OVERLOAD),
    }
}

fn address(arguments: &[Value<'_>]) -> std::result::Result<IpAddr, EvalError> {
    match arguments {
        [Value::Opaque(Opaque::Ip(address))] => Ok(*address),
        _ => Err(NO_OVERLOAD),
    }
}

fn family<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    Ok(Value::Int(if address(arguments)?.is_ipv4() { 4 } else { 6 }))
}

fn is_unspecified<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    bool(address(arguments)?.is_unspecified())
}

fn is_loopback<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    bool(address(arguments)?.is_loopback())
}

fn link_local_multicast(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.octets()[..3] == [224, 0, 0],
        IpAddr::V6(address) => address.segments()[0] & 0xff0f == 0xff02,
    }
}

fn link_local_unicast(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

fn is_link_local_multicast<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    bool(link_local_multicast(address(arguments)?))
}

fn is_link_local_unicast<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    bool(link_local_unicast(address(arguments)?))
}

fn is_global_unicast<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    let address = address(arguments)?;
    let broadcast = matches!(address, IpAddr::V4(address) if address.is_broadcast());
    let special = address.is_unspecified() || address.is_loopback() || address.is_multicast();
    bool(!broadcast && !special && !link_local_unicast(address))
}

fn cidr<'v>(cidr: Cidr) -> Value<'v> {
    Value::Opaque(Opaque::Cidr(cidr))
}

fn to_cidr<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    match arguments {
        [Value::String(source)] => parse_cidr(source).map(cidr),
        _ => Err(NO_OVERLOAD),
    }
}

fn is_cidr<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    match arguments {
        [Value::String(source)] => bool(parse_cidr(source).is_ok()),
        _ => Err(NO_OVERLOAD),
    }
}

fn contains_ip<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    match arguments {
        [Value::Opaque(Opaque::Cidr(cidr)), Value::Opaque(Opaque::Ip(address))] => bool(cidr.contains(*address)),
        [Value::Opaque(Opaque::Cidr(cidr)), Value::String(source)] => bool(cidr.contains(parse_ip(source)?)),
        _ => Err(NO_OVERLOAD),
    }
}

fn contains_cidr<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    let (outer, inner) = match arguments {
        [Value::Opaque(Opaque::Cidr(outer)), Value::Opaque(Opaque::Cidr(inner))] => (outer, *inner),
        [Value::Opaque(Opaque::Cidr(outer)), Value::String(source)] => (outer, parse_cidr(source)?),
        _ => return Err(NO_OVERLOAD),
    };
    bool(outer.length <= inner.length && outer.contains(inner.address))
}

fn only(arguments: &[Value<'_>]) -> std::result::Result<Cidr, EvalError> {
    match arguments {
        [Value::Opaque(Opaque::Cidr(cidr))] => Ok(*cidr),
        _ => Err(NO_OVERLOAD),
    }
}

fn cidr_ip<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    Ok(ip(only(arguments)?.address))
}

fn prefix_length<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    Ok(Value::Int(i64::from(only(arguments)?.length)))
}

fn masked<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    Ok(cidr(only(arguments)?.masked()))
}
