//! What is odd about pods and pod templates, in upstream's words.

use super::{deprecated_node_label, fraction, node_selector_terms};
use crate::field::FieldPath;
use crate::labels;
use k8s_openapi::api::core::v1::{
    Affinity, ContainerPort, EnvVar, Pod, PodAffinityTerm, PodSpec, PodTemplateSpec, ResourceRequirements,
    SecurityContext, Volume, WeightedPodAffinityTerm,
};
use std::collections::{BTreeMap, HashMap, HashSet};

type Annotations = BTreeMap<String, String>;

const DEPRECATED_ANNOTATIONS: [(&str, &str); 3] = [
    (
        "scheduler.alpha.kubernetes.io/critical-pod",
        "non-functional in v1.16+; use the \"priorityClassName\" field instead",
    ),
    ("security.alpha.kubernetes.io/sysctls", "non-functional in v1.11+; use the \"sysctls\" field instead"),
    ("security.alpha.kubernetes.io/unsafe-sysctls", "non-functional in v1.11+; use the \"sysctls\" field instead"),
];
const SECCOMP_OF_POD: &str = "seccomp.security.alpha.kubernetes.io/pod";
const SECCOMP_OF_CONTAINER: &str = "container.seccomp.security.alpha.kubernetes.io/";
const APP_ARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";
const SECCOMP_MESSAGE: &str = "non-functional in v1.27+; use the \"seccompProfile\" field instead";

pub(super) fn of_pod(pod: &Pod, is_new: bool) -> Vec<String> {
    let mut said = Vec::new();
    if is_new {
        said.extend(name(pod.metadata.name.as_deref(), "the Pod's hostname"));
    }
    if let Some(spec) = &pod.spec {
        let none = Annotations::new();
        let annotations = pod.metadata.annotations.as_ref().unwrap_or(&none);
        Look { root: FieldPath::default(), spec, annotations, said: &mut said }.all();
    }
    said
}

pub(super) fn of_template(root: &FieldPath, template: &PodTemplateSpec) -> Vec<String> {
    let mut said = Vec::new();
    if let Some(spec) = &template.spec {
        let none = Annotations::new();
        let annotations = template.metadata.as_ref().and_then(|meta| meta.annotations.as_ref()).unwrap_or(&none);
        Look { root: root.clone(), spec, annotations, said: &mut said }.all();
    }
    said
}

/// Names that make bad hostnames.
pub(super) fn name(name: Option<&str>, place: &str) -> Option<String> {
    let complaints = labels::dns1123_label(name.unwrap_or_default(), false);
    (!complaints.is_empty()).then(|| {
        format!(
            "metadata.name: this is used in {place}, which can result in surprising behavior; a DNS label is \
             recommended: [{}]",
            complaints.join(" ")
        )
    })
}

/// What a container of any sort has that is looked at.
struct Part<'a> {
    path: FieldPath,
    name: &'a str,
    env: &'a [EnvVar],
    ports: &'a [ContainerPort],
    resources: Option<&'a ResourceRequirements>,
    security: Option<&'a SecurityContext>,
}

struct Look<'a> {
    /// Empty for a pod.
    root: FieldPath,
    spec: &'a PodSpec,
    annotations: &'a Annotations,
    said: &'a mut Vec<String>,
}

impl<'a> Look<'a> {
    fn all(mut self) {
        let spec = self.spec;
        self.node_labels();
        self.annotations();
        self.volumes();
        self.duplicates();
        let overhead = self.root.child("spec").child("overhead");
        for resource in ["memory", "ephemeral-storage"] {
            self.said.extend(fraction(&overhead, spec.overhead.as_ref(), resource));
        }
        self.containers();
        self.ports();
        if spec.termination_grace_period_seconds.is_some_and(|seconds| seconds < 0) {
            let path = self.root.child("spec").child("terminationGracePeriodSeconds");
            self.said.push(format!("{path}: must be >= 0; negative values are invalid and will be treated as 1"));
        }
        if let Some(affinity) = &spec.affinity {
            self.pod_affinities(affinity);
        }
    }

