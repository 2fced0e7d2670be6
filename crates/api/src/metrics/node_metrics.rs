//! NodeMetrics: what a node uses.

use super::{CPU_COLUMN, GROUP, MEMORY_COLUMN, Usage, VERSION, WINDOW_COLUMN, cells};
use crate::kind::Kind;
use crate::resource::{Column, ResourceDef, Scope, Verbs};
use crate::table::Cell;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use k8s_openapi::jiff::Timestamp;
use serde::Deserialize;

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct NodeMetrics {
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// The end of the window.
    pub timestamp: Time,
    /// Over how long the usage is the mean, as Go writes durations.
    pub window: String,
    #[serde(default)]
    pub usage: Usage,
}

measured!(NodeMetrics, k8s_openapi::ClusterResourceScope, "nodes", usage);

impl Kind for NodeMetrics {
    const DEF: ResourceDef = ResourceDef {
        verbs: Verbs::ReadOnly,
        columns: &[Column::NAME, CPU_COLUMN, MEMORY_COLUMN, WINDOW_COLUMN],
        ..ResourceDef::new(
            GROUP,
            VERSION,
            "NodeMetrics",
            "nodes",
            // Upstream has none: clients then take the kind's name, so that `nodes` stays the core group's.
            "nodemetrics",
            Scope::Cluster,
            "k8s.io.metrics.pkg.apis.metrics.v1beta1.NodeMetrics",
        )
    };

    fn row(&self, _now: Timestamp) -> Vec<Cell> {
        let name = self.metadata.name.as_deref().unwrap_or_default();
        let mut row = vec![Cell::from(name)];
        row.extend(cells(std::iter::once(&self.usage), &self.window));
        row
    }
}
