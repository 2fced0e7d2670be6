//! What is said of an autoscaler after a look at it: its status, and events.

use k8s_openapi::api::autoscaling::v2::{
    HorizontalPodAutoscaler, HorizontalPodAutoscalerCondition, HorizontalPodAutoscalerStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use reconcile::Severity;

pub(super) const ABLE: &str = "AbleToScale";
pub(super) const ACTIVE: &str = "ScalingActive";
pub(super) const LIMITED: &str = "ScalingLimited";
pub(super) const AT_ZERO: &str = "ScaledToZero";

pub(super) struct Report {
    pub(super) status: HorizontalPodAutoscalerStatus,
    pub(super) events: Vec<(Severity, &'static str, String)>,
    generation: Option<i64>,
    pub(super) now: Timestamp,
}

impl Report {
    /// Begins with what is said already.
    pub(super) fn new(autoscaler: &HorizontalPodAutoscaler, now: Timestamp) -> Report {
        let generation = autoscaler.metadata.generation;
        let mut status = autoscaler.status.clone().unwrap_or_default();
        status.observed_generation = generation;
        Report { status, events: Vec::new(), generation, now }
    }

    /// A condition keeps the time since when it has been so, whatever the reason is now.
    pub(super) fn condition(&mut self, type_: &str, is_so: bool, reason: &str, message: impl Into<String>) {
        let status = if is_so { "True" } else { "False" };
        let all = self.status.conditions.get_or_insert_default();
        let place = all.iter().position(|known| known.type_ == type_);
        let known = place.map(|place| &all[place]).filter(|known| known.status == status);
        let since = known.and_then(|known| known.last_transition_time.clone()).unwrap_or(Time(self.now));
        let condition = HorizontalPodAutoscalerCondition {
            type_: type_.to_owned(),
            status: status.to_owned(),
            reason: Some(reason.to_owned()),
            message: Some(message.into()),
            last_transition_time: Some(since),
            observed_generation: self.generation,
        };
        match place {
            Some(place) => all[place] = condition,
            None => all.push(condition),
        }
    }

    pub(super) fn warn(&mut self, reason: &'static str, message: impl Into<String>) {
        self.events.push((Severity::Warning, reason, message.into()));
    }

    pub(super) fn tell(&mut self, reason: &'static str, message: impl Into<String>) {
        self.events.push((Severity::Normal, reason, message.into()));
    }
}

/// Whether a condition is said to be so.
pub(super) fn says(autoscaler: &HorizontalPodAutoscaler, type_: &str) -> bool {
    let all = autoscaler.status.iter().flat_map(|status| status.conditions.iter().flatten());
    all.into_iter().any(|condition| condition.type_ == type_ && condition.status == "True")
}
