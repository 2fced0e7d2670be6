//! A pod as the checks look at it: its containers of every sort, and sentences about several of them.

use k8s_openapi::api::core::v1::{
    Capabilities, Container, ContainerPort, Lifecycle, Pod, PodSecurityContext, PodSpec, PodTemplateSpec, Probe,
    SecurityContext, Volume,
};
use std::collections::BTreeMap;

/// What of a container is judged, whether it is an ordinary, an init or an ephemeral one.
pub(super) struct Judged<'a> {
    pub(super) name: &'a str,
    pub(super) security: Option<&'a SecurityContext>,
    pub(super) ports: &'a [ContainerPort],
    pub(super) probes: [Option<&'a Probe>; 3],
    pub(super) lifecycle: Option<&'a Lifecycle>,
}

impl Judged<'_> {
    pub(super) fn capabilities(&self) -> Option<&Capabilities> {
        self.security.and_then(|security| security.capabilities.as_ref())
    }
}

/// A pod as it is judged.
pub(super) struct Subject<'a> {
    pub(super) annotations: Option<&'a BTreeMap<String, String>>,
    pub(super) spec: &'a PodSpec,
}

impl<'a> Subject<'a> {
    pub(super) fn of_pod(pod: &'a Pod) -> Option<Subject<'a>> {
        Some(Subject { annotations: pod.metadata.annotations.as_ref(), spec: pod.spec.as_ref()? })
    }

    pub(super) fn of_template(template: &'a PodTemplateSpec) -> Option<Subject<'a>> {
        let annotations = template.metadata.as_ref().and_then(|meta| meta.annotations.as_ref());
        Some(Subject { annotations, spec: template.spec.as_ref()? })
    }

    /// Init containers first, as upstream names them.
    pub(super) fn containers(&self) -> impl Iterator<Item = Judged<'a>> + use<'a> {
        let plain = |container: &'a Container| Judged {
            name: &container.name,
            security: container.security_context.as_ref(),
            ports: container.ports.as_deref().unwrap_or_default(),
            probes: [
                container.liveness_probe.as_ref(),
                container.readiness_probe.as_ref(),
                container.startup_probe.as_ref(),
            ],
            lifecycle: container.lifecycle.as_ref(),
        };
        let spec = self.spec;
        let ephemeral = spec.ephemeral_containers.iter().flatten().map(|container| Judged {
            name: &container.name,
            security: container.security_context.as_ref(),
            ports: container.ports.as_deref().unwrap_or_default(),
            probes: [
                container.liveness_probe.as_ref(),
                container.readiness_probe.as_ref(),
                container.startup_probe.as_ref(),
            ],
            lifecycle: container.lifecycle.as_ref(),
        });
        spec.init_containers.iter().flatten().chain(&spec.containers).map(plain).chain(ephemeral)
    }

    /// The names of the containers that `bad` holds of.
    pub(super) fn named(&self, bad: impl Fn(&Judged<'a>) -> bool) -> Vec<&'a str> {
        self.containers().filter(bad).map(|container| container.name).collect()
    }

    pub(super) fn security(&self) -> Option<&'a PodSecurityContext> {
        self.spec.security_context.as_ref()
    }

    pub(super) fn volumes(&self) -> &'a [Volume] {
        self.spec.volumes.as_deref().unwrap_or_default()
    }

    pub(super) fn runtime_class(&self) -> Option<&'a str> {
        self.spec.runtime_class_name.as_deref()
    }

    pub(super) fn is_windows(&self) -> bool {
        self.spec.os.as_ref().is_some_and(|os| os.name == "windows")
    }

    /// The pod's root is nobody outside: upstream lets such pods do more inside.
    pub(super) fn has_own_users(&self) -> bool {
        self.spec.host_users == Some(false)
    }
}

/// `"a", "b"`.
pub(super) fn quoted<T: AsRef<str>>(names: &[T]) -> String {
    names.iter().map(|name| format!("{:?}", name.as_ref())).collect::<Vec<_>>().join(", ")
}

/// `container "a"`, `containers "a", "b"`.
pub(super) fn several<T: AsRef<str>>(noun: &str, names: &[T]) -> String {
    format!("{noun}{} {}", if names.len() == 1 { "" } else { "s" }, quoted(names))
}

/// `pod and containers "a", "b"`; `None` where neither set anything.
pub(super) fn setters(pod: bool, containers: &[&str]) -> Option<String> {
    let pod = pod.then(|| "pod".to_owned());
    let containers = (!containers.is_empty()).then(|| several("container", containers));
    let parts: Vec<String> = pod.into_iter().chain(containers).collect();
    (!parts.is_empty()).then(|| parts.join(" and "))
}

/// Sorted, each once.
pub(super) fn distinct<T: Ord>(values: impl IntoIterator<Item = T>) -> Vec<T> {
    let sorted: std::collections::BTreeSet<T> = values.into_iter().collect();
    sorted.into_iter().collect()
}
