//! What the node needs once: forwarding, room in the kernel's tables, and masquerading of what leaves the cluster.

use crate::netlink::{Attempted, connect, errno};
use crate::{ClusterId, NetworkError, ROUTE_PROTOCOL, attach, routes};
use ipnet::Ipv4Net;
use netlink_packet_route::route::{RouteMessage, RouteProtocol, RouteScope};
use rtnetlink::{AddressMessageBuilder, Handle, RouteMessageBuilder};
use std::net::Ipv4Addr;

const ESRCH: i32 = 3;
const EADDRNOTAVAIL: i32 = 99;

#[derive(Clone, Debug)]
pub struct BaseOptions {
    pub cluster: ClusterId,
    /// All pods of the cluster; what they send elsewhere leaves with the node's address.
    pub pod_cidr: Ipv4Net,
    pub service_cidr: Ipv4Net,
    pub node_ip: Ipv4Addr,
    /// Service addresses that this node's own processes answer (DNS): they are put on loopback.
    pub own_vips: Vec<Ipv4Addr>,
    pub mtu: u32,
}

/// Parameters this network needs; a value that is higher already stays.
const AT_LEAST: &[(&str, u64)] = &[
    // Neighbours between nodes; pods' own are permanent and do not count.
    ("net.ipv4.neigh.default.gc_thresh1", 2048),
    ("net.ipv4.neigh.default.gc_thresh2", 8192),
    ("net.ipv4.neigh.default.gc_thresh3", 16384),
    ("fs.inotify.max_user_instances", 8192),
    ("fs.inotify.max_user_watches", 524_288),
    ("kernel.pid_max", 4_194_304),
];

/// Prepares a node whose pods another network connects, which gives them addresses of the node's ranges.
pub async fn prepare_node(options: &BaseOptions) -> Result<(), NetworkError> {
    prepare(&connect()?, options).await
}

pub(crate) async fn prepare(netlink: &Handle, options: &BaseOptions) -> Result<(), NetworkError> {
    kernel::sysctl::write("net.ipv4.ip_forward", "1")?;
    for (name, least) in AT_LEAST {
        raise(name, *least);
    }
    kernel::nft::apply(&masquerade(options))?;
    let loopback = attach::link_index(netlink, "lo").await?;
    for vip in &options.own_vips {
        let added = netlink.address().add(loopback, (*vip).into(), 32).replace().execute().await;
        added.attempted(|| format!("putting {vip} on loopback"))?;
    }
    let added = netlink.route().add(service_route(options, loopback)).replace().execute().await;
    added.attempted(|| format!("routing {}", options.service_cidr))?;
    Ok(())
}

/// The node itself must find some route to a service address before the service rules can rewrite it, default route
/// or not; what no rule rewrites is refused by the proxy's table.
fn service_route(options: &BaseOptions, loopback: u32) -> RouteMessage {
    RouteMessageBuilder::<Ipv4Addr>::new()
        .destination_prefix(options.service_cidr.network(), options.service_cidr.prefix_len())
        .output_interface(loopback)
        .pref_source(options.node_ip)
        .scope(RouteScope::Link)
        .protocol(RouteProtocol::Other(ROUTE_PROTOCOL))
        .build()
}

/// Not every namespace may write every parameter: what cannot be raised bounds the node, and is said once.
fn raise(name: &str, least: u64) {
    let raised = kernel::sysctl::read(name).and_then(|now| match now.parse::<u64>() {
        Ok(now) if now >= least => Ok(()),
        _ => kernel::sysctl::write(name, &least.to_string()),
    });
    // Some parameters belong to the first network namespace only.
    if let Err(error) = raised
        && error.kind() != Some(std::io::ErrorKind::NotFound)
    {
        tracing::warn!(%error, parameter = name, wanted = least, "a kernel limit stays as it is");
    }
}

/// Replaces the table whole: `add` then `delete` makes the script the same for the first and every later start.
fn masquerade(options: &BaseOptions) -> String {
    let table = options.cluster.table("pods");
    let pods = options.pod_cidr;
    format!(
        "add table ip {table}\ndelete table ip {table}\n\
         table ip {table} {{\n\
         \tchain postrouting {{\n\
         \t\ttype nat hook postrouting priority 100; policy accept;\n\
         \t\tip saddr {pods} ip daddr != {pods} ip daddr != 224.0.0.0/4 masquerade\n\
         \t}}\n\
         }}\n"
    )
}

/// Removes every interface, route and table of a cluster from this node.
///
/// What is gone already is no error: a reset may be run again.
pub async fn reset(options: &BaseOptions) -> Result<(), NetworkError> {
    let netlink = connect()?;
    for name in attach::interfaces(&netlink, &options.cluster.interface_prefix()).await? {
        attach::detach(&netlink, &name).await?;
    }
    routes::remove_all(&netlink, options.pod_cidr).await?;
    let loopback = attach::link_index(&netlink, "lo").await?;
    match netlink.route().del(service_route(options, loopback)).execute().await {
        Err(error) if errno(&error) == Some(ESRCH) => {}
        removed => removed.attempted(|| format!("removing the route to {}", options.service_cidr))?,
    }
    for vip in &options.own_vips {
        let address = AddressMessageBuilder::<Ipv4Addr>::new().index(loopback).address(*vip, 32).build();
        match netlink.address().del(address).execute().await {
            Err(error) if errno(&error) == Some(EADDRNOTAVAIL) => {}
            removed => removed.attempted(|| format!("taking {vip} off loopback"))?,
        }
    }
    let prefix = options.cluster.table("");
    for line in kernel::nft::query(&["list", "tables"])?.lines() {
        if let ["table", family, name] = line.split_whitespace().collect::<Vec<_>>()[..]
            && name.starts_with(&prefix)
        {
            kernel::nft::apply(&format!("delete table {family} {name}\n"))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_leaves_the_cluster_is_masqueraded() {
        let options = BaseOptions {
            cluster: ClusterId::new("1a2b-3c4d-ffff"),
            pod_cidr: "10.42.0.0/16".parse().unwrap(),
            service_cidr: "10.43.0.0/16".parse().unwrap(),
            node_ip: "192.168.7.1".parse().unwrap(),
            own_vips: Vec::new(),
            mtu: 1500,
        };
        let script = masquerade(&options);
        assert!(script.starts_with("add table ip sampan_1a2b3c4d_pods\n"), "{script}");
        assert!(script.contains("ip saddr 10.42.0.0/16 ip daddr != 10.42.0.0/16"), "{script}");
    }
}
