//! What is to be done about one autoscaler. Pure.

use super::limits::{Bounds, limited};
use super::memory::Memory;
use super::metric::{Failure, Proposal};
use super::report::{ABLE, ACTIVE, AT_ZERO, LIMITED, Report, says};
use k8s_openapi::api::autoscaling::v2::{HorizontalPodAutoscaler, MetricStatus};

/// What can be said before anything is measured.
#[derive(Debug, PartialEq)]
pub(super) enum Start {
    /// Somebody wants no replicas.
    Disabled,
    /// Metrics do not matter: the count is out of bounds.
    Forced {
        replicas: i32,
        why: &'static str,
    },
    Measure,
}

/// What comes of a look at the metrics.
#[derive(Debug, PartialEq)]
pub(super) enum Verdict {
    /// They say nothing.
    Unknown,
    Stay,
    Rescale(Rescale),
}

/// A new count, and why.
#[derive(Debug, PartialEq)]
pub(super) struct Rescale {
    pub(super) replicas: i32,
    pub(super) why: String,
}

fn min(autoscaler: &HorizontalPodAutoscaler) -> i32 {
    autoscaler.spec.min_replicas.unwrap_or(1)
}

fn has_lasting_metrics(autoscaler: &HorizontalPodAutoscaler) -> bool {
    let metrics = autoscaler.spec.metrics.iter().flatten();
    metrics.into_iter().any(|metric| matches!(metric.type_.as_str(), "Object" | "External"))
}

pub(super) fn start(autoscaler: &HorizontalPodAutoscaler, current: i32) -> Start {
    let (min, max) = (min(autoscaler), autoscaler.spec.max_replicas);
    if current == 0 {
        // Only who scaled to zero may scale from there: another's zero means that nothing is to run.
        let own = says(autoscaler, AT_ZERO) && (min != 0 || has_lasting_metrics(autoscaler));
        return if own { Start::Measure } else { Start::Disabled };
    }
    if current > max {
        return Start::Forced { replicas: max, why: "Current number of replicas above Spec.MaxReplicas" };
    }
    if current < min {
        return Start::Forced { replicas: min, why: "Current number of replicas below Spec.MinReplicas" };
    }
    Start::Measure
}

/// What the metrics ask for together; `None`: that cannot be said, or would take replicas away that a metric might
/// need that nobody could read.
fn asked(current: i32, proposals: &[Result<Proposal, Failure>], report: &mut Report) -> Option<(i32, String)> {
    let failures: Vec<&Failure> = proposals.iter().filter_map(|proposal| proposal.as_ref().err()).collect();
    for failure in &failures {
        report.warn(failure.reason, &failure.inner);
    }
    let proposed = proposals.iter().filter_map(|proposal| proposal.as_ref().ok());
    let largest = proposed.reduce(|most, next| if next.replicas > most.replicas { next } else { most });
    match (largest, failures.first()) {
        (Some(largest), first) if first.is_none() || largest.replicas >= current => {
            let message = format!("the HPA was able to successfully calculate a replica count from {}", largest.name);
            report.condition(ACTIVE, true, "ValidMetricFound", message);
            Some((largest.replicas, largest.name.clone()))
        }
        (_, Some(first)) => {
            let message = format!("the HPA was unable to compute the replica count: {}", first.inner);
            report.condition(ACTIVE, false, first.reason, message);
            let (failed, all) = (failures.len(), proposals.len());
            let message = format!("invalid metrics ({failed} invalid out of {all}), first error is: {}", first.outer);
            report.warn("FailedComputeMetricsReplicas", message);
            None
        }
        (_, None) => None,
    }
}

/// Judges what the metrics ask for.
pub(super) fn judge(
    autoscaler: &HorizontalPodAutoscaler,
    current: i32,
    proposals: &[Result<Proposal, Failure>],
    memory: &mut Memory,
    report: &mut Report,
) -> Verdict {
    let statuses = |proposal: &Result<Proposal, Failure>| {
        // Readers find a metric by its place.
        proposal.as_ref().map_or_else(|_| MetricStatus::default(), |proposal| proposal.status.clone())
    };
    report.status.current_metrics = Some(proposals.iter().map(statuses).collect());
    let Some((asked, metric)) = asked(current, proposals, report) else { return Verdict::Unknown };
    let spec = &autoscaler.spec;
    let bounds = Bounds { current, min: min(autoscaler), max: spec.max_replicas };
    let limited = limited(spec.behavior.as_ref(), bounds, asked, memory, report.now);
    report.condition(ABLE, true, limited.able.0, limited.able.1);
    report.condition(LIMITED, limited.is_limited, limited.limit.0, limited.limit.1);
    // From its own zero a count comes back to no less than what is wanted at least now.
    let replicas = if current == 0 { limited.replicas.max(bounds.min) } else { limited.replicas };
    if replicas == current {
        return Verdict::Stay;
    }
    let why = if asked > current { format!("{metric} above target") } else { "All metrics below target".to_owned() };
    Verdict::Rescale(Rescale { replicas, why })
}

/// Says that the count was changed.
pub(super) fn rescaled(autoscaler: &HorizontalPodAutoscaler, current: i32, rescale: &Rescale, report: &mut Report) {
    let Rescale { replicas, why } = rescale;
    let message = format!("the HPA controller was able to update the target scale to {replicas}");
    report.condition(ABLE, true, "SucceededRescale", message);
    report.tell("SuccessfulRescale", format!("New size: {replicas}; reason: {why}"));
    let to_zero = current > 0 && *replicas == 0 && min(autoscaler) == 0 && has_lasting_metrics(autoscaler);
    let (reason, message) = match to_zero {
        true => ("ScaledToZero", "the HPA controller scaled the workload to zero"),
        false => ("NotScaledToZero", "the HPA controller did not scale the workload to zero"),
    };
    report.condition(AT_ZERO, to_zero, reason, message);
}
