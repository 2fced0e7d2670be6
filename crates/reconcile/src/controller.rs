//! A controller: where its keys come from, who works on them, and how it ends.

use crate::clock::Clock;
use crate::context::Context;
use crate::events::Recorder;
use crate::index::Index;
use crate::metrics::Metrics;
use crate::queue::Queue;
use crate::unseen::Unseen;
use crate::{Action, Key, Reconcile, owner};
use api::Kind;
use client::{Cache, Cached, Change, Client};
use futures::future::BoxFuture;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// What all controllers of a process share.
#[derive(Clone)]
pub struct Setup {
    pub client: Client,
    pub clock: Clock,
    pub events: Recorder,
}

/// What a controller's sources and workers share.
pub(crate) struct Shared {
    pub(crate) name: &'static str,
    pub(crate) client: Client,
    pub(crate) clock: Clock,
    pub(crate) events: Recorder,
    pub(crate) unseen: Unseen,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) queue: Arc<Queue>,
}

/// A source's way to the queue.
#[derive(Clone)]
pub struct Feed {
    shared: Arc<Shared>,
    /// Dropped when the source has told of all that was there at the start.
    starting: Option<tokio::sync::mpsc::Sender<()>>,
}

impl Feed {
    pub fn add(&self, key: Key) {
        if self.shared.queue.add(key) {
            self.shared.metrics.adds.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub fn add_after(&self, key: Key, delay: Duration) {
        self.shared.queue.add_after(key, delay);
    }

    /// The workers start when every source has said so.
    pub fn started(&mut self) {
        self.starting = None;
    }
}

type Source = Box<dyn FnOnce(Feed) -> BoxFuture<'static, ()> + Send>;

/// A controller that has not started.
pub struct Controller {
    name: &'static str,
    workers: usize,
    unseen: Unseen,
    sources: Vec<Source>,
    component: Option<&'static str>,
    rest: Duration,
    reconciler: Arc<dyn Reconcile>,
}

/// Keys are independent of each other and mostly wait for the API.
const WORKERS: usize = 4;

impl Controller {
    pub fn new(name: &'static str, reconciler: impl Reconcile) -> Controller {
        let unseen = Unseen::default();
        Controller {
            name,
            workers: WORKERS,
            unseen,
            sources: Vec::new(),
            component: None,
            rest: Duration::ZERO,
            reconciler: Arc::new(reconciler),
        }
    }

    /// Reconciles the keys that `map` makes of each change; begins with every object as an addition.
    pub fn watches<K: Cached>(
        self,
        cache: Cache<K>,
        map: impl Fn(&Change<K>) -> Vec<Key> + Send + Sync + 'static,
    ) -> Controller {
        self.source_of(cache, Vec::new(), map)
    }

    /// As `watches`, and keeps the index.
    pub fn indexes<K: Cached>(
        self,
        cache: Cache<K>,
        index: &Arc<Index<K>>,
        map: impl Fn(&Change<K>) -> Vec<Key> + Send + Sync + 'static,
    ) -> Controller {
        self.source_of(cache, vec![index.clone()], map)
    }

    fn source_of<K: Cached>(
        mut self,
        cache: Cache<K>,
        indexes: Vec<Arc<Index<K>>>,
        map: impl Fn(&Change<K>) -> Vec<Key> + Send + Sync + 'static,
    ) -> Controller {
        self.unseen.follow(cache.clone());
        self.source(move |mut feed| async move {
            cache.synced().await;
            let mut changes = cache.changes();
            let tell = |feed: &Feed, change: &Change<K>| {
                for index in &indexes {
                    index.apply(change);
                }
                let seen = feed.shared.unseen.observe(change);
                for key in seen.into_iter().chain(map(change)) {
                    feed.add(key);
                }
            };
            while let Some(change) = changes.try_next() {
                tell(&feed, &change);
            }
            feed.started();
            loop {
                let change = changes.next().await;
                tell(&feed, &change);
            }
        })
    }

    /// Any other source of keys; it says `started` when its first keys are in, and runs until it is dropped.
    pub fn source<F, Fut>(mut self, source: F) -> Controller
    where
        F: FnOnce(Feed) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.sources.push(Box::new(move |feed| Box::pin(source(feed))));
        self
    }

    /// Who its events are said to come from; else its name and `-controller`.
    pub fn component(mut self, component: &'static str) -> Controller {
        self.component = Some(component);
        self
    }

    /// After a reconcile a key is left alone for so long, and then reconciled once for all changes since: for keys that
    /// many objects concern. The first change is not delayed.
    pub fn rests(mut self, rest: Duration) -> Controller {
        self.rest = rest;
        self
    }

    pub fn workers(mut self, workers: usize) -> Controller {
        self.workers = workers.max(1);
        self
    }

    /// Starts it on the current runtime.
    pub fn start(self, setup: &Setup) -> Running {
        let metrics = Arc::new(Metrics::default());
        let shared = Arc::new(Shared {
            name: self.name,
            client: setup.client.clone(),
            clock: setup.clock.clone(),
            events: match self.component {
                Some(component) => setup.events.component(component),
                None => setup.events.component(&format!("{}-controller", self.name)),
            },
            unseen: self.unseen,
            metrics: metrics.clone(),
            queue: Arc::default(),
        });
        let (stop, stopping) = watch::channel(false);
        let mut tasks = JoinSet::new();
        let (starting, mut started) = tokio::sync::mpsc::channel(1);
        for source in self.sources {
            let feed = Feed { shared: shared.clone(), starting: Some(starting.clone()) };
            tasks.spawn(until_stopped(stopping.clone(), source(feed)));
        }
        drop(starting);
        let delays = shared.queue.clone();
        tasks.spawn(until_stopped(stopping.clone(), async move { delays.run_delays().await }));
        let watched = shared.clone();
        tasks.spawn(until_stopped(stopping.clone(), async move {
            let free = |key| {
                watched.queue.add(key);
            };
            watched.unseen.watch_over(&watched.client, free).await;
        }));
        let (ready, is_ready) = watch::channel(false);
        tasks.spawn(until_stopped(stopping.clone(), async move {
            // Closed when the last source has dropped its sender.
            started.recv().await;
            ready.send_replace(true);
        }));
        for _ in 0..self.workers {
            let (reconciler, rest) = (self.reconciler.clone(), self.rest);
            tasks.spawn(work(shared.clone(), reconciler, rest, is_ready.clone(), stopping.clone()));
        }
        Running { name: self.name, metrics, queue: shared.queue.clone(), stop, tasks }
    }
}

/// A controller at work; dropped, it ends at once.
pub struct Running {
    name: &'static str,
    metrics: Arc<Metrics>,
    queue: Arc<Queue>,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl Running {
    pub fn name(&self) -> &'static str {
        self.name
    }

    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// What tells of it, and may outlive it.
    pub fn gauge(&self) -> Gauge {
        Gauge { name: self.name, metrics: self.metrics.clone(), queue: self.queue.clone() }
    }

