//! What the node needs once: forwarding, room in the kernel's tables, and masquerading of what leaves the cluster.

use crate::attach;
use crate::netlink::connect;
use crate::{ClusterId, NetworkError};
use ipnet::Ipv4Net;

#[derive(Clone, Debug)]
pub struct BaseOptions {
    pub cluster: ClusterId,
    /// All pods of the cluster; what they send elsewhere leaves with the node's address.
    pub pod_cidr: Ipv4Net,
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

pub(crate) fn prepare(options: &BaseOptions) -> Result<(), NetworkError> {
    kernel::sysctl::write("net.ipv4.ip_forward", "1")?;
    for (name, least) in AT_LEAST {
        raise(name, *least);
    }
    kernel::nft::apply(&masquerade(options))?;
    Ok(())
}

/// Not every namespace may write every parameter: what cannot be raised bounds the node, and is said once.
fn raise(name: &str, least: u64) {
    let raised = kernel::sysctl::read(name).and_then(|now| match now.parse::<u64>() {
        Ok(now) if now >= least => Ok(()),
        _ => kernel::sysctl::write(name, &least.to_string()),
    });
    if let Err(error) = raised {
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
pub async fn reset(cluster: &ClusterId) -> Result<(), NetworkError> {
    let netlink = connect()?;
    for name in attach::interfaces(&netlink, &cluster.interface_prefix()).await? {
        attach::detach(&netlink, &name).await?;
    }
    let prefix = cluster.table("");
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
        let options =
            BaseOptions { cluster: ClusterId::new("1a2b-3c4d-ffff"), pod_cidr: "10.42.0.0/16".parse().unwrap(), mtu: 1500 };
        let script = masquerade(&options);
        assert!(script.starts_with("add table ip sampan_1a2b3c4d_pods\n"), "{script}");
        assert!(script.contains("ip saddr 10.42.0.0/16 ip daddr != 10.42.0.0/16"), "{script}");
    }
}
