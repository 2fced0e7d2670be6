//! A container's probes: when each is due, and what their results add up to.
//!
//! Invariants: until the startup probe has succeeded no other runs; a probe is never in flight twice.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Container, Probe};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProbeKind {
    Startup,
    Liveness,
    Readiness,
}

impl ProbeKind {
    /// As events spell it.
    pub(crate) fn title(self) -> &'static str {
        match self {
            ProbeKind::Startup => "Startup",
            ProbeKind::Liveness => "Liveness",
            ProbeKind::Readiness => "Readiness",
        }
    }

    pub(crate) fn of(self, container: &Container) -> Option<&Probe> {
        match self {
            ProbeKind::Startup => container.startup_probe.as_ref(),
            ProbeKind::Liveness => container.liveness_probe.as_ref(),
            ProbeKind::Readiness => container.readiness_probe.as_ref(),
        }
    }
}

/// What one probe found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Success,
    Failure(String),
    /// The probe itself could not be made: tells nothing of the container.
    Error(String),
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Probes {
    startup: Option<ProbeState>,
    liveness: Option<ProbeState>,
    readiness: Option<ProbeState>,
}

#[derive(Clone, Debug)]
struct ProbeState {
    period: SignedDuration,
    failure_threshold: i32,
    success_threshold: i32,
    next_at: Timestamp,
    in_flight: bool,
    /// The last result and how often it came in a row.
    last: Option<bool>,
    row: i32,
    /// What holds, once a threshold was reached.
    verdict: Option<bool>,
}

impl ProbeState {
    fn new(probe: &Probe, started_at: Timestamp) -> ProbeState {
        let seconds = |value: Option<i32>, default: i32| SignedDuration::from_secs(value.unwrap_or(default).into());
        ProbeState {
            period: seconds(probe.period_seconds.filter(|period| *period > 0), 10),
            failure_threshold: probe.failure_threshold.unwrap_or(3).max(1),
            success_threshold: probe.success_threshold.unwrap_or(1).max(1),
            next_at: started_at + seconds(probe.initial_delay_seconds, 0),
            in_flight: false,
            last: None,
            row: 0,
            verdict: None,
        }
    }

    fn is_due(&self, now: Timestamp) -> bool {
        !self.in_flight && self.next_at <= now
    }

    fn take(&mut self, success: bool) {
        self.row = if self.last == Some(success) { self.row.saturating_add(1) } else { 1 };
        self.last = Some(success);
        let threshold = if success { self.success_threshold } else { self.failure_threshold };
        if self.row >= threshold {
            self.verdict = Some(success);
        }
    }
}

impl Probes {
    /// Those of an instance that started at `started_at`.
    pub(crate) fn begin(container: &Container, started_at: Timestamp) -> Probes {
        let state = |kind: ProbeKind| kind.of(container).map(|probe| ProbeState::new(probe, started_at));
        Probes {
            startup: state(ProbeKind::Startup),
            liveness: state(ProbeKind::Liveness),
            readiness: state(ProbeKind::Readiness),
        }
    }

    /// Takes over what was known before this process began, so that a restart makes no container unready.
    pub(crate) fn resume(&mut self, started: bool, ready: bool) {
        if let Some(startup) = self.startup.as_mut().filter(|_| started) {
            startup.verdict = Some(true);
        }
        if let Some(readiness) = self.readiness.as_mut().filter(|_| ready) {
            readiness.verdict = Some(true);
        }
    }

    fn state_mut(&mut self, kind: ProbeKind) -> Option<&mut ProbeState> {
        match kind {
            ProbeKind::Startup => self.startup.as_mut(),
            ProbeKind::Liveness => self.liveness.as_mut(),
            ProbeKind::Readiness => self.readiness.as_mut(),
        }
    }

    pub(crate) fn started(&self) -> bool {
        self.startup.as_ref().is_none_or(|startup| startup.verdict == Some(true))
    }

    pub(crate) fn ready(&self) -> bool {
        self.started() && self.readiness.as_ref().is_none_or(|readiness| readiness.verdict == Some(true))
    }

