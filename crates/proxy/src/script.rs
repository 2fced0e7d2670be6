//! From wanted rules to `nft` text: the whole table once, then differences.
//!
//! How a packet finds its endpoint: the front's map says which chain `spread_*` picks for that many endpoints; the
//! chain draws an index, and a second map gives the endpoint of (front, index). The index travels in the packet mark,
//! the only field that `nft` 1.0.6 lets stand in a concatenation beside a drawn number. Maps have a `type`, not a
//! `typeof`: that version cannot read its own `typeof … th dport` back when it deletes an element.

use crate::view::{Front, ServiceRules, Spread, Target};
use ipnet::Ipv4Net;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::net::Ipv4Addr;

/// Connections through a node port carry this connection mark: their source becomes the node, so that answers from
/// other nodes come back this way.
const NODE_PORT_MARK: &str = "0x53a00001";

/// The table without any service.
pub(crate) fn base(table: &str, service_cidr: Ipv4Net, node_ip: Ipv4Addr) -> String {
    format!(
        "add table ip {table}\ndelete table ip {table}\n\
table ip {table} {{
  map fronts {{ type ipv4_addr . inet_proto . inet_service : verdict; }}
  map endpoints {{ type ipv4_addr . inet_proto . inet_service . mark : ipv4_addr . inet_service; }}
  map node_ports {{ type inet_proto . inet_service : verdict; }}
  map node_endpoints {{ type inet_proto . inet_service . mark : ipv4_addr . inet_service; }}
  set own {{ type ipv4_addr . ipv4_addr; }}
  chain services {{
    ip daddr . meta l4proto . th dport vmap @fronts
    ip daddr != 127.0.0.0/8 fib daddr type local meta l4proto . th dport vmap @node_ports
  }}
  chain prerouting {{ type nat hook prerouting priority -100; policy accept; jump services; }}
  chain output {{ type nat hook output priority -100; policy accept; jump services; }}
  chain postrouting {{
    type nat hook postrouting priority 90; policy accept;
    ct mark {NODE_PORT_MARK} snat to {node_ip}
    ct status dnat ip saddr . ip daddr @own snat to {node_ip}
  }}
  chain refuse {{
    ip daddr != {service_cidr} return
    fib daddr type local return
    meta l4proto tcp reject with tcp reset
    reject with icmp port-unreachable
  }}
  chain refuse_forward {{ type filter hook forward priority 0; policy accept; jump refuse; }}
  chain refuse_output {{ type filter hook output priority 0; policy accept; jump refuse; }}
}}
"
    )
}

/// What the kernel has now, as far as differences need it.
#[derive(Default)]
pub(crate) struct Written {
    chains: BTreeSet<Spread>,
    /// How many services name an address as an own endpoint.
    own: BTreeMap<Ipv4Addr, usize>,
}

impl Written {
    /// Appends to `out` the change of one service from `old` to `new`, and takes it as done.
    pub(crate) fn change(&mut self, table: &str, old: &ServiceRules, new: &ServiceRules, out: &mut String) {
        for (front, (spread, targets)) in &old.fronts {
            if new.fronts.get(front) != Some(&(*spread, targets.clone())) {
                front_elements(table, "delete", *front, *spread, targets, out);
            }
        }
        for (front, (spread, targets)) in &new.fronts {
            if self.chains.insert(*spread) {
                chain(table, *spread, out);
            }
            if old.fronts.get(front) != Some(&(*spread, targets.clone())) {
                front_elements(table, "add", *front, *spread, targets, out);
            }
        }
        for address in new.local.difference(&old.local) {
            let uses = self.own.entry(*address).or_default();
            *uses += 1;
            if *uses == 1 {
                push(out, format_args!("add element ip {table} own {{ {address} . {address} }}"));
            }
        }
        for address in old.local.difference(&new.local) {
            let Some(uses) = self.own.get_mut(address) else { continue };
            *uses -= 1;
            if *uses == 0 {
                self.own.remove(address);
                push(out, format_args!("delete element ip {table} own {{ {address} . {address} }}"));
            }
        }
    }
}

fn push(out: &mut String, line: std::fmt::Arguments<'_>) {
    out.write_fmt(line).expect("writing to a string succeeds");
    out.push('\n');
}

fn chain_name(spread: Spread) -> String {
    let kind = if spread.node_port { "node" } else { "vip" };
    let by = if spread.by_client { "_client" } else { "" };
    let source = if spread.keep_source { "_local" } else { "" };
    format!("spread_{kind}_{}{by}{source}", spread.count)
}

