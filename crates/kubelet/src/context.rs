//! What every pod's task shares: handles to the node's services. Holds no state of any pod.

use crate::cgroups::Cgroups;
use crate::cri_request::dns::ClusterDns;
use crate::dirs::Dirs;
use crate::images::Puller;
use crate::making::Making;
use crate::node::machine::Machine;
use crate::objects::Namespaces;
use crate::options::Isolation;
use crate::pod::containers::field_path;
use crate::pod_machine::{Facts, Note};
use crate::probe_counts::ProbeCounts;
use crate::running::Usage;
use client::{Cache, Client};
use cri::Runtime;
use k8s_openapi::api::core::v1::{Pod, Service};
use reconcile::{Recorder, Severity};
use std::sync::Arc;
use tokio::sync::Semaphore;

pub(crate) struct Context {
    pub(crate) node_name: String,
    pub(crate) facts: Arc<Facts>,
    pub(crate) machine: Machine,
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) client: Client,
    pub(crate) services: Cache<Service>,
    pub(crate) namespaces: Namespaces,
    pub(crate) recorder: Recorder,
    pub(crate) puller: Puller,
    pub(crate) dirs: Dirs,
    pub(crate) cgroups: Cgroups,
    pub(crate) dns: ClusterDns,
    pub(crate) isolation: Option<Arc<dyn Isolation>>,
    pub(crate) usage: Option<Arc<dyn Usage>>,
    pub(crate) archive: Option<Arc<::logs::Archive>>,
    /// Status writes at one time.
    pub(crate) status_writes: Semaphore,
    /// Containers being made at one time: more only take turns on the same disks and locks.
    pub(crate) starts: Semaphore,
    pub(crate) making: Making,
    pub(crate) probes: ProbeCounts,
}

impl Context {
    pub(crate) fn record(&self, pod: &Pod, note: &Note) {
        let mut about = reconcile::events::reference(pod);
        about.field_path = note.container.as_ref().and_then(|name| field_path(pod, name));
        let severity = if note.warning { Severity::Warning } else { Severity::Normal };
        self.recorder.event_about(about, severity, note.reason, note.message.clone());
    }
}
