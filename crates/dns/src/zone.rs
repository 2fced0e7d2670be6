//! What a name below the cluster's domain means, after Kubernetes' DNS specification 1.1.0.

use api::k8s_openapi::api::core::v1::Service;
use api::k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};
use client::{Cache, Grouped, ObjectKey};
use hickory_proto::rr::rdata::{A, CNAME, PTR, SOA, SRV, TXT};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use parking_lot::RwLock;
use std::net::Ipv4Addr;
use std::sync::Arc;

/// As short as CoreDNS' default: what it says may change with the next pod.
const TTL_SECONDS: u32 = 5;

/// The outcome of a question about a name that is ours.
#[derive(Debug, PartialEq)]
pub(crate) enum Answer {
    /// The name exists; the list is empty if it has no record of the type asked for.
    Records(Vec<Record>),
    NoSuchName,
    /// Not below our domain.
    Elsewhere,
}

/// The cluster's names.
pub(crate) struct Zone {
    domain: Name,
    services: Cache<Service>,
    pub(crate) slices: RwLock<Grouped<EndpointSlice>>,
    pub(crate) by_ip: RwLock<Grouped<Service>>,
}

impl Zone {
    pub(crate) fn new(domain: Name, services: Cache<Service>) -> Zone {
        let service_of = |slice: &EndpointSlice| -> Option<ObjectKey> {
            let service = slice.metadata.labels.as_ref()?.get("kubernetes.io/service-name")?;
            Some(format!("{}/{service}", slice.metadata.namespace.as_deref().unwrap_or_default()).into())
        };
        let by_ip = |service: &Service| service.spec.as_ref()?.cluster_ip.as_deref().map(ObjectKey::from);
        Zone {
            domain,
            services,
            slices: RwLock::new(Grouped::new(service_of)),
            by_ip: RwLock::new(Grouped::new(by_ip)),
        }
    }

    pub(crate) fn answer(&self, name: &Name, kind: RecordType) -> Answer {
        if let Some(address) = reverse_address(name) {
            return self.reverse(name, address, kind);
        }
        if !self.domain.zone_of(name) {
            return Answer::Elsewhere;
        }
        let below = usize::from(name.num_labels() - self.domain.num_labels());
        let labels: Vec<String> =
            name.iter().take(below).map(|label| String::from_utf8_lossy(label).to_ascii_lowercase()).collect();
        let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
        match labels.as_slice() {
            [] if kind == RecordType::SOA => Answer::Records(vec![self.authority()]),
            [] => Answer::Records(Vec::new()),
            ["dns-version"] if kind == RecordType::TXT => {
                Answer::Records(vec![record(name, RData::TXT(TXT::new(vec!["1.1.0".to_owned()])))])
            }
            ["dns-version"] => Answer::Records(Vec::new()),
            [rest @ .., "svc"] => self.service(name, rest, kind),
            [rest @ .., "pod"] => pod(name, rest, kind),
            _ => Answer::NoSuchName,
        }
    }

    /// The SOA record that goes with a negative answer.
    pub(crate) fn authority(&self) -> Record {
        let server = Name::from_ascii("ns.dns")
            .and_then(|name| name.append_domain(&self.domain))
            .unwrap_or_else(|_| self.domain.clone());
        let soa = SOA::new(server.clone(), server, 1, 7200, 1800, 86400, TTL_SECONDS);
        record(&self.domain, RData::SOA(soa))
    }

    fn service(&self, name: &Name, labels: &[&str], kind: RecordType) -> Answer {
        let (rest, service_name, namespace) = match labels {
            [rest @ .., service, namespace] => (rest, *service, *namespace),
            // A namespace that has a service is a name without records; others do not exist.
            [namespace] if !self.services.list_namespace(namespace).is_empty() => return Answer::Records(Vec::new()),
            [] => return Answer::Records(Vec::new()),
            _ => return Answer::NoSuchName,
        };
        let Some(service) = self.services.get(namespace, service_name) else { return Answer::NoSuchName };
        let spec = service.spec.as_ref();
        if spec.and_then(|spec| spec.type_.as_deref()) == Some("ExternalName") {
            return external(name, rest, spec.and_then(|spec| spec.external_name.as_deref()));
        }
        let cluster_ip: Option<Ipv4Addr> =
            spec.and_then(|spec| spec.cluster_ip.as_deref()).and_then(|ip| ip.parse().ok());
        let slices: Vec<Arc<EndpointSlice>> =
            self.slices.read().get(&format!("{namespace}/{service_name}")).cloned().collect();
        match (rest, cluster_ip) {
            ([], Some(ip)) => addresses(name, kind, [ip].into_iter()),
            ([], None) => {
                let mut all: Vec<Ipv4Addr> = ready(&slices).filter_map(address).collect();
                all.sort_unstable();
                all.dedup();
                // Clients take the first: each answer begins elsewhere.
                if !all.is_empty() {
                    let start = rand::random_range(0..all.len());
                    all.rotate_left(start);
                    return addresses(name, kind, all.into_iter());
                }
                Answer::NoSuchName
            }
            ([port, protocol], _) if port.starts_with('_') && protocol.starts_with('_') => {
                self.ports(name, (&port[1..], &protocol[1..]), &service, cluster_ip, &slices, kind)
            }
            ([host], None) => {
                let found: Vec<Ipv4Addr> = ready(&slices)
                    .filter(|endpoint| host_label(endpoint).as_deref() == Some(*host))
                    .filter_map(address)
                    .collect();
                if found.is_empty() { Answer::NoSuchName } else { addresses(name, kind, found.into_iter()) }
            }
            _ => Answer::NoSuchName,
        }
    }

