//! Gives every pod of this node its task, and every task its news.
//!
//! Invariants: the only owner of the pods' handles; a pod is known by its uid, so that a new pod of the same name
//! and the old one that is still ending do not meet. Bound: one task per pod that the API or the runtime has.

pub(crate) mod admission;
mod orphans;
pub(crate) mod runtime_events;

use crate::context::Context;
use crate::logs::rotation::Live;
use crate::pod::resources::{Amounts, pod_requests};
use crate::pod::{self, Uid, qos};
use crate::pod_machine::Observation;
use crate::worker::{self, Beginning, Desired, PodHandle, View};
use admission::Node as NodeView;
use client::{Cache, Change, Changes};
use k8s_openapi::api::core::v1::{Node, Pod};
use runtime_events::Nudge;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

/// A pod as the server and the housekeeping see it.
#[derive(Clone)]
pub(crate) struct PodView {
    pub(crate) pod: Arc<Pod>,
    pub(crate) view: watch::Receiver<Arc<View>>,
}

/// Questions to the router.
pub(crate) enum Query {
    Find {
        namespace: String,
        name: String,
        reply: oneshot::Sender<Option<PodView>>,
    },
    All {
        reply: oneshot::Sender<Vec<PodView>>,
    },
    /// End the pod that can best be spared; answers whether there was one.
    Evict {
        message: String,
        reply: oneshot::Sender<bool>,
    },
}

/// Asks the router; cheap to clone.
#[derive(Clone)]
pub(crate) struct Pods {
    queries: mpsc::Sender<Query>,
}

impl Pods {
    /// `None` where there is no such pod here, or the node shuts down.
    pub(crate) async fn find(&self, namespace: &str, name: &str) -> Option<PodView> {
        let (reply, answer) = oneshot::channel();
        let query = Query::Find { namespace: namespace.to_owned(), name: name.to_owned(), reply };
        self.queries.send(query).await.ok()?;
        answer.await.ok().flatten()
    }

    pub(crate) async fn all(&self) -> Vec<PodView> {
        let (reply, answer) = oneshot::channel();
        match self.queries.send(Query::All { reply }).await {
            Ok(()) => answer.await.unwrap_or_default(),
            Err(_) => Vec::new(),
        }
    }

    pub(crate) async fn evict_one(&self, message: String) -> bool {
        let (reply, answer) = oneshot::channel();
        match self.queries.send(Query::Evict { message, reply }).await {
            Ok(()) => answer.await.unwrap_or(false),
            Err(_) => false,
        }
    }

    /// Logs that are being written.
    pub(crate) async fn live_logs(&self, context: &Context) -> Vec<Live> {
        let mut live = Vec::new();
        for known in self.all().await {
            let view = known.view.borrow().clone();
            let running = view.instances.iter().filter(|instance| instance.running);
            live.extend(running.map(|instance| Live {
                id: instance.id.clone(),
                file: context.dirs.log_file(&known.pod, &instance.container, instance.attempt),
            }));
        }
        live
    }
}

struct Entry {
    pod: Arc<Pod>,
    requests: Amounts,
    handle: PodHandle,
    admitted: bool,
}

impl Entry {
    /// Whether it still counts against the node's room.
    fn takes_room(&self) -> bool {
        let ended = self.handle.view.borrow().status.as_ref().and_then(|status| status.phase.clone());
        self.admitted && !pod::is_terminal(&self.pod) && !matches!(ended.as_deref(), Some("Succeeded" | "Failed"))
    }
}

pub(crate) struct Router {
    context: Arc<Context>,
    node: Cache<Node>,
    pods: Changes<Pod>,
    nudges: mpsc::Receiver<Nudge>,
    queries: mpsc::Receiver<Query>,
    finished: mpsc::Receiver<Uid>,
    ended: mpsc::Sender<Uid>,
    entries: HashMap<Uid, Entry>,
    /// What the runtime held when this process began, until the API tells what it is.
    found: HashMap<String, Observation>,
    max_pods: usize,
    burstable_milli: i64,
    /// Pods came or went since the tiers were weighed.
    crowd_changed: bool,
}

/// News that may wait for the router; more make their senders wait.
const QUEUE: usize = 256;

impl Router {
    /// The router, and how it is asked.
    pub(crate) fn new(
        context: Arc<Context>,
        node: Cache<Node>,
        cache: &Cache<Pod>,
        nudges: mpsc::Receiver<Nudge>,
        max_pods: usize,
    ) -> (Router, Pods) {
        let (ask, queries) = mpsc::channel(QUEUE);
        let (ended, finished) = mpsc::channel(QUEUE);
        let pods = cache.changes();
        let entries = HashMap::new();
        let found = HashMap::new();
        let router = Router {
            context,
            node,
            pods,
            nudges,
            queries,
            finished,
            ended,
            entries,
            found,
            max_pods,
            burstable_milli: 0,
            crowd_changed: true,
        };
        (router, Pods { queries: ask })
    }

    /// Runs until `stop` changes; containers run on. `cache` is synced, and `found` is what the runtime holds.
    pub(crate) async fn run(
        mut self,
        cache: Cache<Pod>,
        found: HashMap<String, Observation>,
        mut stop: watch::Receiver<bool>,
    ) {
        self.found = found;
        let mut tasks = JoinSet::new();
        while let Some(change) = self.pods.try_next() {
            self.change(change, &mut tasks);
        }
        orphans::remove(&self.context, std::mem::take(&mut self.found), &cache.list()).await;
        loop {
            if std::mem::take(&mut self.crowd_changed) {
                self.weigh();
            }
            tokio::select! {
                change = self.pods.next() => self.change(change, &mut tasks),
                Some(nudge) = self.nudges.recv() => self.nudge(&nudge),
                Some(query) = self.queries.recv() => self.answer(query),
                Some(uid) = self.finished.recv() => {
                    self.entries.remove(&uid);
                    self.crowd_changed = true;
                }
                Some(done) = tasks.join_next() => if let Err(error) = done {
                    tracing::error!(%error, "a pod's task failed");
                },
                _ = stop.changed() => return,
            }
        }
    }

