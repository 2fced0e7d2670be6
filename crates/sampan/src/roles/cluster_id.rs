//! What every node of a cluster derives the same names from: its certificate authority.

use crate::roles::bootstrap::authority_pin;
use crate::settings::Settings;
use anyhow::Result;
use podnet::{BaseOptions, ClusterId};
use std::path::{Path, PathBuf};

/// From the server CA's certificate, which server and nodes have.
pub(crate) fn cluster_id(ca_pem: &str) -> Result<ClusterId> {
    Ok(ClusterId::new(&authority_pin(ca_pem)?))
}

/// Below which this node's containers and shims have their cgroups.
pub(crate) fn cgroup_root(settings: &Settings, cluster: &ClusterId) -> PathBuf {
    match &settings.cgroup_root {
        Some(root) => Path::new("/").join(root.trim_start_matches('/')),
        None => PathBuf::from(format!("/sampan-{}", cluster.as_str())),
    }
}

/// Sockets and the like: gone with the machine's power; one per data directory, and short, since a socket's path may
/// have only 107 bytes.
pub(crate) fn run_dir(settings: &Settings) -> PathBuf {
    let path = settings.data_dir.as_os_str().as_encoded_bytes();
    let hash = path
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    PathBuf::from(format!("/run/sampan-{hash:016x}"))
}

/// Where the server answers this machine's commands: beside the directory of sockets, which is the runtime's.
pub(crate) fn control_socket(settings: &Settings) -> PathBuf {
    run_dir(settings).with_extension("sock")
}

/// Leaves room for nothing: veth pairs carry whole Ethernet frames, and routes between nodes add no header.
const MTU: u32 = 1500;

pub(crate) fn base_options(settings: &Settings, cluster: ClusterId) -> BaseOptions {
    BaseOptions {
        cluster,
        pod_cidr: settings.pod_cidr,
        service_cidr: settings.service_cidr,
        node_ip: settings.node_ip,
        own_vips: vec![settings.dns_service_ip()],
        mtu: MTU,
    }
}
