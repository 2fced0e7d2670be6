//! The scheduler at work: one task that keeps the cluster's state, decides, and has bindings written beside it.
//!
//! Invariants: the state belongs to the one task; at most `IN_FLIGHT_MAX` writes are under way, and no pod is tried
//! while that many are; a pod whose binding failed is forgotten on its node before it is tried again.

use crate::cluster::Cluster;
use crate::decide::Decider;
use crate::fit_error::FitError;
use crate::metrics::{Attempt, Metrics};
use crate::plugin::{Event, No, Rejection};
use crate::pod::{self, DEFAULT_SCHEDULER, Key, PodInfo, Templates};
use crate::queue::Queue;
use crate::status;
use api::Reason;
use client::{Change, Client, PodView};
use k8s_openapi::api::core::v1::{Namespace, Node};
use reconcile::{Clock, Recorder, Severity};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

/// Bindings and status writes under way at once.
const IN_FLIGHT_MAX: usize = 64;
/// Changes taken in before the next decision, so that a flood of them does not keep pods waiting.
const CHANGES_MAX: usize = 4096;

#[derive(Clone, Debug)]
pub struct Options {
    /// Pods that name another scheduler are not touched.
    pub scheduler_name: String,
    /// Decides between nodes that are equally good.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Options {
        Options { scheduler_name: DEFAULT_SCHEDULER.to_owned(), seed: 0x5eed }
    }
}

/// A running scheduler; dropped, it ends at once.
pub struct Handle {
    stop: watch::Sender<bool>,
    task: Option<JoinHandle<()>>,
    metrics: Arc<Metrics>,
    name: String,
}

/// Starts it on the current runtime.
pub fn start(client: Client, clock: Clock, events: Recorder, options: Options) -> Handle {
    let (stop, stopping) = watch::channel(false);
    let events = events.component(&options.scheduler_name);
    let (metrics, name) = (Arc::<Metrics>::default(), options.scheduler_name.clone());
    let scheduler = Scheduler::new(client, clock, events, options, metrics.clone());
    let task = tokio::spawn(async move { scheduler.run(stopping).await });
    Handle { stop, task: Some(task), metrics, name }
}

