//! A hollow node's pods: said to run when they are bound, confirmed as gone when they are deleted.

use super::{Endless, WRITES_MAX, own_node};
use api::{Reason, Status, Subresource};
use client::{CacheScope, Change, Client, DeleteOptions, PatchType};
use futures::stream::{self, StreamExt, TryStreamExt};
use ipnet::Ipv4Net;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

/// Changes taken together.
const CHANGES_MAX: usize = 256;
/// Between two tries while the server is away: a back-off.
const RETRY: Duration = Duration::from_millis(200);

/// What runs on a node: each pod's uid and address.
#[derive(Debug, Default)]
pub struct Containers {
    by_uid: BTreeMap<String, Ipv4Addr>,
}

impl Containers {
    pub fn len(&self) -> usize {
        self.by_uid.len()
    }

    pub fn is_empty(&self) -> bool {
        self.by_uid.is_empty()
    }

    pub fn uids(&self) -> impl Iterator<Item = &str> {
        self.by_uid.keys().map(String::as_str)
    }

    /// The pod's address: what it had, or the lowest free one of the range. `None` when there is none left.
    fn address(&mut self, uid: &str, range: Ipv4Net) -> Option<Ipv4Addr> {
        if let Some(address) = self.by_uid.get(uid) {
            return Some(*address);
        }
        let taken: BTreeSet<Ipv4Addr> = self.by_uid.values().copied().collect();
        // The first is the node's own, as bridges have it.
        let free = range.hosts().skip(1).find(|address| !taken.contains(address))?;
        self.by_uid.insert(uid.to_owned(), free);
        Some(free)
    }
}

pub(crate) struct Pods {
    client: Client,
    node: String,
    containers: Containers,
}

/// What the API is to be told of one pod.
enum Write {
    Runs(Arc<Pod>, Ipv4Addr),
    Gone(Arc<Pod>),
}

impl Pods {
    pub(crate) fn new(client: Client, node: String, containers: Containers) -> Pods {
        Pods { client, node, containers }
    }

    pub(crate) fn into_containers(self) -> Containers {
        self.containers
    }

    pub(crate) async fn run(&mut self) -> Endless {
        let range = self.range().await?;
        let scope = CacheScope { field_selector: format!("spec.nodeName={}", self.node), ..CacheScope::default() };
        let pods = self.client.cache_of::<Pod>(scope);
        pods.synced().await;
        let known: BTreeSet<String> = pods.list().iter().map(|pod| uid(pod).to_owned()).collect();
        self.containers.by_uid.retain(|uid, _| known.contains(uid));
        let mut changes = pods.changes();
        loop {
            let mut batch = vec![changes.next().await];
            while batch.len() < CHANGES_MAX
                && let Some(change) = changes.try_next()
            {
                batch.push(change);
            }
            let mut writes = Vec::new();
            for change in batch {
                writes.extend(self.taken(&change, range)?);
            }
            let client = &self.client;
            stream::iter(writes).map(Ok).try_for_each_concurrent(WRITES_MAX, |write| tell(client, write)).await?;
        }
    }

    /// The node's range of pod addresses, once the controller has given it one.
    async fn range(&self) -> Result<Ipv4Net, Status> {
        let mut changes = own_node(&self.client, &self.node).changes();
        loop {
            let spec = changes.next().await.new.and_then(|node| node.spec.clone());
            if let Some(range) = spec.and_then(|spec| spec.pod_cidr) {
                return range
                    .parse()
                    .map_err(|error| Status::internal(format!("the pod range {range} of {}: {error}", self.node)));
            }
        }
    }

