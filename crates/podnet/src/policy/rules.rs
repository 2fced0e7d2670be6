//! What one NetworkPolicy says, with the API's defaults spelled out: a pure function of the object.
//!
//! `None` means "all" wherever the API has an empty list mean that; an empty collection means "none". What cannot be
//! understood (validation keeps it out of the API) allows nothing.

use api::k8s_openapi::api::networking::v1::{IPBlock, NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort};
use api::k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use api::k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use api::selector::Selector;
use ipnet::Ipv4Net;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Protocol {
    Tcp,
    Udp,
    Sctp,
}

impl Protocol {
    pub(crate) fn parse(name: Option<&str>) -> Option<Protocol> {
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

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Direction {
    Ingress,
    Egress,
}

/// A container port by its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PortName {
    pub(crate) protocol: Protocol,
    pub(crate) name: String,
}

/// Pods that a peer means: those of one namespace, or of namespaces with suitable labels.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Peer {
    pub(crate) namespaces: Namespaces,
    pub(crate) pods: Selector,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Namespaces {
    Named(String),
    Selected(Selector),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PolicyRules {
    pub(crate) namespace: String,
    /// Whom it isolates.
    pub(crate) pods: Selector,
    /// `None`: it says nothing about this direction.
    pub(crate) ingress: Option<Vec<Rule>>,
    pub(crate) egress: Option<Vec<Rule>>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rule {
    pub(crate) peers: Option<Peers>,
    pub(crate) ports: Option<Ports>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Peers {
    pub(crate) pods: Vec<Peer>,
    /// Exceptions taken out, sorted, without overlaps.
    pub(crate) blocks: Vec<Ipv4Net>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Ports {
    /// First and last, sorted, without overlaps.
    pub(crate) ranges: BTreeMap<Protocol, Vec<(u16, u16)>>,
    pub(crate) named: BTreeSet<PortName>,
}

impl PolicyRules {
    pub(crate) fn of(policy: &NetworkPolicy) -> PolicyRules {
        let namespace = policy.metadata.namespace.clone().unwrap_or_default();
        let spec = policy.spec.clone().unwrap_or_default();
        let (ingress, egress) = (spec.ingress.unwrap_or_default(), spec.egress.unwrap_or_default());
        let types = spec.policy_types.filter(|types| !types.is_empty());
        let about =
            |kind: &str, by_default: bool| types.as_ref().map_or(by_default, |types| types.iter().any(|t| t == kind));
        let (about_ingress, about_egress) = (about("Ingress", true), about("Egress", !egress.is_empty()));
        let rule = |peers: Option<Vec<NetworkPolicyPeer>>, ports: Option<Vec<NetworkPolicyPort>>| Rule {
            peers: peers.filter(|list| !list.is_empty()).map(|list| Peers::of(&list, &namespace)),
            ports: ports.filter(|list| !list.is_empty()).map(|list| Ports::of(&list)),
        };
        PolicyRules {
            // One that is not understood isolates all: the error is on the closed side.
            pods: selector(spec.pod_selector.as_ref(), Selector::everything()),
            ingress: about_ingress.then(|| ingress.into_iter().map(|said| rule(said.from, said.ports)).collect()),
            egress: about_egress.then(|| egress.into_iter().map(|said| rule(said.to, said.ports)).collect()),
            namespace,
        }
    }

    pub(crate) fn directions(&self) -> impl Iterator<Item = (Direction, &[Rule])> {
        let ingress = self.ingress.as_deref().map(|rules| (Direction::Ingress, rules));
        ingress.into_iter().chain(self.egress.as_deref().map(|rules| (Direction::Egress, rules)))
    }
}

/// An absent selector matches everything.
fn selector(written: Option<&LabelSelector>, misunderstood: Selector) -> Selector {
    let Some(written) = written else { return Selector::everything() };
    Selector::from_label_selector(written).unwrap_or_else(|error| {
        tracing::warn!(%error, "a network policy has a selector that is none");
        misunderstood
    })
}

impl Peers {
    fn of(list: &[NetworkPolicyPeer], own_namespace: &str) -> Peers {
        let mut peers = Peers::default();
        for peer in list {
            if let Some(block) = &peer.ip_block {
                peers.blocks.extend(addresses(block));
                continue;
            }
            let namespaces = match (&peer.namespace_selector, &peer.pod_selector) {
                (None, None) => continue,
                (None, Some(_)) => Namespaces::Named(own_namespace.to_owned()),
                (Some(written), _) => Namespaces::Selected(selector(Some(written), Selector::nothing())),
            };
            let peer = Peer { namespaces, pods: selector(peer.pod_selector.as_ref(), Selector::nothing()) };
            if !peers.pods.contains(&peer) {
                peers.pods.push(peer);
            }
        }
        peers.blocks = Ipv4Net::aggregate(&peers.blocks);
        peers
    }
}

/// IPv6 blocks have no addresses here: no pod of this network has such an address.
fn addresses(block: &IPBlock) -> Vec<Ipv4Net> {
    let Ok(whole) = block.cidr.parse::<Ipv4Net>() else { return Vec::new() };
    let except: Vec<Ipv4Net> = block.except.iter().flatten().filter_map(|part| part.parse().ok()).collect();
    let mut rest = Vec::new();
    take_out(whole.trunc(), &except, &mut rest);
    rest
}

/// Halves `net` until each part is wholly in an exception or wholly outside all.
fn take_out(net: Ipv4Net, except: &[Ipv4Net], rest: &mut Vec<Ipv4Net>) {
    if except.iter().any(|part| part.contains(&net)) {
        return;
    }
    let inside: Vec<Ipv4Net> = except.iter().filter(|part| net.contains(*part)).copied().collect();
    match net.subnets(net.prefix_len() + 1) {
        Ok(halves) if !inside.is_empty() => halves.for_each(|half| take_out(half, &inside, rest)),
        _ => rest.push(net),
    }
}

impl Ports {
    fn of(list: &[NetworkPolicyPort]) -> Ports {
        let mut ports = Ports::default();
        for port in list {
            let Some(protocol) = Protocol::parse(port.protocol.as_deref()) else { continue };
            match &port.port {
                None => ports.ranges.entry(protocol).or_default().push((0, u16::MAX)),
                Some(IntOrString::String(name)) => {
                    ports.named.insert(PortName { protocol, name: name.clone() });
                }
                Some(IntOrString::Int(first)) => {
                    let range = (u16::try_from(*first), u16::try_from(port.end_port.unwrap_or(*first)));
                    if let (Ok(first), Ok(last)) = range {
                        ports.ranges.entry(protocol).or_default().push((first, last));
                    }
                }
            }
        }
        for ranges in ports.ranges.values_mut() {
            *ranges = merged(std::mem::take(ranges));
        }
        ports
    }

    pub(crate) fn allow(&self, protocol: Protocol, number: u16) -> bool {
        self.ranges
            .get(&protocol)
            .is_some_and(|ranges| ranges.iter().any(|(first, last)| (*first..=*last).contains(&number)))
    }
}

/// The kernel's sets refuse overlaps.
fn merged(mut ranges: Vec<(u16, u16)>) -> Vec<(u16, u16)> {
    ranges.retain(|(first, last)| first <= last);
    ranges.sort_unstable();
    let mut merged: Vec<(u16, u16)> = Vec::with_capacity(ranges.len());
    for (first, last) in ranges {
        match merged.last_mut() {
            Some(before) if first <= before.1.saturating_add(1) => before.1 = before.1.max(last),
            _ => merged.push((first, last)),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(spec: serde_json::Value) -> PolicyRules {
        let policy = serde_json::json!({"metadata": {"namespace": "shop", "name": "p"}, "spec": spec});
        PolicyRules::of(&serde_json::from_value(policy).unwrap())
    }

    #[test]
    fn without_types_egress_counts_if_it_has_rules() {
        let table = [
            (serde_json::json!({}), (Some(0), None)),
            (serde_json::json!({"ingress": [{}]}), (Some(1), None)),
            (serde_json::json!({"egress": []}), (Some(0), None)),
            (serde_json::json!({"egress": [{}]}), (Some(0), Some(1))),
            (serde_json::json!({"policyTypes": ["Egress"]}), (None, Some(0))),
            (serde_json::json!({"policyTypes": ["Egress"], "ingress": [{}]}), (None, Some(0))),
            (serde_json::json!({"policyTypes": ["Ingress"], "egress": [{}]}), (Some(0), None)),
            (serde_json::json!({"policyTypes": ["Ingress", "Egress"]}), (Some(0), Some(0))),
        ];
        for (spec, wanted) in table {
            let rules = policy(spec.clone());
            assert_eq!((rules.ingress.map(|r| r.len()), rules.egress.map(|r| r.len())), wanted, "{spec}");
        }
    }

    fn peers(from: serde_json::Value) -> Option<Peers> {
        policy(serde_json::json!({"ingress": [{"from": from}]})).ingress.unwrap().remove(0).peers
    }

    #[test]
    fn peers_are_pods_here_namespaces_both_or_addresses() {
        let labels = |text: &str| Selector::parse(text).unwrap();
        let one = |namespaces, pods| Some(Peers { pods: vec![Peer { namespaces, pods }], blocks: Vec::new() });
        let (app, team) =
            (serde_json::json!({"matchLabels": {"app": "a"}}), serde_json::json!({"matchLabels": {"team": "t"}}));
        let here = Namespaces::Named("shop".to_owned());
        let table = [
            (serde_json::json!([]), None),
            (serde_json::json!([{"podSelector": app}]), one(here.clone(), labels("app=a"))),
            (serde_json::json!([{"podSelector": {}}]), one(here, Selector::everything())),
            (
                serde_json::json!([{"namespaceSelector": team}]),
                one(Namespaces::Selected(labels("team=t")), Selector::everything()),
            ),
            (
                serde_json::json!([{"namespaceSelector": {}}]),
                one(Namespaces::Selected(Selector::everything()), Selector::everything()),
            ),
            (
                serde_json::json!([{"namespaceSelector": team, "podSelector": app}]),
                one(Namespaces::Selected(labels("team=t")), labels("app=a")),
            ),
            (serde_json::json!([{}]), Some(Peers::default())),
            (serde_json::json!([{"ipBlock": {"cidr": "fd00::/8"}}]), Some(Peers::default())),
            (
                serde_json::json!([{"namespaceSelector": {"matchExpressions": [{"key": "a", "operator": "Like"}]}}]),
                one(Namespaces::Selected(Selector::nothing()), Selector::everything()),
            ),
        ];
        for (from, wanted) in table {
            assert_eq!(peers(from.clone()), wanted, "{from}");
        }
    }

    #[test]
    fn exceptions_are_taken_out_of_their_own_block_only() {
        let blocks = |from: serde_json::Value| -> Vec<String> {
            peers(from).unwrap().blocks.iter().map(ToString::to_string).collect()
        };
        let block = |cidr: &str, except: &[&str]| serde_json::json!({"ipBlock": {"cidr": cidr, "except": except}});
        let table = [
            (vec![block("10.1.2.3/8", &[])], vec!["10.0.0.0/8"]),
            (vec![block("10.0.0.0/22", &["10.0.1.0/24"])], vec!["10.0.0.0/24", "10.0.2.0/23"]),
            (vec![block("10.0.0.0/31", &["10.0.0.1/32"])], vec!["10.0.0.0/32"]),
            (vec![block("10.0.0.0/24", &["10.0.0.0/24"])], vec![]),
            (
                vec![block("10.0.0.0/24", &["10.0.0.0/25"]), block("10.0.0.0/26", &[])],
                vec!["10.0.0.0/26", "10.0.0.128/25"],
            ),
            (vec![block("10.0.0.0/24", &[]), block("10.0.1.0/24", &[])], vec!["10.0.0.0/23"]),
        ];
        for (from, wanted) in table {
            assert_eq!(blocks(serde_json::json!(from)), wanted, "{from:?}");
        }
        let world = blocks(serde_json::json!([block("0.0.0.0/0", &["10.0.0.0/8", "192.168.0.0/16"])]));
        let inside = |address: &str| {
            world
                .iter()
                .any(|net| net.parse::<Ipv4Net>().unwrap().contains(&address.parse::<std::net::Ipv4Addr>().unwrap()))
        };
        for (address, wanted) in [
            ("9.255.255.255", true),
            ("10.0.0.0", false),
            ("10.255.255.255", false),
            ("11.0.0.0", true),
            ("192.168.3.4", false),
            ("192.169.0.0", true),
        ] {
            assert_eq!(inside(address), wanted, "{address}");
        }
    }

    #[test]
    fn ports_are_numbers_ranges_names_or_whole_protocols() {
        let ports = |list: serde_json::Value| {
            policy(serde_json::json!({"ingress": [{"ports": list}]})).ingress.unwrap().remove(0).ports
        };
        assert_eq!(ports(serde_json::json!([])), None);
        let found = ports(serde_json::json!([
            {"port": 80}, {"port": 443, "protocol": "TCP"}, {"port": 81}, {"port": 8000, "endPort": 8100}, {"port": 8050, "endPort": 8200},
            {"protocol": "UDP"}, {"port": 5, "protocol": "UDP"}, {"port": "web"}, {"port": "web", "protocol": "SCTP"},
        ]))
        .unwrap();
        assert_eq!(
            found.ranges,
            BTreeMap::from([
                (Protocol::Tcp, vec![(80, 81), (443, 443), (8000, 8200)]),
                (Protocol::Udp, vec![(0, u16::MAX)])
            ])
        );
        let name = |protocol| PortName { protocol, name: "web".to_owned() };
        assert_eq!(found.named, BTreeSet::from([name(Protocol::Tcp), name(Protocol::Sctp)]));
        assert!(
            found.allow(Protocol::Tcp, 8100) && !found.allow(Protocol::Tcp, 53) && !found.allow(Protocol::Sctp, 80)
        );
    }
}
