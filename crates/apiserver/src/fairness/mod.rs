//! Priority and fairness: how many requests are served at once, whose wait, and whose are refused.
//!
//! A request is classified by the FlowSchemas into a flow of a priority level (`classify`, `table`), takes seats of the
//! level or waits for them (`level`, `queues`, `shuffle`), and gives them back when it is answered (`seat`). Levels lend
//! each other seats that nobody asks for (`borrowing`).
//!
//! Invariants: `system:masters` are never limited; where seats are free a request takes no lock; a watch has seats until
//! its first events are out, and exec, logs and their like have none; components in this process never wait, for what has
//! a seat may wait for them, but are counted: they ask as `system:masters`. Bounds: the seats, the queues, a wait (a quarter of the request's time), and how long a body may keep seats.

mod borrowing;
mod classify;
mod counts;
mod follow;
mod level;
mod queues;
mod seat;
mod shuffle;
mod table;

pub(crate) use seat::{Seat, accompany};

use crate::backend::Backend;
use crate::http::{Answer, Query, RequestInfo};
use api::user::User;
use arc_swap::ArcSwap;
use client::Client;
use http::{HeaderName, HeaderValue, StatusCode, header};
use std::sync::Arc;
use std::time::{Duration, Instant};
use table::{Flow, Table};
use tokio::task::JoinSet;

/// Objects that a list reads for each of its seats.
const OBJECTS_PER_SEAT: usize = 100;

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// Without it reads and writes are limited by number alone, whoever asks.
    pub enabled: bool,
    pub max_requests_inflight: u32,
    pub max_mutating_requests_inflight: u32,
    /// A request that does not stream is answered within this.
    pub request_timeout: Duration,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            enabled: true,
            max_requests_inflight: 400,
            max_mutating_requests_inflight: 200,
            request_timeout: Duration::from_secs(60),
        }
    }
}

pub struct Fairness {
    options: Options,
    table: Arc<ArcSwap<Table>>,
    /// For reads and for writes, where requests are limited by number alone.
    reads: Arc<Flow>,
    writes: Arc<Flow>,
    /// Ends the follower with the rest.
    _follower: JoinSet<()>,
}

/// What is known of a request that wants seats.
pub(crate) struct Asked<'a> {
    pub(crate) user: &'a User,
    pub(crate) info: &'a RequestInfo<'a>,
    pub(crate) query: &'a Query,
    /// Within which time it is to be answered.
    pub(crate) limit: Duration,
}

impl Fairness {
    /// Starts following FlowSchemas and PriorityLevelConfigurations.
    pub fn start(client: &Client, options: Options) -> Arc<Fairness> {
        let total = options.max_requests_inflight.saturating_add(options.max_mutating_requests_inflight);
        let table = Arc::new(ArcSwap::from_pointee(Table::compile(&Table::default(), total, &[], &[])));
        let mut follower = JoinSet::new();
        if options.enabled {
            follower.spawn(follow::follow(client.clone(), table.clone(), total));
        }
        Arc::new(Fairness {
            options,
            table,
            reads: table::plain("reads", options.max_requests_inflight),
            writes: table::plain("writes", options.max_mutating_requests_inflight),
            _follower: follower,
        })
    }

    pub(crate) fn request_timeout(&self) -> Duration {
        self.options.request_timeout
    }

    pub(crate) fn metrics(&self, out: &mut String) {
        if self.options.enabled && self.table.load().metrics(out).is_err() {
            tracing::error!("metrics of priority and fairness did not render");
        }
    }

    /// Seats for a request; `None` for one that needs none. `Err` is its refusal.
    pub(crate) async fn seat(&self, backend: &Backend, asked: &Asked<'_>) -> Result<Option<Seat>, Answer> {
        if !self.options.enabled {
            return self.plain_seat(asked).map_err(too_many);
        }
        let table = self.table.load();
        let Some(flow) = table.find(asked.user, asked.info) else { return Ok(None) };
        let width = flow.level.width(work(backend, asked));
        let flow = flow.clone();
        drop(table);
        if flow.level.enter(width) {
            flow.counts.served_after(Duration::ZERO);
            return Ok(Some(Seat::new(flow, width, None)));
        }
        // Boxed: most requests never wait, and need not carry the room for it.
        Box::pin(wait(flow, width, asked)).await.map(Some)
    }

