//! Where names, labels, annotations and namespaces stand in which kinds: kustomize's default configuration, as facts.

use super::file::Spec;

/// Kinds whose pods are made of a template, by group; `""` is any.
const TEMPLATES: [(&str, &str, &str); 6] = [
    ("", "v1", "ReplicationController"),
    ("", "", "Deployment"),
    ("", "", "ReplicaSet"),
    ("", "", "DaemonSet"),
    ("apps", "", "StatefulSet"),
    ("batch", "", "Job"),
];
/// Kinds with a selector, where it is, and whether one is made.
const SELECTORS: [(&str, &str, &str, &str, bool); 12] = [
    ("", "v1", "Service", "spec/selector", true),
    ("", "v1", "ReplicationController", "spec/selector", true),
    ("", "", "Deployment", "spec/selector/matchLabels", true),
    ("", "", "ReplicaSet", "spec/selector/matchLabels", true),
    ("", "", "DaemonSet", "spec/selector/matchLabels", true),
    ("apps", "", "StatefulSet", "spec/selector/matchLabels", true),
    ("batch", "", "Job", "spec/selector/matchLabels", false),
    ("batch", "", "CronJob", "spec/jobTemplate/spec/selector/matchLabels", false),
    ("policy", "", "PodDisruptionBudget", "spec/selector/matchLabels", false),
    ("networking.k8s.io", "", "NetworkPolicy", "spec/podSelector/matchLabels", false),
    ("networking.k8s.io", "", "NetworkPolicy", "spec/ingress/from/podSelector/matchLabels", false),
    ("networking.k8s.io", "", "NetworkPolicy", "spec/egress/to/podSelector/matchLabels", false),
];
/// Selectors of pods that stand near or far.
const AFFINITIES: [&str; 5] = [
    "podAffinity/preferredDuringSchedulingIgnoredDuringExecution/podAffinityTerm/labelSelector/matchLabels",
    "podAffinity/requiredDuringSchedulingIgnoredDuringExecution/labelSelector/matchLabels",
    "podAntiAffinity/preferredDuringSchedulingIgnoredDuringExecution/podAffinityTerm/labelSelector/matchLabels",
    "podAntiAffinity/requiredDuringSchedulingIgnoredDuringExecution/labelSelector/matchLabels",
    "",
];

fn spec(group: &str, version: &str, kind: &str, path: &str, create: bool) -> Spec {
    Spec { group: group.to_owned(), version: version.to_owned(), kind: kind.to_owned(), path: path.to_owned(), create }
}

/// `metadata/KEY` of templates.
pub(super) fn templates(key: &str) -> Vec<Spec> {
    let mut specs: Vec<Spec> = TEMPLATES
        .iter()
        .map(|(group, version, kind)| spec(group, version, kind, &format!("spec/template/metadata/{key}"), true))
        .collect();
    for path in ["spec/jobTemplate/metadata", "spec/jobTemplate/spec/template/metadata"] {
        specs.push(spec("batch", "", "CronJob", &format!("{path}/{key}"), true));
    }
    specs
}

/// Labels of all that is made of templates.
pub(super) fn template_labels() -> Vec<Spec> {
    let mut specs = templates("labels");
    specs.push(spec("apps", "", "StatefulSet", "spec/volumeClaimTemplates[]/metadata/labels", true));
    specs
}

/// An object's own.
pub(super) fn own(key: &str) -> Spec {
    spec("", "", "", &format!("metadata/{key}"), true)
}

pub(super) fn selectors() -> Vec<Spec> {
    let mut specs: Vec<Spec> = SELECTORS
        .iter()
        .map(|(group, version, kind, path, create)| spec(group, version, kind, path, *create))
        .collect();
    for kind in ["Deployment", "StatefulSet"] {
        for affinity in AFFINITIES {
            let path = match affinity {
                "" => "spec/template/spec/topologySpreadConstraints/labelSelector/matchLabels".to_owned(),
                affinity => format!("spec/template/spec/affinity/{affinity}"),
            };
            specs.push(spec("apps", "", kind, &path, false));
        }
    }
    specs
}

/// Beside `metadata/namespace`, which every kind with namespaces has.
pub(super) fn namespaces() -> Vec<Spec> {
    vec![
        spec("", "", "Namespace", "metadata/name", true),
        spec("apiregistration.k8s.io", "", "APIService", "spec/service/namespace", true),
        spec(
            "apiextensions.k8s.io",
            "",
            "CustomResourceDefinition",
            "spec/conversion/webhook/clientConfig/service/namespace",
            false,
        ),
    ]
}

/// Kinds that have replicas.
const REPLICATED: [&str; 4] = ["Deployment", "StatefulSet", "ReplicaSet", "ReplicationController"];
const REPLICAS: &str = "spec/replicas";

pub(super) const NAME: &str = "metadata/name";

/// Names of all kinds.
pub(super) fn names() -> Vec<Spec> {
    vec![spec("", "", "", NAME, false)]
}

pub(super) fn replicas() -> Vec<Spec> {
    REPLICATED.iter().map(|kind| spec("", "", kind, REPLICAS, true)).collect()
}

pub(super) fn images() -> Vec<Spec> {
    IMAGES.iter().map(|path| spec("", "", "", path, false)).collect()
}

/// Kinds whose names are not theirs to change.
pub(super) const NAMED: [(&str, &str); 3] =
    [("", "CustomResourceDefinition"), ("apiregistration.k8s.io", "APIService"), ("", "Namespace")];

/// Volumes that are images.
const IMAGES: [&str; 2] = ["spec/volumes[]/image/reference", "spec/template/spec/volumes[]/image/reference"];
