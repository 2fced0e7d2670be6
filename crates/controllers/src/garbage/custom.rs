//! Kinds that users add and take away: each is followed from its definition on, until it is gone.
//!
//! Invariant: objects of a kind that is gone are gone, as a definition stays until its objects are; of a kind that is
//! merely not served, nothing is concluded.

use super::followed::Followed;
use super::graph::Graph;
use crate::definition::DefinitionView;
use client::{Change, Client};
use parking_lot::Mutex;
use reconcile::Feed;
use std::sync::Arc;

/// Follows all of them, for as long as it is polled.
pub(super) async fn follow_all(client: Client, graph: Arc<Mutex<Graph>>, mut feed: Feed) {
    let definitions = client.cache::<DefinitionView>();
    definitions.synced().await;
    let mut changes = definitions.changes();
    let mut kinds = Followed::new(client, graph);
    // The kinds that are there at the start hold the workers back until they are listed.
    while let Some(change) = changes.try_next() {
        take(&mut kinds, &change, &feed);
    }
    feed.started();
    loop {
        let change = changes.next().await;
        take(&mut kinds, &change, &feed);
    }
}

fn take(kinds: &mut Followed, change: &Change<DefinitionView>, feed: &Feed) {
    let definition = change.new.as_deref();
    match definition.map_or(Ok(None), |own| own.row) {
        Ok(wanted) => kinds.set(&change.key, wanted, definition.is_none(), feed),
        Err(error) => tracing::warn!(definition = &*change.key, %error, "its objects are never garbage"),
    }
}
