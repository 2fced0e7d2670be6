//! A container as CRI's configuration.

use super::security::ImageUser;
use super::{labels, resources, security};
use crate::dirs::{Dirs, log_path};
use crate::environment::Environment;
use crate::environment::expansion::expand;
use cri::v1::{ContainerConfig, ContainerMetadata, Device, ImageSpec, KeyValue, LinuxContainerConfig, Mount};
use k8s_openapi::api::core::v1::{Container, Pod};

/// What a configuration needs beside the spec.
pub(crate) struct Parts<'a> {
    pub(crate) pod: &'a Pod,
    pub(crate) container: &'a Container,
    pub(crate) attempt: u32,
    /// What the runtime calls the image.
    pub(crate) image_ref: String,
    pub(crate) image_user: &'a ImageUser,
    pub(crate) environment: &'a Environment,
    pub(crate) mounts: Vec<Mount>,
    /// The container id whose processes an ephemeral container sees.
    pub(crate) target: Option<&'a str>,
    pub(crate) memory_capacity: i64,
    /// Whether the node's control groups are v2.
    pub(crate) unified: bool,
    pub(crate) dirs: &'a Dirs,
}

pub(crate) fn config(parts: Parts<'_>) -> ContainerConfig {
    let (pod, container) = (parts.pod, parts.container);
    let expanded = |list: &Option<Vec<String>>| -> Vec<String> {
        let words = list.iter().flatten();
        words.map(|word| expand(word, |name| parts.environment.get(name))).collect()
    };
    let variables = parts.environment.variables.iter();
    ContainerConfig {
        metadata: Some(ContainerMetadata { name: container.name.clone(), attempt: parts.attempt }),
        image: Some(ImageSpec {
            image: parts.image_ref,
            user_specified_image: container.image.clone().unwrap_or_default(),
            ..ImageSpec::default()
        }),
        command: expanded(&container.command),
        args: expanded(&container.args),
        working_dir: container.working_dir.clone().unwrap_or_default(),
        envs: variables.map(|(key, value)| KeyValue { key: key.clone(), value: value.clone() }).collect(),
        mounts: parts.mounts,
        devices: Vec::<Device>::new(),
        labels: labels::of_container(pod, container),
        annotations: labels::container_annotations(pod, container, parts.attempt),
        log_path: log_path(&container.name, parts.attempt),
        stdin: container.stdin.unwrap_or(false),
        stdin_once: container.stdin_once.unwrap_or(false),
        tty: container.tty.unwrap_or(false),
        linux: Some(LinuxContainerConfig {
            resources: Some(resources::of_container(pod, container, parts.memory_capacity, parts.unified)),
            security_context: Some(security::of_container(
                pod,
                container,
                parts.image_user,
                parts.target,
                &parts.dirs.seccomp(),
            )),
        }),
        ..ContainerConfig::default()
    }
}
