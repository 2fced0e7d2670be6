//! A pod's containers and their roles.

use k8s_openapi::api::core::v1::{Container, EphemeralContainer, Pod};
use std::borrow::Cow;

/// What a container is for, which decides when it starts and whether it starts again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Runs to its end before the next may start.
    Init,
    /// An init container with `restartPolicy: Always`: stays, and ends after the main ones.
    Sidecar,
    Main,
    /// Added to a running pod to look at it; never started again.
    Ephemeral,
}

impl Role {
    /// How the field that lists it is called, as events refer to it.
    pub(crate) fn field(self) -> &'static str {
        match self {
            Role::Init | Role::Sidecar => "initContainers",
            Role::Main => "containers",
            Role::Ephemeral => "ephemeralContainers",
        }
    }
}

/// All containers: init and sidecars in their order, main, ephemeral.
pub(crate) fn all(pod: &Pod) -> impl Iterator<Item = (Role, Cow<'_, Container>)> {
    let spec = super::spec(pod);
    let init = spec.init_containers.iter().flatten().map(|container| (init_role(container), Cow::Borrowed(container)));
    let main = spec.containers.iter().map(|container| (Role::Main, Cow::Borrowed(container)));
    let ephemeral = spec.ephemeral_containers.iter().flatten();
    let ephemeral = ephemeral.map(|container| (Role::Ephemeral, Cow::Owned(from_ephemeral(container))));
    init.chain(main).chain(ephemeral)
}

/// The container of that name; names are unique over all lists.
pub(crate) fn find<'a>(pod: &'a Pod, name: &str) -> Option<(Role, Cow<'a, Container>)> {
    all(pod).find(|(_, container)| container.name == name)
}

fn init_role(container: &Container) -> Role {
    if container.restart_policy.as_deref() == Some("Always") { Role::Sidecar } else { Role::Init }
}

/// The container whose process namespace an ephemeral one joins.
pub(crate) fn target_of<'a>(pod: &'a Pod, name: &str) -> Option<&'a str> {
    let ephemeral = super::spec(pod).ephemeral_containers.iter().flatten().find(|container| container.name == name)?;
    ephemeral.target_container_name.as_deref().filter(|target| !target.is_empty())
}

fn from_ephemeral(from: &EphemeralContainer) -> Container {
    let from = from.clone();
    Container {
        args: from.args,
        command: from.command,
        env: from.env,
        env_from: from.env_from,
        image: from.image,
        image_pull_policy: from.image_pull_policy,
        lifecycle: from.lifecycle,
        liveness_probe: from.liveness_probe,
        name: from.name,
        ports: from.ports,
        readiness_probe: from.readiness_probe,
        resize_policy: from.resize_policy,
        resources: from.resources,
        restart_policy: from.restart_policy,
        restart_policy_rules: from.restart_policy_rules,
        security_context: from.security_context,
        startup_probe: from.startup_probe,
        stdin: from.stdin,
        stdin_once: from.stdin_once,
        termination_message_path: from.termination_message_path,
        termination_message_policy: from.termination_message_policy,
        tty: from.tty,
        volume_devices: from.volume_devices,
        volume_mounts: from.volume_mounts,
        working_dir: from.working_dir,
    }
}

/// What a running container is compared with: when it changes, the container is started anew. Upstream hashes name
/// and image only, as nothing else of a running container can change.
pub(crate) fn hash(container: &Container) -> String {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in container.name.bytes().chain([0]).chain(container.image.as_deref().unwrap_or_default().bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    format!("{hash:x}")
}

/// The path that events about a container refer to.
pub(crate) fn field_path(pod: &Pod, name: &str) -> Option<String> {
    find(pod, name).map(|(role, _)| format!("spec.{}{{{name}}}", role.field()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_come_in_starting_order_with_their_roles() {
        let pod = crate::pod::tests::from_yaml(
            "spec: {initContainers: [{name: a}, {name: b, restartPolicy: Always}], containers: [{name: c}], \
             ephemeralContainers: [{name: d, targetContainerName: c}]}",
        );
        let seen: Vec<_> = all(&pod).map(|(role, container)| (role, container.name.clone())).collect();
        let wanted = [(Role::Init, "a"), (Role::Sidecar, "b"), (Role::Main, "c"), (Role::Ephemeral, "d")];
        assert_eq!(seen, wanted.map(|(role, name)| (role, name.to_owned())));
        assert_eq!(target_of(&pod, "d"), Some("c"));
        assert_eq!(field_path(&pod, "b").as_deref(), Some("spec.initContainers{b}"));
    }

    #[test]
    fn only_another_image_changes_the_hash() {
        let one = Container { name: "a".into(), image: Some("i:1".into()), ..Container::default() };
        let other_args = Container { args: Some(vec!["x".into()]), ..one.clone() };
        let other_image = Container { image: Some("i:2".into()), ..one.clone() };
        assert_eq!(hash(&one), hash(&other_args));
        assert_ne!(hash(&one), hash(&other_image));
    }
}
