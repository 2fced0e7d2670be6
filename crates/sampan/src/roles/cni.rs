//! The pod network of another container runtime: told the node's ranges, and asked whether it stands.
//!
//! Such a runtime connects pods by its own CNI plugins. Services, names, policies and routes to other nodes work for
//! them as well, provided that the plugins give addresses of the node's ranges and route rather than translate.

use client::Cache;
use cri::Runtime;
use cri::v1::{NetworkConfig, RuntimeConfig, StatusRequest, UpdateRuntimeConfigRequest};
use ipnet::Ipv4Net;
use k8s_openapi::api::core::v1::Node;
use podnet::node_ranges;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How often the runtime is asked about its network once that stands.
const LOOK: Duration = Duration::from_secs(10);
/// Until then, ever less often.
const LOOK_FIRST: Duration = Duration::from_millis(100);

/// Runs for as long as the process does. `node` holds this node alone.
pub(crate) async fn follow(runtime: Arc<dyn Runtime>, node: Cache<Node>, ready: watch::Sender<bool>) {
    let mut changes = node.changes();
    let (mut wanted, mut told) = (Vec::new(), Vec::new());
    let mut wait = LOOK_FIRST;
    loop {
        tokio::select! {
            change = changes.next() => wanted = change.new.map(|node| node_ranges(&node)).unwrap_or_default(),
            () = tokio::time::sleep(wait) => {}
        }
        if wanted != told && tell(runtime.as_ref(), &wanted).await {
            told.clone_from(&wanted);
        }
        let missing = missing(runtime.as_ref()).await;
        let stands = missing.is_none();
        let news = ready.send_if_modified(|before| std::mem::replace(before, stands) != stands);
        if let Some(missing) = missing.filter(|_| news) {
            tracing::warn!(missing, "the container runtime's network does not stand any more");
        }
        wait = match (stands, news) {
            (true, _) => LOOK,
            (false, true) => LOOK_FIRST,
            (false, false) => (wait * 2).min(LOOK),
        };
    }
}

/// What containerd writes its network's configuration from, where it is given a template for that.
async fn tell(runtime: &dyn Runtime, ranges: &[Ipv4Net]) -> bool {
    let pod_cidr = ranges.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let config = RuntimeConfig { network_config: Some(NetworkConfig { pod_cidr: pod_cidr.clone() }) };
    let told = runtime.update_runtime_config(UpdateRuntimeConfigRequest { runtime_config: Some(config) }).await;
    if let Err(status) = &told {
        tracing::warn!(%status, pod_cidr, "the container runtime was not told the node's range; it is tried again");
    }
    told.is_ok()
}

/// What keeps the network from standing.
async fn missing(runtime: &dyn Runtime) -> Option<String> {
    let conditions = match runtime.status(StatusRequest::default()).await {
        Ok(answer) => answer.status.unwrap_or_default().conditions,
        Err(status) => return Some(status.message().to_owned()),
    };
    match conditions.into_iter().find(|condition| condition.r#type == "NetworkReady") {
        Some(condition) if condition.status => None,
        Some(condition) => Some(condition.message),
        None => Some("the runtime does not tell".to_owned()),
    }
}
