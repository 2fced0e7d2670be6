//! The API in process: the same verbs for a component of this server, without TLS, HTTP or a socket.
//!
//! Invariants: a component is authorized, admitted, counted by priority and fairness (`Fairness::inside`), and told of in the audit log like anybody else; without such a log a
//! call pays one branch. Bodies and events are the registry's bytes, events without managed fields: they are as long as
//! all the rest of an object, and no component looks at them.

use crate::aggregation;
use crate::audit::{Origin, Streaming, Trail};
use crate::authz::{Attributes, Verdict};
use crate::backend::Backend;
use crate::call::Call;
use crate::http::{Answer, Form, Query, RequestInfo, escape, query_text};
use crate::verbs;
use api::selector::{FieldSelector, Selector};
use api::user::User;
use api::{ResourceDef, Status, Subresource};
use async_trait::async_trait;
use bytes::Bytes;
use client::{
    Aggregated, EventType, ForeignRead, PatchType, RawEvent, RawEvents, Request, Transport, Verb, WatchRequest,
};
use futures::StreamExt;
use http::Method;
use registry::{Fence, Notes, ReadVersion, Selection, Start, Step, Watcher};
use std::collections::VecDeque;
use std::sync::Arc;

/// A transport that acts as one user.
#[derive(Clone)]
pub struct Direct {
    backend: Arc<Backend>,
    user: Arc<User>,
    fence: Option<Arc<Fence>>,
}

impl Direct {
    pub fn new(backend: Arc<Backend>, user: User) -> Direct {
        Direct { backend, user: Arc::new(user), fence: None }
    }

    /// As `new`, for a component of the leader: what it writes is committed only while the fence stands.
    pub fn fenced(backend: Arc<Backend>, user: User, fence: Fence) -> Direct {
        Direct { fence: Some(Arc::new(fence)), ..Direct::new(backend, user) }
    }

    /// Who asks, as logs and managed fields name it: `system:kube-scheduler` is `kube-scheduler`.
    fn agent(&self) -> &str {
        self.user.name.rsplit(':').next().unwrap_or_default()
    }

