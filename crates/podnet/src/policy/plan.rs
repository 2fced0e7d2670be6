//! The policies that matter on this node, as chains and sets: a pure function of the policies.
//!
//! Peers that say the same share a set, whichever policies they stand in. Names carry numbers, so that they hold for
//! as long as what they stand for.

use super::facts::Labels;
use super::numbers::Numbers;
use super::rules::{Direction, Namespaces, Peer, Peers, PolicyRules, PortName, Ports, Protocol, Rule};
use api::selector::Selector;
use client::ObjectKey;
use ipnet::Ipv4Net;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::Ipv4Addr;

/// The kernel's limit is 128 bytes; a policy's namespace and name may have 317.
const COMMENT_BYTES_MAX: usize = 120;
const DNS_PORT: u16 = 53;

/// One policy's rules in one direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chain {
    pub(crate) comment: String,
    pub(crate) rules: Vec<String>,
}

#[derive(Debug)]
struct Selecting {
    number: u64,
    pods: Selector,
    ingress: bool,
    egress: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Plan {
    selecting: HashMap<String, Vec<Selecting>>,
    pub(crate) peers: Vec<(u64, Peer)>,
    pub(crate) ports: HashMap<PortName, u64>,
    pub(crate) chains: BTreeMap<String, Chain>,
    /// Name to type.
    pub(crate) sets: BTreeMap<String, &'static str>,
}

pub(crate) fn chain_name(policy: u64, direction: Direction) -> String {
    format!("policy_{policy}_{}", word(direction))
}
pub(crate) fn peer_set(number: u64) -> String {
    format!("peer_{number}")
}
pub(crate) fn port_set(number: u64) -> String {
    format!("port_{number}")
}
pub(crate) fn word(direction: Direction) -> &'static str {
    match direction {
        Direction::Ingress => "ingress",
        Direction::Egress => "egress",
    }
}

/// DNS as the pod that it would be elsewhere.
#[derive(Clone, Debug, Default)]
pub(crate) struct Dns {
    pub(crate) vips: Vec<Ipv4Addr>,
    pub(crate) namespace_labels: Labels,
}

impl Dns {
    pub(crate) const NAMESPACE: &str = "kube-system";

    fn is_meant_by(&self, peers: &Peers) -> bool {
        let labels = |key: &str| (key == "k8s-app").then_some("kube-dns");
        peers.pods.iter().any(|peer| {
            let here = match &peer.namespaces {
                Namespaces::Named(name) => name == Dns::NAMESPACE,
                Namespaces::Selected(selector) => selector.matches(&self.namespace_labels),
            };
            here && peer.pods.matches_with(labels)
        })
    }

    fn answers(protocol: Protocol, ports: Option<&Ports>) -> bool {
        let Some(ports) = ports else { return true };
        let name = if protocol == Protocol::Udp { "dns" } else { "dns-tcp" };
        ports.allow(protocol, DNS_PORT) || ports.named.contains(&PortName { protocol, name: name.to_owned() })
    }

    /// Only port 53: on the others of this address are the node's own processes.
    fn rules(&self, rule: &Rule, lines: &mut Vec<String>) {
        if !rule.peers.as_ref().is_some_and(|peers| self.is_meant_by(peers)) {
            return;
        }
        for protocol in [Protocol::Udp, Protocol::Tcp] {
            if Dns::answers(protocol, rule.ports.as_ref()) {
                let line = |vip| format!("ip daddr {vip} {} dport {DNS_PORT} accept", protocol.name());
                lines.extend(self.vips.iter().map(line));
            }
        }
    }
}

/// The names that a plan gives; kept from one plan to the next.
#[derive(Default)]
pub(crate) struct Names {
    policies: Numbers<ObjectKey>,
    peers: Numbers<Peer>,
    ports: Numbers<PortName>,
}

