//! The API in process: the same verbs for a component of this server, without TLS, HTTP or a socket.
//!
//! Invariants: a component is authorized and admitted like anybody else; bodies and events are the registry's bytes,
//! events without managed fields: they are as long as all the rest of an object, and no component looks at them.

use crate::authz::Attributes;
use crate::backend::Backend;
use crate::call::Call;
use crate::http::{Form, Query, RequestInfo};
use crate::verbs;
use api::selector::{FieldSelector, Selector};
use api::user::User;
use api::{Status, Subresource};
use async_trait::async_trait;
use bytes::Bytes;
use client::{EventType, PatchType, RawEvent, RawEvents, Request, Transport, Verb, WatchRequest};
use futures::StreamExt;
use registry::{ReadVersion, Selection, Start, Step, Watcher};
use std::collections::VecDeque;
use std::sync::Arc;

/// A transport that acts as one user.
#[derive(Clone)]
pub struct Direct {
    backend: Arc<Backend>,
    user: Arc<User>,
}

impl Direct {
    pub fn new(backend: Arc<Backend>, user: User) -> Direct {
        Direct { backend, user: Arc::new(user) }
    }

    fn authorize(&self, attributes: &Attributes<'_>) -> Result<(), Status> {
        // The masters may do anything, before there is an authorizer too: it reads through this very transport.
        if self.user.in_group(User::MASTERS) {
            return Ok(());
        }
        self.backend.parts()?.authz.require(&self.user, attributes)
    }
}

fn verb_name(verb: Verb) -> &'static str {
    match verb {
        Verb::Get => "get",
        Verb::List => "list",
        Verb::Create => "create",
        Verb::Update => "update",
        Verb::Patch(_) => "patch",
        Verb::Delete => "delete",
        Verb::DeleteCollection => "deletecollection",
    }
}

fn content_type(verb: Verb) -> &'static str {
    match verb {
        Verb::Patch(PatchType::Json) => PatchType::Json.content_type(),
        Verb::Patch(PatchType::Merge) => PatchType::Merge.content_type(),
        Verb::Patch(PatchType::Strategic) => PatchType::Strategic.content_type(),
        Verb::Patch(PatchType::Apply) => PatchType::Apply.content_type(),
        _ => "application/json",
    }
}

#[async_trait]
impl Transport for Direct {
    async fn call(&self, request: Request) -> Result<Bytes, Status> {
        let resource = self.backend.registry.resource(request.def)?;
        let query = Query::of(request.query);
        let info = RequestInfo {
            verb: verb_name(request.verb),
            group: request.def.group,
            version: request.def.version,
            resource: request.def.plural,
            subresource: request.subresource.map_or("", Subresource::name),
            namespace: &request.namespace,
            name: &request.name,
            rest: "",
            path: "",
            is_resource: true,
        };
        self.authorize(&attributes(&info, query.get("fieldSelector")))?;
        let call = Call {
            backend: &self.backend,
            info,
            query: &query,
            resource,
            subresource: request.subresource,
            user: &self.user,
            form: Form::Json,
            content_type: content_type(request.verb),
            // `system:kube-scheduler` writes as `kube-scheduler`.
            agent: self.user.name.rsplit(':').next().unwrap_or_default(),
            body: request.body,
        };
        let answer = verbs::dispatch(&call).await?;
        answer.body.collect().await.map_err(|error| Status::internal(format!("reading an answer: {error}")))
    }

    async fn watch(&self, request: WatchRequest) -> Result<RawEvents, Status> {
        let resource = self.backend.registry.resource(request.def)?;
        let info = RequestInfo {
            verb: "watch",
            group: request.def.group,
            version: request.def.version,
            resource: request.def.plural,
            namespace: &request.namespace,
            is_resource: true,
            ..RequestInfo::default()
        };
        self.authorize(&attributes(&info, &request.field_selector))?;
        let bad = |error: api::selector::SelectorError| Status::bad_request(error.to_string());
        let labels = Selector::parse(&request.label_selector).map_err(bad)?;
        let fields = FieldSelector::parse(&request.field_selector).map_err(bad)?;
        fields.check(request.def).map_err(bad)?;
        let fields = fields.renamed(|own| resource.kind.stored_field(own));
        let selection = Selection::new(&request.namespace, "", labels, fields);
        let start = match request.resource_version.as_str() {
            "" => Start::State,
            text => Start::After(ReadVersion::parse(request.def, text)?),
        };
        let watcher = self.backend.registry.watch(&resource, selection, start).await?;
        let events = Events { watcher, waiting: VecDeque::new(), ended: false };
        let stream =
            futures::stream::unfold(
                events,
                |mut events| async move { events.next().await.map(|event| (event, events)) },
            );
        Ok(stream.boxed())
    }
}

fn attributes<'a>(info: &RequestInfo<'a>, field_selector: &'a str) -> Attributes<'a> {
    Attributes {
        verb: info.verb,
        group: info.group,
        version: info.version,
        resource: info.resource,
        subresource: info.subresource,
        namespace: info.namespace,
        name: info.name,
        path: info.path,
        is_resource: info.is_resource,
        field_selector,
    }
}

/// A watcher as the client's stream: events one by one, the registry's batch between.
struct Events {
    watcher: Watcher,
    waiting: VecDeque<RawEvent>,
    ended: bool,
}

impl Events {
    async fn next(&mut self) -> Option<Result<RawEvent, Status>> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return Some(Ok(event));
            }
            if self.ended {
                return None;
            }
            match self.watcher.try_next() {
                Ok(Some(step)) => {
                    if let Err(status) = self.take(step) {
                        self.ended = true;
                        return Some(Err(status));
                    }
                }
                Ok(None) => self.watcher.changed().await,
                Err(status) => {
                    self.ended = true;
                    return Some(Err(status));
                }
            }
        }
    }

    fn take(&mut self, step: Step) -> Result<(), Status> {
        let resource = self.watcher.resource().clone();
        match step {
            Step::State(entries) => {
                for entry in &entries {
                    let object = resource.present(entry.unmanaged_json())?;
                    self.waiting.push_back(RawEvent { kind: EventType::Added, object });
                }
            }
            Step::StateEnd(revision) => {
                let object = verbs::watch::bookmark_object(&self.watcher, Form::Json, revision, true);
                self.waiting.push_back(RawEvent { kind: EventType::Bookmark, object: Bytes::from(object) });
            }
            // Asked for by none of ours: a cache decodes objects, not lines.
            Step::Lines(..) => return Err(Status::internal("a watch in process was given lines")),
            Step::Events(events) => {
                for (kind, event) in events {
                    let object = resource.present(event.unmanaged_object(kind))?;
                    self.waiting.push_back(RawEvent { kind: event_type(kind), object });
                }
            }
        }
        Ok(())
    }
}

fn event_type(kind: registry::EventType) -> EventType {
    match kind {
        registry::EventType::Added => EventType::Added,
        registry::EventType::Modified => EventType::Modified,
        registry::EventType::Deleted => EventType::Deleted,
    }
}
