//! A pod that is given a node takes over where the node is.

use super::{Plugin, Sources, find, is};
use api::{Object, Status, Subresource};
use async_trait::async_trait;
use client::{Cache, Client};
use k8s_openapi::api::core::v1::{Binding, Node, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use registry::{Attempt, Operation};

const LABELS: [&str; 2] = ["topology.kubernetes.io/region", "topology.kubernetes.io/zone"];

pub(crate) fn make(sources: &Sources<'_>) -> Box<dyn Plugin> {
    Box::new(PodTopologyLabels { client: sources.client.clone(), nodes: sources.client.cache() })
}

struct PodTopologyLabels {
    client: Client,
    nodes: Cache<Node>,
}

/// The node of a pod, or the one that a binding gives it; what a binding is labelled with, its pod will be.
fn node_of(object: &dyn Object) -> Option<&str> {
    let name = match object.downcast::<Binding>() {
        Some(binding) => binding.target.name.as_deref(),
        None => object.downcast::<Pod>()?.spec.as_ref()?.node_name.as_deref(),
    };
    name.filter(|name| !name.is_empty())
}

fn take(meta: &mut ObjectMeta, node: &Node) {
    let labels = node.metadata.labels.iter().flatten();
    for (label, value) in labels.filter(|(label, _)| LABELS.contains(&label.as_str())) {
        meta.labels.get_or_insert_default().insert(label.clone(), value.clone());
    }
}

#[async_trait]
impl Plugin for PodTopologyLabels {
    fn judges(&self, attempt: &Attempt<'_>) -> bool {
        let is_placed = matches!(attempt.subresource, None | Some(Subresource::Binding));
        is::<Pod>(attempt) && attempt.operation == Operation::Create && is_placed
    }

    async fn mutate(
        &self,
        _attempt: &Attempt<'_>,
        object: &mut Box<dyn Object>,
        _old: Option<&dyn Object>,
    ) -> Result<(), Status> {
        let Some(node) = node_of(object.as_ref()) else { return Ok(()) };
        // A node that is not there is the binding's own trouble.
        if let Some(node) = find(&self.client, &self.nodes, "", node).await? {
            take(object.meta_mut(), &node);
        }
        Ok(())
    }
}
