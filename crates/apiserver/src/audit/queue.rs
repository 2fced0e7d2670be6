//! Events on their way to a log or a webhook: one bounded queue each, and the task that empties it.
//!
//! Invariants: events leave in the order they came in. Bounds: `EVENTS_MAX` events (or what the options say) and
//! `BYTES_MAX` bytes of them; a full queue drops what comes in `batch` mode, counted and told, and lets requests wait
//! in the blocking ones. What is stored together is bounded too.

use super::event::Event;
use super::log_file::{Format, LogFile};
use super::options::Mode;
use super::webhook::Webhook;
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Upstream's.
pub(super) const EVENTS_MAX: usize = 10_000;
/// Of all events that wait for one log or webhook.
pub(super) const BYTES_MAX: usize = 64 << 20;
/// A larger event loses its objects, whatever the options say: a queue must not be one event's.
const EVENT_BYTES_MAX: usize = BYTES_MAX / 4;
/// How often a queue that drops says so.
const TELL_INTERVAL: Duration = Duration::from_secs(10);
/// When the server ends, how long the rest may take.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(10);

/// How events of a queue are taken together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Batching {
    pub(super) events_max: usize,
    pub(super) bytes_max: usize,
    /// How long the first waits for others.
    pub(super) wait: Duration,
}

/// Where a queue's events go.
pub(super) enum Sink {
    Log(LogFile),
    Webhook(Webhook),
}

impl Sink {
    fn name(&self) -> &'static str {
        match self {
            Sink::Log(_) => "log",
            Sink::Webhook(_) => "webhook",
        }
    }

    fn form(&self) -> Form {
        match self {
            Sink::Log(file) if file.format() == Format::Legacy => Form::Legacy,
            Sink::Log(_) => Form::Line,
            Sink::Webhook(_) => Form::Item,
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Form {
    Line,
    Legacy,
    Item,
}

struct Waiting {
    bytes: Bytes,
    /// Told whether the event was stored.
    told: Option<oneshot::Sender<bool>>,
    _room: OwnedSemaphorePermit,
}

/// What scrapers read of a queue, and when it last told of what it drops.
#[derive(Default)]
struct Losses {
    events: AtomicU64,
    told: parking_lot::Mutex<Option<Instant>>,
}

pub(super) struct Queue {
    pub(super) name: &'static str,
    mode: Mode,
    form: Form,
    event_bytes_max: usize,
    sender: mpsc::Sender<Waiting>,
    room: Arc<Semaphore>,
    losses: Arc<Losses>,
    stopping: CancellationToken,
    worker: parking_lot::Mutex<Option<JoinHandle<()>>>,
}

impl Queue {
    /// `event_bytes_max` bounds one event; one that is larger loses its objects.
    pub(super) fn start(
        sink: Sink,
        mode: Mode,
        events_max: usize,
        event_bytes_max: Option<usize>,
        batching: Batching,
    ) -> Queue {
        let (sender, receiver) = mpsc::channel(events_max.max(1));
        let losses = Arc::new(Losses::default());
        let stopping = CancellationToken::new();
        let (name, form) = (sink.name(), sink.form());
        let worker = Worker { sink, receiver, batching, losses: losses.clone(), stopping: stopping.clone() };
        Queue {
            name,
            mode,
            form,
            event_bytes_max: event_bytes_max.unwrap_or(EVENT_BYTES_MAX).min(EVENT_BYTES_MAX),
            sender,
            room: Arc::new(Semaphore::new(BYTES_MAX)),
            losses,
            stopping,
            worker: parking_lot::Mutex::new(Some(tokio::spawn(worker.run()))),
        }
    }

    /// Events that were not stored.
    pub(super) fn lost(&self) -> u64 {
        self.losses.events.load(Ordering::Relaxed)
    }

    fn render(&self, event: &Event) -> Option<Bytes> {
        let render = |event: &Event| match self.form {
            Form::Line => event.line(),
            Form::Legacy => Ok(event.legacy().into_bytes()),
            Form::Item => event.json(),
        };
        let rendered = render(event).and_then(|bytes| {
            let cut = bytes.len() > self.event_bytes_max && event.has_objects();
            if cut { render(&event.truncated()) } else { Ok(bytes) }
        });
        match rendered {
            Ok(bytes) if bytes.len() <= self.event_bytes_max => Some(Bytes::from(bytes)),
            Ok(bytes) => {
                self.losses.count(self.name, 1, &format!("an event of {} bytes is larger than allowed", bytes.len()));
                None
            }
            Err(error) => {
                self.losses.count(self.name, 1, &error.to_string());
                None
            }
        }
    }

    /// Whether the request may go on: it may not where an event is a condition of it (`blocking-strict`) and was lost.
    pub(super) async fn put(&self, event: &Event) -> bool {
        let Some(bytes) = self.render(event) else { return self.mode != Mode::BlockingStrict };
        if self.mode == Mode::Batch {
            self.offer(bytes);
            return true;
        }
        self.put_and_wait(bytes).await || self.mode == Mode::Blocking
    }

    /// As `put`, where nobody can wait.
    pub(super) fn put_detached(self: &Arc<Self>, event: &Event) {
        let Some(bytes) = self.render(event) else { return };
        if self.mode == Mode::Batch {
            return self.offer(bytes);
        }
        // Where the runtime itself ends there is nobody left to store it.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return self.losses.count(self.name, 1, "the server ends");
        };
        let queue = self.clone();
        runtime.spawn(async move { queue.put_and_wait(bytes).await });
    }

    fn offer(&self, bytes: Bytes) {
        let Ok(room) = self.room.clone().try_acquire_many_owned(permits(&bytes)) else {
            return self.losses.count(self.name, 1, "audit buffer queue blocked");
        };
        if self.sender.try_send(Waiting { bytes, told: None, _room: room }).is_err() {
            self.losses.count(self.name, 1, "audit buffer queue blocked");
        }
    }

    async fn put_and_wait(&self, bytes: Bytes) -> bool {
        let (told, stored) = oneshot::channel();
        let Ok(room) = self.room.clone().acquire_many_owned(permits(&bytes)).await else { return false };
        if self.sender.send(Waiting { bytes, told: Some(told), _room: room }).await.is_err() {
            self.losses.count(self.name, 1, "the server ends");
            return false;
        }
        stored.await.unwrap_or(false)
    }

    /// Takes no more events and returns when those that wait are stored, or the time for it is over.
    pub(super) async fn end(&self) {
        self.stopping.cancel();
        let worker = self.worker.lock().take();
        let Some(worker) = worker else { return };
        match tokio::time::timeout(DRAIN_TIME_MAX, worker).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(sink = self.name, %error, "the audit worker failed"),
            Err(_) => tracing::error!(sink = self.name, "audit events that wait are given up: the server ends"),
        }
    }
}