    fn taken(&mut self, change: &Change<Pod>, range: Ipv4Net) -> Result<Option<Write>, Status> {
        let new = change.new.as_ref();
        if let Some(old) = change.old.as_ref().filter(|old| new.is_none_or(|new| uid(old) != uid(new))) {
            self.containers.by_uid.remove(uid(old));
        }
        let Some(pod) = new else { return Ok(None) };
        if pod.metadata.deletion_timestamp.is_some() {
            self.containers.by_uid.remove(uid(pod));
            return Ok(Some(Write::Gone(pod.clone())));
        }
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
        if matches!(phase, Some("Succeeded" | "Failed")) {
            self.containers.by_uid.remove(uid(pod));
            return Ok(None);
        }
        let Some(address) = self.containers.address(uid(pod), range) else {
            return Err(Status::internal(format!("node {} has no address left in {range}", self.node)));
        };
        Ok((!runs(pod, address)).then(|| Write::Runs(pod.clone(), address)))
    }
}

fn uid(pod: &Pod) -> &str {
    pod.metadata.uid.as_deref().unwrap_or_default()
}

/// Whether the API has heard that the pod runs.
fn runs(pod: &Pod, address: Ipv4Addr) -> bool {
    let Some(status) = &pod.status else { return false };
    let ready =
        |condition: &k8s_openapi::api::core::v1::PodCondition| condition.type_ == "Ready" && condition.status == "True";
    status.phase.as_deref() == Some("Running")
        && status.pod_ip.as_deref() == Some(&*address.to_string())
        && status.conditions.iter().flatten().any(ready)
}

async fn tell(client: &Client, write: Write) -> Result<(), Status> {
    loop {
        let told = match &write {
            Write::Runs(pod, address) => report(client, pod, *address).await,
            Write::Gone(pod) => confirm(client, pod).await,
        };
        match told {
            // It is gone, or another of its name is there already.
            Err(status) if matches!(status.reason, Reason::NotFound | Reason::Conflict) => return Ok(()),
            Err(status) if matches!(status.reason, Reason::ServiceUnavailable | Reason::Timeout) => {
                tokio::time::sleep(RETRY).await;
            }
            told => return told,
        }
    }
}

fn place(pod: &Pod) -> (&str, &str) {
    (pod.metadata.namespace.as_deref().unwrap_or_default(), pod.metadata.name.as_deref().unwrap_or_default())
}

async fn confirm(client: &Client, pod: &Pod) -> Result<(), Status> {
    let (namespace, name) = place(pod);
    let now = DeleteOptions { grace_seconds: Some(0), uid: pod.metadata.uid.clone(), ..DeleteOptions::default() };
    client.delete::<Pod>(namespace, name, &now).await
}

async fn report(client: &Client, pod: &Pod, address: Ipv4Addr) -> Result<(), Status> {
    let (namespace, name) = place(pod);
    let patch = json!({"metadata": {"uid": pod.metadata.uid}, "status": running(pod, address)});
    client.patch::<Pod>(namespace, name, PatchType::Strategic, Some(Subresource::Status), &patch).await.map(drop)
}

fn running(pod: &Pod, address: Ipv4Addr) -> Value {
    let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let conditions: Vec<Value> = ["PodReadyToStartContainers", "Initialized", "ContainersReady", "Ready"]
        .map(|kind| json!({"type": kind, "status": "True", "lastTransitionTime": now}))
        .into();
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers).map(|container| {
        json!({
            "name": container.name, "image": container.image, "imageID": "", "ready": true, "started": true,
            "restartCount": 0, "containerID": format!("hollow://{}/{}", uid(pod), container.name),
            "state": {"running": {"startedAt": now}},
        })
    });
    json!({
        "phase": "Running", "startTime": now, "podIP": address, "podIPs": [{"ip": address}],
        "conditions": conditions, "containerStatuses": containers.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_kept_unique_and_used_again() {
        let range: Ipv4Net = "10.0.0.0/29".parse().unwrap();
        let mut containers = Containers::default();
        let addresses: Vec<_> = ["a", "b", "a"].map(|uid| containers.address(uid, range).unwrap().to_string()).into();
        assert_eq!(addresses, ["10.0.0.2", "10.0.0.3", "10.0.0.2"]);
        containers.by_uid.remove("a");
        assert_eq!(containers.address("c", range).unwrap().to_string(), "10.0.0.2");
        for uid in ["d", "e", "f"] {
            containers.address(uid, range).unwrap();
        }
        assert_eq!(containers.address("g", range), None, "the range is full");
    }
}
