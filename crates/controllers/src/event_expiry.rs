//! Events, removed an hour after they last happened.

use crate::follow::{Told, follow};
use crate::table::Start;
use api::{Kind, Reason};
use async_trait::async_trait;
use client::DeleteOptions;
use k8s_openapi::api::core::v1::Event;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use reconcile::{Action, Context, Controller, Error, Key, Reconcile, split};
use std::time::Duration;

/// Upstream's default of `--event-ttl`.
const KEPT: SignedDuration = SignedDuration::from_hours(1);

pub(crate) fn controller(start: &Start) -> Controller {
    let (transport, clock) = (start.client.transport().clone(), start.clock.clone());
    // Of an event only its key and time are kept here: there are many.
    Controller::new("event-expiry", Events).workers(1).source(move |mut feed| async move {
        follow(transport, &Event::DEF, move |told| match told {
            Told::Listed | Told::NotServed => feed.started(),
            Told::Listing | Told::Gone(_) => {}
            Told::Is(meta) => {
                let created = meta.creation_timestamp.map_or_else(|| clock.now(), |time| time.0);
                let left = Duration::try_from(KEPT - clock.now().duration_since(created)).unwrap_or_default();
                feed.add_after(format!("{}/{}", meta.namespace, meta.name).into(), left);
            }
        })
        .await;
    })
}

struct Events;

#[async_trait]
impl Reconcile for Events {
    async fn reconcile(&self, ctx: &Context, key: &Key) -> Result<Action, Error> {
        let (namespace, name) = split(key);
        let found = ctx.client().find::<Event>(namespace, name).await.map_err(Error::api("reading an event"))?;
        let Some(event) = found else { return Ok(Action::Done) };
        let left = last(&event).map_or(SignedDuration::ZERO, |last| KEPT - ctx.now().duration_since(last));
        if left.is_positive() {
            return Ok(Action::after(Duration::try_from(left).unwrap_or_default()));
        }
        let options = DeleteOptions { resource_version: event.metadata.resource_version, ..DeleteOptions::default() };
        match ctx.client().delete::<Event>(namespace, name, &options).await {
            Err(status) if status.reason != Reason::NotFound => {
                Err(Error::Api { what: "removing an old event".to_owned(), status })
            }
            _ => Ok(Action::Done),
        }
    }
}

/// When it last happened.
fn last(event: &Event) -> Option<Timestamp> {
    let series = event.series.as_ref().and_then(|series| series.last_observed_time.as_ref()).map(|time| time.0);
    let plain = [&event.last_timestamp, &event.metadata.creation_timestamp].into_iter().flatten().map(|time| time.0);
    plain.chain(series).chain(event.event_time.as_ref().map(|time| time.0)).max()
}
