//! The API's verbs on objects of any kind.

use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::server::{Ask, JSON, lines, resource_path, whole, with_query};
use api::{Reason, ResourceDef, Status};
use bytes::Bytes;
use client::PatchType;
use futures::StreamExt;
use futures::stream::BoxStream;
use http::Method;
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
use serde_json::{Value, json};

/// Which objects of a collection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selection {
    pub(crate) labels: String,
    pub(crate) fields: String,
    pub(crate) page: Page,
}

/// How many objects a page of a list has; 0 is all in one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Page(pub(crate) i64);

impl Default for Page {
    /// As upstream asks for.
    fn default() -> Page {
        Page(500)
    }
}

impl Page {
    fn limit(self) -> String {
        if self.0 != 0 { self.0.to_string() } else { String::new() }
    }
}

impl Selection {
    pub(crate) fn of_name(name: &str) -> Selection {
        Selection { fields: format!("metadata.name={name}"), ..Selection::default() }
    }
}

/// What a list was at a revision.
pub(crate) struct Listed {
    pub(crate) items: Vec<Value>,
    pub(crate) resource_version: String,
}

pub(crate) struct Event {
    /// `ADDED`, `MODIFIED`, `DELETED`, `BOOKMARK`.
    pub(crate) kind: String,
    pub(crate) object: Value,
}

/// Where something is done: a collection, an object or a subresource.
#[derive(Clone, Copy)]
pub(crate) struct At<'a> {
    pub(crate) def: &'static ResourceDef,
    pub(crate) namespace: &'a str,
    pub(crate) name: &'a str,
    pub(crate) subresource: &'a str,
}

impl<'a> At<'a> {
    pub(crate) fn collection(def: &'static ResourceDef, namespace: &'a str) -> At<'a> {
        At { def, namespace, name: "", subresource: "" }
    }
    pub(crate) fn object(def: &'static ResourceDef, namespace: &'a str, name: &'a str) -> At<'a> {
        At { def, namespace, name, subresource: "" }
    }
    pub(crate) fn path(&self) -> String {
        resource_path(self.def, self.namespace, self.name, self.subresource)
    }
}

pub(crate) fn decode(body: &[u8]) -> Result<Value> {
    serde_json::from_slice(body).map_err(|error| Failure::message(format!("decoding the server's answer: {error}")))
}

impl Context {
    pub(crate) async fn ask(&self, ask: Ask) -> Result<Value> {
        let answer = self.server.ask(ask).await?;
        self.warn(&answer.warnings)?;
        decode(&whole(answer.body).await?)
    }

    pub(crate) async fn get(&self, at: At<'_>) -> Result<Value> {
        self.ask(Ask::get(at.path())).await
    }

    /// `None` where the object does not exist.
    pub(crate) async fn find(&self, at: At<'_>) -> Result<Option<Value>> {
        match self.get(at).await {
            Err(failure) if failure.is_not_found() => Ok(None),
            found => found.map(Some),
        }
    }

    /// All pages of a collection in the form that `accept` asks for, one after the other.
    pub(crate) async fn pages(
        &self,
        at: At<'_>,
        selection: &Selection,
        accept: &'static str,
        extra: &[(&str, &str)],
    ) -> Result<Vec<Value>> {
        let mut pages: Vec<Value> = Vec::new();
        let (mut next, limit) = (String::new(), selection.page.limit());
        loop {
            let query = [
                ("labelSelector", selection.labels.as_str()),
                ("fieldSelector", &selection.fields),
                ("limit", &limit),
                ("continue", &next),
            ];
            let path = with_query(with_query(at.path(), &query), extra);
            let page =
                self.ask(Ask::get(path).accept(accept)).await.map_err(|failure| about_list(failure, at, selection))?;
            next = page.pointer("/metadata/continue").and_then(Value::as_str).unwrap_or_default().to_owned();
            pages.push(page);
            if next.is_empty() {
                return Ok(pages);
            }
        }
    }

