//! Pod: containers that share a node, an address and volumes.
//!
//! What holds for every pod spec, wherever it stands, is here as well; the controllers' kinds use it for their
//! templates.

mod annotations;
mod containers;
pub(crate) mod defaults;
mod environment;
pub(crate) mod outside_volumes;
mod probes;
mod projected;
mod qos;
pub(crate) mod scheduling;
mod security;
mod status_columns;
mod system;
mod update;
pub(crate) mod validate;
pub(crate) mod volumes;
mod windows;

pub use qos::{container_limits, container_requests, is_sidecar, qos_class};

use crate::check;
use crate::field::FieldError;
use crate::kind::{FieldValues, Kind};
use crate::resource::{ResourceDef, Scope, Subresource};
use crate::table::Cell;
use k8s_openapi::api::core::v1::{Pod, PodCondition, PodSpec, PodStatus};
use k8s_openapi::jiff::Timestamp;

/// What a pod that its writer gave none gets to end in peace, in seconds.
const GRACE_SECONDS: i64 = 30;

impl Kind for Pod {
    const DEF: ResourceDef = ResourceDef {
        short_names: &["po"],
        categories: &["all"],
        subresources: &[
            Subresource::Status,
            Subresource::Log,
            Subresource::Exec,
            Subresource::Attach,
            Subresource::PortForward,
            Subresource::Proxy,
            Subresource::Binding,
            Subresource::Eviction,
            Subresource::EphemeralContainers,
            Subresource::Resize,
        ],
        columns: status_columns::COLUMNS,
        selectable: &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.podIPs",
            "status.nominatedNodeName",
        ],
        ..ResourceDef::new("", "v1", "Pod", "pods", "pod", Scope::Namespaced, "k8s.io.api.core.v1.Pod")
    };

    fn defaults(&mut self) {
        defaults::pod(self);
    }

    fn prepare_create(&mut self) {
        // The class follows from requests, some of which are filled in.
        defaults::pod(self);
        let Some(spec) = &self.spec else { return };
        let gated = spec.scheduling_gates.as_ref().is_some_and(|gates| !gates.is_empty());
        self.status = Some(PodStatus {
            phase: Some("Pending".to_owned()),
            qos_class: Some(qos_class(spec).to_owned()),
            conditions: gated.then(|| vec![gated_condition()]),
            ..PodStatus::default()
        });
    }

    fn prepare_update(&mut self, old: &Pod) {
        self.status.clone_from(&old.status);
    }

    fn prepare_status(&mut self, old: &Pod) {
        self.spec.clone_from(&old.spec);
        self.metadata.owner_references.clone_from(&old.metadata.owner_references);
        let qos_class = old.status.as_ref().and_then(|status| status.qos_class.clone());
        let status = self.status.get_or_insert_default();
        if status.qos_class.as_deref().unwrap_or_default().is_empty() {
            status.qos_class = qos_class;
        }
    }

    fn validate(&self) -> Vec<FieldError> {
        validate::pod(self)
    }

    fn validate_create(&self) -> Vec<FieldError> {
        validate::pod_create(self)
    }

    fn validate_update(&self, old: &Pod) -> Vec<FieldError> {
        let mut errors = update::pod(self, old);
        if self.status != old.status {
            errors.extend(update::status(self, old));
        }
        errors
    }

    fn prepare_subresource(&mut self, subresource: Subresource, old: &Pod) {
        match (subresource, &mut self.spec, &old.spec) {
            (Subresource::EphemeralContainers, Some(spec), Some(before)) => {
                let containers = spec.ephemeral_containers.take();
                *spec = PodSpec { ephemeral_containers: containers, ..before.clone() };
                self.status.clone_from(&old.status);
            }
            (Subresource::Resize, Some(spec), Some(before)) => {
                update::keep_all_but_resources(spec, before);
                self.status.clone_from(&old.status);
            }
            _ => self.prepare_status(old),
        }
    }

    fn validate_subresource(&self, subresource: Subresource, old: &Pod) -> Vec<FieldError> {
        match subresource {
            Subresource::EphemeralContainers => update::ephemeral_containers(self, old),
            Subresource::Resize => update::resize(self, old),
            // The handler has picked the fields itself.
            Subresource::Binding | Subresource::Eviction => Vec::new(),
            _ => self.validate_update(old),
        }
    }

    const GENERATION: bool = true;

    fn spec_differs(&self, old: &Pod) -> bool {
        !check::same(&self.spec, &old.spec)
    }

    fn fields(&self) -> FieldValues {
        let spec = self.spec.as_ref();
        let status = self.status.as_ref();
        let text = |value: Option<&Option<String>>| value.cloned().flatten().unwrap_or_default();
        let host_network = spec.and_then(|spec| spec.host_network).unwrap_or_default();
        let ips = status.and_then(|status| status.pod_ips.as_ref());
        let ips: Vec<&str> = ips.into_iter().flatten().map(|ip| ip.ip.as_str()).collect();
        [
            ("spec.nodeName", text(spec.map(|spec| &spec.node_name))),
            ("spec.restartPolicy", text(spec.map(|spec| &spec.restart_policy))),
            ("spec.schedulerName", text(spec.map(|spec| &spec.scheduler_name))),
            ("spec.serviceAccountName", text(spec.map(|spec| &spec.service_account_name))),
            ("spec.hostNetwork", host_network.to_string()),
            ("status.phase", text(status.map(|status| &status.phase))),
            ("status.podIP", text(status.map(|status| &status.pod_ip))),
            ("status.podIPs", ips.join(",")),
            ("status.nominatedNodeName", text(status.map(|status| &status.nominated_node_name))),
        ]
        .into_iter()
        .collect()
    }

    fn row(&self, now: Timestamp) -> Vec<Cell> {
        status_columns::row(self, now)
    }

    fn default_grace_seconds(&self) -> Option<i64> {
        let own = self.spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds);
        // Negative ones, which old objects may have, mean the shortest.
        Some(own.map_or(GRACE_SECONDS, |seconds| if seconds < 0 { 1 } else { seconds }))
    }

    fn deletes_at_once(&self, grace_seconds: i64) -> bool {
        let node = self.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).unwrap_or_default();
        let phase = self.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default();
        grace_seconds == 0 || node.is_empty() || matches!(phase, "Succeeded" | "Failed")
    }
}

fn gated_condition() -> PodCondition {
    PodCondition {
        type_: "PodScheduled".to_owned(),
        status: "False".to_owned(),
        reason: Some("SchedulingGated".to_owned()),
        message: Some("Scheduling is blocked due to non-empty scheduling gates".to_owned()),
        ..PodCondition::default()
    }
}
