//! Pods join and leave the network.

use crate::ClusterId;
use crate::attach;
use crate::base::{self, BaseOptions};
use crate::ipam::{IpamError, Pool};
use crate::netlink::{NetlinkError, connect};
use ipnet::Ipv4Net;
use parking_lot::Mutex;
use rtnetlink::Handle;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::path::Path;
use tokio::sync::watch;

#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    #[error(transparent)]
    Address(#[from] IpamError),
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    #[error(transparent)]
    Kernel(#[from] kernel::Error),
}

/// This node's part of the pod network.
pub struct PodNetwork {
    cluster: ClusterId,
    pool: Mutex<Pool>,
    netlink: Handle,
    mtu: u32,
    ready: watch::Sender<bool>,
}

impl PodNetwork {
    /// Prepares the node (forwarding, tables); addresses are given out once `set_ranges` has been told any.
    pub async fn open(folder: &Path, options: &BaseOptions) -> Result<PodNetwork, NetworkError> {
        let netlink = connect()?;
        base::prepare(&netlink, options).await?;
        Ok(PodNetwork {
            cluster: options.cluster.clone(),
            pool: Mutex::new(Pool::open(folder)?),
            netlink,
            mtu: options.mtu,
            ready: watch::Sender::new(false),
        })
    }

    /// The node's pod CIDRs, as the API says.
    pub fn set_ranges(&self, ranges: Vec<Ipv4Net>) {
        let any = !ranges.is_empty();
        self.pool.lock().set_ranges(ranges);
        self.ready.send_replace(any);
    }

    /// Whether pods can get an address.
    pub fn ready(&self) -> watch::Receiver<bool> {
        self.ready.subscribe()
    }

    /// Connects a sandbox's namespace; idempotent.
    pub async fn setup(&self, sandbox: &str, netns: &Path) -> Result<Ipv4Addr, NetworkError> {
        let address = self.pool.lock().take(sandbox)?;
        let attached = attach::attach(&self.netlink, netns, &self.interface(sandbox), address, self.mtu).await;
        if let Err(error) = attached {
            self.teardown(sandbox).await?;
            return Err(error.into());
        }
        Ok(address)
    }

    /// Disconnects a sandbox and frees its address; idempotent.
    pub async fn teardown(&self, sandbox: &str) -> Result<(), NetworkError> {
        attach::detach(&self.netlink, &self.interface(sandbox)).await?;
        self.pool.lock().release(sandbox)?;
        Ok(())
    }

    /// After a restart: frees what belongs to sandboxes that are gone.
    pub async fn reconcile(&self, living: &BTreeSet<String>) -> Result<(), NetworkError> {
        let dead = self.pool.lock().reconcile(living)?;
        let keep: BTreeSet<String> = living.iter().map(|sandbox| self.interface(sandbox)).collect();
        for name in attach::interfaces(&self.netlink, &self.cluster.interface_prefix()).await? {
            if !keep.contains(&name) {
                attach::detach(&self.netlink, &name).await?;
            }
        }
        if !dead.is_empty() {
            tracing::info!(count = dead.len(), "freed the addresses of sandboxes that are gone");
        }
        Ok(())
    }

    /// The node end's name: FNV-1a of the sandbox id, 32 bits; among 1,000 pods a clash has a chance of 1 in 8,600,
    /// and then the second pod's setup fails with the kernel's words and is tried again with another sandbox id.
    fn interface(&self, sandbox: &str) -> String {
        let hash =
            sandbox.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        format!("{}{hash:08x}", self.cluster.interface_prefix())
    }
}
