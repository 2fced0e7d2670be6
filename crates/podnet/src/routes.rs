//! Routes to the other nodes' pods: one per pod range, through the node's own address on the shared link.

use crate::ROUTE_PROTOCOL;
use crate::netlink::{Attempted, Result, connect, errno};
use api::k8s_openapi::api::core::v1::Node;
use futures::TryStreamExt;
use ipnet::Ipv4Net;
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteProtocol};
use rtnetlink::{Handle, RouteMessageBuilder};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

const ESRCH: i32 = 3;

/// Range to gateway: what should be routed.
type Plan = BTreeMap<Ipv4Net, Ipv4Addr>;

/// Follows the Node objects.
pub struct NodeRoutes {
    client: client::Client,
    own_name: String,
    pod_cidr: Ipv4Net,
}

impl NodeRoutes {
    pub fn new(client: client::Client, own_name: &str, pod_cidr: Ipv4Net) -> NodeRoutes {
        NodeRoutes { client, own_name: own_name.to_owned(), pod_cidr }
    }

    /// Runs until dropped: every change of a node is one pass over the difference.
    pub async fn run(self) -> Result<()> {
        let nodes = self.client.cache::<Node>();
        nodes.synced().await;
        let netlink = connect()?;
        let mut changes = nodes.changes();
        loop {
            changes.next().await;
            while changes.try_next().is_some() {}
            let wanted = plan(nodes.list().iter().map(|node| &**node), &self.own_name);
            // A node may be reachable only later (its link comes up): the next change of any node tries again, and
            // nodes change at least with every status report.
            if let Err(error) = self.apply(&netlink, &wanted).await {
                tracing::warn!(%error, "routes to other nodes are not complete");
            }
        }
    }

    async fn apply(&self, netlink: &Handle, wanted: &Plan) -> Result<()> {
        let present = present(netlink, self.pod_cidr).await?;
        for (range, (gateway, route)) in &present {
            if wanted.get(range) != Some(gateway) {
                remove(netlink, range, route).await?;
            }
        }
        for (range, gateway) in wanted {
            if present.get(range).is_some_and(|(present, _)| present == gateway) {
                continue;
            }
            let route = RouteMessageBuilder::<Ipv4Addr>::new()
                .destination_prefix(range.addr(), range.prefix_len())
                .gateway(*gateway)
                .protocol(RouteProtocol::Other(ROUTE_PROTOCOL))
                .build();
            let added = netlink.route().add(route).replace().execute().await;
            added.attempted(|| format!("routing {range} through {gateway}"))?;
        }
        Ok(())
    }
}

async fn remove(netlink: &Handle, range: &Ipv4Net, route: &RouteMessage) -> Result<()> {
    match netlink.route().del(route.clone()).execute().await {
        Err(error) if errno(&error) == Some(ESRCH) => Ok(()),
        removed => removed.attempted(|| format!("removing the route to {range}")),
    }
}

/// Removes every route to another node's pods.
pub(crate) async fn remove_all(netlink: &Handle, pod_cidr: Ipv4Net) -> Result<()> {
    for (range, (_, route)) in present(netlink, pod_cidr).await? {
        remove(netlink, &range, &route).await?;
    }
    Ok(())
}

/// Our routes to other nodes: those with our protocol number, a gateway, and a destination among the pods.
async fn present(netlink: &Handle, pod_cidr: Ipv4Net) -> Result<BTreeMap<Ipv4Net, (Ipv4Addr, RouteMessage)>> {
    let mut routes = netlink.route().get(RouteMessageBuilder::<Ipv4Addr>::new().build()).execute();
    let mut present = BTreeMap::new();
    while let Some(route) = routes.try_next().await.attempted(|| "listing routes".to_owned())? {
        if route.header.protocol != RouteProtocol::Other(ROUTE_PROTOCOL) {
            continue;
        }
        let (mut range, mut gateway) = (None, None);
        for attribute in &route.attributes {
            match attribute {
                RouteAttribute::Destination(RouteAddress::Inet(address)) => {
                    range = Ipv4Net::new(*address, route.header.destination_prefix_length).ok();
                }
                RouteAttribute::Gateway(RouteAddress::Inet(address)) => gateway = Some(*address),
                _ => {}
            }
        }
        if let (Some(range), Some(gateway)) = (range, gateway)
            && pod_cidr.contains(&range)
        {
            present.insert(range, (gateway, route));
        }
    }
    Ok(present)
}

/// Every other node's pod ranges through its internal address.
fn plan<'a>(nodes: impl Iterator<Item = &'a Node>, own_name: &str) -> Plan {
    let mut plan = Plan::new();
    for node in nodes.filter(|node| node.metadata.name.as_deref() != Some(own_name)) {
        let addresses = node.status.iter().flat_map(|status| status.addresses.iter().flatten());
        let gateway =
            addresses.filter(|address| address.type_ == "InternalIP").find_map(|address| address.address.parse().ok());
        let Some(gateway) = gateway else { continue };
        for range in node_ranges(node) {
            plan.insert(range, gateway);
        }
    }
    plan
}

/// The IPv4 ranges of a node's pods.
pub fn node_ranges(node: &Node) -> Vec<Ipv4Net> {
    let Some(spec) = &node.spec else { return Vec::new() };
    let ranges = spec.pod_cidrs.iter().flatten().chain(spec.pod_cidr.iter());
    let mut ranges: Vec<Ipv4Net> = ranges.filter_map(|range| range.parse().ok()).collect();
    ranges.sort_unstable();
    ranges.dedup();
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::k8s_openapi::api::core::v1::{NodeAddress, NodeSpec, NodeStatus};

    fn node(name: &str, range: &str, address: &str) -> Node {
        let mut node = Node::default();
        node.metadata.name = Some(name.to_owned());
        node.spec = Some(NodeSpec { pod_cidr: Some(range.to_owned()), ..Default::default() });
        let address = NodeAddress { address: address.to_owned(), type_: "InternalIP".to_owned() };
        node.status = Some(NodeStatus { addresses: Some(vec![address]), ..Default::default() });
        node
    }

    #[test]
    fn other_nodes_are_routed_and_the_own_is_not() {
        let nodes =
            [node("a", "10.42.0.0/22", "192.168.9.1"), node("b", "10.42.4.0/22", "192.168.9.2"), Node::default()];
        let plan = plan(nodes.iter(), "a");
        assert_eq!(plan, Plan::from([("10.42.4.0/22".parse().unwrap(), "192.168.9.2".parse().unwrap())]));
    }
}
