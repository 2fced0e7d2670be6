//! The `Available` condition of an APIService: whether it is served, and why not, in upstream's words.

use super::remote::Remote;
use crate::callout::is_ready;
use api::{Reason, Status};
use client::Client;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::{APIService, APIServiceCondition};

const AVAILABLE: &str = "Available";
/// Another writer of the status may be quicker; this often.
const CONFLICTS_MAX: usize = 5;

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    /// `True`, `False` or `Unknown`.
    status: &'static str,
    reason: &'static str,
    message: String,
}

impl Verdict {
    pub(super) fn local() -> Verdict {
        Verdict { status: "True", reason: "Local", message: "Local APIServices are always available".to_owned() }
    }

    pub(super) fn passed() -> Verdict {
        Verdict { status: "True", reason: "Passed", message: "all checks passed".to_owned() }
    }

    pub(super) fn failed(why: String) -> Verdict {
        Verdict { status: "False", reason: "FailedDiscoveryCheck", message: why }
    }

    pub(super) fn unreadable(remote: &Remote, reason: &'static str, why: &Status) -> Verdict {
        let message = format!("service/{} in {:?} cannot be checked due to: {why}", remote.service, remote.namespace);
        Verdict { status: "Unknown", reason, message }
    }
}

/// Why a server cannot be asked at all, as far as objects tell. A service without an address of the cluster's own may
/// lead anywhere: only asking tells.
pub(super) fn unreachable(remote: &Remote, service: Option<&Service>, slices: &[EndpointSlice]) -> Option<Verdict> {
    let (name, namespace) = (&remote.service, &remote.namespace);
    let no = |reason, message| Some(Verdict { status: "False", reason, message });
    let Some(service) = service else {
        return no("ServiceNotFound", format!("service/{name} in {namespace:?} is not present"));
    };
    let spec = service.spec.as_ref();
    let kind = spec.and_then(|spec| spec.type_.as_deref()).unwrap_or("ClusterIP");
    if kind != "ClusterIP" {
        return None;
    }
    let Some(port_name) = crate::callout::port_name(service, remote.port) else {
        let port = remote.port;
        return no("ServicePortError", format!("service/{name} in {namespace:?} is not listening on port {port}"));
    };
    if slices.is_empty() {
        return no("EndpointsNotFound", format!("cannot find endpointslices for service/{name} in {namespace:?}"));
    }
    if !slices.iter().any(|slice| leads(slice, port_name)) {
        let message = format!(
            "endpointslices for service/{name} in {namespace:?} have no addresses with port name {port_name:?}"
        );
        return no("MissingEndpoints", message);
    }
    None
}

fn leads(slice: &EndpointSlice, port_name: &str) -> bool {
    let mut ports = slice.ports.iter().flatten();
    slice.endpoints.iter().flatten().any(is_ready)
        && ports.any(|port| port.name.as_deref().unwrap_or_default() == port_name && port.port.is_some())
}

fn available(object: &APIService) -> Option<&APIServiceCondition> {
    let conditions = object.status.as_ref()?.conditions.as_deref().unwrap_or_default();
    conditions.iter().find(|condition| condition.type_ == AVAILABLE)
}

/// Whether the APIService says of itself that it is available.
pub(super) fn holds(object: &APIService) -> bool {
    available(object).is_some_and(|condition| condition.status == "True")
}

/// Whether the APIService says this already.
pub(super) fn says(object: &APIService, verdict: &Verdict) -> bool {
    available(object).is_some_and(|own| {
        own.status == verdict.status
            && own.reason.as_deref() == Some(verdict.reason)
            && own.message.as_deref() == Some(&verdict.message)
    })
}

/// Its time is that of the last change of the status.
fn set(object: &mut APIService, verdict: &Verdict, now: Timestamp) {
    let before = available(object).filter(|own| own.status == verdict.status);
    let since = before.and_then(|own| own.last_transition_time.clone()).unwrap_or(Time(now));
    let fresh = APIServiceCondition {
        type_: AVAILABLE.to_owned(),
        status: verdict.status.to_owned(),
        reason: Some(verdict.reason.to_owned()),
        message: Some(verdict.message.clone()),
        last_transition_time: Some(since),
    };
    let conditions = object.status.get_or_insert_default().conditions.get_or_insert_default();
    match conditions.iter_mut().find(|condition| condition.type_ == AVAILABLE) {
        Some(own) => *own = fresh,
        None => conditions.push(fresh),
    }
}

/// Says it in the status, where that does not say so already.
///
/// # Errors
/// Where the APIService can be neither read nor written; one that is gone has nothing to say.
pub(super) async fn report(client: &Client, name: &str, verdict: &Verdict, now: Timestamp) -> Result<(), Status> {
    for _ in 0..CONFLICTS_MAX {
        let Some(mut object) = client.find::<APIService>("", name).await? else { return Ok(()) };
        if says(&object, verdict) {
            return Ok(());
        }
        set(&mut object, verdict, now);
        match client.update_status(&object).await {
            Ok(_) => return Ok(()),
            Err(status) if status.reason == Reason::NotFound => return Ok(()),
            Err(status) if status.reason == Reason::Conflict => {}
            Err(status) => return Err(status),
        }
    }
    Err(Status::internal(format!("the status of {name} changes faster than it can be written")))
}