    fn parts(&self) -> Vec<Part<'a>> {
        let (path, spec) = (self.root.child("spec"), self.spec);
        let mut parts = Vec::new();
        for (field, containers) in
            [("initContainers", spec.init_containers.as_deref().unwrap_or_default()), ("containers", &spec.containers)]
        {
            parts.extend(containers.iter().enumerate().map(|(index, container)| Part {
                path: path.child(field).index(index),
                name: &container.name,
                env: container.env.as_deref().unwrap_or_default(),
                ports: container.ports.as_deref().unwrap_or_default(),
                resources: container.resources.as_ref(),
                security: container.security_context.as_ref(),
            }));
        }
        let ephemeral = spec.ephemeral_containers.iter().flatten().enumerate();
        parts.extend(ephemeral.map(|(index, container)| Part {
            path: path.child("ephemeralContainers").index(index),
            name: &container.name,
            env: container.env.as_deref().unwrap_or_default(),
            ports: container.ports.as_deref().unwrap_or_default(),
            resources: container.resources.as_ref(),
            security: container.security_context.as_ref(),
        }));
        parts
    }

    fn node_labels(&mut self) {
        let (path, spec) = (self.root.child("spec"), self.spec);
        for label in spec.node_selector.iter().flatten().map(|(label, _)| label) {
            if let Some(message) = deprecated_node_label(label) {
                self.said.push(format!("{}: {message}", path.child("nodeSelector").key(label)));
            }
        }
        if let Some(affinity) = spec.affinity.as_ref().and_then(|affinity| affinity.node_affinity.as_ref()) {
            let path = path.child("affinity").child("nodeAffinity");
            if let Some(required) = &affinity.required_during_scheduling_ignored_during_execution {
                let path = path.child("requiredDuringSchedulingIgnoredDuringExecution").child("nodeSelectorTerms");
                self.said.extend(node_selector_terms(&path, required.node_selector_terms.iter(), ""));
            }
            let preferred = affinity.preferred_during_scheduling_ignored_during_execution.iter().flatten();
            let path = path.child("preferredDuringSchedulingIgnoredDuringExecution");
            self.said.extend(node_selector_terms(&path, preferred.map(|term| &term.preference), "preference"));
        }
        for (index, spread) in spec.topology_spread_constraints.iter().flatten().enumerate() {
            let path = path.child("topologySpreadConstraints").index(index);
            if let Some(message) = deprecated_node_label(&spread.topology_key) {
                self.said.push(format!("{}: {} is {message}", path.child("topologyKey"), spread.topology_key));
            }
            if spread.label_selector.is_none() {
                self.matches_nothing(&path.child("labelSelector"));
            }
        }
    }

    fn matches_nothing(&mut self, path: &FieldPath) {
        self.said.push(format!("{path}: a null labelSelector results in matching no pod"));
    }

    fn annotation(&mut self, key: &str, message: &str) {
        if self.annotations.contains_key(key) {
            let path = self.root.child("metadata").child("annotations").key(key);
            self.said.push(format!("{path}: {message}"));
        }
    }

    fn annotations(&mut self) {
        for (key, message) in DEPRECATED_ANNOTATIONS {
            self.annotation(key, message);
        }
    }

    fn volumes(&mut self) {
        let volumes = self.spec.volumes.as_deref().unwrap_or_default();
        for (index, volume) in volumes.iter().enumerate() {
            let path = self.root.child("spec").child("volumes").index(index);
            for (field, message) in deprecated_sources(volume) {
                self.said.push(format!("{}: {message}", path.child(field)));
            }
            let template = volume.ephemeral.as_ref().and_then(|own| own.volume_claim_template.as_ref());
            if let Some(template) = template {
                let path = path.child("ephemeral").child("volumeClaimTemplate").child("spec");
                self.said.extend(super::claim_spec(&path, &template.spec));
            }
        }
    }

    /// Entries of lists that are merged by a key, which the later of two equal ones would hide.
    fn duplicates(&mut self) {
        let (path, spec) = (self.root.child("spec"), self.spec);
        let mut seen = HashSet::new();
        for (index, alias) in spec.host_aliases.iter().flatten().enumerate() {
            if !seen.insert(&alias.ip) {
                let path = path.child("hostAliases").index(index).child("ip");
                self.said.push(format!("{path}: duplicate ip {:?}", alias.ip));
            }
        }
        let mut seen = HashSet::new();
        for (index, secret) in spec.image_pull_secrets.iter().flatten().enumerate() {
            let path = path.child("imagePullSecrets").index(index).child("name");
            if !seen.insert(&secret.name) {
                self.said.push(format!("{path}: duplicate name {:?}", secret.name));
            }
            if secret.name.is_empty() {
                self.said.push(format!("{path}: invalid empty name \"\""));
            }
        }
    }

    fn containers(&mut self) {
        let security = self.spec.security_context.as_ref();
        if security.is_none_or(|security| security.seccomp_profile.is_none()) {
            self.annotation(SECCOMP_OF_POD, SECCOMP_MESSAGE);
        }
        let is_template = !self.root.as_str().is_empty();
        for part in self.parts() {
            if part.security.is_none_or(|security| security.seccomp_profile.is_none()) {
                self.annotation(&format!("{SECCOMP_OF_CONTAINER}{}", part.name), SECCOMP_MESSAGE);
            }
            let armored = security.is_some_and(|security| security.app_armor_profile.is_some())
                || part.security.is_some_and(|security| security.app_armor_profile.is_some());
            if is_template && !armored {
                let message = "deprecated since v1.30; use the \"appArmorProfile\" field instead";
                self.annotation(&format!("{APP_ARMOR}{}", part.name), message);
            }
            let resources = part.path.child("resources");
            let (limits, requests) = (
                part.resources.and_then(|own| own.limits.as_ref()),
                part.resources.and_then(|own| own.requests.as_ref()),
            );
            for resource in ["memory", "ephemeral-storage"] {
                self.said.extend(fraction(&resources.child("limits"), limits, resource));
                self.said.extend(fraction(&resources.child("requests"), requests, resource));
            }
            self.said.extend(hidden_variables(&part));
        }
    }

    fn ports(&mut self) {
        let mut known: HashMap<(i32, String), Vec<(FieldPath, &ContainerPort)>> = HashMap::new();
        for part in self.parts() {
            for (index, port) in part.ports.iter().enumerate() {
                let path = part.path.child("ports").index(index);
                if !host_ip(port).is_empty() && host_port(port) == 0 {
                    self.said.push(format!("{path}: hostIP set without hostPort: {}", shown(port)));
                }
                let protocol = port.protocol.clone().unwrap_or_default();
                let others = known.entry((port.container_port, protocol)).or_default();
                let clashes = others.iter().filter_map(|(at, other)| Some((clash(port, other)?, at)));
                self.said.extend(clashes.map(|(how, at)| format!("{path}: {how} port definition with {at}")));
                others.push((path, port));
            }
        }
    }

    fn pod_affinities(&mut self, affinity: &Affinity) {
        let path = self.root.child("spec").child("affinity");
        if let Some(near) = &affinity.pod_affinity {
            let path = path.child("podAffinity");
            self.required(&path, near.required_during_scheduling_ignored_during_execution.as_deref());
            self.preferred(&path, near.preferred_during_scheduling_ignored_during_execution.as_deref());
        }
        if let Some(far) = &affinity.pod_anti_affinity {
            let path = path.child("podAntiAffinity");
            self.required(&path, far.required_during_scheduling_ignored_during_execution.as_deref());
            self.preferred(&path, far.preferred_during_scheduling_ignored_during_execution.as_deref());
        }
    }

    fn required(&mut self, path: &FieldPath, terms: Option<&[PodAffinityTerm]>) {
        let path = path.child("requiredDuringSchedulingIgnoredDuringExecution");
        for (index, _) in terms.into_iter().flatten().enumerate().filter(|(_, term)| term.label_selector.is_none()) {
            self.matches_nothing(&path.index(index).child("labelSelector"));
        }
    }

    fn preferred(&mut self, path: &FieldPath, terms: Option<&[WeightedPodAffinityTerm]>) {
        let path = path.child("preferredDuringSchedulingIgnoredDuringExecution");
        let terms = terms.into_iter().flatten().enumerate();
        for (index, _) in terms.filter(|(_, term)| term.pod_affinity_term.label_selector.is_none()) {
            self.matches_nothing(&path.index(index).child("podAffinityTerm").child("labelSelector"));
        }
    }
}

