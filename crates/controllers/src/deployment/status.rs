//! A deployment's status: counts, and whether it is available, moves on, or is stuck. Upstream's reasons and words.

use super::plan::Rollout;
use super::scale::total;
use super::sets::Set;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentCondition, DeploymentStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use reconcile::Action;
use std::time::Duration;

pub(super) const PROGRESSING: &str = "Progressing";
const AVAILABLE: &str = "Available";
const FAILURE: &str = "ReplicaFailure";
const DONE: &str = "NewReplicaSetAvailable";
const TIMED_OUT: &str = "ProgressDeadlineExceeded";
const PAUSED: &str = "DeploymentPaused";

pub(super) fn find<'a>(status: &'a DeploymentStatus, type_: &str) -> Option<&'a DeploymentCondition> {
    status.conditions.iter().flatten().find(|condition| condition.type_.as_deref() == Some(type_))
}

fn remove(status: &mut DeploymentStatus, type_: &str) {
    if let Some(conditions) = &mut status.conditions {
        conditions.retain(|condition| condition.type_.as_deref() != Some(type_));
    }
    status.conditions = status.conditions.take().filter(|conditions| !conditions.is_empty());
}

/// Sets a condition. Nothing changes where status and reason are the same already.
fn set(status: &mut DeploymentStatus, type_: &str, value: &str, reason: &str, message: String, now: Timestamp) {
    let known = find(status, type_);
    if known.is_some_and(|known| known.status.as_deref() == Some(value) && known.reason.as_deref() == Some(reason)) {
        return;
    }
    let same = known.filter(|known| known.status.as_deref() == Some(value));
    let since = same.and_then(|known| known.last_transition_time.clone()).unwrap_or(Time(now));
    remove(status, type_);
    status.conditions.get_or_insert_default().push(DeploymentCondition {
        type_: Some(type_.to_owned()),
        status: Some(value.to_owned()),
        reason: Some(reason.to_owned()),
        message: Some(message),
        last_update_time: Some(Time(now)),
        last_transition_time: Some(since),
    });
}

fn deadline(deployment: &Deployment) -> Option<SignedDuration> {
    let seconds = deployment.spec.progress_deadline_seconds?;
    (seconds != i32::MAX).then(|| SignedDuration::from_secs(seconds.into()))
}

/// All replicas are of the present template and available.
pub(super) fn is_complete(rollout: &Rollout<'_>, status: &DeploymentStatus) -> bool {
    let wanted = Some(rollout.replicas);
    let or_none = |count: Option<i32>| count.or(Some(0));
    or_none(status.updated_replicas) == wanted
        && or_none(status.replicas) == wanted
        && or_none(status.available_replicas) == wanted
        && status.observed_generation.unwrap_or(0) >= rollout.deployment.metadata.generation.unwrap_or(0)
}

/// The status of a deployment whose new set could not be made; `None` where it is that already.
pub(super) fn after_failed_creation(
    deployment: &Deployment,
    message: String,
    now: Timestamp,
) -> Option<DeploymentStatus> {
    deadline(deployment)?;
    let mut status = deployment.status.clone().unwrap_or_default();
    set(&mut status, PROGRESSING, "False", "ReplicaSetCreateError", message, now);
    (Some(&status) != deployment.status.as_ref()).then_some(status)
}

