//! Any kind by its metadata alone, for those who care about all kinds: watched, or listed.
//!
//! Invariant: nothing is kept here of what was told, so that following a crowd costs no memory.

use api::resource::ResourceDef;
use api::{Reason, Status};
use client::{EventType, Transport, WatchRequest};
use futures::StreamExt;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{OwnerReference, Time};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Of an object's metadata what any follower needs.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Meta {
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) uid: String,
    pub(crate) resource_version: String,
    pub(crate) creation_timestamp: Option<Time>,
    pub(crate) deletion_timestamp: Option<Time>,
    pub(crate) finalizers: Vec<String>,
    pub(crate) owner_references: Vec<OwnerReference>,
}

#[derive(Deserialize)]
pub(crate) struct Object {
    #[serde(default)]
    pub(crate) metadata: Meta,
}

#[derive(Deserialize)]
pub(crate) struct Listed {
    #[serde(default)]
    pub(crate) items: Vec<Object>,
    #[serde(default)]
    pub(crate) metadata: ListMeta,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ListMeta {
    pub(crate) remaining_item_count: usize,
}

/// What a follower hears.
pub(crate) enum Told {
    /// All objects are about to be told of: at the start, and when the server does not remember where we were.
    Listing,
    Is(Meta),
    /// The uid of what is gone.
    Gone(String),
    /// All were told of; those that were not are gone.
    Listed,
    /// The server does not know this kind; nothing more will be told.
    NotServed,
}

const RETRY_FIRST: Duration = Duration::from_millis(50);
const RETRY_MOST: Duration = Duration::from_secs(5);

/// Tells of every object of a kind, now and as they change, for as long as it is polled.
pub(crate) async fn follow(
    transport: Arc<dyn Transport>,
    def: &'static ResourceDef,
    mut tell: impl FnMut(Told) + Send,
) {
    let (mut revision, mut wait) = (String::new(), RETRY_FIRST);
    loop {
        let before = revision.clone();
        let ended = one_watch(&*transport, def, &mut revision, &mut tell).await;
        if revision != before {
            wait = RETRY_FIRST;
        }
        match ended {
            Ok(()) => continue,
            Err(status) if matches!(status.reason, Reason::Expired | Reason::Gone) => revision.clear(),
            Err(status) if is_not_served(&status) => {
                tracing::debug!(kind = def.kind, %status, "the kind is not followed");
                tell(Told::NotServed);
                return std::future::pending().await;
            }
            Err(status) => tracing::debug!(kind = def.kind, %status, "watch ended; it is resumed"),
        }
        // A back-off: the server is away or refuses.
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(RETRY_MOST);
    }
}

/// Whether a request for a kind's collection was refused because the server does not have the kind.
pub(crate) fn is_not_served(status: &Status) -> bool {
    matches!(status.reason, Reason::NotImplemented | Reason::MethodNotAllowed | Reason::NotFound)
}

async fn one_watch(
    transport: &dyn Transport,
    def: &'static ResourceDef,
    revision: &mut String,
    tell: &mut (impl FnMut(Told) + Send),
) -> Result<(), Status> {
    let request = WatchRequest {
        def,
        namespace: String::new(),
        label_selector: String::new(),
        field_selector: String::new(),
        resource_version: revision.clone(),
    };
    let mut listing = revision.is_empty();
    let mut events = transport.watch(request).await?;
    if listing {
        tell(Told::Listing);
    }
    while let Some(event) = events.next().await {
        let event = event?;
        let undecodable = |error| Status::internal(format!("decoding the metadata of a {}: {error}", def.kind));
        if event.kind == EventType::Bookmark {
            let mark = serde_json::from_slice::<Bookmark>(&event.object).map_err(undecodable)?.metadata;
            let ends = mark.annotations.contains_key("k8s.io/initial-events-end");
            // A listing that is cut off begins anew, so that what it did not tell of is not taken to be gone.
            if !listing || ends {
                *revision = mark.resource_version;
            }
            if listing && ends {
                listing = false;
                tell(Told::Listed);
            }
            continue;
        }
        let object: Object = serde_json::from_slice(&event.object).map_err(undecodable)?;
        // While it lists, only the bookmark at the end says how far it has come.
        if !listing {
            revision.clone_from(&object.metadata.resource_version);
        }
        match event.kind {
            EventType::Deleted => tell(Told::Gone(object.metadata.uid)),
            _ => tell(Told::Is(object.metadata)),
        }
    }
    Ok(())
}

#[derive(Deserialize)]
struct Bookmark {
    metadata: BookmarkMeta,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct BookmarkMeta {
    resource_version: String,
    annotations: BTreeMap<String, String>,
}
