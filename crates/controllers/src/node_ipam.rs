//! Each node's range of pod addresses, from the cluster's.
//!
//! Invariant: no two nodes have overlapping ranges; a range, once given, stays until its node is gone.

use crate::table::Start;
use async_trait::async_trait;
use client::{Cache, Change};
use ipnet::IpNet;
use k8s_openapi::api::core::v1::Node;
use parking_lot::Mutex;
use reconcile::{Action, Context, Controller, Error, Key, Reconcile, Severity};
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

pub(crate) fn controller(start: &Start) -> Option<Controller> {
    if start.options.cluster_cidrs.is_empty() {
        return None;
    }
    let nodes = start.client.cache::<Node>();
    let given = Arc::new(Mutex::new(Given::default()));
    let reconciler = Ipam {
        nodes: nodes.clone(),
        ranges: start.options.cluster_cidrs.clone(),
        mask: (start.options.node_mask_v4, start.options.node_mask_v6),
        given: given.clone(),
    };
    // With one worker the lowest ranges go first.
    let controller = Controller::new("node-ipam", reconciler)
        .component("cidrAllocator")
        .workers(1)
        .watches(nodes, move |change| given.lock().changed(change));
    Some(controller)
}

/// The ranges of all nodes: those that the cache has shown, and those given out here that it has not shown yet.
#[derive(Default)]
struct Given {
    /// Whether all that the cache held at the start is in; from then on changes suffice.
    filled: bool,
    by_node: HashMap<Key, Vec<IpNet>>,
    /// In the order of addresses, and how many nodes have each.
    taken: BTreeMap<IpNet, usize>,
}

impl Given {
    /// Takes in what a node has; wakes it when that has changed.
    fn changed(&mut self, change: &Change<Node>) -> Vec<Key> {
        let has = |node: &Option<Arc<Node>>| node.as_deref().map(pod_cidrs);
        let (old, new) = (has(&change.old), has(&change.new));
        if old == new {
            return Vec::new();
        }
        match new {
            None => self.set(&change.key, Vec::new()),
            // One that has none yet may have been promised some.
            Some(ranges) if ranges.is_empty() => {}
            Some(ranges) => self.set(&change.key, ranges),
        }
        vec![change.key.clone()]
    }

    fn set(&mut self, node: &Key, ranges: Vec<IpNet>) {
        for range in &ranges {
            *self.taken.entry(*range).or_default() += 1;
        }
        let before =
            if ranges.is_empty() { self.by_node.remove(node) } else { self.by_node.insert(node.clone(), ranges) };
        for range in before.into_iter().flatten() {
            if let Some(count) = self.taken.get_mut(&range) {
                *count -= 1;
                if *count == 0 {
                    self.taken.remove(&range);
                }
            }
        }
    }

    fn fill(&mut self, nodes: &Cache<Node>) {
        if std::mem::replace(&mut self.filled, true) {
            return;
        }
        for node in nodes.list() {
            let ranges = pod_cidrs(&node);
            if !ranges.is_empty() {
                self.set(&reconcile::key_of(&*node), ranges);
            }
        }
    }
}

fn pod_cidrs(node: &Node) -> Vec<IpNet> {
    let Some(spec) = &node.spec else { return Vec::new() };
    let listed = spec.pod_cidrs.iter().flatten().map(String::as_str);
    let mut all: Vec<IpNet> = listed.chain(spec.pod_cidr.as_deref()).filter_map(|cidr| cidr.parse().ok()).collect();
    all.dedup();
    all
}

struct Ipam {
    nodes: Cache<Node>,
    ranges: Vec<IpNet>,
    mask: (u8, u8),
    given: Arc<Mutex<Given>>,
}

#[async_trait]
impl Reconcile for Ipam {
    async fn reconcile(&self, ctx: &Context, key: &Key) -> Result<Action, Error> {
        let Some(node) = self.nodes.get_key(key) else {
            // What was reserved for it between its end and the word of it.
            self.given.lock().set(key, Vec::new());
            return Ok(Action::Done);
        };
        if !pod_cidrs(&node).is_empty() {
            return Ok(Action::Done);
        }
        let Some(ranges) = self.reserve(key) else {
            let message = format!("Node {key} status is now: CIDRNotAvailable");
            ctx.events().event(&*node, Severity::Normal, "CIDRNotAvailable", message);
            return Err(Error::Invalid(format!("no range of pod addresses is free for node {key}")));
        };
        // A reservation stays when the write fails: its outcome may be unknown, and the next try takes it up.
        write(ctx, key, &ranges).await?;
        Ok(Action::Done)
    }
}

