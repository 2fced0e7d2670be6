//! Watching any kind for its metadata alone, for those who care about all kinds.

use api::resource::ResourceDef;
use api::{Reason, Status};
use client::{EventType, Transport, WatchRequest};
use futures::StreamExt;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{OwnerReference, Time};
use serde::Deserialize;
use std::collections::{HashMap, HashSet};
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
    annotations: HashMap<String, String>,
}

#[derive(Deserialize)]
pub(crate) struct Object {
    #[serde(default)]
    pub(crate) metadata: Meta,
}

/// What a follower hears.
pub(crate) enum Told {
    Is(Box<Meta>),
    /// The uid of what is gone.
    Gone(String),
    /// All that there was at the start has been told.
    Started,
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
    // Uids by key, to find what was deleted while nobody watched.
    let mut known: HashMap<(String, String), String> = HashMap::new();
    loop {
        let before = revision.clone();
        let ended = one_watch(&*transport, def, &mut revision, &mut known, &mut tell).await;
        if revision != before {
            wait = RETRY_FIRST;
        }
        match ended {
            Ok(()) => continue,
            Err(status) if matches!(status.reason, Reason::Expired | Reason::Gone) => revision.clear(),
            Err(status)
                if matches!(status.reason, Reason::NotImplemented | Reason::MethodNotAllowed | Reason::NotFound) =>
            {
                // The server does not serve this kind: there is nothing to follow.
                tracing::debug!(kind = def.kind, %status, "the kind is not followed");
                tell(Told::Started);
                return std::future::pending().await;
            }
            Err(status) => tracing::debug!(kind = def.kind, %status, "watch ended; it is resumed"),
        }
        // A back-off: the server is away or refuses.
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(RETRY_MOST);
    }
}

async fn one_watch(
    transport: &dyn Transport,
    def: &'static ResourceDef,
    revision: &mut String,
    known: &mut HashMap<(String, String), String>,
    tell: &mut (impl FnMut(Told) + Send),
) -> Result<(), Status> {
    let request = WatchRequest {
        def,
        namespace: String::new(),
        label_selector: String::new(),
        field_selector: String::new(),
        resource_version: revision.clone(),
    };
    let mut initial: Option<HashSet<(String, String)>> = revision.is_empty().then(HashSet::new);
    let mut events = transport.watch(request).await?;
    while let Some(event) = events.next().await {
        let event = event?;
        let object: Object = serde_json::from_slice(&event.object)
            .map_err(|error| Status::internal(format!("decoding the metadata of a {}: {error}", def.kind)))?;
        let meta = object.metadata;
        if event.kind == EventType::Bookmark {
            *revision = meta.resource_version;
            if meta.annotations.contains_key("k8s.io/initial-events-end") {
                if let Some(initial) = initial.take() {
                    let gone: Vec<_> = known.keys().filter(|key| !initial.contains(*key)).cloned().collect();
                    gone.iter().filter_map(|key| known.remove(key)).for_each(|uid| tell(Told::Gone(uid)));
                }
                tell(Told::Started);
            }
            continue;
        }
        let key = (meta.namespace.clone(), meta.name.clone());
        match &mut initial {
            Some(initial) => {
                initial.insert(key.clone());
            }
            None => revision.clone_from(&meta.resource_version),
        }
        if event.kind == EventType::Deleted {
            known.remove(&key);
            tell(Told::Gone(meta.uid));
        } else {
            // Deleted and made again between two watches.
            if let Some(before) = known.insert(key, meta.uid.clone()).filter(|before| *before != meta.uid) {
                tell(Told::Gone(before));
            }
            tell(Told::Is(Box::new(meta)));
        }
    }
    Ok(())
}