    /// What is said of a call beside its answer, which nobody hears unless there is an audit log.
    fn notes<'n>(&self, own: &'n Notes) -> &'n Notes {
        if self.backend.audit().is_some() { own } else { Notes::unheard() }
    }

    /// Whether the component may; the call is told of where an audit policy says so.
    async fn admit(
        &self,
        trail: &mut Trail,
        asked: &Attributes<'_>,
        uri: &(dyn Fn() -> String + Sync),
    ) -> Result<(), Status> {
        if self.backend.audit().is_some() {
            let origin = Origin::Inside { agent: self.agent(), uri };
            trail.authenticated(Ok(User::clone(&self.user)), asked, &origin).await?;
        }
        // The masters may do anything, before there is an authorizer too: it reads through this very transport.
        let verdict = match self.user.in_group(User::MASTERS) {
            true => Verdict::Allow(None),
            false => self.backend.parts()?.authz.verdict(&self.user, asked).await,
        };
        trail.judged(&verdict);
        match verdict {
            Verdict::Allow(_) => Ok(()),
            Verdict::Refuse(refusal) => Err(asked.refused(&self.user, &refusal)),
        }
    }

    async fn answer(
        &self,
        request: Request,
        query: &Query,
        trail: &mut Trail,
        notes: &Notes,
    ) -> Result<Answer, Status> {
        let def = request.def;
        let (namespace, name) = (request.namespace.as_str(), request.name.as_str());
        let subresource = request.subresource.map_or("", Subresource::name);
        let info = RequestInfo {
            verb: verb_name(request.verb),
            group: def.group,
            version: def.version,
            resource: def.plural,
            subresource,
            namespace,
            name,
            rest: "",
            path: "",
            is_resource: true,
        };
        let (field_selector, label_selector) = (query.get("fieldSelector"), query.get("labelSelector"));
        let uri = || path(def, namespace, name, subresource) + &query_text(query.pairs());
        self.admit(trail, &Attributes { field_selector, label_selector, ..Attributes::of(&info) }, &uri).await?;
        let _seat = self.backend.fairness().and_then(|fairness| fairness.inside(&self.user, &info));
        if let Some(remote) = self.backend.aggregation.table().remote(def.group, def.version) {
            let asked = (method(request.verb), uri());
            let sent = (content_type(request.verb), request.body);
            let body = aggregation::forward(&self.backend, remote, &self.user, (asked.0, &asked.1), sent).await?;
            return Ok(Answer::json(body));
        }
        let resource = self.backend.registry.resource(def)?;
        let call = Call {
            backend: &self.backend,
            info,
            query,
            resource,
            subresource: request.subresource,
            user: &self.user,
            form: Form::Json,
            content_type: content_type(request.verb),
            agent: self.agent(),
            body: request.body,
            notes,
            fence: self.fence.as_deref(),
        };
        trail.requested(&call);
        verbs::dispatch(&call).await
    }

    /// `None` where no other server has the group.
    async fn foreign(&self, read: &ForeignRead, trail: &mut Trail) -> Result<Option<Answer>, Status> {
        let info = RequestInfo {
            verb: if read.name.is_empty() { "list" } else { "get" },
            group: read.group,
            version: read.version,
            resource: &read.resource,
            subresource: &read.subresource,
            namespace: &read.namespace,
            name: &read.name,
            is_resource: true,
            ..RequestInfo::default()
        };
        let uri = || {
            let mut path = String::new();
            for segment in read.segments() {
                path.push('/');
                escape(segment, &mut path);
            }
            path + &query_text(read.query.iter().map(|(name, value)| (*name, value.as_str())))
        };
        self.admit(trail, &Attributes::of(&info), &uri).await?;
        let _seat = self.backend.fairness().and_then(|fairness| fairness.inside(&self.user, &info));
        let table = self.backend.aggregation.table();
        let Some(remote) = table.remote(read.group, read.version) else { return Ok(None) };
        let (asked, sent) = ((Method::GET, uri()), ("application/json", Bytes::new()));
        let body = aggregation::forward(&self.backend, remote, &self.user, (asked.0, &asked.1), sent).await?;
        Ok(Some(Answer::json(body)))
    }

    async fn open(&self, request: &WatchRequest, trail: &mut Trail) -> Result<RawEvents, Status> {
        let def = request.def;
        let info = RequestInfo {
            verb: "watch",
            group: def.group,
            version: def.version,
            resource: def.plural,
            namespace: &request.namespace,
            is_resource: true,
            ..RequestInfo::default()
        };
        let (field_selector, label_selector) = (&*request.field_selector, &*request.label_selector);
        let parameters = [
            ("fieldSelector", field_selector),
            ("labelSelector", label_selector),
            ("resourceVersion", &request.resource_version),
            ("watch", "true"),
        ];
        let uri = || {
            let given = parameters.into_iter().filter(|(_, value)| !value.is_empty());
            path(def, &request.namespace, "", "") + &query_text(given)
        };
        self.admit(trail, &Attributes { field_selector, label_selector, ..Attributes::of(&info) }, &uri).await?;
        let _seat = self.backend.fairness().and_then(|fairness| fairness.inside(&self.user, &info));
        if let Some(remote) = self.backend.aggregation.table().remote(def.group, def.version) {
            return aggregation::watch(&self.backend, remote, &self.user, request).await;
        }
        let resource = self.backend.registry.resource(def)?;
        let bad = |error: api::selector::SelectorError| Status::bad_request(error.to_string());
        let labels = Selector::parse(label_selector).map_err(bad)?;
        let fields = FieldSelector::parse(field_selector).map_err(bad)?;
        fields.check(def).map_err(bad)?;
        let fields = fields.renamed(|own| resource.kind.stored_field(own));
        let selection = Selection::new(&request.namespace, "", labels, fields);
        let start = match request.resource_version.as_str() {
            "" => Start::State,
            text => Start::After(ReadVersion::parse(def, text)?),
        };
        let watcher = self.backend.registry.watch(&resource, selection, start).await?;
        let events = Events { watcher, waiting: VecDeque::new(), ended: false };
        let next = |mut events: Events| async move { events.next().await.map(|event| (event, events)) };
        Ok(futures::stream::unfold(events, next).boxed())
    }
}

