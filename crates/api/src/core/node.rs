//! Node: a machine that runs pods.

use super::pod::scheduling::EFFECTS;
use super::resources;
use crate::check::{self, Errors};
use crate::core::columns;
use crate::field::{FieldError, FieldPath};
use crate::kind::{FieldValues, Kind};
use crate::labels;
use crate::resource::{Column, ResourceDef, Scope, Subresource};
use crate::table::Cell;
use k8s_openapi::api::core::v1::{Node, NodeConfigSource, NodeSpec, NodeStatus, Taint};
use k8s_openapi::jiff::Timestamp;

const ROLE_PREFIX: &str = "node-role.kubernetes.io/";
const ROLE: &str = "kubernetes.io/role";

impl Kind for Node {
    const DEF: ResourceDef = ResourceDef {
        short_names: &["no"],
        subresources: &[Subresource::Status, Subresource::Proxy],
        columns: &[
            Column::NAME,
            Column::text("Status").about("Whether it is ready for pods."),
            Column::text("Roles").about("What it is for."),
            Column::AGE,
            Column::text("Version").about("The version of what runs its pods."),
            Column::wide("Internal-IP").about("Its address among the nodes."),
            Column::wide("External-IP").about("Its address from outside."),
            Column::wide("OS-Image").about("Its operating system."),
            Column::wide("Kernel-Version").about("Its kernel."),
            Column::wide("Container-Runtime").about("What makes its containers."),
        ],
        selectable: &["spec.unschedulable"],
        ..ResourceDef::new("", "v1", "Node", "nodes", "node", Scope::Cluster, "k8s.io.api.core.v1.Node")
    };

    fn defaults(&mut self) {
        let spec = self.spec.get_or_insert_default();
        // The two say the same: who writes one of them has written both.
        let one = spec.pod_cidr.clone().filter(|cidr| !cidr.is_empty());
        match (one, spec.pod_cidrs.as_ref().and_then(|cidrs| cidrs.first())) {
            (Some(one), None) => spec.pod_cidrs = Some(vec![one]),
            (None, Some(first)) => spec.pod_cidr = Some(first.clone()),
            _ => {}
        }
        if let Some(status) = &mut self.status
            && status.allocatable.is_none()
        {
            status.allocatable.clone_from(&status.capacity);
        }
    }

    /// A new node may bring its status along: that is how one registers itself.
    fn prepare_update(&mut self, old: &Node) {
        self.status.clone_from(&old.status);
    }

    fn prepare_status(&mut self, old: &Node) {
        self.spec.clone_from(&old.spec);
    }

    fn validate(&self) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let path = FieldPath::new("spec");
        if let Some(spec) = &self.spec {
            // Upstream looks for taints in the metadata, as its annotation once was; clients expect the path.
            let taints_path = FieldPath::new("metadata").child("taints");
            taints(&mut errors, &taints_path, spec.taints.as_deref().unwrap_or_default());
            pod_cidrs(&mut errors, &path.child("podCIDRs"), spec.pod_cidrs.as_deref().unwrap_or_default());
            if let (Some(one), Some(first)) = (&spec.pod_cidr, spec.pod_cidrs.iter().flatten().next())
                && one != first
            {
                let detail = "v1.PodCIDR and v1.CIDRs[0] do not match";
                errors.push(FieldError::invalid(path.child("podCIDR"), one, detail));
            }
        }
        if let Some(status) = &self.status {
            for (field, list) in [("capacity", &status.capacity), ("allocatable", &status.allocatable)] {
                for (name, amount) in list.iter().flatten() {
                    let path = FieldPath::new("status").child(field).child(name);
                    resources::amount(&mut errors, &path, name, amount);
                }
            }
            let addresses = status.addresses.as_deref().unwrap_or_default();
            for (index, address) in addresses.iter().enumerate().filter(|(i, own)| addresses[..*i].contains(own)) {
                errors.push(FieldError::duplicate(FieldPath::new("status").child("addresses").index(index), address));
            }
        }
        errors
    }

    fn validate_update(&self, old: &Node) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let empty = NodeSpec::default();
        let path = FieldPath::new("spec");
        let (new, old) = (self.spec.as_ref().unwrap_or(&empty), old.spec.as_ref().unwrap_or(&empty));
        let given = |cidrs: &Option<Vec<String>>| cidrs.clone().unwrap_or_default();
        if !given(&old.pod_cidrs).is_empty() && given(&old.pod_cidrs) != given(&new.pod_cidrs) {
            let detail = "node updates may not change podCIDR except from \"\" to valid";
            errors.push(FieldError::forbidden(path.child("podCIDRs"), detail));
        }
        let given = |id: &Option<String>| id.clone().unwrap_or_default();
        if !given(&old.provider_id).is_empty() && given(&old.provider_id) != given(&new.provider_id) {
            let detail = "node updates may not change providerID except from \"\" to valid";
            errors.push(FieldError::forbidden(path.child("providerID"), detail));
        }
        if let Some(source) = &new.config_source {
            config_source(&mut errors, &path.child("configSource"), source, false);
        }
        let config = self.status.as_ref().and_then(|status| status.config.as_ref());
        for (field, source) in config.into_iter().flat_map(|config| {
            [("assigned", &config.assigned), ("active", &config.active), ("lastKnownGood", &config.last_known_good)]
        }) {
            if let Some(source) = source {
                let path = FieldPath::new("status").child("config").child(field);
                config_source(&mut errors, &path, source, true);
            }
        }
        if given(&old.external_id) != given(&new.external_id) {
            errors.push(FieldError::forbidden(path.child("externalID"), "may not be updated"));
        }
        errors
    }

    fn fields(&self) -> FieldValues {
        let unschedulable = self.spec.as_ref().and_then(|spec| spec.unschedulable).unwrap_or_default();
        std::iter::once(("spec.unschedulable", unschedulable.to_string())).collect()
    }

    fn row(&self, now: Timestamp) -> Vec<Cell> {
        let empty = NodeStatus::default();
        let status = self.status.as_ref().unwrap_or(&empty);
        let info = status.node_info.as_ref();
        let address = |kind: &str| {
            let mut addresses = status.addresses.iter().flatten();
            addresses.find(|address| address.type_ == kind).map(|address| address.address.as_str())
        };
        let or_unknown = |text: Option<&str>| Cell::from(text.filter(|text| !text.is_empty()).unwrap_or("<unknown>"));
        vec![
            columns::name(&self.metadata),
            Cell::Text(shown_status(self, status)),
            columns::or_none(Some(&roles(self).join(","))),
            columns::created(&self.metadata, now),
            Cell::from(info.map(|info| info.kubelet_version.as_str()).unwrap_or_default()),
            columns::or_none(address("InternalIP")),
            columns::or_none(address("ExternalIP")),
            or_unknown(info.map(|info| info.os_image.as_str())),
            or_unknown(info.map(|info| info.kernel_version.as_str())),
            or_unknown(info.map(|info| info.container_runtime_version.as_str())),
        ]
    }
}

