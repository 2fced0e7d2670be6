//! The pod network as the runtime and the kubelet ask for it: neither of them knows podnet.

use async_trait::async_trait;
use k8s_openapi::api::core::v1::Pod;
use podnet::{Admission, AdmittedPod, PodNetwork};
use runtime::{Network, NetworkError};
use std::net::IpAddr;
use std::sync::Arc;

/// Connects the embedded runtime's pods.
pub(crate) struct Lent(pub(crate) Arc<PodNetwork>);

#[async_trait]
impl Network for Lent {
    async fn setup(&self, pod: &runtime::PodNetwork) -> Result<Vec<IpAddr>, NetworkError> {
        let netns = pod.netns.as_deref().ok_or("the pod's network namespace has ended")?;
        Ok(vec![IpAddr::V4(self.0.setup(&pod.sandbox_id, netns).await?)])
    }

    async fn teardown(&self, pod: &runtime::PodNetwork) -> Result<(), NetworkError> {
        Ok(self.0.teardown(&pod.sandbox_id).await?)
    }
}

/// Isolates pods as the network policies say, whichever runtime connected them.
pub(crate) struct Isolated(pub(crate) Admission);

#[async_trait]
impl kubelet::Isolation for Isolated {
    async fn isolate(&self, pod: &Pod, addresses: &[IpAddr]) -> Result<(), String> {
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        let ipv4 = addresses.iter().find_map(|address| match address {
            IpAddr::V4(address) => Some(*address),
            IpAddr::V6(_) => None,
        });
        let address = ipv4.ok_or("the container runtime gave the pod no IPv4 address")?;
        let admitted = AdmittedPod {
            namespace: text(&pod.metadata.namespace),
            name: text(&pod.metadata.name),
            uid: text(&pod.metadata.uid),
            labels: pod.metadata.labels.clone().unwrap_or_default(),
            address,
        };
        self.0.admit(admitted).await.map_err(|error| error.to_string())
    }
}
