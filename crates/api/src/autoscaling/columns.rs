//! What a HorizontalPodAutoscaler's table says of its metrics: `cpu: 3%/80%, 7/10 (avg)`.

use k8s_openapi::api::autoscaling::v2::{MetricSpec, MetricStatus, MetricTarget, MetricValueStatus};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

const SHOWN_MAX: usize = 2;
const UNKNOWN: &str = "<unknown>";

/// The first two targets, each beside what was measured for it.
pub(super) fn targets(wanted: &[MetricSpec], measured: &[MetricStatus]) -> String {
    if wanted.is_empty() {
        return "<none>".to_owned();
    }
    let shown: Vec<String> =
        wanted.iter().take(SHOWN_MAX).enumerate().map(|(index, spec)| one(spec, measured.get(index))).collect();
    let shown = shown.join(", ");
    match wanted.len().saturating_sub(SHOWN_MAX) {
        0 => shown,
        more => format!("{shown} + {more} more..."),
    }
}

fn one(spec: &MetricSpec, status: Option<&MetricStatus>) -> String {
    match spec.type_.as_str() {
        "External" => {
            let Some(source) = &spec.external else { return UNKNOWN.to_owned() };
            let current = status.and_then(|status| status.external.as_ref()).map(|status| &status.current);
            amount(&source.target, current)
        }
        "Pods" => {
            let Some(source) = &spec.pods else { return UNKNOWN.to_owned() };
            let current = status.and_then(|status| status.pods.as_ref()).map(|status| &status.current);
            let current = quantity(current.and_then(|current| current.average_value.as_ref()));
            format!("{current}/{}", quantity(source.target.average_value.as_ref()))
        }
        "Object" => {
            let Some(source) = &spec.object else { return UNKNOWN.to_owned() };
            let current = status.and_then(|status| status.object.as_ref()).map(|status| &status.current);
            amount(&source.target, current)
        }
        "Resource" => {
            let Some(source) = &spec.resource else { return UNKNOWN.to_owned() };
            let current = status.and_then(|status| status.resource.as_ref()).map(|status| &status.current);
            format!("{}: {}", source.name, share(&source.target, current))
        }
        "ContainerResource" => {
            let Some(source) = &spec.container_resource else { return UNKNOWN.to_owned() };
            let current = status.and_then(|status| status.container_resource.as_ref()).map(|status| &status.current);
            format!("{}: {}", source.name, share(&source.target, current))
        }
        _ => "<unknown type>".to_owned(),
    }
}

fn quantity(value: Option<&Quantity>) -> &str {
    value.map_or(UNKNOWN, |value| value.0.as_str())
}

/// A value for all pods together, or one for each on average.
fn amount(target: &MetricTarget, current: Option<&MetricValueStatus>) -> String {
    match &target.average_value {
        Some(average) => {
            let current = quantity(current.and_then(|current| current.average_value.as_ref()));
            format!("{current}/{} (avg)", average.0)
        }
        None => {
            let current = quantity(current.and_then(|current| current.value.as_ref()));
            format!("{current}/{}", quantity(target.value.as_ref()))
        }
    }
}

/// An average amount, or a share of what was asked for.
fn share(target: &MetricTarget, current: Option<&MetricValueStatus>) -> String {
    if let Some(average) = &target.average_value {
        return format!("{}/{}", quantity(current.and_then(|current| current.average_value.as_ref())), average.0);
    }
    let percent = |value: Option<i32>, none: &str| value.map_or_else(|| none.to_owned(), |value| format!("{value}%"));
    let current = percent(current.and_then(|current| current.average_utilization), UNKNOWN);
    format!("{current}/{}", percent(target.average_utilization, "<auto>"))
}