/// Sorts of volumes that nothing serves any more.
fn deprecated_sources(volume: &Volume) -> impl Iterator<Item = (&'static str, &'static str)> {
    let sources = [
        (
            volume.photon_persistent_disk.is_some(),
            "photonPersistentDisk",
            "deprecated in v1.11, non-functional in v1.16+",
        ),
        (volume.git_repo.is_some(), "gitRepo", "deprecated in v1.11"),
        (volume.scale_io.is_some(), "scaleIO", "deprecated in v1.16, non-functional in v1.22+"),
        (volume.flocker.is_some(), "flocker", "deprecated in v1.22, non-functional in v1.25+"),
        (volume.storageos.is_some(), "storageOS", "deprecated in v1.22, non-functional in v1.25+"),
        (volume.quobyte.is_some(), "quobyte", "deprecated in v1.22, non-functional in v1.25+"),
        (volume.glusterfs.is_some(), "glusterfs", "deprecated in v1.25, non-functional in v1.26+"),
        (volume.cephfs.is_some(), "cephfs", "deprecated in v1.28, non-functional in v1.31+"),
        (volume.rbd.is_some(), "rbd", "deprecated in v1.28, non-functional in v1.31+"),
    ];
    sources.into_iter().filter(|(is_there, ..)| *is_there).map(|(_, field, message)| (field, message))
}

