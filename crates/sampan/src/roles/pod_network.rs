//! The pod network as the runtime asks for it.

use async_trait::async_trait;
use podnet::{Admission, AdmittedPod, PodNetwork};
use runtime::{Network, NetworkError};
use std::net::IpAddr;
use std::sync::Arc;

/// Lends podnet's network to the runtime: the two crates do not know each other.
pub(crate) struct Lent {
    pub(crate) network: Arc<PodNetwork>,
    pub(crate) admission: Admission,
}

#[async_trait]
impl Network for Lent {
    /// Connected, and isolated as the policies say, before the pod's first process starts.
    async fn setup(&self, pod: &runtime::PodNetwork) -> Result<Vec<IpAddr>, NetworkError> {
        let netns = pod.netns.as_deref().ok_or("the pod's network namespace has ended")?;
        let address = self.network.setup(&pod.sandbox_id, netns).await?;
        let admitted = AdmittedPod {
            namespace: pod.namespace.clone(),
            name: pod.name.clone(),
            uid: pod.uid.clone(),
            labels: pod.labels.clone(),
            address,
        };
        if let Err(error) = self.admission.admit(admitted).await {
            self.network.teardown(&pod.sandbox_id).await?;
            return Err(error.into());
        }
        Ok(vec![IpAddr::V4(address)])
    }

    async fn teardown(&self, pod: &runtime::PodNetwork) -> Result<(), NetworkError> {
        Ok(self.network.teardown(&pod.sandbox_id).await?)
    }
}
