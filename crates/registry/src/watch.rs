//! A watch: the present state or a past revision, then every later change of what is selected.
//!
//! Invariants: each change is delivered once, in revision order; an object that stops matching is DELETED, one that
//! starts matching ADDED; `position` never passes a change that was not delivered. Bound: a watch holds a cursor
//! and, while the initial state streams, one snapshot.

use crate::entry::Entry;
use crate::event::{Event, EventType};
use crate::history;
use crate::registry::{Inner, Registry};
use crate::resource::{Resource, Snapshot, Subscription};
use crate::selection::Selection;
use api::Status;
use bytes::Bytes;
use std::sync::Arc;
use store::{Key, Revision};

/// Where a watch begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// With the present state as ADDED, at least as new as everything acknowledged by now.
    State,
    /// With whatever state the cache has.
    AnyState,
    /// With the present state, but only once the cache has reached this revision.
    StateSince(Revision),
    /// With changes from now on.
    Now,
    /// With changes after this revision.
    After(Revision),
}

/// What a watch has next.
#[derive(Debug)]
pub enum Step {
    /// Part of the initial state, in key order.
    State(Vec<Arc<Entry>>),
    /// The initial state is complete, and this is its revision.
    StateEnd(Revision),
    Events(Vec<(EventType, Arc<Event>)>),
    /// So many events as `Event::write_frame` writes them, shared with other watches; whether more are ready.
    Lines {
        lines: Bytes,
        events: u64,
        more: bool,
    },
}

const STATE_BATCH: usize = 500;
const EVENTS_BATCH: usize = 128;

struct Initial {
    snapshot: Arc<Snapshot>,
    last: Option<Key>,
}

pub struct Watcher {
    inner: Arc<Inner>,
    resource: Arc<Resource>,
    /// What is read of the log; all of the watch's place where objects must be converted to tell what is selected.
    selection: Selection,
    /// What is selected, where that is told by converted objects.
    selection_shown: Option<Selection>,
    subscription: Subscription,
    wake: tokio::sync::watch::Receiver<u64>,
    initial: Option<Initial>,
    position: Revision,
    read: Vec<Arc<Event>>,
    in_lines: bool,
}

impl Registry {
    pub async fn watch(&self, resource: &Arc<Resource>, selection: Selection, start: Start) -> Result<Watcher, Status> {
        let inner = &self.inner;
        match start {
            Start::State | Start::Now => inner.fresh().await?,
            Start::StateSince(revision) => self.await_revision(revision).await?,
            // A client of another server may be ahead of this one: what it has seen must not come again.
            Start::After(revision) if !inner.exclusive => self.await_revision(revision).await?,
            Start::AnyState | Start::After(_) => inner.progress.health()?,
        }
        let after = match start {
            Start::After(revision) => Some(revision),
            _ => None,
        };
        // Read before subscribing: what is applied by now is in the snapshot, or in front of the cursor.
        let applied = inner.progress.applied();
        let mut subscribed = resource.subscribe(&selection, after);
        if subscribed.is_err() {
            history::recall(inner).await?;
            subscribed = resource.subscribe(&selection, after);
        }
        let (subscription, snapshot) = subscribed.map_err(|too_old| {
            let asked = after.unwrap_or_default();
            Status::expired(format!("too old resource version: {asked} ({})", too_old.floor))
        })?;
        let position = after.unwrap_or(applied.max(snapshot.revision));
        let with_state = matches!(start, Start::State | Start::AnyState | Start::StateSince(_));
        if with_state {
            resource.check_readable(&snapshot, &selection)?;
        }
        let (selection, selection_shown) = match resource.is_stored_version() {
            true => (selection, None),
            false => (selection.place(), Some(selection)),
        };
        Ok(Watcher {
            inner: inner.clone(),
            resource: resource.clone(),
            selection,
            selection_shown,
            wake: subscription.log.subscribe(),
            subscription,
            initial: with_state.then_some(Initial { snapshot, last: None }),
            position,
            read: Vec::new(),
            in_lines: false,
        })
    }
}

impl Watcher {
    pub fn resource(&self) -> &Arc<Resource> {
        &self.resource
    }

    /// The revision up to which everything has been delivered; a bookmark may say so.
    pub fn position(&self) -> Revision {
        self.position
    }

    /// Has it hand out later events as lines where that is possible; others still come one by one.
    pub fn in_lines(mut self) -> Watcher {
        self.in_lines = self.subscription.is_plain(&self.selection);
        self
    }

    /// How many watches read what this one reads.
    pub fn crowd(&self) -> usize {
        self.subscription.log.readers()
    }

    /// What is ready, in the resource's version; `None`: nothing, wait for `changed`. Waits only for who converts the
    /// kind; what it was waiting for is lost when it is dropped.
    ///
    /// # Errors
    /// As `try_next`, and when an object does not convert.
    pub async fn try_next_shown(&mut self) -> Result<Option<Step>, Status> {
        let Some(selection) = self.selection_shown.clone() else { return self.try_next() };
        loop {
            let Some(step) = self.try_next()? else { return Ok(None) };
            if let Some(step) = shown(&self.inner, &self.resource, &selection, step).await? {
                return Ok(Some(step));
            }
        }
    }

