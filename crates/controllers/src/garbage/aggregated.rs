//! Kinds that other API servers serve: followed while discovery says that they can be listed, watched and deleted.
//!
//! Invariants: of a server that cannot be asked nothing is concluded: its kinds stay what they were, and requests for
//! their objects fail, so that nothing that they own is taken to be without an owner; nobody waits for such a server.

use super::followed::Followed;
use super::graph::Graph;
use api::Reason;
use api::resource::ResourceDef;
use client::{Aggregated, Client, Foreign};
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
use parking_lot::Mutex;
use reconcile::{Feed, Key};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How often it is asked what other servers serve, if there are any: they tell nobody of a change. As upstream.
const LOOK_EVERY: Duration = Duration::from_secs(30);
const RETRY: Duration = Duration::from_secs(1);

/// Follows all of them, for as long as it is polled.
pub(super) async fn follow_all(client: Client, graph: Arc<Mutex<Graph>>, mut feed: Feed) {
    feed.started();
    let services = client.cache::<APIService>();
    services.synced().await;
    let mut changes = services.changes();
    let mut kinds = Followed::new(client.clone(), graph);
    loop {
        while changes.try_next().is_some() {}
        let again = match client.transport().aggregated().await {
            Ok(served) => {
                take(&mut kinds, &served, &feed);
                if served.is_empty() { None } else { Some(LOOK_EVERY) }
            }
            Err(status) if status.reason == Reason::NotImplemented => {
                tracing::debug!(%status, "kinds of other API servers are not followed");
                None
            }
            Err(status) => {
                tracing::debug!(%status, "what other API servers serve is asked again");
                Some(RETRY)
            }
        };
        tokio::select! {
            _ = changes.next() => {}
            () = tokio::time::sleep(again.unwrap_or_default()), if again.is_some() => {}
        }
    }
}

fn is_collected(kind: &Foreign) -> bool {
    ["delete", "list", "watch"].iter().all(|wanted| kind.verbs.iter().any(|verb| verb == wanted))
}

fn take(kinds: &mut Followed, served: &[Aggregated], feed: &Feed) {
    let mut wanted: BTreeMap<Key, &'static ResourceDef> = BTreeMap::new();
    for kind in served.iter().flat_map(|own| own.kinds.iter().flatten()).filter(|kind| is_collected(kind)) {
        // The preferred version comes first.
        wanted.entry(kind.def.group_resource().into()).or_insert(kind.def);
    }
    let is_silent =
        |def: &ResourceDef| served.iter().any(|own| own.kinds.is_none() && own.group_version == def.api_version());
    let known: Vec<(Key, &'static ResourceDef)> = kinds.iter().map(|(name, def)| (name.clone(), def)).collect();
    for (name, def) in known {
        if !wanted.contains_key(&name) && !is_silent(def) {
            kinds.set(&name, None, false, feed);
        }
    }
    for (name, def) in &wanted {
        kinds.set(name, Some(def), false, feed);
    }
}
