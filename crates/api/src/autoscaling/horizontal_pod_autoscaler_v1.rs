//! HorizontalPodAutoscaler in its first version, which knows the processor only: the rest is in annotations.

use super::horizontal_pod_autoscaler::{COLUMNS, cpu};
use super::metrics_v1::Metric;
use crate::resource::{ResourceDef, Scope, Subresource};
use crate::version::Version;
use k8s_openapi::api::autoscaling::v1::{
    CrossVersionObjectReference, HorizontalPodAutoscaler, HorizontalPodAutoscalerSpec, HorizontalPodAutoscalerStatus,
};
use k8s_openapi::api::autoscaling::v2;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;

const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";
const CURRENT_METRICS: &str = "autoscaling.alpha.kubernetes.io/current-metrics";
const CONDITIONS: &str = "autoscaling.alpha.kubernetes.io/conditions";
const BEHAVIOR: &str = "autoscaling.alpha.kubernetes.io/behavior";

impl Version for HorizontalPodAutoscaler {
    type Stored = v2::HorizontalPodAutoscaler;

    const DEF: ResourceDef = ResourceDef {
        short_names: &["hpa"],
        categories: &["all"],
        subresources: &[Subresource::Status],
        columns: COLUMNS,
        ..ResourceDef::new(
            "autoscaling",
            "v1",
            "HorizontalPodAutoscaler",
            "horizontalpodautoscalers",
            "horizontalpodautoscaler",
            Scope::Namespaced,
            "k8s.io.api.autoscaling.v1.HorizontalPodAutoscaler",
        )
    };

    fn from_stored(stored: v2::HorizontalPodAutoscaler) -> HorizontalPodAutoscaler {
        let v2::HorizontalPodAutoscaler { mut metadata, spec, status } = stored;
        let annotations = metadata.annotations.get_or_insert_default();
        let metrics = spec.metrics.unwrap_or_default();
        let target = metrics.iter().find_map(cpu_percent);
        let others = metrics.into_iter().filter(|metric| cpu_percent(metric).is_none());
        write(annotations, METRICS, others.map(Metric::from).collect());
        write(annotations, BEHAVIOR, spec.behavior.into_iter().collect::<Vec<_>>());
        let status = status.map(|status| status_from(status, annotations));
        if annotations.is_empty() {
            metadata.annotations = None;
        }
        HorizontalPodAutoscaler {
            metadata,
            spec: HorizontalPodAutoscalerSpec {
                max_replicas: spec.max_replicas,
                min_replicas: spec.min_replicas,
                scale_target_ref: CrossVersionObjectReference {
                    api_version: spec.scale_target_ref.api_version,
                    kind: spec.scale_target_ref.kind,
                    name: spec.scale_target_ref.name,
                },
                target_cpu_utilization_percentage: target,
            },
            status,
        }
    }

    fn into_stored(self) -> v2::HorizontalPodAutoscaler {
        let HorizontalPodAutoscaler { mut metadata, spec, status } = self;
        let mut none = BTreeMap::new();
        let annotations = metadata.annotations.as_mut().unwrap_or(&mut none);
        let mut metrics: Vec<v2::MetricSpec> = spec.target_cpu_utilization_percentage.map(cpu).into_iter().collect();
        let others: Vec<Metric> = take(annotations, METRICS).unwrap_or_default();
        metrics.extend(others.into_iter().map(v2::MetricSpec::from));
        let behavior = take(annotations, BEHAVIOR);
        let status = status_into(status, annotations);
        if metadata.annotations.as_ref().is_some_and(BTreeMap::is_empty) {
            metadata.annotations = None;
        }
        v2::HorizontalPodAutoscaler {
            metadata,
            spec: v2::HorizontalPodAutoscalerSpec {
                behavior,
                max_replicas: spec.max_replicas,
                metrics: Some(metrics).filter(|metrics| !metrics.is_empty()),
                min_replicas: spec.min_replicas,
                scale_target_ref: v2::CrossVersionObjectReference {
                    api_version: spec.scale_target_ref.api_version,
                    kind: spec.scale_target_ref.kind,
                    name: spec.scale_target_ref.name,
                },
            },
            status,
        }
    }
}

/// What version 1 has a field for.
fn cpu_percent(metric: &v2::MetricSpec) -> Option<i32> {
    let resource = metric.resource.as_ref().filter(|resource| metric.type_ == "Resource" && resource.name == "cpu")?;
    resource.target.average_utilization
}

fn status_from(
    status: v2::HorizontalPodAutoscalerStatus,
    annotations: &mut BTreeMap<String, String>,
) -> HorizontalPodAutoscalerStatus {
    let metrics = status.current_metrics.unwrap_or_default();
    let measured = metrics.iter().find_map(|metric| {
        let resource = metric.resource.as_ref().filter(|own| metric.type_ == "Resource" && own.name == "cpu")?;
        resource.current.average_utilization
    });
    // The processor's too: its raw value has no field.
    write(annotations, CURRENT_METRICS, metrics.into_iter().map(Metric::from).collect());
    write(annotations, CONDITIONS, status.conditions.unwrap_or_default());
    HorizontalPodAutoscalerStatus {
        current_cpu_utilization_percentage: measured,
        current_replicas: status.current_replicas.unwrap_or_default(),
        desired_replicas: status.desired_replicas,
        last_scale_time: status.last_scale_time,
        observed_generation: status.observed_generation,
    }
}