fn permits(bytes: &Bytes) -> u32 {
    u32::try_from(bytes.len().clamp(1, BYTES_MAX)).unwrap_or(u32::MAX)
}

impl Losses {
    fn count(&self, sink: &str, events: usize, why: &str) {
        let lost = self.events.fetch_add(events as u64, Ordering::Relaxed) + events as u64;
        let now = Instant::now();
        let mut told = self.told.lock();
        if told.is_none_or(|told| now - told >= TELL_INTERVAL) {
            *told = Some(now);
            tracing::error!(sink, why, lost, "audit events are lost");
        }
    }
}

struct Worker {
    sink: Sink,
    receiver: mpsc::Receiver<Waiting>,
    batching: Batching,
    losses: Arc<Losses>,
    stopping: CancellationToken,
}

impl Worker {
    async fn run(mut self) {
        // The first of the next batch, where it did not fit into the last.
        let mut first = None;
        loop {
            if first.is_none() {
                first = tokio::select! {
                    () = self.stopping.cancelled(), if !self.receiver.is_closed() => {
                        self.receiver.close();
                        continue;
                    }
                    next = self.receiver.recv() => next,
                };
            }
            let Some(begin) = first.take() else { break };
            let (batch, left) = self.collect(begin).await;
            first = left;
            self.store(batch).await;
        }
        if let Sink::Log(file) = self.sink {
            file.end().await;
        }
    }

    /// A batch that begins with this event, and the one that did not fit into it.
    async fn collect(&mut self, begin: Waiting) -> (Vec<Waiting>, Option<Waiting>) {
        let deadline = Instant::now() + self.batching.wait;
        let mut bytes = begin.bytes.len();
        let mut batch = vec![begin];
        while batch.len() < self.batching.events_max {
            let next = match self.receiver.try_recv() {
                Ok(next) => next,
                Err(mpsc::error::TryRecvError::Disconnected) => break,
                Err(mpsc::error::TryRecvError::Empty) => {
                    tokio::select! {
                        () = self.stopping.cancelled() => break,
                        next = tokio::time::timeout_at(deadline, self.receiver.recv()) => match next {
                            Ok(Some(next)) => next,
                            Ok(None) | Err(_) => break,
                        },
                    }
                }
            };
            bytes += next.bytes.len();
            if bytes > self.batching.bytes_max {
                return (batch, Some(next));
            }
            batch.push(next);
        }
        (batch, None)
    }

    async fn store(&mut self, batch: Vec<Waiting>) {
        let events: Vec<Bytes> = batch.iter().map(|waiting| waiting.bytes.clone()).collect();
        let name = self.sink.name();
        let stored = match &mut self.sink {
            Sink::Log(file) => file.write(events).await.map_err(|error| error.to_string()),
            Sink::Webhook(webhook) => webhook.send(&events, &self.stopping).await.map_err(|error| error.to_string()),
        };
        if let Err(why) = &stored {
            self.losses.count(name, batch.len(), why);
        }
        for told in batch.into_iter().filter_map(|waiting| waiting.told) {
            if told.send(stored.is_ok()).is_err() {
                tracing::debug!(sink = name, "a request did not wait for its audit event");
            }
        }
    }
}
