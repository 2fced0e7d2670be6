//! Whether the server behind a remote APIService answers: asked whenever its service or its endpoints change, and every
//! `RECHECK` all the same, since a network may fail without an event.
//!
//! Invariant: what requests see changes before the condition says so. Bounds: one question at a time, `CHECK_TIME_MAX`
//! for it, `DOCUMENT_BYTES_MAX` of its answer; after failures the pause doubles from `RETRY_FIRST` to `RECHECK`.

use super::condition::{self, Verdict};
use super::discovered::{self, Discovered};
use super::openapi::RemoteDocument;
use super::remote::{Remote, State};
use crate::backend::Backend;
use crate::callout::{Callout, boxed};
use api::user::User;
use api::{Kind, ResourceDef, Status};
use bytes::Bytes;
use client::{Client, EventType, ListOptions, RawEvents, WatchRequest};
use futures::{FutureExt, StreamExt};
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Empty, Limited};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use std::sync::Arc;
use std::time::Duration;

const RECHECK: Duration = Duration::from_secs(30);
const RETRY_FIRST: Duration = Duration::from_millis(250);
const CHECK_TIME_MAX: Duration = Duration::from_secs(5);
const DOCUMENT_BYTES_MAX: usize = 4 << 20;
const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// Runs until its APIService is gone or says something else.
pub(super) async fn run(backend: Arc<Backend>, callout: Callout, remote: Arc<Remote>) {
    let task = Task { client: callout.client().clone(), callout, backend, remote };
    let mut pause = RETRY_FIRST;
    loop {
        let Err(error) = task.follow(&mut pause).await;
        tracing::debug!(apiservice = task.remote.name, %error, "its service is followed anew");
        tokio::time::sleep(RETRY_FIRST).await;
    }
}

struct Task {
    backend: Arc<Backend>,
    callout: Callout,
    client: Client,
    remote: Arc<Remote>,
}

impl Task {
    async fn follow(&self, pause: &mut Duration) -> Result<std::convert::Infallible, Status> {
        let Remote { namespace, service, .. } = self.remote.as_ref();
        let by_name = format!("metadata.name={service}");
        let mut services = watch(&self.client, &Service::DEF, namespace, &by_name, "").await?;
        let by_service = format!("{SERVICE_NAME}={service}");
        let mut slices = watch(&self.client, &EndpointSlice::DEF, namespace, "", &by_service).await?;
        loop {
            // What is told up to here is what the check is about to see.
            drain(&mut services)?;
            drain(&mut slices)?;
            let passed = self.check().await;
            *pause = if passed { RECHECK } else { (*pause * 2).min(RECHECK) };
            let changed = tokio::select! {
                () = tokio::time::sleep(*pause) => false,
                changed = changed(&mut services) => changed.map(|()| true)?,
                changed = changed(&mut slices) => changed.map(|()| true)?,
            };
            if changed || passed {
                *pause = RETRY_FIRST;
            }
        }
    }

    /// Whether the server is available now; says so wherever it is asked for.
    async fn check(&self) -> bool {
        let remote = self.remote.as_ref();
        let before = remote.state();
        let (verdict, state) = match self.ask().await {
            Ok(discovered) => {
                let openapi_hash = self.openapi_hash().await;
                let openapi_v2 = self.openapi_v2(before.openapi_v2.clone()).await;
                let discovered = discovered.map(Arc::new);
                (Verdict::passed(), State { is_available: true, discovered, openapi_hash, openapi_v2 })
            }
            Err(verdict) => (verdict, State { is_available: false, ..State::clone(&before) }),
        };
        let is_available = state.is_available;
        let has_changed = state.openapi_v2 != before.openapi_v2;
        remote.set(state);
        if has_changed {
            self.backend.documents.forget(&[]);
        }
        let now = self.backend.registry().now();
        if let Err(error) = condition::report(&self.client, &remote.name, &verdict, now).await {
            tracing::warn!(apiservice = remote.name, %error, "its availability could not be told");
        }
        is_available
    }

    /// What the server serves; a document that cannot be read is none, but whoever sent it is there.
    async fn ask(&self) -> Result<Option<Vec<Discovered>>, Verdict> {
        let remote = self.remote.as_ref();
        let service = self.client.find::<Service>(&remote.namespace, &remote.service).await;
        let service = service.map_err(|why| Verdict::unreadable(remote, "ServiceAccessError", &why))?;
        let by_service =
            ListOptions { label_selector: format!("{SERVICE_NAME}={}", remote.service), ..ListOptions::default() };
        let slices = self.client.list::<EndpointSlice>(&remote.namespace, by_service).await;
        let slices = slices.map_err(|why| Verdict::unreadable(remote, "EndpointsAccessError", &why))?;
        if let Some(verdict) = condition::unreachable(remote, service.as_ref(), &slices.items) {
            return Err(verdict);
        }
        let url = format!("{}{}", remote.origin(), remote.root());
        let failed = |why: String| Verdict::failed(format!("failing or missing response from {url}: {why}"));
        let Got { code, body, .. } = self.get(&remote.root(), "").await.map_err(&failed)?;
        if !code.is_success() {
            return Err(failed(format!("bad status from {url}: {}", code.as_u16())));
        }
        match discovered::parse(&remote.group, &remote.version, &body) {
            Ok(discovered) => Ok(Some(discovered)),
            Err(error) => {
                tracing::info!(apiservice = remote.name, %error, "its discovery document cannot be read");
                Ok(None)
            }
        }
    }