    fn change(&mut self, change: Change<Pod>, tasks: &mut JoinSet<()>) {
        let Change { old, new, .. } = change;
        let uid_of = |pod: &Arc<Pod>| -> Uid { pod::uid(pod).into() };
        let replaced = old.as_ref().filter(|old| new.as_ref().is_none_or(|new| pod::uid(new) != pod::uid(old)));
        if let Some(entry) = replaced.map(uid_of).and_then(|uid| self.entries.get(&uid)) {
            entry.handle.desired.send_modify(|desired| desired.removed = true);
        }
        let Some(new) = new else { return };
        let uid = uid_of(&new);
        match self.entries.get_mut(&uid) {
            Some(entry) => {
                self.crowd_changed |= pod::is_terminal(&new) != pod::is_terminal(&entry.pod);
                entry.pod = new.clone();
                entry.handle.desired.send_replace(Desired { pod: new, removed: false });
            }
            None => self.admit(uid, new, tasks),
        }
    }

    fn admit(&mut self, uid: Uid, pod: Arc<Pod>, tasks: &mut JoinSet<()>) {
        let found = self.found.remove(&*uid);
        // What runs here already was let in before; what has ended takes no room.
        let known = found.is_some() || pod::is_terminal(&pod) || pod.metadata.deletion_timestamp.is_some();
        let refusal = if known { None } else { self.refusal(&pod) };
        let admitted = refusal.is_none();
        let beginning = match refusal {
            Some(admission::Refusal { reason, message }) => {
                self.context.recorder.event(&*pod, reconcile::Severity::Warning, &reason, message.clone());
                Beginning::Refused { reason, message }
            }
            None => Beginning::Found(found.unwrap_or_default()),
        };
        let handle = worker::spawn(self.context.clone(), pod.clone(), beginning, self.ended.clone(), tasks);
        self.crowd_changed = true;
        self.entries.insert(uid, Entry { requests: pod_requests(&pod), pod, handle, admitted });
    }

    fn refusal(&self, pod: &Pod) -> Option<admission::Refusal> {
        let others = self.entries.values().filter(|entry| entry.takes_room());
        let others: Vec<(&Pod, Amounts)> = others.map(|entry| (&*entry.pod, entry.requests)).collect();
        let node = self.node.get("", &self.context.node_name);
        let node = NodeView {
            object: node.as_deref(),
            allocatable: self.context.machine.allocatable,
            max_pods: self.max_pods,
        };
        admission::check(pod, &others, &node)
    }

    /// The burstable tier weighs what its pods request.
    fn weigh(&mut self) {
        let burstable =
            self.entries.values().filter(|entry| entry.takes_room() && qos::class(&entry.pod) == qos::Qos::Burstable);
        let milli = burstable.map(|entry| entry.requests.cpu_milli).sum();
        if std::mem::replace(&mut self.burstable_milli, milli) == milli {
            return;
        }
        let cgroups = self.context.cgroups.clone();
        tokio::task::spawn_blocking(move || {
            if let Err(error) = cgroups.weigh_burstable(milli) {
                tracing::warn!(%error, "the burstable tier's weight was not set");
            }
        });
    }

    fn nudge(&self, nudge: &Nudge) {
        match nudge {
            Nudge::Pod(uid) => {
                if let Some(entry) = self.entries.get(uid) {
                    entry.handle.nudge();
                }
            }
            Nudge::Everybody => self.entries.values().for_each(|entry| entry.handle.nudge()),
        }
    }

    fn answer(&self, query: Query) {
        let view = |entry: &Entry| PodView { pod: entry.pod.clone(), view: entry.handle.view.clone() };
        let heard = match query {
            Query::Find { namespace, name, reply } => {
                let of_name = |entry: &&Entry| pod::namespace(&entry.pod) == namespace && pod::name(&entry.pod) == name;
                // Of two pods of one name the younger one is meant: the older one is on its way out.
                let candidates = self.entries.values().filter(of_name);
                let found = candidates.max_by_key(|entry| entry.pod.metadata.creation_timestamp.clone());
                reply.send(found.map(view)).is_ok()
            }
            Query::All { reply } => reply.send(self.entries.values().map(view).collect()).is_ok(),
            Query::Evict { message, reply } => reply.send(self.evict(message)).is_ok(),
        };
        if !heard {
            tracing::trace!("who asked went away");
        }
    }

    /// Lowest priority first, then the least guaranteed, then the youngest.
    fn evict(&self, message: String) -> bool {
        let rank = |entry: &&Entry| {
            let class = match qos::class(&entry.pod) {
                qos::Qos::BestEffort => 0,
                qos::Qos::Burstable => 1,
                qos::Qos::Guaranteed => 2,
            };
            let age = std::cmp::Reverse(entry.pod.metadata.creation_timestamp.clone());
            (pod::spec(&entry.pod).priority.unwrap_or(0), class, age)
        };
        let ending = |entry: &&Entry| entry.pod.metadata.deletion_timestamp.is_some();
        let spared = self.entries.values().filter(|entry| entry.takes_room() && !ending(entry)).min_by_key(rank);
        let Some(entry) = spared else { return false };
        tracing::warn!(pod = %pod::described(&entry.pod), message, "evicting a pod");
        self.context.recorder.event(&*entry.pod, reconcile::Severity::Warning, "Evicted", message.clone());
        entry.handle.evict(message);
        true
    }
}