fn chain(table: &str, spread: Spread, out: &mut String) {
    let name = chain_name(spread);
    let draw = if spread.by_client { "jhash ip saddr" } else { "numgen random" };
    let (key, map) = if spread.node_port {
        ("meta l4proto . th dport . meta mark", "node_endpoints")
    } else {
        ("ip daddr . meta l4proto . th dport . meta mark", "endpoints")
    };
    push(out, format_args!("add chain ip {table} {name}"));
    if spread.node_port && !spread.keep_source {
        push(out, format_args!("add rule ip {table} {name} ct mark set {NODE_PORT_MARK}"));
    }
    push(out, format_args!("add rule ip {table} {name} meta mark set {draw} mod {}", spread.count));
    push(out, format_args!("add rule ip {table} {name} dnat ip to {key} map @{map}"));
}

fn front_elements(table: &str, verb: &str, front: Front, spread: Spread, targets: &[Target], out: &mut String) {
    let (map, endpoint_map, key) = match front {
        Front::Address(ip, protocol, port) => ("fronts", "endpoints", format!("{ip} . {} . {port}", protocol.name())),
        Front::NodePort(protocol, port) => ("node_ports", "node_endpoints", format!("{} . {port}", protocol.name())),
    };
    push(out, format_args!("{verb} element ip {table} {map} {{ {key} : goto {} }}", chain_name(spread)));
    let elements: Vec<String> =
        targets.iter().enumerate().map(|(index, (ip, port))| format!("{key} . {index} : {ip} . {port}")).collect();
    push(out, format_args!("{verb} element ip {table} {endpoint_map} {{ {} }}", elements.join(", ")));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::{rules, tests::*};

    fn script(old: &[(&str, &str, bool, bool)], new: &[(&str, &str, bool, bool)], node_port: bool) -> String {
        let node_port = if node_port { r#","nodePort":30080"# } else { "" };
        let service = service(&format!(
            r#"{{"spec":{{"clusterIP":"10.43.0.5","ports":[{{"name":"http","port":80{node_port}}}]}}}}"#
        ));
        let mut written = Written::default();
        let mut out = String::new();
        let old = rules(&service, &[slice(old)], &place());
        written.change("t", &ServiceRules::default(), &old, &mut out);
        out.clear();
        written.change("t", &old, &rules(&service, &[slice(new)], &place()), &mut out);
        out
    }

    #[test]
    fn a_new_service_brings_its_chain_and_elements() {
        let out = script(&[], &[("10.42.0.2", "n1", true, true), ("10.42.0.3", "n2", true, true)], true);
        assert_eq!(
            out,
            "add chain ip t spread_vip_2\n\
             add rule ip t spread_vip_2 meta mark set numgen random mod 2\n\
             add rule ip t spread_vip_2 dnat ip to ip daddr . meta l4proto . th dport . meta mark map @endpoints\n\
             add element ip t fronts { 10.43.0.5 . tcp . 80 : goto spread_vip_2 }\n\
             add element ip t endpoints { 10.43.0.5 . tcp . 80 . 0 : 10.42.0.2 . 8080, 10.43.0.5 . tcp . 80 . 1 : 10.42.0.3 . 8080 }\n\
             add chain ip t spread_node_2\n\
             add rule ip t spread_node_2 ct mark set 0x53a00001\n\
             add rule ip t spread_node_2 meta mark set numgen random mod 2\n\
             add rule ip t spread_node_2 dnat ip to meta l4proto . th dport . meta mark map @node_endpoints\n\
             add element ip t node_ports { tcp . 30080 : goto spread_node_2 }\n\
             add element ip t node_endpoints { tcp . 30080 . 0 : 10.42.0.2 . 8080, tcp . 30080 . 1 : 10.42.0.3 . 8080 }\n\
             add element ip t own { 10.42.0.2 . 10.42.0.2 }\n"
        );
    }

    #[test]
    fn a_vanished_service_takes_its_elements_along() {
        let out = script(&[("10.42.0.2", "n1", true, true)], &[], false);
        assert_eq!(
            out,
            "delete element ip t fronts { 10.43.0.5 . tcp . 80 : goto spread_vip_1 }\n\
             delete element ip t endpoints { 10.43.0.5 . tcp . 80 . 0 : 10.42.0.2 . 8080 }\n\
             delete element ip t own { 10.42.0.2 . 10.42.0.2 }\n"
        );
    }

    #[test]
    fn what_did_not_change_is_not_written() {
        let same = [("10.42.0.2", "n1", true, true)];
        assert_eq!(script(&same, &same, true), "");
    }
}
