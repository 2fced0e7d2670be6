//! Old flows: a UDP client keeps its flow, and with it a vanished endpoint, until the entry is deleted.

use crate::view::{Front, Protocol, ServiceRules};
use std::net::Ipv4Addr;
use std::process::Stdio;
use tokio::process::Command;

/// The (original destination, endpoint) pairs of UDP flows that must be forgotten after a change.
pub(crate) fn stale(old: &ServiceRules, new: &ServiceRules) -> Vec<(Option<Ipv4Addr>, Ipv4Addr)> {
    let mut stale = Vec::new();
    for (front, (_, targets)) in old.fronts.iter().filter(|(front, _)| front.protocol() == Protocol::Udp) {
        let kept = new.fronts.get(front).map(|(_, targets)| targets.as_slice()).unwrap_or_default();
        let address = match front {
            Front::Address(address, ..) => Some(*address),
            Front::NodePort(..) => None,
        };
        stale.extend(targets.iter().filter(|target| !kept.contains(target)).map(|(endpoint, _)| (address, *endpoint)));
    }
    stale
}

/// Deletes one pair's flows. `conntrack` exits with 1 when there were none.
pub(crate) async fn forget(address: Option<Ipv4Addr>, endpoint: Ipv4Addr) {
    let mut command = Command::new("conntrack");
    command.args(["-D", "-p", "udp", "--reply-src", &endpoint.to_string()]);
    if let Some(address) = address {
        command.args(["--orig-dst", &address.to_string()]);
    }
    let output = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).output().await;
    match output {
        Ok(output) if matches!(output.status.code(), Some(0 | 1)) => {}
        Ok(output) => {
            let error = String::from_utf8_lossy(&output.stderr).into_owned();
            tracing::warn!(%endpoint, error, "old UDP flows may go on to an endpoint that is gone");
        }
        Err(error) => {
            tracing::warn!(%endpoint, %error, "cannot run conntrack: old UDP flows may go on to a gone endpoint")
        }
    }
}
