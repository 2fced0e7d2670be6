//! What one service asks of the packet rules: a pure function of the service and its slices.

use api::k8s_openapi::api::core::v1::{Service, ServicePort};
use api::k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Arc;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Protocol {
    Tcp,
    Udp,
    Sctp,
}

impl Protocol {
    fn parse(name: Option<&str>) -> Option<Protocol> {
        match name.unwrap_or("TCP") {
            "TCP" => Some(Protocol::Tcp),
            "UDP" => Some(Protocol::Udp),
            "SCTP" => Some(Protocol::Sctp),
            _ => None,
        }
    }
    pub(crate) fn name(self) -> &'static str {
        match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Sctp => "sctp",
        }
    }
}

/// Where packets are caught.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Front {
    Address(Ipv4Addr, Protocol, u16),
    NodePort(Protocol, u16),
}

impl Front {
    pub(crate) fn protocol(self) -> Protocol {
        match self {
            Front::Address(_, protocol, _) | Front::NodePort(protocol, _) => protocol,
        }
    }
}

/// How a front picks among its endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Spread {
    pub(crate) node_port: bool,
    pub(crate) count: u32,
    /// The same client keeps its endpoint while the endpoints stay the same: chosen by a hash of its address.
    pub(crate) by_client: bool,
    /// The client's address is kept, which needs the endpoints to be on this node.
    pub(crate) keep_source: bool,
}

pub(crate) type Target = (Ipv4Addr, u16);

/// All that one service contributes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ServiceRules {
    pub(crate) fronts: BTreeMap<Front, (Spread, Vec<Target>)>,
    /// Endpoints on this node, which may call their own service and must then not see themselves as the source.
    pub(crate) local: BTreeSet<Ipv4Addr>,
}

/// The node's place in the cluster.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) node_name: String,
    /// VIPs that a process on this node answers itself (DNS).
    pub(crate) own_vips: Vec<Ipv4Addr>,
}

pub(crate) fn rules(service: &Service, slices: &[Arc<EndpointSlice>], place: &Place) -> ServiceRules {
    let mut rules = ServiceRules::default();
    let Some(spec) = &service.spec else { return rules };
    if spec.type_.as_deref() == Some("ExternalName") {
        return rules;
    }
    let by_client = spec.session_affinity.as_deref() == Some("ClientIP");
    let internal_local = spec.internal_traffic_policy.as_deref() == Some("Local");
    let external_local = spec.external_traffic_policy.as_deref() == Some("Local");
    let cluster_ips = spec.cluster_ips.iter().flatten().chain(spec.cluster_ip.iter());
    let inner: BTreeSet<Ipv4Addr> =
        cluster_ips.filter_map(|ip| ip.parse().ok()).filter(|ip| !place.own_vips.contains(ip)).collect();
    let outer: BTreeSet<Ipv4Addr> = outer_addresses(service);
    for port in spec.ports.iter().flatten() {
        let (Some(protocol), Ok(number)) = (Protocol::parse(port.protocol.as_deref()), u16::try_from(port.port)) else {
            continue;
        };
        let endpoints = endpoints(port, protocol, slices);
        let here = || {
            endpoints.iter().filter(|endpoint| endpoint.node.as_deref() == Some(&place.node_name)).cloned().collect()
        };
        rules
            .local
            .extend(endpoints.iter().filter(|e| e.node.as_deref() == Some(&place.node_name)).map(|e| e.target.0));
        let everywhere = endpoints.clone();
        let inside = if internal_local { here() } else { everywhere.clone() };
        for ip in &inner {
            rules.add(Front::Address(*ip, protocol, number), &inside, by_client, false);
        }
        let outside: Vec<Candidate> = if external_local { here() } else { everywhere };
        for ip in outer.difference(&inner) {
            rules.add(Front::Address(*ip, protocol, number), &outside, by_client, external_local);
        }
        if let Some(Ok(node_port)) = port.node_port.filter(|port| *port != 0).map(u16::try_from) {
            rules.add(Front::NodePort(protocol, node_port), &outside, by_client, external_local);
        }
    }
    rules
}

impl ServiceRules {
    /// A front without endpoints is not written: the base rules refuse what stays addressed to a service.
    fn add(&mut self, front: Front, endpoints: &[Candidate], by_client: bool, keep_source: bool) {
        let targets: BTreeSet<Target> = usable(endpoints);
        let Ok(count @ 1..) = u32::try_from(targets.len()) else { return };
        let spread = Spread { node_port: matches!(front, Front::NodePort(..)), count, by_client, keep_source };
        self.fronts.insert(front, (spread, targets.into_iter().collect()));
    }
}

fn outer_addresses(service: &Service) -> BTreeSet<Ipv4Addr> {
    let external = service.spec.iter().flat_map(|spec| spec.external_ips.iter().flatten().cloned());
    let balancer = service.status.iter().flat_map(|status| status.load_balancer.iter());
    let balancer =
        balancer.flat_map(|balancer| balancer.ingress.iter().flatten()).filter_map(|ingress| ingress.ip.clone());
    external.chain(balancer).filter_map(|ip| ip.parse().ok()).collect()
}

#[derive(Clone, Debug)]
struct Candidate {
    target: Target,
    node: Option<String>,
    ready: bool,
    serving: bool,
}

/// The ready ones; without any, those that still serve while they terminate.
fn usable(endpoints: &[Candidate]) -> BTreeSet<Target> {
    let pick =
        |test: fn(&Candidate) -> bool| endpoints.iter().filter(|endpoint| test(endpoint)).map(|e| e.target).collect();
    let ready: BTreeSet<Target> = pick(|endpoint| endpoint.ready);
    if ready.is_empty() { pick(|endpoint| endpoint.serving) } else { ready }
}

