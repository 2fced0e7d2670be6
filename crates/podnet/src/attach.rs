//! One pod's cable: a veth pair, its addresses, routes and permanent neighbours on both ends.
//!
//! Permanent neighbours spare every first packet an ARP exchange and keep 1,000 pods out of the neighbour table's
//! garbage collector (`gc_thresh` counts only what may be collected).

use crate::netlink::{Attempted, NetlinkError, Result, errno, in_netns};
use crate::{GATEWAY, GATEWAY_MAC, ROUTE_PROTOCOL};
use futures::TryStreamExt;
use netlink_packet_route::link::{InfoData, InfoVeth};
use netlink_packet_route::neighbour::NeighbourState;
use netlink_packet_route::route::{RouteProtocol, RouteScope};
use rtnetlink::{Handle, LinkMessageBuilder, LinkUnspec, LinkVeth, RouteMessageBuilder};
use std::fs::File;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::path::Path;

const EEXIST: i32 = 17;
const ENODEV: i32 = 19;

/// A pod's hardware address, derived from its address: unique where that is.
fn pod_mac(address: Ipv4Addr) -> [u8; 6] {
    let [a, b, c, d] = address.octets();
    [0x0a, 0x58, a, b, c, d]
}

pub(crate) async fn link_index(handle: &Handle, name: &str) -> Result<u32> {
    let found = handle.link().get().match_name(name).execute().try_next().await;
    let link = found.attempted(|| format!("looking up interface {name}"))?;
    link.map(|link| link.header.index)
        .ok_or_else(|| NetlinkError::NoInterface { attempted: format!("looking up interface {name}") })
}

/// Connects the namespace at `netns` to this node as `address`. Done twice, it is as done once.
pub(crate) async fn attach(handle: &Handle, netns: &Path, host_name: &str, address: Ipv4Addr, mtu: u32) -> Result<()> {
    create_pair(handle, netns, host_name, address, mtu).await?;
    let inside = netns.to_owned();
    tokio::task::spawn_blocking(move || in_netns(&inside, |handle| configure_pod(handle, address)))
        .await
        .expect("configuring a pod's interface does not panic")?;
    let index = link_index(handle, host_name).await?;
    handle
        .neighbours()
        .add(index, address.into())
        .link_layer_address(&pod_mac(address))
        .state(NeighbourState::Permanent)
        .replace()
        .execute()
        .await
        .attempted(|| format!("naming {address} the neighbour on {host_name}"))?;
    let route = RouteMessageBuilder::<Ipv4Addr>::new()
        .destination_prefix(address, 32)
        .output_interface(index)
        .scope(RouteScope::Link)
        .protocol(RouteProtocol::Other(ROUTE_PROTOCOL))
        .build();
    handle.route().add(route).replace().execute().await.attempted(|| format!("routing {address} to {host_name}"))
}

async fn create_pair(handle: &Handle, netns: &Path, host_name: &str, address: Ipv4Addr, mtu: u32) -> Result<()> {
    let namespace = File::open(netns).map_err(NetlinkError::Open)?;
    let peer = LinkMessageBuilder::<LinkUnspec>::new()
        .name("eth0")
        .address(pod_mac(address).to_vec())
        .mtu(mtu)
        .setns_by_fd(namespace.as_raw_fd())
        .build();
    let pair = LinkVeth::new(host_name, "eth0")
        .set_info_data(InfoData::Veth(InfoVeth::Peer(peer)))
        .address(GATEWAY_MAC.to_vec())
        .mtu(mtu)
        .up()
        .build();
    match handle.link().add(pair).execute().await {
        Err(error) if errno(&error) == Some(EEXIST) => Ok(()),
        made => made.attempted(|| format!("making the interface pair {host_name}")),
    }
}

/// Runs inside the pod's namespace.
async fn configure_pod(handle: Handle, address: Ipv4Addr) -> Result<()> {
    let index = link_index(&handle, "eth0").await?;
    let added = handle.address().add(index, address.into(), 32).replace().execute().await;
    added.attempted(|| format!("giving the pod its address {address}"))?;
    // Not at creation: the kernel refuses to bring up an end whose peer is still being made.
    let up = handle.link().set(LinkMessageBuilder::<LinkUnspec>::new().index(index).up().build()).execute().await;
    up.attempted(|| "bringing the pod's interface up".to_owned())?;
    handle
        .neighbours()
        .add(index, GATEWAY.into())
        .link_layer_address(&GATEWAY_MAC)
        .state(NeighbourState::Permanent)
        .replace()
        .execute()
        .await
        .attempted(|| "naming the pod's gateway".to_owned())?;
    let to_gateway = RouteMessageBuilder::<Ipv4Addr>::new()
        .destination_prefix(GATEWAY, 32)
        .output_interface(index)
        .scope(RouteScope::Link)
        .build();
    handle.route().add(to_gateway).replace().execute().await.attempted(|| "routing to the pod's gateway".to_owned())?;
    let default = RouteMessageBuilder::<Ipv4Addr>::new().gateway(GATEWAY).output_interface(index).build();
    handle.route().add(default).replace().execute().await.attempted(|| "adding the pod's default route".to_owned())
}

/// Removes a pair by its node end; one that is gone already is no error.
pub(crate) async fn detach(handle: &Handle, host_name: &str) -> Result<()> {
    let index = match link_index(handle, host_name).await {
        Ok(index) => index,
        Err(NetlinkError::NoInterface { .. }) => return Ok(()),
        Err(NetlinkError::Request { source, .. }) if errno(&source) == Some(ENODEV) => return Ok(()),
        Err(error) => return Err(error),
    };
    match handle.link().del(index).execute().await {
        Err(error) if errno(&error) == Some(ENODEV) => Ok(()),
        removed => removed.attempted(|| format!("removing interface {host_name}")),
    }
}

/// Names of this node's interfaces that begin with `prefix`.
pub(crate) async fn interfaces(handle: &Handle, prefix: &str) -> Result<Vec<String>> {
    use netlink_packet_route::link::LinkAttribute;
    let mut links = handle.link().get().execute();
    let mut names = Vec::new();
    while let Some(link) = links.try_next().await.attempted(|| "listing interfaces".to_owned())? {
        let name = link.attributes.into_iter().find_map(|attribute| match attribute {
            LinkAttribute::IfName(name) => Some(name),
            _ => None,
        });
        names.extend(name.filter(|name| name.starts_with(prefix)));
    }
    Ok(names)
}
