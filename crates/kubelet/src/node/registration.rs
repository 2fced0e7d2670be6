//! Makes the node's object and keeps its status: at once when something changed, else every five minutes.

use super::pressure::Pressure;
use super::status::{self, Health, Identity};
use crate::context::Context;
use api::{Reason, Status};
use cri::v1::{ListImagesRequest, StatusRequest};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ContainerImage, Node, NodeSpec, NodeStatus, Taint};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How often the node looks at itself, and the longest that the API goes without a status.
const LOOK: Duration = Duration::from_secs(10);
const REPORT_MOST: SignedDuration = SignedDuration::from_mins(5);
const RETRY: Duration = Duration::from_secs(1);
/// A new node's ranges and taints are written while it reports for the first time: so often it looks again at once.
const CONFLICTS_MAX: usize = 5;
/// How long a returning node waits for its pod network before it reports without.
const RETURN_PATIENCE: Duration = Duration::from_secs(3);
/// Images that a status names, the largest first: upstream's bound.
const IMAGES_MAX: usize = 50;

/// Never returns once nobody can change it any more: what was last said holds.
async fn changed(network: &mut watch::Receiver<bool>) {
    if network.changed().await.is_err() {
        std::future::pending().await
    }
}

pub(crate) struct Registration {
    pub(crate) context: Arc<Context>,
    pub(crate) identity: Identity,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) taints: Vec<Taint>,
    pub(crate) network: watch::Receiver<bool>,
    pub(crate) pressure: watch::Receiver<Pressure>,
}

impl Registration {
    /// Runs until `stop` changes.
    pub(crate) async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut last: Option<(NodeStatus, Timestamp)> = None;
        self.await_network().await;
        loop {
            let wait = match self.report(&mut last).await {
                Ok(()) => LOOK,
                Err(status) => {
                    tracing::warn!(node = self.identity.name, %status, "the node's status was not written; it is tried again");
                    RETRY
                }
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = changed(&mut self.network) => {}
                changed = self.pressure.changed() => if changed.is_err() { return },
                _ = stop.changed() => return,
            }
        }
    }

    /// A node that comes back has its pod ranges already, and reads them at once: to report NotReady for those
    /// milliseconds would take all its pods out of their services. A new node gets none before it is registered.
    async fn await_network(&mut self) {
        let known = self.context.client.find::<Node>("", &self.identity.name).await;
        let has_range =
            known.is_ok_and(|node| node.and_then(|node| node.spec).is_some_and(|spec| spec.pod_cidr.is_some()));
        if has_range && tokio::time::timeout(RETURN_PATIENCE, self.network.wait_for(|ready| *ready)).await.is_err() {
            tracing::warn!(node = self.identity.name, "the pod network is not there yet; the node reports NotReady");
        }
    }

    async fn report(&mut self, last: &mut Option<(NodeStatus, Timestamp)>) -> Result<(), Status> {
        let now = Timestamp::now();
        let health = self.health().await;
        let images = self.images().await;
        if let Some((reported, at)) = last {
            let fresh = status::status(reported, &self.identity, &health, images.clone(), now);
            if now.duration_since(*at) < REPORT_MOST && !status::differs(reported, &fresh) {
                return Ok(());
            }
        }
        let mut conflicts = 0..CONFLICTS_MAX;
        let written = loop {
            match self.write(&health, &images, now).await {
                Err(status) if status.reason == Reason::Conflict && conflicts.next().is_some() => {}
                result => break result?,
            }
        };
        *last = Some((written, now));
        Ok(())
    }

    /// What the API knows now, brought up to date; a conflict when somebody else writes in between.
    async fn write(&self, health: &Health, images: &[ContainerImage], now: Timestamp) -> Result<NodeStatus, Status> {
        let client = &self.context.client;
        let mut node = match client.find::<Node>("", &self.identity.name).await? {
            Some(node) => self.with_labels(node).await?,
            None => match client.create(&self.object()).await {
                Err(status) if status.reason == Reason::AlreadyExists => {
                    client.get::<Node>("", &self.identity.name).await?
                }
                result => result?,
            },
        };
        let base = node.status.take().unwrap_or_default();
        node.status = Some(status::status(&base, &self.identity, health, images.to_vec(), now));
        Ok(client.update_status(&node).await?.status.unwrap_or_default())
    }

    fn object(&self) -> Node {
        Node {
            metadata: ObjectMeta {
                name: Some(self.identity.name.clone()),
                labels: Some(self.all_labels()),
                ..ObjectMeta::default()
            },
            spec: Some(NodeSpec {
                taints: Some(self.taints.clone()).filter(|taints| !taints.is_empty()),
                ..NodeSpec::default()
            }),
            status: None,
        }
    }

    fn all_labels(&self) -> BTreeMap<String, String> {
        let architecture = self.identity.machine.architecture;
        let own = [
            ("kubernetes.io/hostname", self.identity.name.as_str()),
            ("kubernetes.io/os", "linux"),
            ("kubernetes.io/arch", architecture),
            ("beta.kubernetes.io/os", "linux"),
            ("beta.kubernetes.io/arch", architecture),
        ];
        let own = own.map(|(key, value)| (key.to_owned(), value.to_owned()));
        self.labels.clone().into_iter().chain(own).collect()
    }

    /// An object from before: the labels are brought up to date, the rest is the administrator's.
    async fn with_labels(&self, mut node: Node) -> Result<Node, Status> {
        let labels = node.metadata.labels.get_or_insert_default();
        let wanted = self.all_labels();
        if wanted.iter().all(|(key, value)| labels.get(key) == Some(value)) {
            return Ok(node);
        }
        labels.extend(wanted);
        self.context.client.update(&node).await
    }

    async fn health(&self) -> Health {
        let mut not_ready = Vec::new();
        match self.context.runtime.status(StatusRequest { verbose: false }).await {
            Err(status) => not_ready.push(format!("container runtime is down: {}", status.message())),
            Ok(answer) => {
                let conditions = answer.status.unwrap_or_default().conditions;
                for condition in conditions.iter().filter(|condition| !condition.status) {
                    not_ready.push(match condition.r#type.as_str() {
                        "NetworkReady" => format!(
                            "container runtime network not ready: NetworkReady=false reason:{} message:{}",
                            condition.reason, condition.message
                        ),
                        kind => format!(
                            "container runtime not ready: {kind}=false reason:{} message:{}",
                            condition.reason, condition.message
                        ),
                    });
                }
            }
        }
        if !*self.network.borrow() {
            not_ready.push("the pod network has not been set up on this node yet".to_owned());
        }
        let pressure = self.pressure.borrow().clone();
        Health { not_ready, memory_pressure: pressure.memory, disk_pressure: pressure.disk, pid_pressure: pressure.pid }
    }

    async fn images(&self) -> Vec<ContainerImage> {
        let Ok(answer) = self.context.runtime.list_images(ListImagesRequest::default()).await else {
            return Vec::new();
        };
        let mut images = answer.images;
        images.sort_by(|one, other| other.size.cmp(&one.size).then_with(|| one.id.cmp(&other.id)));
        let images = images.into_iter().take(IMAGES_MAX).map(|image| ContainerImage {
            names: Some(image.repo_digests.into_iter().chain(image.repo_tags).collect()),
            size_bytes: i64::try_from(image.size).ok(),
        });
        images.collect()
    }
}
