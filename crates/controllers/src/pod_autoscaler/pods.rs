//! Which of an autoscaler's pods say something about its load. Pure.

use api::quantity::Quantity;
use client::pods::Container;
use client::{PodView, pods::Phase};
use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use std::collections::HashMap;
use std::sync::Arc;

const CPU: &str = "cpu";
/// How long a pod may take to start, during which what it uses says nothing about its load.
const CPU_INITIALIZATION: SignedDuration = SignedDuration::from_mins(5);
/// A pod that was last told unready so soon after its start has never been ready.
const INITIAL_READINESS_DELAY: SignedDuration = SignedDuration::from_secs(30);

/// What was measured of one pod.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sample {
    pub(super) milli: i64,
    pub(super) at: Timestamp,
    pub(super) window: SignedDuration,
}

/// By the pod's name.
pub(super) type Samples = HashMap<String, Sample>;

/// What a pod uses and asks for, in thousandths.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Use {
    pub(super) milli: i64,
    pub(super) request: i64,
}

/// An autoscaler's pods by what is known of them; of the last two kinds only the request.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Measured {
    pub(super) counted: Vec<Use>,
    pub(super) unready: Vec<Use>,
    pub(super) missing: Vec<Use>,
}

#[derive(Debug, PartialEq)]
enum Standing {
    Counted(i64),
    Unready,
    Missing,
    Ignored,
}

/// Sorts the pods. `request` says what a pod asks for, or why that cannot be said.
pub(super) fn measured(
    pods: &[Arc<PodView>],
    samples: &Samples,
    resource: &str,
    now: Timestamp,
    request: impl Fn(&PodView) -> Result<i64, String>,
) -> Result<Measured, String> {
    let standings: Vec<Standing> =
        pods.iter().map(|pod| standing(pod, samples.get(pod.name()), resource == CPU, now)).collect();
    let mut measured = Measured::default();
    if !standings.iter().any(|standing| matches!(standing, Standing::Counted(_))) {
        // A missing request would hide why nothing is known.
        return Ok(measured);
    }
    for (pod, standing) in pods.iter().zip(standings) {
        let request = request(pod)?;
        match standing {
            Standing::Counted(milli) => measured.counted.push(Use { milli, request }),
            Standing::Unready => measured.unready.push(Use { milli: 0, request }),
            Standing::Missing => measured.missing.push(Use { milli: 0, request }),
            Standing::Ignored => {}
        }
    }
    Ok(measured)
}

fn standing(pod: &PodView, sample: Option<&Sample>, is_cpu: bool, now: Timestamp) -> Standing {
    if pod.is_ending() || pod.phase == Phase::Failed {
        return Standing::Ignored;
    }
    if pod.phase == Phase::Pending {
        return Standing::Unready;
    }
    let Some(sample) = sample else { return Standing::Missing };
    if is_cpu && is_starting(pod, sample, now) { Standing::Unready } else { Standing::Counted(sample.milli) }
}

/// Whether the processor time that a pod used may have gone into its start.
fn is_starting(pod: &PodView, sample: &Sample, now: Timestamp) -> bool {
    let (Some(ready), Some(started)) = (pod.ready, pod.started) else { return true };
    let since = ready.since.unwrap_or(Timestamp::UNIX_EPOCH);
    if now.duration_since(started) < CPU_INITIALIZATION {
        !ready.is_true || sample.at.duration_since(since) < sample.window
    } else {
        !ready.is_true && since.duration_since(started) < INITIAL_READINESS_DELAY
    }
}

/// Running and ready, for metrics that are of no pod; that there are none at all is an error.
pub(super) fn ready_count(pods: &[Arc<PodView>]) -> Result<usize, String> {
    if pods.is_empty() {
        return Err(NO_PODS.to_owned());
    }
    Ok(pods.iter().filter(|pod| pod.phase == Phase::Running && pod.is_ready()).count())
}

pub(super) const NO_PODS: &str = "no pods returned by selector while calculating replica count";

/// What a pod asks for of a resource, in thousandths: one container of it, or where `container` is empty all that stay,
/// unless the pod as a whole says.
pub(super) fn request(pod: &PodView, container: &str, resource: &str) -> Result<i64, String> {
    let spec = &pod.spec;
    let of_pod = spec.resources.as_ref().filter(|own| own.requests.as_ref().is_some_and(|own| !own.is_empty()));
    if container.is_empty() && of_pod.is_some() {
        let sum = || spec.staying().filter_map(|own| own_request(own, resource)).reduce(i64::saturating_add);
        let own = milli(of_pod, resource).or_else(sum);
        let own = own.ok_or_else(|| format!("missing pod-level request for {resource} in Pod {}", pod.name()))?;
        let overhead = spec.overhead.as_ref().and_then(|overhead| overhead.get(resource));
        let overhead = overhead.and_then(|amount| Quantity::try_from(amount).ok()).map_or(0, Quantity::milli_value);
        return Ok(own.saturating_add(overhead));
    }
    let mut sum = 0_i64;
    let mut is_there = container.is_empty();
    for own in spec.staying().filter(|own| container.is_empty() || *own.name == *container) {
        let missing = || format!("missing request for {resource} in container {} of Pod {}", own.name, pod.name());
        sum = sum.saturating_add(own_request(own, resource).ok_or_else(missing)?);
        is_there = true;
    }
    if is_there { Ok(sum) } else { Err(format!("container {container} not found in Pod {}", pod.name())) }
}

fn own_request(container: &Container, resource: &str) -> Option<i64> {
    milli(container.resources.as_ref(), resource)
}

fn milli(requirements: Option<&ResourceRequirements>, resource: &str) -> Option<i64> {
    let amount = requirements?.requests.as_ref()?.get(resource)?;
    Quantity::try_from(amount).ok().map(Quantity::milli_value)
}