    /// A seat for a component in this process, which does not wait for one: it is one of `system:masters`, whose level
    /// has no limit, and its own workers are what bounds its requests.
    pub(crate) fn inside(&self, user: &User, info: &RequestInfo<'_>) -> Option<Seat> {
        if !self.options.enabled {
            return None;
        }
        let table = self.table.load();
        let flow = table.find(user, info).filter(|flow| flow.level.enter(1))?;
        flow.counts.served_after(Duration::ZERO);
        Some(Seat::new(flow.clone(), 1, None))
    }

    /// `Err`: the seats of these are taken.
    fn plain_seat(&self, asked: &Asked<'_>) -> Result<Option<Seat>, &Flow> {
        let flow = if matches!(asked.info.verb, "get" | "list" | "watch") { &self.reads } else { &self.writes };
        if flow.level.enter(1) {
            return Ok(Some(Seat::new(flow.clone(), 1, None)));
        }
        if asked.user.in_group(User::MASTERS) { Ok(None) } else { Err(flow) }
    }
}

async fn wait(flow: Arc<Flow>, width: u32, asked: &Asked<'_>) -> Result<Seat, Answer> {
    let hash = flow.hash(&asked.user.name, asked.info.namespace);
    let begun = Instant::now();
    let waited = {
        let _waiting = flow.counts.enter_waiting();
        flow.level.wait(hash, width, asked.limit / 4).await
    };
    match waited {
        Ok(queued) => {
            flow.counts.served_after(begun.elapsed());
            Ok(Seat::new(flow, width, Some(queued)))
        }
        Err(why) => {
            flow.counts.rejected(why, begun.elapsed());
            tracing::debug!(schema = flow.schema, level = flow.level.name, why = why.name(), "a request is refused");
            Err(too_many(&flow))
        }
    }
}

/// The refusal, in upstream's words: plain text, and no `Status`.
fn too_many(flow: &Flow) -> Answer {
    let refusal = Answer::text("Too many requests, please try again later.\n")
        .code(StatusCode::TOO_MANY_REQUESTS)
        .header(header::RETRY_AFTER, HeaderValue::from_static("1"))
        .header(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    with_headers(flow, refusal)
}

/// Tells the client as what its request was taken; names are not told, as upstream.
fn with_headers(flow: &Flow, mut answer: Answer) -> Answer {
    const SCHEMA: HeaderName = HeaderName::from_static("x-kubernetes-pf-flowschema-uid");
    const LEVEL: HeaderName = HeaderName::from_static("x-kubernetes-pf-prioritylevel-uid");
    for (name, uid) in [(SCHEMA, &flow.schema_uid), (LEVEL, &flow.level_uid)] {
        if let Some(uid) = uid {
            answer.headers.insert(name, uid.clone());
        }
    }
    answer
}

/// How many seats a request is worth: more than one where it reads many objects.
fn work(backend: &Backend, asked: &Asked<'_>) -> u32 {
    let Asked { info, query, .. } = asked;
    let reads = match info.verb {
        "list" => true,
        "watch" => query.flag("sendInitialEvents") || matches!(query.get("resourceVersion"), "" | "0"),
        _ => false,
    };
    if !reads || !info.name.is_empty() || query.get("fieldSelector").starts_with("metadata.name=") {
        return 1;
    }
    let Some(resource) = backend.registry.find(info.group, info.version, info.resource) else { return 1 };
    let seats = resource.snapshot().objects.len().div_ceil(OBJECTS_PER_SEAT);
    u32::try_from(seats).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
