//! The labels and annotations by which a node finds its pods again: upstream's names, so that either may take over.

use crate::pod;
use k8s_openapi::api::core::v1::{Container, Pod};
use std::collections::HashMap;

pub(crate) const POD_NAME: &str = "io.kubernetes.pod.name";
pub(crate) const POD_NAMESPACE: &str = "io.kubernetes.pod.namespace";
pub(crate) const POD_UID: &str = "io.kubernetes.pod.uid";
pub(crate) const CONTAINER_NAME: &str = "io.kubernetes.container.name";
pub(crate) const CONTAINER_HASH: &str = "io.kubernetes.container.hash";
pub(crate) const RESTART_COUNT: &str = "io.kubernetes.container.restartCount";
pub(crate) const TERMINATION_PATH: &str = "io.kubernetes.container.terminationMessagePath";
pub(crate) const TERMINATION_POLICY: &str = "io.kubernetes.container.terminationMessagePolicy";
pub(crate) const GRACE_SECONDS: &str = "io.kubernetes.pod.terminationGracePeriod";

/// Where a container's last words are, when its spec does not say.
pub(crate) const TERMINATION_PATH_DEFAULT: &str = "/dev/termination-log";

fn identity(pod: &Pod) -> HashMap<String, String> {
    [(POD_NAME, pod::name(pod)), (POD_NAMESPACE, pod::namespace(pod)), (POD_UID, pod::uid(pod))]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

/// A sandbox's: the pod's own, and its identity.
pub(crate) fn of_sandbox(pod: &Pod) -> HashMap<String, String> {
    let mut labels: HashMap<String, String> = pod.metadata.labels.clone().unwrap_or_default().into_iter().collect();
    labels.extend(identity(pod));
    labels
}

pub(crate) fn of_container(pod: &Pod, container: &Container) -> HashMap<String, String> {
    let mut labels = identity(pod);
    labels.insert(CONTAINER_NAME.to_owned(), container.name.clone());
    labels
}

pub(crate) fn container_annotations(pod: &Pod, container: &Container, attempt: u32) -> HashMap<String, String> {
    let path = container.termination_message_path.as_deref().unwrap_or(TERMINATION_PATH_DEFAULT);
    let policy = container.termination_message_policy.as_deref().unwrap_or("File");
    [
        (CONTAINER_HASH, pod::containers::hash(container)),
        (RESTART_COUNT, attempt.to_string()),
        (TERMINATION_PATH, path.to_owned()),
        (TERMINATION_POLICY, policy.to_owned()),
        (GRACE_SECONDS, pod::spec(pod).termination_grace_period_seconds.unwrap_or(30).to_string()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into()
}

/// A selector that finds one pod's sandboxes and containers.
pub(crate) fn select_pod(uid: &str) -> HashMap<String, String> {
    HashMap::from([(POD_UID.to_owned(), uid.to_owned())])
}
