//! Which pod, which of its containers, and which node a stream is for; refusals in upstream's words.

use crate::call::Call;
use api::{Kind, Status};
use k8s_openapi::api::core::v1::{Node, Pod, PodSpec};
use registry::ReadVersion;

pub(super) async fn find(call: &Call<'_>) -> Result<Pod, Status> {
    let entry = call.registry().get(&call.resource, call.namespace(), call.info.name, ReadVersion::Latest).await?;
    let object = entry.decode(call.resource.kind).map_err(Status::internal)?;
    object.downcast::<Pod>().cloned().ok_or_else(Status::no_such_path)
}

/// Empty while the pod has none.
pub(super) fn node_name(pod: &Pod) -> &str {
    pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).unwrap_or_default()
}

/// Where the node's kubelet listens.
pub(super) async fn kubelet_address(call: &Call<'_>, node: &str) -> Result<(String, u16), Status> {
    let nodes = call.registry().resource(&Node::DEF)?;
    let entry = call.registry().get(&nodes, "", node, ReadVersion::Latest).await?;
    let object = entry.decode(nodes.kind).map_err(Status::internal)?;
    node_address(object.downcast::<Node>().ok_or_else(Status::no_such_path)?)
}

/// The same, of a node that is at hand.
pub(super) fn node_address(node: &Node) -> Result<(String, u16), Status> {
    let status = node.status.as_ref();
    let addresses = status.and_then(|status| status.addresses.as_deref()).unwrap_or_default();
    // Names of nodes need not resolve where the server runs: addresses come first.
    let preferred = ["InternalIP", "ExternalIP", "Hostname", "InternalDNS", "ExternalDNS"];
    let address = preferred.iter().find_map(|kind| addresses.iter().find(|address| address.type_ == *kind));
    let port = status
        .and_then(|status| status.daemon_endpoints.as_ref())
        .and_then(|endpoints| endpoints.kubelet_endpoint.as_ref())
        .and_then(|endpoint| u16::try_from(endpoint.port).ok())
        .filter(|port| *port > 0)
        .unwrap_or(10_250);
    match address {
        Some(address) => Ok((address.address.clone(), port)),
        None => Err(Status::internal(format!("no preferred addresses found; known addresses: {}", addresses.len()))),
    }
}

fn names(spec: &PodSpec) -> (Vec<&str>, Vec<&str>, Vec<&str>) {
    let init = spec.init_containers.iter().flatten().map(|container| container.name.as_str());
    let ephemeral = spec.ephemeral_containers.iter().flatten().map(|container| container.name.as_str());
    (spec.containers.iter().map(|container| container.name.as_str()).collect(), init.collect(), ephemeral.collect())
}

/// The asked container if the pod has it; its only one when none is asked.
pub(super) fn container(pod: &Pod, asked: &str) -> Result<String, Status> {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let Some(spec) = &pod.spec else { return Err(Status::internal(format!("pod {name} has no spec"))) };
    let (own, init, ephemeral) = names(spec);
    if !asked.is_empty() {
        let known = own.iter().chain(&init).chain(&ephemeral).any(|known| *known == asked);
        let refuse = || Status::bad_request(format!("container {asked} is not valid for pod {name}"));
        return if known { Ok(asked.to_owned()) } else { Err(refuse()) };
    }
    match own.as_slice() {
        [only] => Ok((*only).to_owned()),
        [] => Err(Status::bad_request(format!("a container name must be specified for pod {name}"))),
        several => {
            let mut message =
                format!("a container name must be specified for pod {name}, choose one of: [{}]", several.join(" "));
            if !init.is_empty() {
                message.push_str(&format!(" or one of the init containers: [{}]", init.join(" ")));
            }
            if !ephemeral.is_empty() {
                message.push_str(&format!(" or one of the ephemeral containers: [{}]", ephemeral.join(" ")));
            }
            Err(Status::bad_request(message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(containers: &[&str], init: &[&str], asked: &str) -> Result<String, String> {
        let list = |names: &[&str]| names.iter().map(|name| json!({"name": name})).collect::<Vec<_>>();
        let pod: Pod = serde_json::from_value(json!({"metadata": {"name": "p"},
            "spec": {"containers": list(containers), "initContainers": list(init)}}))
        .unwrap();
        container(&pod, asked).map_err(|status| status.message)
    }

    #[test]
    fn the_container_is_asked_for_or_the_only_one() {
        assert_eq!(check(&["a"], &["i"], ""), Ok("a".to_owned()));
        assert_eq!(check(&["a", "b"], &["i"], "i"), Ok("i".to_owned()));
        assert_eq!(check(&["a"], &[], "x"), Err("container x is not valid for pod p".to_owned()));
        assert_eq!(
            check(&["a", "b"], &["i"], ""),
            Err(
                "a container name must be specified for pod p, choose one of: [a b] or one of the init containers: [i]"
                    .to_owned()
            )
        );
    }
}