/// A variable may be defined again from its own value; otherwise the first definition is lost.
fn hidden_variables(part: &Part<'_>) -> Vec<String> {
    let mut seen = HashSet::new();
    let mut said = Vec::new();
    for (index, variable) in part.env.iter().enumerate() {
        if seen.insert(&variable.name) {
            continue;
        }
        let reference = format!("$({})", variable.name);
        let value = variable.value.as_deref().unwrap_or_default();
        if variable.value_from.is_some() || value == reference || !value.contains(&reference) {
            let path = part.path.child("env").index(index);
            let name = &variable.name;
            said.push(format!("{path}: hides previous definition of {name:?}, which may be dropped when using apply"));
        }
    }
    said
}

fn host_ip(port: &ContainerPort) -> &str {
    port.host_ip.as_deref().unwrap_or_default()
}

fn host_port(port: &ContainerPort) -> i32 {
    port.host_port.unwrap_or_default()
}

/// As Go prints the struct.
fn shown(port: &ContainerPort) -> String {
    format!(
        "{{Name:{} HostPort:{} ContainerPort:{} Protocol:{} HostIP:{}}}",
        port.name.as_deref().unwrap_or_default(),
        host_port(port),
        port.container_port,
        port.protocol.as_deref().unwrap_or_default(),
        host_ip(port)
    )
}

/// How two definitions of one container port stand to each other.
fn clash(port: &ContainerPort, other: &ContainerPort) -> Option<&'static str> {
    let same_host_port = host_port(port) == host_port(other);
    if host_ip(port) == host_ip(other) && same_host_port {
        Some("duplicate")
    } else if host_port(port) == 0 || host_port(other) == 0 {
        Some("overlapping")
    } else if same_host_port && host_ip(port).is_empty() != host_ip(other).is_empty() {
        Some("dangerously ambiguous")
    } else {
        None
    }
}