    pub(crate) async fn list(&self, at: At<'_>, selection: &Selection) -> Result<Listed> {
        let mut listed = Listed { items: Vec::new(), resource_version: String::new() };
        for mut page in self.pages(at, selection, JSON, &[]).await? {
            listed.resource_version = text(&page, "/metadata/resourceVersion").to_owned();
            if let Some(items) = page.get_mut("items").and_then(Value::as_array_mut) {
                listed.items.append(items);
            }
        }
        // Items of a list of one kind do not repeat it; printers need it.
        for item in &mut listed.items {
            item["apiVersion"] = at.def.api_version().into();
            item["kind"] = at.def.kind.into();
        }
        Ok(listed)
    }

    pub(crate) async fn create(&self, at: At<'_>, object: &Value, query: &[(&str, &str)]) -> Result<Value> {
        self.write(Method::POST, at, JSON, object, query).await
    }

    pub(crate) async fn replace(&self, at: At<'_>, object: &Value, query: &[(&str, &str)]) -> Result<Value> {
        self.write(Method::PUT, at, JSON, object, query).await
    }

    pub(crate) async fn patch(
        &self,
        at: At<'_>,
        kind: PatchType,
        patch: &Value,
        query: &[(&str, &str)],
    ) -> Result<Value> {
        self.write(Method::PATCH, at, kind.content_type(), patch, query).await
    }

    pub(crate) async fn delete(&self, at: At<'_>, options: &Value, query: &[(&str, &str)]) -> Result<Value> {
        self.write(Method::DELETE, at, JSON, options, query).await
    }

    async fn write(
        &self,
        method: Method,
        at: At<'_>,
        content_type: &'static str,
        body: &Value,
        query: &[(&str, &str)],
    ) -> Result<Value> {
        let body = Bytes::from(body.to_string());
        self.ask(Ask { method, path: with_query(at.path(), query), accept: JSON, content_type, body }).await
    }

    /// Events after `resource_version`; the stream ends when the server ends it.
    pub(crate) async fn watch(
        &self,
        at: At<'_>,
        selection: &Selection,
        resource_version: &str,
        accept: &'static str,
        extra: &[(&str, &str)],
    ) -> Result<BoxStream<'static, Result<Event>>> {
        let query = [
            ("watch", "true"),
            ("allowWatchBookmarks", "true"),
            ("resourceVersion", resource_version),
            ("labelSelector", &selection.labels),
            ("fieldSelector", &selection.fields),
        ];
        let path = with_query(with_query(at.path(), &query), extra);
        let answer = self.server.ask(Ask::get(path).accept(accept)).await?;
        self.warn(&answer.warnings)?;
        Ok(lines(answer.body).map(|line| event(&line?)).boxed())
    }
}

/// Says what was looked for where the server found fault with the query.
fn about_list(failure: Failure, at: At<'_>, selection: &Selection) -> Failure {
    let Failure::Api(mut status) = failure else { return failure };
    if matches!(status.reason, Reason::BadRequest | Reason::NotFound) {
        let def = at.def;
        let resource = format!("{}/{}, Resource={}", def.group, def.version, def.plural);
        let Selection { labels, fields, .. } = selection;
        status.message = if labels.is_empty() && fields.is_empty() {
            format!("Unable to list {resource:?}: {}", status.message)
        } else {
            let message = status.message;
            format!(
                "Unable to find {resource:?} that match label selector {labels:?}, field selector {fields:?}: {message}"
            )
        };
    }
    Failure::Api(status)
}

fn event(line: &[u8]) -> Result<Event> {
    let mut event = decode(line)?;
    let object = event["object"].take();
    let kind = event["type"].as_str().unwrap_or_default().to_owned();
    if kind == "ERROR" {
        let status: meta::Status = serde_json::from_value(object)
            .map_err(|error| Failure::message(format!("decoding a watch's error: {error}")))?;
        return Err(Status::from_object(500, status).into());
    }
    Ok(Event { kind, object })
}

/// The text at a JSON pointer, empty where there is none.
pub(crate) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

pub(crate) fn name_of(object: &Value) -> &str {
    text(object, "/metadata/name")
}

pub(crate) fn namespace_of(object: &Value) -> &str {
    text(object, "/metadata/namespace")
}

/// A v1 `List`, which is how several objects are printed as one.
pub(crate) fn list_of(items: Vec<Value>) -> Value {
    json!({"apiVersion": "v1", "items": items, "kind": "List", "metadata": {"resourceVersion": ""}})
}
