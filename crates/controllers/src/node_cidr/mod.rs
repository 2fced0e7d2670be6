//! Node addresses: gives every node a range of the cluster's for its pods.
//!
//! Invariants: no two nodes' ranges overlap; a range is free again when its node is gone. The ranges are rebuilt from
//! the nodes before the first is given out.

mod ranges;

use crate::table::Start;
use async_trait::async_trait;
use client::{Cache, Change};
use ipnet::Ipv4Net;
use k8s_openapi::api::core::v1::Node;
use parking_lot::Mutex;
use ranges::Ranges;
use reconcile::{Action, Context, Controller, Error, Key, Reconcile, Severity, key_of};
use serde::Serialize;
use std::sync::Arc;

pub(crate) fn controller(start: &Start) -> Option<Controller> {
    let cluster = start.options.pod_cidr?;
    let nodes = start.client.cache::<Node>();
    let ranges = Arc::new(Mutex::new(Ranges::new(cluster, start.options.node_mask)));
    let (taken, waiting) = (ranges.clone(), nodes.clone());
    // The reservation is made under the lock, so that any number of workers may ask.
    let controller = Controller::new("node-ipam", Nodes { nodes: nodes.clone(), ranges })
        .watches(nodes, move |change| observe(&taken, &waiting, change));
    Some(controller)
}

/// Keeps the ranges as the nodes have them; the nodes that this gives a chance.
fn observe(ranges: &Mutex<Ranges>, nodes: &Cache<Node>, change: &Change<Node>) -> Vec<Key> {
    match change.new.as_deref() {
        Some(node) => {
            let own = own_ranges(node);
            if own.is_empty() {
                return vec![change.key.clone()];
            }
            ranges.lock().take(&change.key, own);
            Vec::new()
        }
        None => {
            ranges.lock().free(&change.key);
            let without = |node: &Arc<Node>| own_ranges(node).is_empty();
            nodes.list().into_iter().filter(without).map(|node| key_of(&*node)).collect()
        }
    }
}

/// What a node has; ranges that are not IPv4 cannot overlap with ours.
fn own_ranges(node: &Node) -> Vec<Ipv4Net> {
    let spec = node.spec.as_ref();
    let one = spec.and_then(|spec| spec.pod_cidr.as_ref());
    let many = spec.and_then(|spec| spec.pod_cidrs.as_ref());
    let mut own: Vec<Ipv4Net> = many.into_iter().flatten().chain(one).filter_map(|text| text.parse().ok()).collect();
    own.dedup();
    own
}

struct Nodes {
    nodes: Cache<Node>,
    ranges: Arc<Mutex<Ranges>>,
}

#[derive(Serialize)]
struct Patch<'a> {
    metadata: PatchMeta<'a>,
    spec: PatchSpec,
}

#[derive(Serialize)]
struct PatchMeta<'a> {
    uid: Option<&'a str>,
}

#[derive(Serialize)]
struct PatchSpec {
    #[serde(rename = "podCIDR")]
    one: String,
    #[serde(rename = "podCIDRs")]
    all: [String; 1],
}

#[async_trait]
impl Reconcile for Nodes {
    async fn reconcile(&self, ctx: &Context, key: &Key) -> Result<Action, Error> {
        let Some(node) = self.nodes.get_key(key) else {
            self.ranges.lock().free(key);
            return Ok(Action::Done);
        };
        if !own_ranges(&node).is_empty() || node.metadata.deletion_timestamp.is_some() {
            return Ok(Action::Done);
        }
        let Some(range) = self.ranges.lock().reserve(key) else {
            let message = format!("Node {key} status is now: CIDRNotAvailable");
            ctx.events().event(&*node, Severity::Normal, "CIDRNotAvailable", message);
            tracing::warn!(node = %key, "no range for its pods is left; it waits for another node to go");
            return Ok(Action::Done);
        };
        let text = range.to_string();
        let patch = Patch {
            metadata: PatchMeta { uid: node.metadata.uid.as_deref() },
            spec: PatchSpec { one: text.clone(), all: [text] },
        };
        match ctx.merge::<Node>("", key, None, &patch).await {
            Ok(_) => {}
            Err(status) if status.reason == api::Reason::NotFound => self.ranges.lock().free(key),
            Err(status) => return Err(Error::Api { what: format!("giving node {key} the range {range}"), status }),
        }
        Ok(Action::Done)
    }
}
