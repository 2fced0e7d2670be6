//! What every node of a cluster derives the same names from: its certificate authority.

use crate::settings::Settings;
use crate::roles::bootstrap::authority_pin;
use anyhow::Result;
use podnet::{BaseOptions, ClusterId};

/// From the server CA's certificate, which server and nodes have.
pub(crate) fn cluster_id(ca_pem: &str) -> Result<ClusterId> {
    Ok(ClusterId::new(&authority_pin(ca_pem)?))
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