impl Ipam {
    fn reserve(&self, node: &Key) -> Option<Vec<IpNet>> {
        let mut given = self.given.lock();
        given.fill(&self.nodes);
        if let Some(reserved) = given.by_node.get(node) {
            return Some(reserved.clone());
        }
        let ranges = choose(&self.ranges, self.mask, &given.taken)?;
        given.set(node, ranges.clone());
        Some(ranges)
    }
}

#[derive(Serialize)]
struct Patch {
    spec: Spec,
}

#[derive(Serialize)]
struct Spec {
    #[serde(rename = "podCIDR")]
    first: String,
    #[serde(rename = "podCIDRs")]
    all: Vec<String>,
}

async fn write(ctx: &Context, node: &str, ranges: &[IpNet]) -> Result<(), Error> {
    let all: Vec<String> = ranges.iter().map(ToString::to_string).collect();
    let patch = Patch { spec: Spec { first: all[0].clone(), all } };
    let answer = ctx.merge::<Node>("", node, None, &patch).await;
    answer.map(drop).map_err(Error::api(format!("giving node {node} its range")))
}

/// The lowest free range of each family.
fn choose(ranges: &[IpNet], (mask_v4, mask_v6): (u8, u8), taken: &BTreeMap<IpNet, usize>) -> Option<Vec<IpNet>> {
    let mut chosen = Vec::new();
    for (v4, mask) in [(true, mask_v4), (false, mask_v6)] {
        let mut family = ranges.iter().filter(|range| range.addr().is_ipv4() == v4).peekable();
        if family.peek().is_some() {
            chosen.push(family.find_map(|range| lowest_free(range, mask, taken))?);
        }
    }
    Some(chosen).filter(|chosen| !chosen.is_empty())
}

/// One walk over the range's parts and what is taken, both in the order of addresses: a part is free if nothing that
/// begins before its end reaches into it.
fn lowest_free(range: &IpNet, mask: u8, taken: &BTreeMap<IpNet, usize>) -> Option<IpNet> {
    let same_family = |other: &&IpNet| other.addr().is_ipv4() == range.addr().is_ipv4();
    let mut taken = taken.keys().filter(same_family).peekable();
    let mut reached: Option<IpAddr> = None;
    range.subnets(mask.max(range.prefix_len())).ok()?.find(|part| {
        while let Some(other) = taken.next_if(|other| other.network() <= part.broadcast()) {
            reached = reached.max(Some(other.broadcast()));
        }
        reached < Some(part.network())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(ranges: &[&str], taken: &[&str], want: Option<&[&str]>) {
        let parse = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<IpNet>>();
        let sorted = parse(taken).into_iter().map(|range| (range, 1)).collect();
        assert_eq!(choose(&parse(ranges), (22, 64), &sorted), want.map(parse), "{ranges:?} {taken:?}");
    }

    #[test]
    fn nodes_get_the_lowest_free_range_of_each_family() {
        check(&["10.42.0.0/16"], &[], Some(&["10.42.0.0/22"]));
        check(&["10.42.0.0/16"], &["10.42.0.0/22", "10.42.8.0/22"], Some(&["10.42.4.0/22"]));
        check(&["10.42.0.0/16"], &["10.42.1.0/24"], Some(&["10.42.4.0/22"]));
        check(&["10.42.0.0/22"], &["10.42.0.0/22"], None);
        check(&["10.42.0.0/22", "10.50.0.0/22"], &["10.42.0.0/22"], Some(&["10.50.0.0/22"]));
        check(&["10.42.0.0/16", "fd00::/56"], &["fd00::/64"], Some(&["10.42.0.0/22", "fd00:0:0:1::/64"]));
        check(&["10.42.0.0/24"], &[], Some(&["10.42.0.0/24"]));
        // One within another, which reaches further.
        check(&["10.42.0.0/16"], &["10.42.0.0/20", "10.42.1.0/24"], Some(&["10.42.16.0/22"]));
        check(&["10.42.0.0/16"], &["10.0.0.0/8", "10.42.0.0/24"], None);
    }

    #[test]
    fn a_range_is_free_again_when_its_last_node_lets_go() {
        let range: IpNet = "10.42.0.0/22".parse().unwrap();
        let mut given = Given::default();
        let (one, other): (Key, Key) = ("one".into(), "other".into());
        given.set(&one, vec![range]);
        given.set(&other, vec![range]);
        given.set(&one, Vec::new());
        assert_eq!(given.taken.get(&range), Some(&1), "the other still has it");
        given.set(&other, vec!["10.42.4.0/22".parse().unwrap()]);
        assert_eq!(given.taken.keys().map(ToString::to_string).collect::<Vec<_>>(), ["10.42.4.0/22"]);
    }
}