/// Where a node's settings once came from; nothing reads it any more. A spec names a map, a status one version of it.
fn config_source(errors: &mut Errors, path: &FieldPath, source: &NodeConfigSource, of_status: bool) {
    let Some(map) = &source.config_map else {
        errors.push(FieldError::invalid(path.clone(), source, "exactly one reference subfield must be non-nil"));
        return;
    };
    let path = path.child("configMap");
    for (field, value) in [("uid", &map.uid), ("resourceVersion", &map.resource_version)] {
        match (of_status, value.as_deref().unwrap_or_default()) {
            (false, "") => {}
            (false, _) => {
                errors.push(FieldError::forbidden(path.child(field), format!("{field} must not be set in spec")));
            }
            (true, "") => {
                errors.push(FieldError::required(path.child(field), &format!("{field} must be set in status")));
            }
            (true, _) => {}
        }
    }
    for (field, value, complaints) in [
        ("namespace", &map.namespace, labels::dns1123_label(&map.namespace, false)),
        ("name", &map.name, labels::dns1123_subdomain(&map.name, false)),
        ("kubeletConfigKey", &map.kubelet_config_key, labels::config_key(&map.kubelet_config_key)),
    ] {
        if value.is_empty() {
            errors.push(FieldError::required(path.child(field), &format!("{field} must be set")));
        } else {
            check::each(errors, &path.child(field), value, complaints);
        }
    }
}

fn shown_status(node: &Node, status: &NodeStatus) -> String {
    let ready = status.conditions.iter().flatten().find(|condition| condition.type_ == "Ready");
    let mut words = match ready {
        Some(condition) if condition.status == "True" => "Ready",
        Some(_) => "NotReady",
        None => "Unknown",
    }
    .to_owned();
    if node.spec.as_ref().is_some_and(|spec| spec.unschedulable == Some(true)) {
        words.push_str(",SchedulingDisabled");
    }
    words
}

fn roles(node: &Node) -> Vec<String> {
    let mut roles: Vec<String> = Vec::new();
    for (key, value) in node.metadata.labels.iter().flatten() {
        match key.strip_prefix(ROLE_PREFIX) {
            Some(role) if !role.is_empty() => roles.push(role.to_owned()),
            None if key == ROLE && !value.is_empty() => roles.push(value.clone()),
            _ => {}
        }
    }
    roles.sort();
    roles.dedup();
    roles
}

fn taints(errors: &mut Errors, path: &FieldPath, taints: &[Taint]) {
    for (index, taint) in taints.iter().enumerate() {
        let path = path.index(index);
        check::label_key(errors, &path.child("key"), &taint.key);
        let value = taint.value.as_deref().unwrap_or_default();
        let complaints = labels::label_value(value);
        if !complaints.is_empty() {
            errors.push(FieldError::invalid(path.child("value"), value, complaints.join(";")));
        }
        check::supported(errors, &path.child("effect"), Some(&taint.effect), EFFECTS);
        if taints[..index].iter().any(|other| other.key == taint.key && other.effect == taint.effect) {
            let mut error = FieldError::duplicate(path, taint);
            error.detail = "taints must be unique by key and effect pair".to_owned();
            errors.push(error);
        }
    }
}

/// At most one range of each family. (Several of one family are a matter of annotations.)
fn pod_cidrs(errors: &mut Errors, path: &FieldPath, cidrs: &[String]) {
    for (index, cidr) in cidrs.iter().enumerate() {
        check::cidr(errors, &path.index(index), cidr);
        if cidrs[..index].contains(cidr) {
            errors.push(FieldError::duplicate(path.index(index), cidr));
        }
    }
    let sixes = cidrs.iter().filter(|cidr| cidr.contains(':')).count();
    if cidrs.len() > 1 && (cidrs.len() > 2 || sixes != 1) {
        let detail = "may specify no more than one CIDR for each IP family";
        errors.push(FieldError::invalid(path.clone(), cidrs, detail));
    }
}
