//! Each node's range of pod addresses, from the cluster's.
//!
//! Invariant: no two nodes have overlapping ranges; a range, once given, stays until its node is gone.

use crate::table::Start;
use async_trait::async_trait;
use client::Cache;
use ipnet::IpNet;
use k8s_openapi::api::core::v1::Node;
use parking_lot::Mutex;
use reconcile::{Action, Context, Controller, Error, Key, Reconcile, Severity};
use serde::Serialize;
use std::collections::HashMap;
use std::sync::Arc;

pub(crate) fn controller(start: &Start) -> Option<Controller> {
    if start.options.cluster_cidrs.is_empty() {
        return None;
    }
    let nodes = start.client.cache::<Node>();
    let reconciler = Ipam {
        nodes: nodes.clone(),
        ranges: start.options.cluster_cidrs.clone(),
        mask: (start.options.node_mask_v4, start.options.node_mask_v6),
        given: Mutex::default(),
    };
    // With one worker the lowest ranges go first.
    let controller =
        Controller::new("node-ipam", reconciler).component("cidrAllocator").workers(1).watches(nodes, |change| {
            let has = |node: &Option<Arc<Node>>| node.as_deref().map(pod_cidrs);
            if has(&change.old) == has(&change.new) { Vec::new() } else { vec![change.key.clone()] }
        });
    Some(controller)
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
    /// Given out here and perhaps not in the cache yet.
    given: Mutex<HashMap<Key, Vec<IpNet>>>,
}

#[async_trait]
impl Reconcile for Ipam {
    async fn reconcile(&self, ctx: &Context, key: &Key) -> Result<Action, Error> {
        let Some(node) = self.nodes.get_key(key) else {
            self.given.lock().remove(key);
            return Ok(Action::Done);
        };
        let has = pod_cidrs(&node);
        if !has.is_empty() {
            self.given.lock().insert(key.clone(), has);
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
        if let Some(reserved) = given.get(node).filter(|ranges| !ranges.is_empty()) {
            return Some(reserved.clone());
        }
        let mut taken: Vec<IpNet> = self.nodes.list().iter().flat_map(|node| pod_cidrs(node)).collect();
        taken.extend(given.values().flatten());
        let ranges = choose(&self.ranges, self.mask, &taken)?;
        given.insert(node.clone(), ranges.clone());
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
fn choose(ranges: &[IpNet], (mask_v4, mask_v6): (u8, u8), taken: &[IpNet]) -> Option<Vec<IpNet>> {
    let free = |range: &IpNet| {
        let mask = if range.addr().is_ipv4() { mask_v4 } else { mask_v6 };
        let overlaps = |part: &IpNet| taken.iter().any(|other| other.contains(part) || part.contains(other));
        range.subnets(mask.max(range.prefix_len())).ok()?.find(|part| !overlaps(part))
    };
    let mut chosen = Vec::new();
    for v4 in [true, false] {
        let family: Vec<&IpNet> = ranges.iter().filter(|range| range.addr().is_ipv4() == v4).collect();
        if !family.is_empty() {
            chosen.push(family.into_iter().find_map(free)?);
        }
    }
    Some(chosen).filter(|chosen| !chosen.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(ranges: &[&str], taken: &[&str], want: Option<&[&str]>) {
        let parse = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<IpNet>>();
        assert_eq!(choose(&parse(ranges), (22, 64), &parse(taken)), want.map(parse), "{ranges:?} {taken:?}");
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
    }
}