    /// `_http._tcp.web.default.svc…`: the service itself, or for a headless one each endpoint.
    fn ports(
        &self,
        name: &Name,
        (port, protocol): (&str, &str),
        service: &Service,
        cluster_ip: Option<Ipv4Addr>,
        slices: &[Arc<EndpointSlice>],
        kind: RecordType,
    ) -> Answer {
        let same = |wanted: Option<&str>| wanted.unwrap_or("TCP").eq_ignore_ascii_case(protocol);
        let base = name.trim_to(usize::from(name.num_labels()).saturating_sub(2));
        let mut found: Vec<(Name, u16)> = Vec::new();
        if cluster_ip.is_some() {
            let ports = service.spec.iter().flat_map(|spec| spec.ports.iter().flatten());
            let ports = ports.filter(|own| own.name.as_deref() == Some(port) && same(own.protocol.as_deref()));
            found.extend(ports.filter_map(|own| Some((base.clone(), u16::try_from(own.port).ok()?))));
        } else {
            for slice in slices {
                let ports = slice.ports.iter().flatten();
                let ports = ports.filter(|own| own.name.as_deref() == Some(port) && same(own.protocol.as_deref()));
                for number in ports.filter_map(|own| own.port.and_then(|port| u16::try_from(port).ok())) {
                    let hosts = ready(std::slice::from_ref(slice)).filter_map(host_label);
                    found.extend(hosts.filter_map(|host| Some((base.prepend_label(host.as_bytes()).ok()?, number))));
                }
            }
        }
        match (found.is_empty(), kind) {
            (true, _) => Answer::NoSuchName,
            (false, RecordType::SRV) => {
                let weight = u16::try_from(100 / found.len().max(1)).unwrap_or(1).max(1);
                let records =
                    found.into_iter().map(|(target, port)| record(name, RData::SRV(SRV::new(0, weight, port, target))));
                Answer::Records(records.collect())
            }
            (false, _) => Answer::Records(Vec::new()),
        }
    }

    /// Addresses of services; others' addresses are somebody else's to name.
    fn reverse(&self, name: &Name, address: Ipv4Addr, kind: RecordType) -> Answer {
        let by_ip = self.by_ip.read();
        let Some(service) = by_ip.get(&address.to_string()).next() else { return Answer::Elsewhere };
        let (Some(own), Some(namespace)) = (&service.metadata.name, &service.metadata.namespace) else {
            return Answer::Elsewhere;
        };
        let full = Name::from_ascii(format!("{own}.{namespace}.svc"))
            .and_then(|relative| relative.append_domain(&self.domain));
        match (full, kind) {
            (Ok(full), RecordType::PTR) => Answer::Records(vec![record(name, RData::PTR(PTR(full)))]),
            _ => Answer::Records(Vec::new()),
        }
    }
}

fn record(name: &Name, data: RData) -> Record {
    Record::from_rdata(name.clone(), TTL_SECONDS, data)
}

fn addresses(name: &Name, kind: RecordType, addresses: impl Iterator<Item = Ipv4Addr>) -> Answer {
    if matches!(kind, RecordType::A | RecordType::ANY) {
        Answer::Records(addresses.map(|address| record(name, RData::A(A(address)))).collect())
    } else {
        Answer::Records(Vec::new())
    }
}

fn external(name: &Name, rest: &[&str], target: Option<&str>) -> Answer {
    match (rest, target.and_then(|target| Name::from_utf8(target).ok())) {
        ([], Some(mut target)) => {
            target.set_fqdn(true);
            Answer::Records(vec![record(name, RData::CNAME(CNAME(target)))])
        }
        _ => Answer::NoSuchName,
    }
}

/// `10-42-0-5.default.pod…` is that address: the name itself says it.
fn pod(name: &Name, labels: &[&str], kind: RecordType) -> Answer {
    match labels {
        [dashed, _namespace] => match dashed.replace('-', ".").parse() {
            Ok(address) => addresses(name, kind, [address].into_iter()),
            Err(_) => Answer::NoSuchName,
        },
        _ => Answer::NoSuchName,
    }
}

fn ready(slices: &[Arc<EndpointSlice>]) -> impl Iterator<Item = &Endpoint> {
    let all =
        slices.iter().filter(|slice| slice.address_type == "IPv4").flat_map(|slice| slice.endpoints.iter().flatten());
    all.filter(|endpoint| endpoint.conditions.as_ref().and_then(|conditions| conditions.ready).unwrap_or(true))
}

fn address(endpoint: &Endpoint) -> Option<Ipv4Addr> {
    endpoint.addresses.first()?.parse().ok()
}

/// An endpoint's own label: its hostname, or its address with dashes.
fn host_label(endpoint: &Endpoint) -> Option<String> {
    let hostname = endpoint.hostname.clone().filter(|hostname| !hostname.is_empty());
    hostname.or_else(|| endpoint.addresses.first().map(|address| address.replace('.', "-")))
}

/// The address in `5.0.43.10.in-addr.arpa.`.
fn reverse_address(name: &Name) -> Option<Ipv4Addr> {
    let text = name.to_ascii().to_ascii_lowercase();
    let reversed = text.trim_end_matches('.').strip_suffix(".in-addr.arpa")?;
    let mut octets: Vec<&str> = reversed.split('.').collect();
    octets.reverse();
    octets.join(".").parse().ok()
}