    /// Lets reconciles that run end, and starts no more.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(controller = self.name, %error, "a controller's task failed");
            }
        }
    }
}

/// A controller's figures.
#[derive(Clone)]
pub struct Gauge {
    name: &'static str,
    metrics: Arc<Metrics>,
    queue: Arc<Queue>,
}

impl Gauge {
    /// Name, counters, and the queue's depth now.
    pub fn read(&self) -> (&str, &Metrics, usize) {
        (self.name, &self.metrics, self.queue.depth())
    }
}

async fn until_stopped(mut stopping: watch::Receiver<bool>, task: impl Future<Output = ()>) {
    tokio::select! {
        () = task => {}
        // An error means that `Running` is gone, which is a stop too.
        _ = stopping.wait_for(|stop| *stop) => {}
    }
}

async fn work(
    shared: Arc<Shared>,
    reconciler: Arc<dyn Reconcile>,
    rest: Duration,
    mut ready: watch::Receiver<bool>,
    mut stopping: watch::Receiver<bool>,
) {
    let stop = stopping.clone();
    until_stopped(stop, async {
        if ready.wait_for(|ready| *ready).await.is_err() {
            tracing::debug!(controller = shared.name, "stopped before it was ready");
        }
    })
    .await;
    loop {
        let key = tokio::select! {
            biased;
            _ = stopping.wait_for(|stop| *stop) => return,
            key = shared.queue.take() => key,
        };
        run_key(&shared, reconciler.as_ref(), &key).await;
        if rest.is_zero() {
            shared.queue.put_back(&key);
        } else {
            shared.queue.rest(&key, rest);
        }
    }
}

async fn run_key(shared: &Arc<Shared>, reconciler: &dyn Reconcile, key: &Key) {
    if shared.unseen.blocks(key) {
        // What shows the last of its writes adds the key again.
        shared.metrics.deferred.fetch_add(1, Ordering::Relaxed);
        return;
    }
    let failures = shared.queue.failures(key);
    let context = Context::new(shared.clone(), key.clone(), failures);
    let start = Instant::now();
    let result = reconciler.reconcile(&context, key).await;
    shared.metrics.ran(start.elapsed());
    match result {
        Ok(action) => {
            shared.queue.forgive(key);
            if let Action::After(delay) = action {
                shared.queue.add_after(key.clone(), delay);
            }
        }
        Err(error) => {
            shared.metrics.errors.fetch_add(1, Ordering::Relaxed);
            shared.metrics.retries.fetch_add(1, Ordering::Relaxed);
            if error.is_conflict() {
                tracing::debug!(controller = shared.name, %key, %error, "reconcile is retried");
            } else {
                tracing::warn!(controller = shared.name, %key, failures, %error, "reconcile failed and is retried");
            }
            shared.queue.retry(key.clone());
        }
    }
}

/// Each change concerns the key of its own object.
pub fn each<K>(change: &Change<K>) -> Vec<Key> {
    vec![change.key.clone()]
}

/// Each change concerns the object of kind `O` that manages the changed one, and the one that did.
pub fn owned_by<O: Kind, K: Cached>(change: &Change<K>) -> Vec<Key> {
    let mut keys = Vec::with_capacity(1);
    for meta in [&change.old, &change.new].into_iter().flatten().map(|object| object.meta()) {
        let Some(owner) = meta.controller().filter(|owner| owner::refers_to::<O>(owner)) else { continue };
        let key: Key = if O::DEF.namespaced() && !meta.namespace.is_empty() {
            format!("{}/{}", meta.namespace, owner.name).into()
        } else {
            owner.name.as_str().into()
        };
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    keys
}