    /// The kinds that run in the present phase; a pod that ends is only asked whether it is ready.
    fn active(&self, ending: bool) -> &'static [ProbeKind] {
        match (self.started(), ending) {
            (false, false) => &[ProbeKind::Startup],
            (false, true) => &[],
            (true, false) => &[ProbeKind::Liveness, ProbeKind::Readiness],
            (true, true) => &[ProbeKind::Readiness],
        }
    }

    /// What is due now; marks it as under way.
    pub(crate) fn claim(&mut self, ending: bool, now: Timestamp) -> Vec<ProbeKind> {
        let mut due = Vec::new();
        for kind in self.active(ending) {
            if let Some(state) = self.state_mut(*kind).filter(|state| state.is_due(now)) {
                state.in_flight = true;
                due.push(*kind);
            }
        }
        due
    }

    /// When the next is due.
    pub(crate) fn next_at(&self, ending: bool) -> Option<Timestamp> {
        let state = |kind: &ProbeKind| match kind {
            ProbeKind::Startup => self.startup.as_ref(),
            ProbeKind::Liveness => self.liveness.as_ref(),
            ProbeKind::Readiness => self.readiness.as_ref(),
        };
        self.active(ending).iter().filter_map(state).filter(|state| !state.in_flight).map(|state| state.next_at).min()
    }

    /// Takes a result; answers whether the container must be killed for it.
    pub(crate) fn take(&mut self, kind: ProbeKind, outcome: &Outcome, now: Timestamp) -> bool {
        let Some(state) = self.state_mut(kind) else { return false };
        state.in_flight = false;
        // The rhythm is kept while probes are quick; one that took longer than its period is not made up for.
        state.next_at = (state.next_at + state.period).max(now);
        match outcome {
            Outcome::Error(_) => return false,
            Outcome::Success => state.take(true),
            Outcome::Failure(_) => state.take(false),
        }
        kind != ProbeKind::Readiness && state.last == Some(false) && state.verdict == Some(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn container(yaml: &str) -> Container {
        let pod = crate::pod::tests::from_yaml(&format!("spec: {{containers: [{{name: a, {yaml}}}]}}"));
        pod.spec.unwrap().containers.remove(0)
    }

    #[test]
    fn others_wait_for_the_startup_probe() {
        let container = container("startupProbe: {periodSeconds: 1}, readinessProbe: {initialDelaySeconds: 2}");
        let mut probes = Probes::begin(&container, at(0));
        assert_eq!(probes.claim(false, at(0)), [ProbeKind::Startup]);
        assert_eq!(probes.claim(false, at(5)), [], "it is under way");
        probes.take(ProbeKind::Startup, &Outcome::Success, at(5));
        assert!(probes.started() && !probes.ready());
        assert_eq!(probes.claim(false, at(5)), [ProbeKind::Readiness]);
        probes.take(ProbeKind::Readiness, &Outcome::Success, at(5));
        assert!(probes.ready());
    }

    #[test]
    fn thresholds_count_results_in_a_row() {
        let container = container("livenessProbe: {failureThreshold: 2}, readinessProbe: {successThreshold: 2}");
        let mut probes = Probes::begin(&container, at(0));
        let fail = Outcome::Failure("no".into());
        assert!(!probes.take(ProbeKind::Liveness, &fail, at(0)));
        assert!(!probes.take(ProbeKind::Liveness, &Outcome::Success, at(1)));
        assert!(!probes.take(ProbeKind::Liveness, &fail, at(2)));
        assert!(!probes.take(ProbeKind::Liveness, &Outcome::Error("?".into()), at(3)), "an error is no result");
        assert!(probes.take(ProbeKind::Liveness, &fail, at(4)));
        probes.take(ProbeKind::Readiness, &Outcome::Success, at(0));
        assert!(!probes.ready());
        probes.take(ProbeKind::Readiness, &Outcome::Success, at(1));
        assert!(probes.ready());
    }

    #[test]
    fn a_slow_probe_is_not_made_up_for() {
        let container = container("readinessProbe: {periodSeconds: 2}");
        let mut probes = Probes::begin(&container, at(0));
        probes.claim(false, at(0));
        probes.take(ProbeKind::Readiness, &Outcome::Success, at(7));
        assert_eq!(probes.next_at(false), Some(at(7)));
        probes.claim(false, at(7));
        probes.take(ProbeKind::Readiness, &Outcome::Success, at(7));
        assert_eq!(probes.next_at(false), Some(at(9)));
    }
}