fn status_into(
    status: Option<HorizontalPodAutoscalerStatus>,
    annotations: &mut BTreeMap<String, String>,
) -> Option<v2::HorizontalPodAutoscalerStatus> {
    let annotated: Option<Vec<Metric>> = take(annotations, CURRENT_METRICS);
    let conditions = take(annotations, CONDITIONS);
    let status = status?;
    let measured = status.current_cpu_utilization_percentage.map(|percent| v2::MetricStatus {
        resource: Some(v2::ResourceMetricStatus {
            name: "cpu".to_owned(),
            current: v2::MetricValueStatus { average_utilization: Some(percent), ..v2::MetricValueStatus::default() },
        }),
        type_: "Resource".to_owned(),
        ..v2::MetricStatus::default()
    });
    let annotated = annotated.map(|metrics| metrics.into_iter().map(v2::MetricStatus::from).collect());
    Some(v2::HorizontalPodAutoscalerStatus {
        conditions,
        current_metrics: annotated.or_else(|| measured.map(|metric| vec![metric])),
        current_replicas: Some(status.current_replicas).filter(|replicas| *replicas != 0),
        desired_replicas: status.desired_replicas,
        last_scale_time: status.last_scale_time,
        observed_generation: status.observed_generation,
    })
}

/// Keeps what there is in an annotation: lists as they are, and a behavior, of which there is at most one, bare.
fn write<T: Serialize>(annotations: &mut BTreeMap<String, String>, name: &str, values: Vec<T>) {
    let text = match values.as_slice() {
        [] => return,
        [one] if name == BEHAVIOR => serde_json::to_string(one),
        values => serde_json::to_string(values),
    };
    if let Ok(text) = text {
        annotations.insert(name.to_owned(), text);
    }
}

/// What an annotation holds, which goes with it; one that says nothing sensible is dropped, as upstream does.
fn take<T: DeserializeOwned>(annotations: &mut BTreeMap<String, String>, name: &str) -> Option<T> {
    annotations.remove(name).and_then(|text| serde_json::from_str(&text).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn both_ways(stored: Value) -> HorizontalPodAutoscaler {
        let stored: v2::HorizontalPodAutoscaler = serde_json::from_value(stored).unwrap();
        let shown = HorizontalPodAutoscaler::from_stored(stored.clone());
        assert_eq!(shown.clone().into_stored(), stored, "{shown:?}");
        shown
    }

    #[test]
    fn what_version_1_has_no_field_for_survives_in_annotations() {
        let reference = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"});
        let shown = both_ways(json!({
            "metadata": {"name": "a", "annotations": {"mine": "x"}},
            "spec": {"maxReplicas": 5, "minReplicas": 2, "scaleTargetRef": reference,
                "behavior": {"scaleDown": {"selectPolicy": "Max", "stabilizationWindowSeconds": 3}},
                "metrics": [
                    {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}},
                    {"type": "Resource", "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": "1Gi"}}},
                    {"type": "Pods", "pods": {"metric": {"name": "p"}, "target": {"type": "AverageValue", "averageValue": "7"}}},
                    {"type": "Object", "object": {"describedObject": reference, "metric": {"name": "o"},
                        "target": {"type": "Value", "value": "9"}}},
                    {"type": "External", "external": {"metric": {"name": "e", "selector": {"matchLabels": {"a": "b"}}},
                        "target": {"type": "AverageValue", "averageValue": "3"}}},
                    {"type": "ContainerResource", "containerResource": {"name": "cpu", "container": "c",
                        "target": {"type": "Utilization", "averageUtilization": 60}}},
                ]},
            "status": {"currentReplicas": 3, "desiredReplicas": 4,
                "conditions": [{"type": "AbleToScale", "status": "True"}],
                "currentMetrics": [{"type": "Resource", "resource": {"name": "cpu",
                    "current": {"averageUtilization": 40, "averageValue": "400m"}}}]},
        }));
        assert_eq!(shown.spec.target_cpu_utilization_percentage, Some(50));
        assert_eq!(shown.status.as_ref().and_then(|status| status.current_cpu_utilization_percentage), Some(40));
        let annotations = shown.metadata.annotations.unwrap();
        assert_eq!(annotations.len(), 5);
        let metrics: Value = serde_json::from_str(&annotations[METRICS]).unwrap();
        assert_eq!(
            metrics[0],
            json!({"type": "Resource", "resource": {"name": "memory", "targetAverageValue": "1Gi"}})
        );
        assert_eq!(metrics[3]["external"]["metricSelector"], json!({"matchLabels": {"a": "b"}}));
    }

    #[test]
    fn what_version_1_has_fields_for_needs_no_annotations() {
        let shown = both_ways(json!({"metadata": {"name": "a"}, "spec": {"maxReplicas": 5,
            "scaleTargetRef": {"kind": "Deployment", "name": "d"},
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}]}}));
        assert_eq!(shown.metadata.annotations, None);
    }
}
