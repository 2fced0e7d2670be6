//! What controllers ask of a pod.

use client::PodView;
use client::pods::Phase;
use k8s_openapi::jiff::{SignedDuration, Timestamp};

/// Neither ended nor told to end.
pub(crate) fn is_active(pod: &PodView) -> bool {
    !pod.is_terminal() && !pod.is_ending()
}

/// Told to end, and not there yet.
pub(crate) fn is_terminating(pod: &PodView) -> bool {
    !pod.is_terminal() && pod.is_ending()
}

/// Since when it is ready; `None` if it is not, or the time was not noted.
pub(crate) fn ready_since(pod: &PodView) -> Option<Timestamp> {
    pod.ready.filter(|ready| ready.is_true)?.since
}

/// Whether it has been ready for long enough, and if not, for how long it has to be yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Availability {
    Available,
    In(SignedDuration),
    NotReady,
}

pub(crate) fn availability(pod: &PodView, min_ready_seconds: i32, now: Timestamp) -> Availability {
    if !pod.is_ready() {
        return Availability::NotReady;
    }
    if min_ready_seconds <= 0 {
        return Availability::Available;
    }
    let Some(since) = ready_since(pod) else { return Availability::NotReady };
    let left = SignedDuration::from_secs(min_ready_seconds.into()) - now.duration_since(since);
    if left.is_positive() { Availability::In(left) } else { Availability::Available }
}

/// How far it has come: a pod that is not running is missed less.
pub(crate) fn progress(pod: &PodView) -> u8 {
    match pod.phase {
        Phase::Pending => 0,
        Phase::Unknown => 1,
        Phase::Running | Phase::Succeeded | Phase::Failed => 2,
    }
}

/// For an index: the node, if it has one.
pub(crate) fn node(pod: &PodView) -> Option<String> {
    pod.has_node().then(|| pod.node.to_string())
}
