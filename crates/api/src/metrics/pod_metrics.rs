//! PodMetrics: what the containers of a pod use.

use super::{CPU_COLUMN, GROUP, MEMORY_COLUMN, Usage, VERSION, WINDOW_COLUMN, cells};
use crate::kind::Kind;
use crate::resource::{Column, ResourceDef, Scope, Verbs};
use crate::table::Cell;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use k8s_openapi::jiff::Timestamp;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct PodMetrics {
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// The end of the window.
    pub timestamp: Time,
    /// Over how long the usage is the mean, as Go writes durations.
    pub window: String,
    /// Those that ran during the window.
    #[serde(default)]
    pub containers: Vec<ContainerMetrics>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ContainerMetrics {
    pub name: String,
    #[serde(default)]
    pub usage: Usage,
}

measured!(PodMetrics, k8s_openapi::NamespaceResourceScope, "pods", containers);

impl Kind for PodMetrics {
    const DEF: ResourceDef = ResourceDef {
        verbs: Verbs::ReadOnly,
        columns: &[Column::NAME, CPU_COLUMN, MEMORY_COLUMN, WINDOW_COLUMN],
        ..ResourceDef::new(
            GROUP,
            VERSION,
            "PodMetrics",
            "pods",
            // Upstream has none: clients then take the kind's name, so that `pods` stays the core group's.
            "podmetrics",
            Scope::Namespaced,
            "k8s.io.metrics.pkg.apis.metrics.v1beta1.PodMetrics",
        )
    };

    fn row(&self, _now: Timestamp) -> Vec<Cell> {
        let name = self.metadata.name.as_deref().unwrap_or_default();
        let mut row = vec![Cell::from(name)];
        row.extend(cells(self.containers.iter().map(|container| &container.usage), &self.window));
        row
    }
}
