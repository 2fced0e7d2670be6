//! From a plan and its pods' placements to `nft` text: the table once, then differences.
//!
//! A packet's address leads through a map to the chain of its pod's *set* of policies (one chain for all pods with the
//! same policies): a jump to each policy's chain, then a drop. In a policy's chain, `accept` ends only the hook it is
//! in, so that what may leave one pod is still asked whether it may enter the other. Sets have a `type`, not a
//! `typeof`, and none that changes has intervals: `nft` 1.0.6 reads all of such a set to change one element.

use super::plan::{Chain, Plan, chain_name, peer_set, port_set, word};
use super::rules::Direction;
use super::view::{Member, Move, Placement};
use crate::ClusterId;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::Arc;

/// The table without any policy; in its place, whatever an earlier process left.
///
/// `fence`: a pod may send with its own address only, or the maps would not know it; and it has no other than IPv4.
pub(crate) fn base(table: &str, cluster: &ClusterId) -> String {
    let pods = cluster.interface_prefix();
    format!(
        "add table inet {table}\ndelete table inet {table}\n\
table inet {table} {{
  map ingress {{ type ipv4_addr : verdict; }}
  map egress {{ type ipv4_addr : verdict; }}
  set itself {{ type ipv4_addr . ipv4_addr; }}
  chain fence {{
    iifname != \"{pods}*\" return
    meta nfproto ipv6 drop
    fib saddr . iif oif missing drop
  }}
  chain leaving {{
    ct state established,related accept
    jump fence
    ip saddr . ip daddr @itself accept
    ip saddr vmap @egress
  }}
  chain forward_egress {{ type filter hook forward priority 0; policy accept; jump leaving; }}
  chain input_egress {{ type filter hook input priority 0; policy accept; jump leaving; }}
  chain forward_ingress {{
    type filter hook forward priority 1; policy accept;
    ct state established,related accept
    ip saddr . ip daddr @itself accept
    ip daddr vmap @ingress
  }}
}}
"
    )
}

/// What the kernel has now, as far as differences need it.
#[derive(Default)]
pub(crate) struct Written {
    plan: Arc<Plan>,
    groups: BTreeMap<(Direction, BTreeSet<u64>), Group>,
    last_group: u64,
}

/// The chain of the pods with the same policies in a direction.
struct Group {
    number: u64,
    pods: usize,
    is_written: bool,
}

/// Elements to take out and to put in, by the set or map they are of.
#[derive(Default)]
struct Elements(BTreeMap<String, (BTreeSet<String>, BTreeSet<String>)>);

impl Elements {
    fn add(&mut self, set: String, element: String) {
        let (deleted, added) = self.0.entry(set).or_default();
        if !deleted.remove(&element) {
            added.insert(element);
        }
    }
    fn delete(&mut self, set: String, element: String) {
        let (deleted, added) = self.0.entry(set).or_default();
        if !added.remove(&element) {
            deleted.insert(element);
        }
    }

    /// Those of `wanted` sets only: a set that goes takes its elements along.
    fn write(&self, table: &str, out: &mut String, wanted: impl Fn(&str) -> bool) {
        for (set, (deleted, added)) in self.0.iter().filter(|(set, _)| wanted(set)) {
            for (verb, elements) in [("delete", deleted), ("add", added)] {
                if !elements.is_empty() {
                    let elements: Vec<&str> = elements.iter().map(String::as_str).collect();
                    push(out, format_args!("{verb} element inet {table} {set} {{ {} }}", elements.join(", ")));
                }
            }
        }
    }
}

fn push(out: &mut String, line: std::fmt::Arguments<'_>) {
    out.write_fmt(line).expect("writing to a string succeeds");
    out.push('\n');
}

fn group_name(direction: Direction, number: u64) -> String {
    format!("pods_{number}_{}", word(direction))
}

impl Written {
    /// Appends to `out` the change to `plan` and along `moves`, and takes it as done.
    ///
    /// The order is that of references: what is named exists, what goes is named no more.
    pub(crate) fn change(&mut self, table: &str, plan: &Arc<Plan>, moves: &[Move], out: &mut String) {
        let mut elements = Elements::default();
        for (old, new) in moves {
            if let Some(old) = old {
                self.leave(old, &mut elements);
            }
            if let Some(new) = new {
                self.enter(new, &mut elements);
            }
        }
        let before = std::mem::replace(&mut self.plan, plan.clone());
        if !Arc::ptr_eq(&before, plan) {
            add_sets_and_chains(table, &before, plan, out);
        }
        elements.write(table, out, |set| plan.sets.contains_key(set));
        if !Arc::ptr_eq(&before, plan) {
            write_rules(table, &before, plan, out);
        }
        self.write_new_groups(table, out);
        elements.write(table, out, |set| ["ingress", "egress", "itself"].contains(&set));
        self.delete_unused_groups(table, out);
        if !Arc::ptr_eq(&before, plan) {
            delete_sets_and_chains(table, &before, plan, out);
        }
    }

