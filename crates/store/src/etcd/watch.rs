//! Watches.
//!
//! Invariants: a watch begins only where the state that it continues is kept. A stream begins at the revision after
//! the last that was delivered, so that etcd counts one that missed nothing among those that compaction does not touch;
//! an event whose state before has gone says compacted. A stream that ends is opened again, at the next member, for as
//! long as it takes. Events wait here only until their revision is whole.

use super::Inner;
use super::link::{Backoff, Client, refused, unanswered};
use super::proto::{WATCH, WatchCreateRequest, WatchRequest, WatchResponse};
use crate::{Event, Revision, StoreError, Watch};
use async_trait::async_trait;
use std::sync::Arc;
use std::time::Duration;
use tokio_stream::StreamExt as _;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::metadata::MetadataValue;
use tonic::{Code, Request, Status, Streaming};
use tonic_prost::ProstCodec;

const ATTEMPTED: &str = "watching etcd";
/// For the first word of a stream.
const OPEN_TIME_MAX: Duration = Duration::from_secs(5);
/// For a stream that is known to have an answer: etcd looks for late watchers ten times a second.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);

type Answers = Streaming<WatchResponse>;

pub(super) struct EtcdWatch {
    inner: Arc<Inner>,
    prefix: String,
    /// Up to here everything was delivered.
    after: Revision,
    stream: Option<Answers>,
    /// Events of a revision whose rest is still to come.
    pending: Vec<Event>,
    /// Events to be given out.
    ready: Vec<Event>,
    /// Grows until events come again.
    backoff: Backoff,
}

pub(super) async fn open(inner: &Arc<Inner>, prefix: &str, after: Revision) -> Result<EtcdWatch, StoreError> {
    inner.check_kept(after).await?;
    let mut watch = EtcdWatch {
        inner: inner.clone(),
        prefix: prefix.to_owned(),
        after,
        stream: None,
        pending: Vec::new(),
        ready: Vec::new(),
        backoff: Backoff::until(inner.link.patience()),
    };
    while let Err(status) = watch.connect().await {
        if denied(&status) {
            return Err(refused(ATTEMPTED, &status));
        }
        if !watch.backoff.pause().await {
            return Err(unanswered(ATTEMPTED, &status));
        }
    }
    Ok(watch)
}

#[async_trait]
impl Watch for EtcdWatch {
    async fn next(&mut self) -> Result<Vec<Event>, StoreError> {
        loop {
            if !self.ready.is_empty() {
                self.check_state().await?;
                return Ok(std::mem::take(&mut self.ready));
            }
            let Some(stream) = &mut self.stream else {
                self.reconnect().await?;
                continue;
            };
            match stream.message().await {
                Ok(Some(answer)) => match self.take(answer) {
                    Ok(events) => self.ready = events,
                    Err(error) => {
                        if matches!(error, StoreError::Compacted { .. }) {
                            // A restore compacts what was before it: whoever slept through that reads nothing anew.
                            self.check_whole().await?;
                        }
                        return Err(error);
                    }
                },
                Ok(None) => self.lost("the stream ended"),
                Err(status) if denied(&status) => return Err(refused(ATTEMPTED, &status)),
                Err(status) => self.lost(status.message()),
            }
        }
    }
}

impl EtcdWatch {
    /// A connection of its own: a reader that is slow must not fill the window that other calls share.
    async fn connect(&mut self) -> Result<(), Status> {
        let (client, _member) = self.inner.link.dial().await?;
        let create = WatchCreateRequest {
            key: self.inner.keys.data(&self.prefix),
            range_end: self.inner.keys.end(&self.prefix),
            // A watch begins where the state is kept, so that there is a revision of etcd's.
            start_revision: self.inner.keys.theirs(self.after).unwrap_or_default().saturating_add(1),
            prev_kv: true,
            fragment: true,
        };
        self.pending.clear();
        self.stream = Some(stream(client, create).await?);
        Ok(())
    }

    async fn reconnect(&mut self) -> Result<(), StoreError> {
        self.backoff.wait().await;
        match self.connect().await {
            Ok(()) => {
                tracing::info!(after = %self.after, "etcd is watched again");
                Ok(())
            }
            Err(status) if denied(&status) => Err(refused(ATTEMPTED, &status)),
            Err(status) => {
                tracing::debug!(reason = status.message(), "etcd cannot be watched yet");
                self.inner.link.elsewhere();
                Ok(())
            }
        }
    }

    /// A revision with more events than a transaction has operations is no commit: a restore has taken everything away,
    /// and whoever slept through it must not take that for the end of all objects.
    async fn check_state(&mut self) -> Result<(), StoreError> {
        let most = self.ready.chunk_by(|a, b| a.revision == b.revision).map(<[Event]>::len).max();
        if most.is_none_or(|most| most <= self.inner.txn_ops_max) {
            return Ok(());
        }
        self.check_whole().await
    }

    /// As the store's own, asked until there is an answer.
    async fn check_whole(&mut self) -> Result<(), StoreError> {
        loop {
            match self.inner.check_whole().await {
                Err(StoreError::Io { .. }) => self.backoff.wait().await,
                checked => return checked,
            }
        }
    }

    fn lost(&mut self, reason: &str) {
        tracing::warn!(after = %self.after, reason, "a watch of etcd is opened anew");
        self.stream = None;
        self.inner.link.elsewhere();
    }

