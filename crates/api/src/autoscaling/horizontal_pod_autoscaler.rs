//! HorizontalPodAutoscaler, in the version in which it is stored: how many replicas a workload needs.

use super::{columns, validate};
use crate::core::columns as cells;
use crate::field::FieldError;
use crate::kind::{Kind, status_apart};
use crate::resource::{Column, ResourceDef, Scope, Subresource};
use crate::table::Cell;
use k8s_openapi::api::autoscaling::v2::{
    HPAScalingPolicy, HPAScalingRules, HorizontalPodAutoscaler, MetricSpec, MetricTarget, ResourceMetricSource,
};
use k8s_openapi::jiff::Timestamp;

pub(super) const COLUMNS: &[Column] = &[
    Column::NAME,
    Column::text("Reference").about("What it scales."),
    Column::text("Targets").about("What it measures, and what it wants."),
    Column::text("MinPods").about("The fewest replicas."),
    Column::text("MaxPods").about("The most replicas."),
    Column::text("Replicas").about("How many there are."),
    Column::AGE,
];

/// Of the processor time that pods ask for, where nobody says what to aim at.
const CPU_PERCENT: i32 = 80;

impl Kind for HorizontalPodAutoscaler {
    const DEF: ResourceDef = ResourceDef {
        short_names: &["hpa"],
        categories: &["all"],
        subresources: &[Subresource::Status],
        columns: COLUMNS,
        ..ResourceDef::new(
            "autoscaling",
            "v2",
            "HorizontalPodAutoscaler",
            "horizontalpodautoscalers",
            "horizontalpodautoscaler",
            Scope::Namespaced,
            "k8s.io.api.autoscaling.v2.HorizontalPodAutoscaler",
        )
    };

    fn defaults(&mut self) {
        self.spec.min_replicas.get_or_insert(1);
        if self.spec.metrics.as_ref().is_none_or(Vec::is_empty) {
            self.spec.metrics = Some(vec![cpu(CPU_PERCENT)]);
        }
        if let Some(behavior) = &mut self.spec.behavior {
            let pods = HPAScalingPolicy { period_seconds: 15, type_: "Pods".to_owned(), value: 4 };
            let percent = HPAScalingPolicy { period_seconds: 15, type_: "Percent".to_owned(), value: 100 };
            let up = behavior.scale_up.get_or_insert_default();
            up.stabilization_window_seconds.get_or_insert(0);
            rules(up, vec![pods, percent.clone()]);
            rules(behavior.scale_down.get_or_insert_default(), vec![percent]);
        }
        self.status.get_or_insert_default();
    }

    status_apart!(HorizontalPodAutoscaler);

    fn validate(&self) -> Vec<FieldError> {
        validate::errors(self)
    }

    fn row(&self, now: Timestamp) -> Vec<Cell> {
        let spec = &self.spec;
        let status = self.status.as_ref();
        let measured = status.and_then(|status| status.current_metrics.as_deref()).unwrap_or_default();
        let replicas = status.and_then(|status| status.current_replicas).unwrap_or_default();
        vec![
            cells::name(&self.metadata),
            Cell::Text(format!("{}/{}", spec.scale_target_ref.kind, spec.scale_target_ref.name)),
            Cell::Text(columns::targets(spec.metrics.as_deref().unwrap_or_default(), measured)),
            Cell::Text(spec.min_replicas.map_or_else(|| "<unset>".to_owned(), |least| least.to_string())),
            Cell::from(spec.max_replicas),
            Cell::from(replicas),
            cells::created(&self.metadata, now),
        ]
    }
}

/// Aims at a share of the processor time that pods ask for.
pub(super) fn cpu(percent: i32) -> MetricSpec {
    let target =
        MetricTarget { average_utilization: Some(percent), type_: "Utilization".to_owned(), ..MetricTarget::default() };
    let resource = Some(ResourceMetricSource { name: "cpu".to_owned(), target });
    MetricSpec { resource, type_: "Resource".to_owned(), ..MetricSpec::default() }
}

fn rules(rules: &mut HPAScalingRules, policies: Vec<HPAScalingPolicy>) {
    rules.select_policy.get_or_insert_with(|| "Max".to_owned());
    rules.policies.get_or_insert(policies);
}