    fn enter(&mut self, placement: &Placement, elements: &mut Elements) {
        for (direction, policies) in isolations(placement) {
            let last = &mut self.last_group;
            let group = self.groups.entry((direction, policies.clone())).or_insert_with(|| {
                *last += 1;
                Group { number: *last, pods: 0, is_written: false }
            });
            group.pods += 1;
            elements.add(word(direction).to_owned(), verdict(placement, direction, group));
        }
        for (set, element) in memberships(placement) {
            elements.add(set, element);
        }
    }

    fn leave(&mut self, placement: &Placement, elements: &mut Elements) {
        for (direction, policies) in isolations(placement) {
            let group = self.groups.get_mut(&(direction, policies.clone())).expect("a pod that is placed is counted");
            group.pods -= 1;
            elements.delete(word(direction).to_owned(), verdict(placement, direction, group));
        }
        for (set, element) in memberships(placement) {
            elements.delete(set, element);
        }
    }

    fn write_new_groups(&mut self, table: &str, out: &mut String) {
        for ((direction, policies), group) in
            self.groups.iter_mut().filter(|(_, group)| group.pods > 0 && !group.is_written)
        {
            group.is_written = true;
            let name = group_name(*direction, group.number);
            push(out, format_args!("add chain inet {table} {name}"));
            for policy in policies {
                push(out, format_args!("add rule inet {table} {name} jump {}", chain_name(*policy, *direction)));
            }
            push(out, format_args!("add rule inet {table} {name} drop"));
        }
    }

    fn delete_unused_groups(&mut self, table: &str, out: &mut String) {
        self.groups.retain(|(direction, _), group| {
            if group.pods == 0 && group.is_written {
                let name = group_name(*direction, group.number);
                push(out, format_args!("flush chain inet {table} {name}\ndelete chain inet {table} {name}"));
            }
            group.pods > 0
        });
    }
}

fn isolations(placement: &Placement) -> impl Iterator<Item = (Direction, &BTreeSet<u64>)> {
    let both = [(Direction::Ingress, &placement.ingress), (Direction::Egress, &placement.egress)];
    both.into_iter().filter(|(_, policies)| !policies.is_empty())
}

fn verdict(placement: &Placement, direction: Direction, group: &Group) -> String {
    format!("{} : goto {}", placement.address, group_name(direction, group.number))
}

/// Elements of sets: as a peer, as one that has a named port, and as one that always reaches itself.
fn memberships(placement: &Placement) -> impl Iterator<Item = (String, String)> {
    let address = placement.address;
    let isolated = !(placement.ingress.is_empty() && placement.egress.is_empty());
    let itself = isolated.then(|| ("itself".to_owned(), format!("{address} . {address}")));
    let members = placement.members.iter().map(move |member| match member {
        Member::Peer(number) => (peer_set(*number), address.to_string()),
        Member::Port(number, port) => (port_set(*number), format!("{address} . {port}")),
    });
    members.chain(itself)
}

fn add_sets_and_chains(table: &str, before: &Plan, plan: &Plan, out: &mut String) {
    for (name, kind) in plan.sets.iter().filter(|(name, _)| !before.sets.contains_key(*name)) {
        push(out, format_args!("add set inet {table} {name} {{ type {kind}; }}"));
    }
    for (name, chain) in plan.chains.iter().filter(|(name, _)| !before.chains.contains_key(*name)) {
        push(out, format_args!("add chain inet {table} {name} {{ comment \"{}\"; }}", chain.comment));
    }
}

fn write_rules(table: &str, before: &Plan, plan: &Plan, out: &mut String) {
    for (name, chain) in &plan.chains {
        let known: Option<&Chain> = before.chains.get(name);
        if known == Some(chain) {
            continue;
        }
        if known.is_some() {
            push(out, format_args!("flush chain inet {table} {name}"));
        }
        for rule in &chain.rules {
            push(out, format_args!("add rule inet {table} {name} {rule}"));
        }
    }
}

fn delete_sets_and_chains(table: &str, before: &Plan, plan: &Plan, out: &mut String) {
    for name in before.chains.keys().filter(|name| !plan.chains.contains_key(*name)) {
        push(out, format_args!("flush chain inet {table} {name}\ndelete chain inet {table} {name}"));
    }
    for name in before.sets.keys().filter(|name| !plan.sets.contains_key(*name)) {
        push(out, format_args!("delete set inet {table} {name}"));
    }
}
