//! Following one object through its changes: by watch, from a list, without polling.

use crate::calls::{At, Selection};
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::server::JSON;
use crate::target::Target;
use futures::StreamExt;
use serde_json::Value;
use std::time::Duration;

/// Before a watch that ended without saying anything is opened again.
const PAUSE: Duration = Duration::from_millis(500);

/// Looks at the object now and after every change, until `look` returns something. It is `None` while there is none.
pub(crate) async fn until<T>(
    context: &Context,
    target: &Target,
    mut look: impl FnMut(Option<&Value>) -> Result<Option<T>>,
) -> Result<T> {
    let collection = At::collection(target.def, &target.namespace);
    until_any(context, collection, &Selection::of_name(&target.name), &mut look).await
}

/// As `until`, of a selection's objects one by one; `look` sees `None` first where there are none.
pub(crate) async fn until_any<T>(
    context: &Context,
    collection: At<'_>,
    selection: &Selection,
    look: &mut impl FnMut(Option<&Value>) -> Result<Option<T>>,
) -> Result<T> {
    loop {
        let listed = context.list(collection, selection).await?;
        let nothing = listed.items.is_empty().then_some(None);
        for object in listed.items.iter().map(Some).chain(nothing) {
            if let Some(found) = look(object)? {
                return Ok(found);
            }
        }
        let events = context.watch(collection, selection, &listed.resource_version, JSON, &[]).await;
        let mut events = match events {
            Err(failure) if is_expired(&failure) => continue,
            events => events?,
        };
        while let Some(event) = events.next().await {
            let event = match event {
                Err(failure) if is_expired(&failure) => break,
                event => event?,
            };
            let object = match event.kind.as_str() {
                "BOOKMARK" => continue,
                "DELETED" => None,
                _ => Some(&event.object),
            };
            if let Some(found) = look(object)? {
                return Ok(found);
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// The revision is older than what the server keeps: list again.
fn is_expired(failure: &Failure) -> bool {
    matches!(failure, Failure::Api(status) if status.code == 410)
}

/// `None` when the deadline came first.
pub(crate) async fn within<T>(deadline: Option<tokio::time::Instant>, work: impl Future<Output = T>) -> Option<T> {
    match deadline {
        Some(deadline) => tokio::time::timeout_at(deadline, work).await.ok(),
        None => Some(work.await),
    }
}

pub(crate) fn timed_out(target: &Target) -> Failure {
    Failure::message(format!("timed out waiting for the condition on {}/{}", target.def.plural, target.name))
}
