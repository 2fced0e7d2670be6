//! Metrics as the annotations of version 1 hold them: the shapes that they had before version 2.
//!
//! Invariants: nothing of a version 2 metric that these shapes can hold is lost on the way there and back; they are
//! JSON of annotations only and no API of their own.

use k8s_openapi::api::autoscaling::v2::{
    ContainerResourceMetricSource, ContainerResourceMetricStatus, CrossVersionObjectReference, ExternalMetricSource,
    ExternalMetricStatus, MetricIdentifier, MetricSpec, MetricStatus, MetricTarget, MetricValueStatus,
    ObjectMetricSource, ObjectMetricStatus, PodsMetricSource, PodsMetricStatus, ResourceMetricSource,
    ResourceMetricStatus,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde::{Deserialize, Serialize};

/// A source of metrics: one of its parts, by `type`. Wanted and measured ones differ in the names of their numbers.
#[derive(Serialize, Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Metric {
    r#type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    object: Option<ObjectMetric>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pods: Option<NamedMetric>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource: Option<ResourceMetric>,
    #[serde(skip_serializing_if = "Option::is_none")]
    container_resource: Option<ResourceMetric>,
    #[serde(skip_serializing_if = "Option::is_none")]
    external: Option<NamedMetric>,
}

#[derive(Serialize, Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct ObjectMetric {
    target: CrossVersionObjectReference,
    #[serde(flatten)]
    metric: NamedMetric,
}

#[derive(Serialize, Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct NamedMetric {
    metric_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    selector: Option<LabelSelector>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metric_selector: Option<LabelSelector>,
    #[serde(flatten)]
    numbers: Numbers,
}

#[derive(Serialize, Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct ResourceMetric {
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    container: String,
    #[serde(flatten)]
    numbers: Numbers,
}

#[derive(Serialize, Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Numbers {
    #[serde(skip_serializing_if = "Option::is_none")]
    target_value: Option<Quantity>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target_average_value: Option<Quantity>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target_average_utilization: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    current_value: Option<Quantity>,
    #[serde(skip_serializing_if = "Option::is_none")]
    current_average_value: Option<Quantity>,
    #[serde(skip_serializing_if = "Option::is_none")]
    current_average_utilization: Option<i32>,
    /// The average of a metric of an object, in both.
    #[serde(skip_serializing_if = "Option::is_none")]
    average_value: Option<Quantity>,
}

impl Numbers {
    fn wanted(target: MetricTarget) -> Numbers {
        Numbers {
            target_value: target.value,
            target_average_value: target.average_value,
            target_average_utilization: target.average_utilization,
            ..Numbers::default()
        }
    }

    fn measured(current: MetricValueStatus) -> Numbers {
        Numbers {
            current_value: current.value,
            current_average_value: current.average_value,
            current_average_utilization: current.average_utilization,
            ..Numbers::default()
        }
    }

    /// Objects spell their average without saying whose it is.
    fn of_object(self) -> Numbers {
        let average_value = self.target_average_value.or(self.current_average_value);
        let value = self.current_value;
        Numbers { target_value: self.target_value, current_value: value, average_value, ..Numbers::default() }
    }

    fn target(self) -> MetricTarget {
        let average_value = self.target_average_value.or(self.average_value);
        let type_ = match (&self.target_average_utilization, &average_value) {
            (Some(_), _) => "Utilization",
            (None, Some(_)) => "AverageValue",
            (None, None) => "Value",
        };
        MetricTarget {
            average_utilization: self.target_average_utilization,
            // An object's or an external metric's total may stand as zero beside its average.
            value: self.target_value.filter(|value| average_value.is_none() || value.0 != "0"),
            average_value,
            type_: type_.to_owned(),
        }
    }

    fn current(self) -> MetricValueStatus {
        MetricValueStatus {
            average_utilization: self.current_average_utilization,
            average_value: self.current_average_value.or(self.average_value),
            value: self.current_value,
        }
    }
}

impl NamedMetric {
    fn new(metric: MetricIdentifier, numbers: Numbers) -> NamedMetric {
        NamedMetric { metric_name: metric.name, selector: metric.selector, metric_selector: None, numbers }
    }