impl Plan {
    pub(crate) fn of<'a>(
        policies: impl Iterator<Item = (&'a ObjectKey, &'a PolicyRules)>,
        dns: &Dns,
        names: &mut Names,
    ) -> Plan {
        let mut plan = Plan::default();
        let mut numbers = BTreeSet::new();
        for (key, rules) in policies {
            let number = names.policies.of(key);
            numbers.insert(number);
            for (direction, rules) in rules.directions() {
                let lines = rules.iter().flat_map(|rule| plan.lines(rule, direction, dns, names)).collect();
                let mut comment = key.to_string();
                comment.truncate(comment.floor_char_boundary(COMMENT_BYTES_MAX));
                plan.chains.insert(chain_name(number, direction), Chain { comment, rules: lines });
            }
            plan.selecting.entry(rules.namespace.clone()).or_default().push(Selecting {
                number,
                pods: rules.pods.clone(),
                ingress: rules.ingress.is_some(),
                egress: rules.egress.is_some(),
            });
        }
        names.policies.retain(|number| numbers.contains(&number));
        names.peers.retain(|number| plan.sets.contains_key(&peer_set(number)));
        names.ports.retain(|number| plan.sets.contains_key(&port_set(number)));
        plan
    }

    /// The policies that isolate a pod in each direction.
    pub(crate) fn isolating(&self, namespace: &str, labels: &Labels) -> (BTreeSet<u64>, BTreeSet<u64>) {
        let (mut ingress, mut egress) = (BTreeSet::new(), BTreeSet::new());
        for policy in self.selecting.get(namespace).into_iter().flatten().filter(|policy| policy.pods.matches(labels)) {
            if policy.ingress {
                ingress.insert(policy.number);
            }
            if policy.egress {
                egress.insert(policy.number);
            }
        }
        (ingress, egress)
    }

    /// Every combination of whom and which ports.
    fn lines(&mut self, rule: &Rule, direction: Direction, dns: &Dns, names: &mut Names) -> Vec<String> {
        let ports = match &rule.ports {
            None => vec![String::new()],
            Some(ports) => self.ports_matches(ports, names),
        };
        let peers = match &rule.peers {
            None => vec![String::new()],
            Some(peers) => self.peers_matches(peers, direction, names),
        };
        let mut lines: Vec<String> =
            peers.iter().flat_map(|peer| ports.iter().map(move |port| format!("{peer}{port}accept"))).collect();
        if direction == Direction::Egress {
            dns.rules(rule, &mut lines);
        }
        lines
    }

    fn peers_matches(&mut self, peers: &Peers, direction: Direction, names: &mut Names) -> Vec<String> {
        let side = match direction {
            Direction::Ingress => "ip saddr",
            Direction::Egress => "ip daddr",
        };
        let mut matches = Vec::with_capacity(peers.pods.len() + 1);
        for peer in &peers.pods {
            let number = names.peers.of(peer);
            if self.sets.insert(peer_set(number), "ipv4_addr").is_none() {
                self.peers.push((number, peer.clone()));
            }
            matches.push(format!("{side} @{} ", peer_set(number)));
        }
        match peers.blocks.as_slice() {
            [] => {}
            // Of the whole address space the kernel makes no interval.
            [all] if all.prefix_len() == 0 => matches.push("meta nfproto ipv4 ".to_owned()),
            blocks => matches.push(format!("{side} {{ {} }} ", list(blocks, Ipv4Net::to_string))),
        }
        matches
    }

    fn ports_matches(&mut self, ports: &Ports, names: &mut Names) -> Vec<String> {
        let mut matches = Vec::new();
        for (protocol, ranges) in &ports.ranges {
            let protocol = protocol.name();
            matches.push(match ranges.as_slice() {
                [] => continue,
                [(0, u16::MAX)] => format!("meta l4proto {protocol} "),
                ranges => format!("{protocol} dport {{ {} }} ", list(ranges, range)),
            });
        }
        for name in &ports.named {
            let number = names.ports.of(name);
            self.sets.insert(port_set(number), "ipv4_addr . inet_service");
            self.ports.insert(name.clone(), number);
            matches.push(format!("ip daddr . {} dport @{} ", name.protocol.name(), port_set(number)));
        }
        matches
    }
}

fn range((first, last): &(u16, u16)) -> String {
    if first == last { first.to_string() } else { format!("{first}-{last}") }
}

fn list<T>(items: &[T], text: impl Fn(&T) -> String) -> String {
    items.iter().map(text).collect::<Vec<_>>().join(", ")
}