/// The endpoints behind a service's port: slices name their ports as the service does.
fn endpoints(port: &ServicePort, protocol: Protocol, slices: &[Arc<EndpointSlice>]) -> Vec<Candidate> {
    let name = port.name.as_deref().unwrap_or_default();
    let mut found = Vec::new();
    for slice in slices.iter().filter(|slice| slice.address_type == "IPv4") {
        let numbers = slice.ports.iter().flatten().filter(|port| {
            port.name.as_deref().unwrap_or_default() == name
                && Protocol::parse(port.protocol.as_deref()) == Some(protocol)
        });
        for number in numbers.filter_map(|port| port.port.and_then(|port| u16::try_from(port).ok())) {
            found.extend(slice.endpoints.iter().flatten().flat_map(|endpoint| candidates(endpoint, number)));
        }
    }
    found
}

fn candidates(endpoint: &Endpoint, port: u16) -> impl Iterator<Item = Candidate> + '_ {
    let conditions = endpoint.conditions.as_ref();
    let ready = conditions.and_then(|conditions| conditions.ready).unwrap_or(true);
    let serving = conditions.and_then(|conditions| conditions.serving).unwrap_or(ready);
    // All addresses of an endpoint are the same pod; the first is its address.
    endpoint.addresses.first().and_then(|address| address.parse().ok()).into_iter().map(move |address| Candidate {
        target: (address, port),
        node: endpoint.node_name.clone(),
        ready,
        serving,
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn service(yaml: &str) -> Service {
        serde_json::from_str(yaml).unwrap()
    }

    pub(crate) fn slice(endpoints: &[(&str, &str, bool, bool)]) -> Arc<EndpointSlice> {
        let endpoints: Vec<serde_json::Value> = endpoints
            .iter()
            .map(|(ip, node, ready, serving)| {
                serde_json::json!({"addresses": [ip], "nodeName": node, "conditions": {"ready": ready, "serving": serving}})
            })
            .collect();
        Arc::new(
            serde_json::from_value(serde_json::json!({
                "metadata": {"name": "s-1"}, "addressType": "IPv4", "endpoints": endpoints,
                "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}]
            }))
            .unwrap(),
        )
    }

    pub(crate) fn place() -> Place {
        Place { node_name: "n1".to_owned(), own_vips: vec![Ipv4Addr::new(10, 43, 0, 10)] }
    }

    const CLUSTER_IP: &str = r#"{"metadata":{"name":"s"},"spec":{"clusterIP":"10.43.0.5","ports":[{"name":"http","port":80,"targetPort":8080}]}}"#;

    fn targets(rules: &ServiceRules, front: Front) -> Vec<String> {
        rules
            .fronts
            .get(&front)
            .map_or_else(Vec::new, |(_, targets)| targets.iter().map(|(ip, port)| format!("{ip}:{port}")).collect())
    }

    const FRONT: Front = Front::Address(Ipv4Addr::new(10, 43, 0, 5), Protocol::Tcp, 80);

    #[test]
    fn ready_endpoints_are_used_and_terminating_ones_only_when_none_is_ready() {
        let slices = [slice(&[
            ("10.42.0.2", "n1", true, true),
            ("10.42.0.3", "n2", false, true),
            ("10.42.0.4", "n2", false, false),
        ])];
        let ready = rules(&service(CLUSTER_IP), &slices, &place());
        assert_eq!(targets(&ready, FRONT), ["10.42.0.2:8080"]);
        assert_eq!(ready.local, BTreeSet::from([Ipv4Addr::new(10, 42, 0, 2)]));
        let slices = [slice(&[("10.42.0.3", "n2", false, true), ("10.42.0.4", "n2", false, false)])];
        assert_eq!(targets(&rules(&service(CLUSTER_IP), &slices, &place()), FRONT), ["10.42.0.3:8080"]);
    }

    #[test]
    fn local_policies_keep_to_this_node() {
        let service = service(
            r#"{"spec":{"type":"NodePort","clusterIP":"10.43.0.5","internalTrafficPolicy":"Cluster","externalTrafficPolicy":"Local",
                "sessionAffinity":"ClientIP","ports":[{"name":"http","port":80,"nodePort":30080}]}}"#,
        );
        let slices = [slice(&[("10.42.0.2", "n1", true, true), ("10.42.0.3", "n2", true, true)])];
        let rules = rules(&service, &slices, &place());
        assert_eq!(targets(&rules, FRONT).len(), 2);
        let node_port = Front::NodePort(Protocol::Tcp, 30080);
        assert_eq!(targets(&rules, node_port), ["10.42.0.2:8080"]);
        let spread = rules.fronts[&node_port].0;
        assert_eq!(spread, Spread { node_port: true, count: 1, by_client: true, keep_source: true });
    }

    #[test]
    fn headless_external_names_and_own_vips_have_no_rules() {
        let slices = [slice(&[("10.42.0.2", "n1", true, true)])];
        for spec in [
            r#"{"spec":{"clusterIP":"None","ports":[{"name":"http","port":80}]}}"#,
            r#"{"spec":{"type":"ExternalName","externalName":"x","ports":[{"name":"http","port":80}]}}"#,
            r#"{"spec":{"clusterIP":"10.43.0.10","ports":[{"name":"http","port":53}]}}"#,
        ] {
            assert!(rules(&service(spec), &slices, &place()).fronts.is_empty(), "{spec}");
        }
    }
}
