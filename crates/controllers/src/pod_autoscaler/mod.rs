//! HorizontalPodAutoscaler: as many replicas as the load asks for.
//!
//! Each is looked at every 15 seconds, because metrics are samples: nobody tells of their changes. All of a namespace
//! are looked at in one moment, off one list of its metrics; those of different namespaces are spread over the period.
//! Invariant: whatever cannot be known is said in the autoscaler's conditions, and changes nothing.

mod claims;
mod foreign;
mod limits;
mod memory;
mod metric;
mod plan;
mod pods;
mod replicas;
mod report;
mod snapshot;
mod target;
#[cfg(test)]
mod tests;

use crate::table::Start;
use api::Reason;
use api::selector::Selector;
use async_trait::async_trait;
use claims::Claims;
use client::{Cache, Change, Client, PodView};
use k8s_openapi::api::autoscaling::v2::{HorizontalPodAutoscaler, HorizontalPodAutoscalerStatus, MetricSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use memory::Memory;
use metric::{Failure, Proposal, Reading, View, propose};
use parking_lot::Mutex;
use plan::{Rescale, Verdict};
use reconcile::{Action, Context, Controller, Error, Key, Reconcile, split};
use replicas::Tolerances;
use report::{ABLE, ACTIVE, Report};
use snapshot::{Snapshot, Snapshots};
use std::collections::{BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;
use target::{Kinds, Target};

/// From one look at an autoscaler to the next.
const PERIOD: Duration = Duration::from_secs(15);
/// Somebody else may be changing the autoscaler while its status is written.
const WRITES_MAX: usize = 5;

pub(crate) fn controller(start: &Start) -> Controller {
    let client = &start.client;
    let (autoscalers, pods, definitions) = (client.cache(), client.cache::<PodView>(), client.cache());
    let reconciler = Autoscalers {
        autoscalers: autoscalers.clone(),
        kinds: Kinds::new(definitions.clone()),
        snapshots: Snapshots::new(pods.clone()),
        memories: Mutex::default(),
        claims: Mutex::default(),
    };
    Controller::new("horizontal-pod-autoscaler", reconciler)
        .component("horizontal-pod-autoscaler")
        .watches(autoscalers, asked_anew)
        // Looked up only: it is time that has autoscalers looked at.
        .watches(pods, |_| Vec::new())
        .watches(definitions, |_| Vec::new())
}

/// What is asked of an autoscaler is answered at once; what is written of it is no news.
fn asked_anew(change: &Change<HorizontalPodAutoscaler>) -> Vec<Key> {
    match (&change.old, &change.new) {
        (Some(old), Some(new)) if old.spec == new.spec && old.metadata.uid == new.metadata.uid => Vec::new(),
        _ => vec![change.key.clone()],
    }
}

/// How long until the autoscalers of a namespace are looked at.
fn until_next(namespace: &str, now: Timestamp) -> Duration {
    let mut hasher = DefaultHasher::new();
    namespace.hash(&mut hasher);
    let period_ms = i128::try_from(PERIOD.as_millis()).unwrap_or(1);
    let phase_ms = i128::from(hasher.finish()) % period_ms;
    let since_ms = (i128::from(now.as_millisecond()) - phase_ms).rem_euclid(period_ms);
    Duration::from_millis(u64::try_from(period_ms - since_ms).unwrap_or(0))
}

struct Autoscalers {
    autoscalers: Cache<HorizontalPodAutoscaler>,
    kinds: Kinds,
    snapshots: Snapshots,
    /// Of each live autoscaler.
    memories: Mutex<HashMap<Key, Memory>>,
    claims: Mutex<Claims>,
}

#[async_trait]
impl Reconcile for Autoscalers {
    async fn reconcile(&self, ctx: &Context, key: &Key) -> Result<Action, Error> {
        let Some(autoscaler) = self.autoscalers.get_key(key) else {
            self.memories.lock().remove(key);
            self.claims.lock().forget(key);
            return Ok(Action::Done);
        };
        let mut report = Report::new(&autoscaler, ctx.now());
        self.look(ctx.client(), key, &autoscaler, &mut report).await;
        for (severity, reason, message) in report.events {
            ctx.events().event(&*autoscaler, severity, reason, message);
        }
        write(ctx, &autoscaler, report.status).await?;
        Ok(Action::after(until_next(split(key).0, ctx.now())))
    }
}

impl Autoscalers {
    async fn look(&self, client: &Client, key: &Key, autoscaler: &HorizontalPodAutoscaler, report: &mut Report) {
        let target = match self.target(client, split(key).0, autoscaler).await {
            Ok(target) => target,
            Err(why) => {
                let message = format!("the HPA controller was unable to get the target's current scale: {why}");
                report.condition(ABLE, false, "FailedGetScale", message);
                return report.warn("FailedGetScale", why);
            }
        };
        let message = "the HPA controller was able to get the target's current scale";
        report.condition(ABLE, true, "SucceededGetScale", message);
        let current = target.wanted();
        self.memories.lock().entry(key.clone()).or_default().begin(current, report.now);
        report.status.current_replicas = Some(current);
        report.status.current_metrics = None;
        let verdict = match plan::start(autoscaler, current) {
            plan::Start::Disabled => {
                let message = "scaling is disabled since the replica count of the target is zero";
                report.condition(ACTIVE, false, "ScalingDisabled", message);
                Verdict::Stay
            }
            plan::Start::Forced { replicas, why } => Verdict::Rescale(Rescale { replicas, why: why.to_owned() }),
            plan::Start::Measure => self.measure(client, key, autoscaler, &target, report).await,
        };
        match verdict {
            Verdict::Rescale(rescale) => self.rescale(client, key, autoscaler, &target, &rescale, report).await,
            Verdict::Stay => report.status.desired_replicas = current,
            // What was wanted still is.
            Verdict::Unknown => {}
        }
    }

    async fn target(
        &self,
        client: &Client,
        namespace: &str,
        autoscaler: &HorizontalPodAutoscaler,
    ) -> Result<Target, String> {
        let reference = &autoscaler.spec.scale_target_ref;
        let version = reference.api_version.as_deref().unwrap_or_default();
        let row = self.kinds.find(client, version, &reference.kind).await?;
        Target::read(client, row, namespace, &reference.name).await.map_err(|status| status.message)
    }

    /// Reads the metrics and judges them.
    async fn measure(
        &self,
        client: &Client,
        key: &Key,
        autoscaler: &HorizontalPodAutoscaler,
        target: &Target,
        report: &mut Report,
    ) -> Verdict {
        let (namespace, _) = split(key);
        let snapshot = self.snapshots.of(namespace);
        let pods = match self.pods(key, target, &snapshot) {
            Ok(pods) => pods,
            Err(Unclear { event, condition, why, told }) => {
                report.condition(ACTIVE, false, condition, told);
                report.warn(event, &why);
                report.warn("FailedComputeMetricsReplicas", why);
                return Verdict::Unknown;
            }
        };
        let view = View {
            namespace,
            pods: &pods,
            wanted: target.wanted(),
            present: target.present(),
            tolerances: Tolerances::of(autoscaler.spec.behavior.as_ref()),
            now: report.now,
        };
        let mut proposals: Vec<Result<Proposal, Failure>> = Vec::new();
        for spec in autoscaler.spec.metrics.iter().flatten() {
            let reading = self.read(client, &snapshot, &view, target.selector(), spec).await;
            proposals.push(propose(spec, reading, &view));
        }
        let mut memories = self.memories.lock();
        let memory = memories.entry(key.clone()).or_default();
        plan::judge(autoscaler, target.wanted(), &proposals, memory, report)
    }

    /// The pods that the target selects, if they are this autoscaler's alone.
    fn pods(&self, key: &Key, target: &Target, snapshot: &Snapshot) -> Result<Vec<Arc<PodView>>, Unclear> {
        let text = target.selector();
        if text.is_empty() {
            let told = "the HPA target's scale is missing a selector".to_owned();
            let why = "selector is required".to_owned();
            return Err(Unclear { event: "SelectorRequired", condition: "InvalidSelector", why, told });
        }
        let unclear = |reason, why: String| Unclear { event: reason, condition: reason, told: why.clone(), why };
        let selector = Selector::parse(text).map_err(|error| {
            let why = format!("couldn't convert selector into a corresponding internal selector object: {error}");
            unclear("InvalidSelector", why)
        })?;
        let mut claimants = BTreeSet::new();
        let mut pods = Vec::new();
        let mut claims = self.claims.lock();
        claims.put(key, &selector);
        for (labels, alike) in snapshot.selected(&selector) {
            claims.claimants(split(key).0, labels, &mut claimants);
            pods.extend_from_slice(alike);
        }
        drop(claims);
        if claimants.len() > 1 {
            let all = claims::text(&claimants);
            let why = format!("pods by selector {text} are controlled by multiple HPAs: {all}");
            return Err(unclear("AmbiguousSelector", why));
        }
        Ok(pods)
    }

    async fn read(
        &self,
        client: &Client,
        snapshot: &Snapshot,
        view: &View<'_>,
        selector: &str,
        spec: &MetricSpec,
    ) -> Result<Reading, String> {
        if let Some(source) = &spec.resource {
            return snapshot.resource(client, view.pods, (&source.name, "")).await;
        }
        if let Some(source) = &spec.container_resource {
            return snapshot.resource(client, view.pods, (&source.name, &source.container)).await;
        }
        if let Some(source) = &spec.pods {
            return foreign::of_pods(client, view.namespace, selector, &source.metric).await;
        }
        if let Some(source) = &spec.object {
            let object = &source.described_object;
            let version = object.api_version.as_deref().unwrap_or_default();
            let row = self.kinds.find(client, version, &object.kind).await?;
            return foreign::of_object(client, view.namespace, (row.def(), &object.name), &source.metric).await;
        }
        match &spec.external {
            Some(source) => foreign::external(client, view.namespace, &source.metric).await,
            None => Err("the metric names nothing to measure".to_owned()),
        }
    }

    async fn rescale(
        &self,
        client: &Client,
        key: &Key,
        autoscaler: &HorizontalPodAutoscaler,
        target: &Target,
        rescale: &Rescale,
        report: &mut Report,
    ) {
        let current = target.wanted();
        if let Err(status) = target.write(client, rescale.replicas).await {
            let Rescale { replicas, why } = rescale;
            let error = status.message;
            report.warn("FailedRescale", format!("New size: {replicas}; reason: {why}; error: {error}"));
            let message = format!("the HPA controller was unable to update the target scale: {error}");
            return report.condition(ABLE, false, "FailedUpdateScale", message);
        }
        plan::rescaled(autoscaler, current, rescale, report);
        report.status.desired_replicas = rescale.replicas;
        report.status.last_scale_time = Some(Time(report.now));
        if let Some(behavior) = &autoscaler.spec.behavior {
            let keep = limits::longest_period(behavior);
            let mut memories = self.memories.lock();
            memories.entry(key.clone()).or_default().changed(current, rescale.replicas, report.now, keep);
        }
    }
}

/// Why it is not clear which pods are an autoscaler's.
struct Unclear {
    event: &'static str,
    condition: &'static str,
    why: String,
    told: String,
}

/// Writes a status that differs. It says what has been done, so it is written over whatever changed meanwhile.
async fn write(
    ctx: &Context,
    autoscaler: &HorizontalPodAutoscaler,
    status: HorizontalPodAutoscalerStatus,
) -> Result<(), Error> {
    if autoscaler.status.as_ref() == Some(&status) {
        return Ok(());
    }
    let meta = &autoscaler.metadata;
    let (namespace, name) = (meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default());
    let what = || format!("writing the status of autoscaler {namespace}/{name}");
    let mut new = HorizontalPodAutoscaler { status: Some(status.clone()), ..autoscaler.clone() };
    for _ in 0..WRITES_MAX {
        match ctx.update_status(&new).await {
            Err(refused) if refused.reason == Reason::NotFound => return Ok(()),
            Err(refused) if refused.reason == Reason::Conflict => {}
            answer => return answer.map(drop).map_err(Error::api(what())),
        }
        let found = ctx.client().find::<HorizontalPodAutoscaler>(namespace, name).await.map_err(Error::api(what()))?;
        // Another of the same name has nothing to do with what was done.
        let Some(found) = found.filter(|found| found.metadata.uid == meta.uid) else { return Ok(()) };
        new = HorizontalPodAutoscaler { status: Some(status.clone()), ..found };
    }
    Err(Error::Invalid(format!("{}: it changed {WRITES_MAX} times meanwhile", what())))
}