impl Handle {
    /// Appends what it counts, in Prometheus' text format; to be asked at any time.
    pub fn metrics(&self) -> impl Fn(&mut String) + Send + Sync + 'static {
        let (metrics, name) = (self.metrics.clone(), self.name.clone());
        move |out| {
            if metrics.write(&name, out).is_err() {
                tracing::error!("metrics of the scheduler did not render");
            }
        }
    }

    /// Lets writes that are under way end.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        if let Some(task) = self.task.take()
            && let Err(error) = task.await
        {
            tracing::error!(%error, "the scheduler's task failed");
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// How a write ended.
enum Outcome {
    /// `begun` is when the pod was taken up.
    Bound {
        pod: Arc<PodInfo>,
        node: Arc<str>,
        answer: Result<(), api::Status>,
        begun: Instant,
    },
    Reported,
}

struct Scheduler {
    client: Client,
    clock: Clock,
    events: Recorder,
    options: Options,
    cluster: Cluster,
    decider: Decider,
    queue: Queue,
    templates: Templates,
    /// Pods that count as bound although the cache has not shown it, and their uids.
    assumed: HashMap<Key, Box<str>>,
    writes: JoinSet<Outcome>,
    metrics: Arc<Metrics>,
}

impl Scheduler {
    fn new(client: Client, clock: Clock, events: Recorder, options: Options, metrics: Arc<Metrics>) -> Scheduler {
        Scheduler {
            client,
            clock,
            events,
            cluster: Cluster::default(),
            decider: Decider::new(options.seed),
            queue: Queue::default(),
            templates: Templates::default(),
            assumed: HashMap::new(),
            writes: JoinSet::new(),
            metrics,
            options,
        }
    }

    async fn run(mut self, mut stopping: watch::Receiver<bool>) {
        let (nodes, pods) = (self.client.cache::<Node>(), self.client.cache::<PodView>());
        let namespaces = self.client.cache::<Namespace>();
        tokio::select! {
            () = async { tokio::join!(nodes.synced(), pods.synced(), namespaces.synced()); } => {}
            _ = stopping.wait_for(|stop| *stop) => return,
        }
        let (mut nodes, mut pods, mut namespaces) = (nodes.changes(), pods.changes(), namespaces.changes());
        loop {
            for _ in 0..CHANGES_MAX {
                // Nodes first: a pod's place means more when its node is known.
                if let Some(change) = nodes.try_next() {
                    self.node_changed(&change);
                } else if let Some(change) = namespaces.try_next() {
                    self.namespace_changed(&change);
                } else if let Some(change) = pods.try_next() {
                    self.pod_changed(change);
                } else {
                    break;
                }
            }
            self.queue.release(Instant::now());
            self.try_pods();
            self.metrics.pending(self.queue.pending());
            let due = self.queue.next_due();
            tokio::select! {
                change = nodes.next() => self.node_changed(&change),
                change = pods.next() => self.pod_changed(change),
                change = namespaces.next() => self.namespace_changed(&change),
                Some(ended) = self.writes.join_next() => self.wrote(ended),
                () = sleep_until(due) => {}
                _ = stopping.wait_for(|stop| *stop) => break,
            }
        }
        while self.writes.join_next().await.is_some() {}
    }

    fn node_changed(&mut self, change: &Change<Node>) {
        let Some(node) = &change.new else {
            self.cluster.remove_node(&change.key);
            return;
        };
        if change.old.as_ref().is_some_and(|old| is_same_to_pods(old, node)) {
            return;
        }
        self.cluster.set_node(node.clone());
        if let Some(node) = self.cluster.node(&change.key) {
            wake(&mut self.queue, &self.decider, Event::Node(node));
        }
    }

    fn namespace_changed(&mut self, change: &Change<Namespace>) {
        let labels =
            |namespace: &Option<Arc<Namespace>>| namespace.as_ref().map(|n| crate::labels(&n.metadata).clone());
        let new = labels(&change.new);
        if labels(&change.old) != new {
            self.cluster.set_namespace(&change.key, new);
            wake(&mut self.queue, &self.decider, Event::NamespaceChanged);
        }
    }

    fn pod_changed(&mut self, change: Change<PodView>) {
        let key = change.key;
        if change.old.as_ref().zip(change.new.as_ref()).is_some_and(|(old, new)| old.uid != new.uid) {
            // Deleted and made again between two looks.
            self.forget(&key);
        }
        match change.new {
            Some(pod) if pod::occupies(&pod) => {
                let info = Arc::new(PodInfo::of_template(pod, &mut self.templates));
                self.queue.remove(&key);
                let confirmed = self.assumed.remove(&key).is_some();
                let known = self.cluster.place(&key).is_some();
                self.cluster.set_pod(&info.pod.node, info.clone());
                if !known || !confirmed && change.old.is_some_and(|old| old.labels != info.pod.labels) {
                    wake(&mut self.queue, &self.decider, Event::PodPlaced(&info));
                }
            }
            Some(pod) if pod::waits(&pod, &self.options.scheduler_name) => {
                // An assumed pod's older states come late; only the binding's end un-assumes it.
                if !self.assumed.contains_key(&key) {
                    self.queue.set(Arc::new(PodInfo::of_template(pod, &mut self.templates)));
                }
            }
            _ => self.forget(&key),
        }
    }

    fn forget(&mut self, key: &Key) {
        self.queue.remove(key);
        self.assumed.remove(key);
        self.free(key);
    }

    /// A pod holds nothing of its node any more.
    fn free(&mut self, key: &Key) {
        let Some((name, pod)) = self.cluster.remove_pod(key) else { return };
        if let Some(node) = self.cluster.node(&name) {
            wake(&mut self.queue, &self.decider, Event::PodGone(&pod, node));
        }
    }

    /// Decides for waiting pods while writes may be started.
    fn try_pods(&mut self) {
        while self.writes.len() < IN_FLIGHT_MAX {
            let Some(pod) = self.queue.pop() else { return };
            let begun = Instant::now();
            match self.decider.schedule(&pod, &self.cluster) {
                Ok(node) => self.assume_and_bind(pod, node, begun),
                Err(error) => self.refused(&pod, &error, begun),
            }
        }
    }

    fn assume_and_bind(&mut self, pod: Arc<PodInfo>, node: Arc<str>, begun: Instant) {
        if let Err(rejection) = self.reserve(&pod, &node) {
            let nodes = self.cluster.nodes().len();
            let error = FitError { nodes, rejections: vec![(rejection, nodes)], ..FitError::default() };
            self.refused(&pod, &error, begun);
            return;
        }
        let binding = self.decider.rows().iter().find_map(|row| row.bind(&self.client, &pod, &node));
        let Some(binding) = binding else { return self.binding_failed(&pod, &node, "no plugin binds", begun) };
        self.assumed.insert(pod.key.clone(), pod.pod.uid.clone());
        self.cluster.set_pod(&node, pod.clone());
        wake(&mut self.queue, &self.decider, Event::PodPlaced(&pod));
        self.writes.spawn(async move {
            let answer = binding.await;
            Outcome::Bound { pod, node, answer, begun }
        });
    }

    fn reserve(&self, pod: &PodInfo, node: &str) -> Result<(), Rejection> {
        let Some(info) = self.cluster.node(node) else { return Ok(()) };
        let rows = self.decider.rows();
        for (plugin, row) in rows.iter().enumerate() {
            let asked = row.reserve(pod, info).and_then(|()| row.permit(pod, info));
            if let Err(No { reasons, unresolvable }) = asked {
                rows[..=plugin].iter().rev().for_each(|row| row.unreserve(pod, node));
                return Err(Rejection { plugin, reasons, unresolvable });
            }
        }
        Ok(())
    }

    fn wrote(&mut self, ended: Result<Outcome, tokio::task::JoinError>) {
        match ended {
            Ok(Outcome::Bound { pod, node, answer: Ok(()), begun }) => {
                self.metrics.attempted(Attempt::Scheduled, begun.elapsed());
                let message = format!("Successfully assigned {} to {node}", pod.key);
                self.events.event(&*pod.pod, Severity::Normal, "Scheduled", message);
            }
            Ok(Outcome::Bound { pod, node, answer: Err(status), begun }) => {
                if self.assumed.get(&pod.key) == Some(&pod.pod.uid) {
                    self.assumed.remove(&pod.key);
                    self.free(&pod.key);
                }
                // A pod that is gone, or that another scheduler has bound, needs no further try; its event comes.
                if !matches!(status.reason, Reason::NotFound) {
                    self.binding_failed(&pod, &node, &status.to_string(), begun);
                }
            }
            Ok(Outcome::Reported) => {}
            Err(error) => tracing::error!(%error, "a write of the scheduler ended badly"),
        }
    }

    fn binding_failed(&mut self, pod: &Arc<PodInfo>, node: &str, why: &str, begun: Instant) {
        self.metrics.attempted(Attempt::Error, begun.elapsed());
        self.decider.rows().iter().rev().for_each(|row| row.unreserve(pod, node));
        self.queue.retry(&pod.key);
        self.report(pod, "SchedulerError", format!("binding rejected: {why}"));
    }

    fn refused(&mut self, pod: &Arc<PodInfo>, error: &FitError, begun: Instant) {
        self.metrics.attempted(Attempt::Unschedulable, begun.elapsed());
        let plugins: Vec<&str> = error.plugins().into_iter().map(|row| self.decider.rows()[row].name()).collect();
        tracing::debug!(pod = %pod.key, ?plugins, %error, "no node suits the pod");
        self.queue.park(&pod.key, error.plugins());
        self.report(pod, "Unschedulable", error.to_string());
    }

    /// Tells the pod's people why it waits.
    fn report(&mut self, pod: &Arc<PodInfo>, reason: &'static str, message: String) {
        self.events.event(&*pod.pod, Severity::Warning, "FailedScheduling", message.as_str());
        let Some(patch) = status::not_scheduled(&pod.pod, reason, message, self.clock.now()) else { return };
        let (client, pod) = (self.client.clone(), pod.clone());
        self.writes.spawn(async move {
            status::write(&client, &pod.pod, &patch).await;
            Outcome::Reported
        });
    }
}

/// Has parked pods tried again that the event may help.
fn wake(queue: &mut Queue, decider: &Decider, event: Event<'_>) {
    // Equal pods have equal hopes of one node.
    let mut by_shape: HashMap<u128, bool> = HashMap::new();
    let rows = decider.rows();
    let of_a_node = matches!(event, Event::Node(_) | Event::PodGone(..));
    let concerned = |refused_by: &BTreeSet<usize>| of_a_node || refused_by.iter().any(|row| !rows[*row].is_local());
    queue.wake(concerned, |pod, refused_by| {
        let mut suits = || match event {
            Event::Node(node) | Event::PodGone(_, node) => {
                *by_shape.entry(pod.shape).or_insert_with(|| decider.suits_locally(pod, node))
            }
            _ => false,
        };
        // Refused by none: there was no node.
        (refused_by.is_empty() && suits())
            || refused_by
                .iter()
                .any(|row| if rows[*row].is_local() { suits() } else { rows[*row].may_help(pod, event) })
    });
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// Whether no plugin would see a difference: heartbeats are most of a node's changes.
fn is_same_to_pods(old: &Node, new: &Node) -> bool {
    let amounts = |node: &Node| {
        let status = node.status.as_ref();
        status.map(|status| (status.allocatable.clone(), status.capacity.clone()))
    };
    old.metadata.uid == new.metadata.uid
        && old.metadata.labels == new.metadata.labels
        && old.spec == new.spec
        && amounts(old) == amounts(new)
}
