//! Says beside a pod's logs whose they are, for those who find them when the pod is gone.

use crate::context::Context;
use crate::pod;
use ::logs::{Identity, Workload};
use k8s_openapi::api::core::v1::Pod;
use std::io;

/// Writes it where logs are archived and the pod has any.
pub(crate) fn write(context: &Context, pod: &Pod) -> io::Result<()> {
    if context.archive.is_none() {
        return Ok(());
    }
    match of(pod).write(&context.dirs.pod_logs(pod)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        written => written,
    }
}

fn of(pod: &Pod) -> Identity {
    let owners = pod.metadata.owner_references.iter().flatten();
    let owner = owners.into_iter().find(|owner| owner.controller == Some(true));
    let owner = owner.map(|owner| Workload { kind: owner.kind.clone(), name: owner.name.clone() });
    let labels = pod.metadata.labels.clone().unwrap_or_default();
    Identity::new(pod::namespace(pod), pod::name(pod), pod::uid(pod), labels, owner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_is_known_by_its_controller() {
        let pod = pod::tests::from_yaml(
            "metadata: {labels: {pod-template-hash: abc}, ownerReferences: [\
             {apiVersion: v1, kind: Node, name: n, uid: x},\
             {apiVersion: apps/v1, kind: ReplicaSet, name: web-abc, uid: y, controller: true}]}",
        );
        let identity = of(&pod);
        assert_eq!(identity.owner.map(|owner| owner.name).as_deref(), Some("web-abc"));
        let workload = identity.workload.unwrap();
        assert_eq!((workload.kind.as_str(), workload.name.as_str()), ("Deployment", "web"));
    }
}