    fn external(metric: MetricIdentifier, numbers: Numbers) -> NamedMetric {
        NamedMetric { metric_name: metric.name, selector: None, metric_selector: metric.selector, numbers }
    }

    fn split(self) -> (MetricIdentifier, Numbers) {
        let selector = self.selector.or(self.metric_selector);
        (MetricIdentifier { name: self.metric_name, selector }, self.numbers)
    }
}

impl From<MetricSpec> for Metric {
    fn from(spec: MetricSpec) -> Metric {
        Metric {
            r#type: spec.type_,
            object: spec.object.map(|source| ObjectMetric {
                target: source.described_object,
                metric: NamedMetric::new(source.metric, Numbers::wanted(source.target).of_object()),
            }),
            pods: spec.pods.map(|source| NamedMetric::new(source.metric, Numbers::wanted(source.target))),
            resource: spec.resource.map(|source| ResourceMetric {
                name: source.name,
                container: String::new(),
                numbers: Numbers::wanted(source.target),
            }),
            container_resource: spec.container_resource.map(|source| ResourceMetric {
                name: source.name,
                container: source.container,
                numbers: Numbers::wanted(source.target),
            }),
            external: spec.external.map(|source| NamedMetric::external(source.metric, Numbers::wanted(source.target))),
        }
    }
}

impl From<Metric> for MetricSpec {
    fn from(metric: Metric) -> MetricSpec {
        MetricSpec {
            type_: metric.r#type,
            object: metric.object.map(|source| {
                let (metric, numbers) = source.metric.split();
                ObjectMetricSource { described_object: source.target, metric, target: numbers.target() }
            }),
            pods: metric.pods.map(|source| {
                let (metric, numbers) = source.split();
                PodsMetricSource { metric, target: numbers.target() }
            }),
            resource: metric
                .resource
                .map(|source| ResourceMetricSource { name: source.name, target: source.numbers.target() }),
            container_resource: metric.container_resource.map(|source| ContainerResourceMetricSource {
                name: source.name,
                container: source.container,
                target: source.numbers.target(),
            }),
            external: metric.external.map(|source| {
                let (metric, numbers) = source.split();
                ExternalMetricSource { metric, target: numbers.target() }
            }),
        }
    }
}

impl From<MetricStatus> for Metric {
    fn from(status: MetricStatus) -> Metric {
        Metric {
            r#type: status.type_,
            object: status.object.map(|status| ObjectMetric {
                target: status.described_object,
                metric: NamedMetric::new(status.metric, Numbers::measured(status.current).of_object()),
            }),
            pods: status.pods.map(|status| NamedMetric::new(status.metric, Numbers::measured(status.current))),
            resource: status.resource.map(|status| ResourceMetric {
                name: status.name,
                container: String::new(),
                numbers: Numbers::measured(status.current),
            }),
            container_resource: status.container_resource.map(|status| ResourceMetric {
                name: status.name,
                container: status.container,
                numbers: Numbers::measured(status.current),
            }),
            external: status
                .external
                .map(|status| NamedMetric::external(status.metric, Numbers::measured(status.current))),
        }
    }
}

impl From<Metric> for MetricStatus {
    fn from(metric: Metric) -> MetricStatus {
        MetricStatus {
            type_: metric.r#type,
            object: metric.object.map(|status| {
                let (metric, numbers) = status.metric.split();
                ObjectMetricStatus { described_object: status.target, metric, current: numbers.current() }
            }),
            pods: metric.pods.map(|status| {
                let (metric, numbers) = status.split();
                PodsMetricStatus { metric, current: numbers.current() }
            }),
            resource: metric
                .resource
                .map(|status| ResourceMetricStatus { name: status.name, current: status.numbers.current() }),
            container_resource: metric.container_resource.map(|status| ContainerResourceMetricStatus {
                name: status.name,
                container: status.container,
                current: status.numbers.current(),
            }),
            external: metric.external.map(|status| {
                let (metric, numbers) = status.split();
                ExternalMetricStatus { metric, current: numbers.current() }
            }),
        }
    }
}