    /// Of the server's OpenAPI v3 document of the group version, if it has one.
    async fn openapi_hash(&self) -> Option<Arc<str>> {
        let Got { code, body, .. } = self.get("/openapi/v3", "").await.ok()?;
        let index: Index = serde_json::from_slice(&body).ok().filter(|_| code.is_success())?;
        let document = index.paths.get(self.remote.root().trim_start_matches('/'))?;
        Some(document.server_relative_url.split_once("hash=").map_or("", |(_, hash)| hash).into())
    }

    /// Its part of the OpenAPI v2 document. What was there before stays where the server says that it is the same, or
    /// nothing that can be read.
    async fn openapi_v2(&self, before: Option<Arc<RemoteDocument>>) -> Option<Arc<RemoteDocument>> {
        let known = before.as_ref().map_or("", |before| before.tag.as_str());
        let got = match self.get("/openapi/v2", known).await {
            Ok(got) => got,
            Err(why) => {
                tracing::debug!(apiservice = self.remote.name, why, "its OpenAPI document was not told");
                return before;
            }
        };
        match got.code {
            StatusCode::NOT_MODIFIED => before,
            code if code.is_success() => match RemoteDocument::of(got.tag, &got.body, &self.remote.root()) {
                Ok(document) => Some(Arc::new(document)),
                Err(error) => {
                    tracing::info!(apiservice = self.remote.name, %error, "its OpenAPI document cannot be read");
                    before
                }
            },
            _ => None,
        }
    }

    /// `known` is what the content was named when it was got before.
    async fn get(&self, path: &str, known: &str) -> Result<Got, String> {
        let url = format!("{}{path}", self.remote.origin());
        let mut request = Request::builder().method(Method::GET).uri(&url).header(header::ACCEPT, "application/json");
        if !known.is_empty() {
            request = request.header(header::IF_NONE_MATCH, known);
        }
        let mut request = request.body(boxed(Empty::new())).map_err(|error| error.to_string())?;
        // In this group it may always ask.
        let user = User { groups: vec![User::MASTERS.to_owned()], ..User::component("system:kube-aggregator") };
        super::proxy::name_user(&user, request.headers_mut()).map_err(|error| error.to_string())?;
        let failed = |why: &dyn std::fmt::Display| format!("Get {url:?}: {why}");
        let asked = async {
            let response = self.callout.send(&self.remote.target(), request).await.map_err(|why| failed(&why))?;
            let code = response.status();
            let tag = response.headers().get(header::ETAG).and_then(|tag| tag.to_str().ok());
            let tag = tag.unwrap_or_default().to_owned();
            let body = Limited::new(response.into_body(), DOCUMENT_BYTES_MAX).collect().await;
            Ok(Got { code, tag, body: body.map_err(|why| failed(&why))?.to_bytes() })
        };
        let asked = tokio::time::timeout(CHECK_TIME_MAX, asked).await;
        asked.unwrap_or_else(|_| Err(failed(&"context deadline exceeded")))
    }
}

/// An answer; the tag names its content where it has one.
struct Got {
    code: StatusCode,
    tag: String,
    body: Bytes,
}

/// Of `/openapi/v3`.
#[derive(serde::Deserialize)]
struct Index {
    paths: std::collections::BTreeMap<String, Place>,
}

#[derive(serde::Deserialize)]
struct Place {
    #[serde(rename = "serverRelativeURL")]
    server_relative_url: String,
}

async fn watch(
    client: &Client,
    def: &'static ResourceDef,
    namespace: &str,
    field_selector: &str,
    label_selector: &str,
) -> Result<RawEvents, Status> {
    let request = WatchRequest {
        def,
        namespace: namespace.to_owned(),
        label_selector: label_selector.to_owned(),
        field_selector: field_selector.to_owned(),
        resource_version: String::new(),
    };
    client.transport().watch(request).await
}

fn ended() -> Status {
    Status::expired("the watch has ended")
}

/// Waits for the next event that is no bookmark.
async fn changed(events: &mut RawEvents) -> Result<(), Status> {
    while events.next().await.ok_or_else(ended)??.kind == EventType::Bookmark {}
    Ok(())
}

/// Takes what is there.
fn drain(events: &mut RawEvents) -> Result<(), Status> {
    while let Some(event) = events.next().now_or_never() {
        event.ok_or_else(ended)??;
    }
    Ok(())
}