    /// What is ready, as it is stored; `None`: nothing, wait for `changed`. Where objects are not stored in the
    /// resource's version, labels and fields select nothing here.
    ///
    /// # Errors
    /// `Expired` when the watch fell off the log's end.
    pub fn try_next(&mut self) -> Result<Option<Step>, Status> {
        if let Some(initial) = &mut self.initial {
            let batch = next_state(&self.resource, &self.selection, initial);
            if batch.is_empty() {
                self.initial = None;
                return Ok(Some(Step::StateEnd(self.position)));
            }
            return Ok(Some(Step::State(batch)));
        }
        let backlog = std::mem::take(&mut self.subscription.backlog);
        let delivered = self.select(&backlog);
        if !delivered.is_empty() {
            return Ok(Some(Step::Events(delivered)));
        }
        loop {
            self.inner.progress.health()?;
            self.wake.mark_unchanged();
            let applied = self.inner.progress.applied();
            if self.in_lines {
                return self.next_lines(applied);
            }
            let mut read = std::mem::take(&mut self.read);
            let subscription = &mut self.subscription;
            subscription.log.read(subscription.index, EVENTS_BATCH, &mut read).map_err(|_| self.lagged())?;
            if read.is_empty() {
                self.position = self.position.max(applied);
                return Ok(None);
            }
            self.subscription.index += read.len() as u64;
            let delivered = self.select(&read);
            if let Some(last) = read.last() {
                // Later events of the same revision may still follow: only the one before is complete.
                self.position = self.position.max(Revision(last.revision.0.saturating_sub(1)));
            }
            read.clear();
            self.read = read;
            if !delivered.is_empty() {
                return Ok(Some(Step::Events(delivered)));
            }
        }
    }

    fn next_lines(&mut self, applied: Revision) -> Result<Option<Step>, Status> {
        let log = &self.subscription.log;
        let Some(piece) = log.piece(self.subscription.index).map_err(|_| self.lagged())? else {
            self.position = self.position.max(applied);
            return Ok(None);
        };
        let (more, events) = (log.end_index() > piece.end, piece.end - self.subscription.index);
        self.subscription.index = piece.end;
        // Later events of the same revision may still follow: only the one before is complete.
        self.position = self.position.max(Revision(piece.reached.0.saturating_sub(1)));
        Ok(Some(Step::Lines { lines: piece.lines, events, more }))
    }

    /// Returns when `try_next` may have something new. Cancel-safe.
    pub async fn changed(&mut self) {
        if self.wake.changed().await.is_err() {
            // The log lives as long as the subscription: this cannot be, and must not spin.
            std::future::pending::<()>().await;
        }
    }

    fn lagged(&self) -> Status {
        Status::expired(format!("too old resource version: {} (the watch fell behind)", self.position))
    }

    fn select(&self, events: &[Arc<Event>]) -> Vec<(EventType, Arc<Event>)> {
        let mut selected = Vec::with_capacity(events.len());
        for event in events {
            if let Some(kind) = classify(&self.selection, event, &self.resource) {
                selected.push((kind, event.clone()));
            }
        }
        selected
    }
}

/// What an event is to a watcher of a selection; `None`: nothing.
fn classify(selection: &Selection, event: &Event, resource: &Resource) -> Option<EventType> {
    let matches =
        |entry: &Option<Arc<Entry>>| entry.as_ref().is_some_and(|entry| selection.matches(entry, resource.kind));
    match (matches(&event.before), matches(&event.after)) {
        (false, true) => Some(EventType::Added),
        (true, true) => Some(EventType::Modified),
        (true, false) => Some(EventType::Deleted),
        (false, false) => None,
    }
}

/// What of a step is selected, in the resource's version; `None`: nothing.
async fn shown(inner: &Inner, resource: &Resource, selection: &Selection, step: Step) -> Result<Option<Step>, Status> {
    match step {
        Step::State(entries) => {
            let mut entries = inner.shown(resource, entries).await?;
            entries.retain(|entry| selection.matches(entry, resource.kind));
            Ok((!entries.is_empty()).then_some(Step::State(entries)))
        }
        Step::Events(events) => {
            let events = shown_events(inner, resource, selection, &events).await?;
            Ok((!events.is_empty()).then_some(Step::Events(events)))
        }
        step => Ok(Some(step)),
    }
}

async fn shown_events(
    inner: &Inner,
    resource: &Resource,
    selection: &Selection,
    events: &[(EventType, Arc<Event>)],
) -> Result<Vec<(EventType, Arc<Event>)>, Status> {
    // Without selectors only what is shown of an event matters.
    let sides = |(kind, event): &(EventType, Arc<Event>)| match selection.selects() {
        true => (event.before.clone(), event.after.clone()),
        false if *kind == EventType::Deleted => (Some(event.entry(*kind).clone()), None),
        false => (None, Some(event.entry(*kind).clone())),
    };
    let sides: Vec<_> = events.iter().map(sides).collect();
    let stored = sides.iter().flat_map(|(before, after)| before.iter().chain(after)).cloned().collect();
    let mut shown = inner.shown(resource, stored).await?.into_iter();
    let mut selected = Vec::with_capacity(events.len());
    for ((kind, event), (before, after)) in events.iter().zip(sides) {
        let before = before.and_then(|_| shown.next());
        let after = after.and_then(|_| shown.next());
        let event = Arc::new(Event::new(event.revision, before, after));
        let kind = if selection.selects() { classify(selection, &event, resource) } else { Some(*kind) };
        selected.extend(kind.map(|kind| (kind, event)));
    }
    Ok(selected)
}

fn next_state(resource: &Resource, selection: &Selection, initial: &mut Initial) -> Vec<Arc<Entry>> {
    let first = resource.first_key(&selection.namespace);
    let mut batch = Vec::new();
    let last = initial.last.clone();
    let range = initial.snapshot.objects.range::<_, str>(resource.bounds(&first, last.as_deref()));
    for (key, entry) in range.take_while(|(key, _)| key.starts_with(&first)) {
        if selection.matches(entry, resource.kind) {
            initial.last = Some(key.clone());
            batch.push(entry.clone());
            if batch.len() == STATE_BATCH {
                break;
            }
        }
    }
    batch
}