impl Rollout<'_> {
    pub(super) fn has_deadline(&self) -> bool {
        deadline(self.deployment).is_some()
    }

    pub(super) fn set_progressing(&mut self, value: &str, reason: &str, message: String) {
        set(&mut self.status, PROGRESSING, value, reason, message, self.now);
    }

    /// A paused deployment makes no progress, and that is no failure.
    pub(super) fn note_pause(&mut self, paused: bool) {
        if !self.has_deadline() {
            return;
        }
        let reason = find(&self.status, PROGRESSING).and_then(|condition| condition.reason.clone());
        match reason.as_deref() {
            Some(TIMED_OUT) => {}
            Some(PAUSED) if !paused => {
                self.set_progressing("Unknown", "DeploymentResumed", "Deployment is resumed".to_owned());
            }
            reason if paused && reason != Some(PAUSED) => {
                self.set_progressing("Unknown", PAUSED, "Deployment is paused".to_owned());
            }
            _ => {}
        }
    }

    /// Counts and availability.
    pub(super) fn plain_status(&mut self, newest: Option<usize>) -> Action {
        let sum = |of: fn(&Set) -> i32| self.sets.iter().map(of).sum::<i32>();
        let available = sum(Set::available);
        let mut status = DeploymentStatus {
            observed_generation: self.deployment.metadata.generation,
            replicas: counted(sum(Set::actual)),
            updated_replicas: counted(newest.map_or(0, |newest| self.sets[newest].actual())),
            ready_replicas: counted(sum(Set::ready)),
            available_replicas: counted(available),
            unavailable_replicas: counted((total(&self.sets) - available).max(0)),
            terminating_replicas: Some(sum(Set::terminating)),
            collision_count: self.status.collision_count,
            conditions: self.status.conditions.clone(),
        };
        let (value, reason, message) = if available >= self.replicas - self.unavailable {
            ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
        } else {
            ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
        };
        set(&mut status, AVAILABLE, value, reason, message.to_owned(), self.now);
        self.status = status;
        Action::Done
    }

    /// As `plain_status`, and how the rollout goes on; when to look at it again.
    pub(super) fn rollout_status(&mut self, newest: Option<usize>) -> Action {
        let before = self.status.clone();
        self.plain_status(newest);
        let Some(deadline) = deadline(self.deployment) else {
            remove(&mut self.status, PROGRESSING);
            self.note_failures(newest);
            return Action::Done;
        };
        let reason = find(&before, PROGRESSING).and_then(|condition| condition.reason.clone());
        let was_done = self.status.replicas == self.status.updated_replicas && reason.as_deref() == Some(DONE);
        if !was_done {
            self.note_progress(&before, newest, deadline);
        }
        self.note_failures(newest);
        self.next_look(deadline)
    }

    fn note_progress(&mut self, before: &DeploymentStatus, newest: Option<usize>, deadline: SignedDuration) {
        let name = self.deployment.metadata.name.as_deref().unwrap_or_default();
        let subject = match newest {
            Some(newest) => format!("ReplicaSet {:?}", self.sets[newest].name()),
            None => format!("Deployment {name:?}"),
        };
        if is_complete(self, &self.status) {
            self.set_progressing("True", DONE, format!("{subject} has successfully progressed."));
        } else if has_progressed(before, &self.status) {
            // Set anew, although the reason may be the same: the time of the last progress is what counts.
            let since = find(&self.status, PROGRESSING).filter(|known| known.status.as_deref() == Some("True"));
            let since = since.and_then(|known| known.last_transition_time.clone());
            remove(&mut self.status, PROGRESSING);
            self.set_progressing("True", "ReplicaSetUpdated", format!("{subject} is progressing."));
            let conditions = self.status.conditions.iter_mut().flatten();
            if let Some(condition) = conditions.last().filter(|_| since.is_some()) {
                condition.last_transition_time = since;
            }
        } else if self.has_timed_out(deadline) {
            self.set_progressing("False", TIMED_OUT, format!("{subject} has timed out progressing."));
        }
    }

    fn has_timed_out(&self, deadline: SignedDuration) -> bool {
        let Some(condition) = find(&self.status, PROGRESSING) else { return false };
        match condition.reason.as_deref() {
            Some(DONE) => false,
            Some(TIMED_OUT) => true,
            _ => condition.last_update_time.as_ref().is_some_and(|time| time.0 + deadline < self.now),
        }
    }

    /// What keeps the sets from making pods; the newest set's trouble before the others'.
    fn note_failures(&mut self, newest: Option<usize>) {
        let others = (0..self.sets.len()).filter(|index| Some(*index) != newest);
        let order = newest.into_iter().chain(others);
        let failure = order.into_iter().find_map(|index| {
            let status = self.sets[index].object.status.as_ref()?;
            status.conditions.iter().flatten().find(|condition| condition.type_.as_deref() == Some(FAILURE)).cloned()
        });
        match failure {
            Some(failure) => {
                let (value, reason) = (failure.status.unwrap_or_default(), failure.reason.unwrap_or_default());
                set(&mut self.status, FAILURE, &value, &reason, failure.message.unwrap_or_default(), self.now);
            }
            None => remove(&mut self.status, FAILURE),
        }
    }

    /// A rollout that hangs changes nothing, so nothing would wake it at its deadline.
    fn next_look(&self, deadline: SignedDuration) -> Action {
        let Some(condition) = find(&self.status, PROGRESSING) else { return Action::Done };
        if is_complete(self, &self.status) || condition.reason.as_deref() == Some(TIMED_OUT) {
            return Action::Done;
        }
        let Some(since) = &condition.last_update_time else { return Action::Done };
        let left = (since.0 + deadline).duration_since(self.now) + SignedDuration::from_secs(1);
        Action::after(Duration::try_from(left).unwrap_or_default().max(Duration::from_secs(1)))
    }
}

/// A count as upstream's JSON has it: 0 is left out.
fn counted(count: i32) -> Option<i32> {
    Some(count).filter(|count| *count != 0)
}

fn has_progressed(before: &DeploymentStatus, after: &DeploymentStatus) -> bool {
    let count = |count: Option<i32>| count.unwrap_or(0);
    let old = |status: &DeploymentStatus| count(status.replicas) - count(status.updated_replicas);
    count(after.updated_replicas) > count(before.updated_replicas)
        || old(after) < old(before)
        || count(after.ready_replicas) > count(before.ready_replicas)
        || count(after.available_replicas) > count(before.available_replicas)
}
