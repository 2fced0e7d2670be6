//! The pod network as the runtime asks for it.

use async_trait::async_trait;
use podnet::PodNetwork;
use runtime::{Network, NetworkError};
use std::net::IpAddr;
use std::sync::Arc;

/// Lends podnet's network to the runtime: the two crates do not know each other.
pub(crate) struct Lent(pub(crate) Arc<PodNetwork>);

#[async_trait]
impl Network for Lent {
    async fn setup(&self, pod: &runtime::PodNetwork) -> Result<Vec<IpAddr>, NetworkError> {
        let netns = pod.netns.as_deref().ok_or("the pod's network namespace has ended")?;
        let address = self.0.setup(&pod.sandbox_id, netns).await?;
        Ok(vec![IpAddr::V4(address)])
    }

    async fn teardown(&self, pod: &runtime::PodNetwork) -> Result<(), NetworkError> {
        Ok(self.0.teardown(&pod.sandbox_id).await?)
    }
}