    /// The whole revisions that an answer completes.
    fn take(&mut self, answer: WatchResponse) -> Result<Vec<Event>, StoreError> {
        if answer.compact_revision > 0 {
            return Err(StoreError::Compacted {
                asked: self.after,
                oldest: self.inner.keys.ours(answer.compact_revision),
            });
        }
        if answer.canceled {
            if answer.cancel_reason.contains("permission denied") {
                return Err(refused(ATTEMPTED, &Status::permission_denied(answer.cancel_reason)));
            }
            self.lost(&answer.cancel_reason);
            return Ok(Vec::new());
        }
        for event in answer.events {
            let existed = event.kind == super::proto::Event::DELETE
                || event.kv.as_ref().is_some_and(|kv| kv.create_revision != kv.mod_revision);
            let forgotten = existed && event.previous.is_none();
            let event = self.inner.keys.event(event)?;
            if event.revision <= self.after {
                continue;
            }
            if forgotten {
                // The state before was compacted between the event and its delivery.
                return Err(StoreError::Compacted { asked: self.after, oldest: event.revision });
            }
            self.pending.push(event);
        }
        Ok(self.whole(answer.fragment))
    }

    fn whole(&mut self, goes_on: bool) -> Vec<Event> {
        let events = match self.pending.last().map(|event| event.revision) {
            Some(last) if goes_on => {
                let whole = self.pending.partition_point(|event| event.revision < last);
                let rest = self.pending.split_off(whole);
                std::mem::replace(&mut self.pending, rest)
            }
            _ => std::mem::take(&mut self.pending),
        };
        if let Some(last) = events.last() {
            self.after = last.revision;
            self.backoff = Backoff::until(self.inner.link.patience());
        }
        events
    }
}

/// A stream whose creation etcd has confirmed. It ends when its member loses the leader: another may have one.
async fn stream(mut client: Client, create: WatchCreateRequest) -> Result<Answers, Status> {
    // The requests' side stays open: etcd ends the watch when it closes.
    let requests = tokio_stream::once(WatchRequest { create: Some(create) }).chain(tokio_stream::pending());
    let mut request = Request::new(requests);
    request.metadata_mut().insert("hasleader", MetadataValue::from_static("true"));
    let codec = ProstCodec::<WatchRequest, WatchResponse>::default();
    let opened = async {
        client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        let mut answers = client.streaming(request, PathAndQuery::from_static(WATCH), codec).await?.into_inner();
        match answers.message().await? {
            Some(answer) if answer.canceled => Err(Status::unavailable(answer.cancel_reason)),
            Some(answer) if answer.created => Ok(answers),
            _ => Err(Status::unavailable("the stream did not begin with its creation")),
        }
    };
    match tokio::time::timeout(OPEN_TIME_MAX, opened).await {
        Ok(opened) => opened,
        Err(late) => Err(Status::deadline_exceeded(late.to_string())),
    }
}

fn denied(status: &Status) -> bool {
    matches!(status.code(), Code::PermissionDenied | Code::Unauthenticated | Code::Unimplemented)
        || status.message().contains("permission denied")
}

/// The oldest revision that is kept, where `asked` is known not to be: only a watch is told it.
pub(super) async fn oldest(inner: &Inner, asked: Revision) -> Result<Revision, StoreError> {
    let key = inner.keys.beside(super::keyspace::HEAD);
    let found = look_through(inner, key, inner.keys.kept(asked)?, |answer| {
        (answer.compact_revision > 0).then(|| inner.keys.ours(answer.compact_revision))
    });
    found.await
}

/// The revision in (`before`, `until`] at which `key` got `value`, if it did. `until` is one at which it was written.
pub(super) async fn find_value(
    inner: &Inner,
    key: Vec<u8>,
    before: i64,
    until: i64,
    value: &[u8],
) -> Result<Option<Revision>, StoreError> {
    let found = look_through(inner, key, before + 1, |answer| {
        for kv in answer.events.iter().filter_map(|event| event.kv.as_ref()) {
            if kv.value == value {
                return Some(Ok(Some(inner.keys.ours(kv.mod_revision))));
            }
            if kv.mod_revision >= until {
                return Some(Ok(None));
            }
        }
        let oldest = inner.keys.ours(answer.compact_revision);
        (answer.compact_revision > 0).then_some(Err(StoreError::Compacted { asked: inner.keys.ours(before), oldest }))
    });
    found.await?
}

/// Reads the history of one key until `judge` has seen enough.
async fn look_through<T>(
    inner: &Inner,
    key: Vec<u8>,
    start_revision: i64,
    mut judge: impl FnMut(&WatchResponse) -> Option<T>,
) -> Result<T, StoreError> {
    let create = WatchCreateRequest { key, start_revision, fragment: true, ..WatchCreateRequest::default() };
    let mut backoff = Backoff::until(inner.link.patience());
    loop {
        let read = async {
            let (client, _member) = inner.link.dial().await?;
            let mut answers = stream(client, create.clone()).await?;
            while let Some(answer) = answers.message().await? {
                if let Some(found) = judge(&answer) {
                    return Ok(found);
                }
            }
            Err(Status::unavailable("the stream ended"))
        };
        let status = match tokio::time::timeout(ANSWER_TIME_MAX, read).await {
            Ok(Ok(found)) => return Ok(found),
            Ok(Err(status)) => status,
            Err(late) => Status::deadline_exceeded(late.to_string()),
        };
        inner.link.elsewhere();
        if denied(&status) || !backoff.pause().await {
            return Err(unanswered("reading history from etcd", &status));
        }
    }
}