/// A resource's path, of parts that may be empty.
fn path(def: &ResourceDef, namespace: &str, name: &str, subresource: &str) -> String {
    let part = |text| Some(text).filter(|text: &&str| !text.is_empty());
    def.path(part(namespace), part(name), part(subresource))
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

fn method(verb: Verb) -> Method {
    match verb {
        Verb::Get | Verb::List => Method::GET,
        Verb::Create => Method::POST,
        Verb::Update => Method::PUT,
        Verb::Patch(_) => Method::PATCH,
        Verb::Delete | Verb::DeleteCollection => Method::DELETE,
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
    async fn call(&self, mut request: Request) -> Result<Bytes, Status> {
        let query = Query::of(std::mem::take(&mut request.query));
        let own = Notes::default();
        let notes = self.notes(&own);
        let mut trail = Trail::begin(self.backend.audit(), None);
        let answered = self.answer(request, &query, &mut trail, notes).await;
        told(trail, answered, notes).await
    }

    async fn watch(&self, request: WatchRequest) -> Result<RawEvents, Status> {
        let mut trail = Trail::begin(self.backend.audit(), None);
        let events = match self.open(&request, &mut trail).await {
            Ok(events) => events,
            Err(status) => {
                trail.refused(&status, Notes::unheard()).await;
                return Err(status);
            }
        };
        match trail.streams(Notes::unheard()).await {
            // Its end is told of when it is dropped.
            Some(streaming) => {
                let next = |(mut events, streaming): (RawEvents, Streaming)| async move {
                    events.next().await.map(|event| (event, (events, streaming)))
                };
                Ok(futures::stream::unfold((events, streaming), next).boxed())
            }
            None => Ok(events),
        }
    }

    async fn aggregated(&self) -> Result<Vec<Aggregated>, Status> {
        match self.backend.aggregation.read_table() {
            Some(table) => aggregation::kinds(&table),
            None => Err(Status::unavailable("the APIServices are being read")),
        }
    }

    async fn read_foreign(&self, read: ForeignRead) -> Result<Option<Bytes>, Status> {
        let mut trail = Trail::begin(self.backend.audit(), None);
        let answered = match self.foreign(&read, &mut trail).await {
            Ok(None) => {
                trail.refused(&Status::no_such_path(), Notes::unheard()).await;
                return Ok(None);
            }
            Ok(Some(answer)) => Ok(answer),
            Err(status) => Err(status),
        };
        told(trail, answered, Notes::unheard()).await.map(Some)
    }
}

/// An answer's bytes, once the audit log has it.
async fn told(trail: Trail, answered: Result<Answer, Status>, notes: &Notes) -> Result<Bytes, Status> {
    match answered {
        Ok(answer) => {
            let body = trail.answered(answer, None, notes, false).await.body;
            body.collect().await.map_err(|error| Status::internal(format!("reading an answer: {error}")))
        }
        Err(status) => {
            trail.refused(&status, notes).await;
            Err(status)
        }
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
            match self.watcher.try_next_shown().await {
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
        match step {
            Step::State(entries) => {
                for entry in &entries {
                    let object = entry.unmanaged_json();
                    self.waiting.push_back(RawEvent { kind: EventType::Added, object });
                }
            }
            Step::StateEnd(revision) => {
                let object = verbs::watch::bookmark_object(&self.watcher, Form::Json, revision, true);
                self.waiting.push_back(RawEvent { kind: EventType::Bookmark, object: Bytes::from(object) });
            }
            // Asked for by none of ours: a cache decodes objects, not lines.
            Step::Lines { .. } => return Err(Status::internal("a watch in process was given lines")),
            Step::Events(events) => {
                for (kind, event) in events {
                    let object = event.unmanaged_object(kind);
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
