//! What is next for a request for a certificate. Pure.

use k8s_openapi::api::certificates::v1::{CertificateSigningRequest, CertificateSigningRequestCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use reconcile::Action;
use std::time::Duration;

/// How long a request is kept that nobody decided about, and one that is settled. As upstream.
const PENDING: SignedDuration = SignedDuration::from_hours(24);
const SETTLED: SignedDuration = SignedDuration::from_hours(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Delete,
    /// Nobody decided: it may be approved.
    Approve,
    /// Approved, and without a certificate.
    Sign,
    Wait,
}

pub(super) fn conditions(request: &CertificateSigningRequest) -> &[CertificateSigningRequestCondition] {
    request.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default()
}

pub(super) fn condition(
    kind: &str,
    reason: &str,
    message: String,
    now: Timestamp,
) -> CertificateSigningRequestCondition {
    CertificateSigningRequestCondition {
        type_: kind.to_owned(),
        status: "True".to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message),
        last_update_time: Some(Time(now)),
        last_transition_time: Some(Time(now)),
    }
}

fn find<'a>(request: &'a CertificateSigningRequest, kind: &str) -> Option<&'a CertificateSigningRequestCondition> {
    conditions(request).iter().find(|condition| condition.type_ == kind)
}

fn is_issued(request: &CertificateSigningRequest) -> bool {
    let certificate = request.status.as_ref().and_then(|status| status.certificate.as_ref());
    certificate.is_some_and(|certificate| !certificate.0.is_empty())
}

pub(super) fn is_undecided(request: &CertificateSigningRequest) -> bool {
    conditions(request).is_empty() && !is_issued(request)
}

/// The next step, and when to look again if nothing changes until then.
pub(super) fn next(request: &CertificateSigningRequest, now: Timestamp) -> (Step, Action) {
    if request.metadata.deletion_timestamp.is_some() {
        return (Step::Wait, Action::Done);
    }
    let left = end(request).map(|end| end.duration_since(now));
    if left.is_some_and(|left| !left.is_positive()) {
        return (Step::Delete, Action::Done);
    }
    let action = left.and_then(|left| Duration::try_from(left).ok()).map_or(Action::Done, Action::after);
    let approved = find(request, "Approved").is_some() && find(request, "Denied").is_none();
    let step = match (is_undecided(request), approved) {
        (true, _) => Step::Approve,
        (false, true) if !is_issued(request) && find(request, "Failed").is_none() => Step::Sign,
        _ => Step::Wait,
    };
    (step, action)
}

/// When it is old enough to go; approved requests whose signer is elsewhere may wait for it for ever.
fn end(request: &CertificateSigningRequest) -> Option<Timestamp> {
    let created = request.metadata.creation_timestamp.as_ref().map(|time| time.0)?;
    if conditions(request).is_empty() {
        return Some(created + PENDING);
    }
    let settled = |kind: &str| {
        let condition = find(request, kind)?;
        Some(condition.last_update_time.as_ref().map_or(created, |time| time.0) + SETTLED)
    };
    let issued = settled("Approved").filter(|_| is_issued(request));
    [issued, settled("Denied"), settled("Failed")].into_iter().flatten().min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn check(status: Value, hours: i64, step: Step, again_in_hours: Option<u64>) {
        let text = format!("{status} after {hours} h");
        let request: CertificateSigningRequest = serde_json::from_value(json!({
            "metadata": {"name": "r", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"request": "", "signerName": "kubernetes.io/kubelet-serving"}, "status": status,
        }))
        .unwrap();
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let wait = again_in_hours.map_or(Action::Done, |hours| Action::after(Duration::from_secs(hours * 3600)));
        assert_eq!(next(&request, now + SignedDuration::from_hours(hours)), (step, wait), "{text}");
    }

    fn of(kinds: &[&str], certificate: &str) -> Value {
        let conditions: Vec<Value> = kinds
            .iter()
            .map(|kind| json!({"type": kind, "status": "True", "lastUpdateTime": "2026-01-01T02:00:00Z"}))
            .collect();
        json!({"conditions": conditions, "certificate": certificate})
    }

    #[test]
    fn a_request_goes_from_step_to_step_and_ends() {
        check(json!({}), 1, Step::Approve, Some(23));
        check(json!({}), 24, Step::Delete, None);
        check(of(&["Approved"], ""), 2, Step::Sign, None);
        check(of(&["Approved"], ""), 200, Step::Sign, None);
        check(of(&["Approved"], "QUJD"), 2, Step::Wait, Some(1));
        check(of(&["Approved"], "QUJD"), 3, Step::Delete, None);
        check(of(&["Denied"], ""), 2, Step::Wait, Some(1));
        check(of(&["Denied"], ""), 3, Step::Delete, None);
        check(of(&["Approved", "Denied"], ""), 2, Step::Wait, Some(1));
        check(of(&["Approved", "Failed"], ""), 2, Step::Wait, Some(1));
        check(of(&["Approved", "Failed"], ""), 3, Step::Delete, None);
    }
}
