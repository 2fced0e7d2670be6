//! What a request to the API is, and the trait of those who carry one.

use api::resource::ResourceDef;
use api::{Status, Subresource};
use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PatchType {
    Json,
    Merge,
    Strategic,
    /// Server-side apply.
    Apply,
}

impl PatchType {
    pub fn content_type(self) -> &'static str {
        match self {
            PatchType::Json => "application/json-patch+json",
            PatchType::Merge => "application/merge-patch+json",
            PatchType::Strategic => "application/strategic-merge-patch+json",
            PatchType::Apply => "application/apply-patch+yaml",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verb {
    Get,
    List,
    Create,
    Update,
    Patch(PatchType),
    Delete,
    DeleteCollection,
}

/// One request that is answered once. Watches are `WatchRequest`s.
#[derive(Clone, Debug)]
pub struct Request {
    pub verb: Verb,
    pub def: &'static ResourceDef,
    /// Empty: cluster scope, or all namespaces for a list.
    pub namespace: String,
    /// Empty for list, create and deletecollection.
    pub name: String,
    pub subresource: Option<Subresource>,
    /// Query parameters as the API spells them (`labelSelector`, `dryRun`, …), not escaped.
    pub query: Vec<(&'static str, String)>,
    /// JSON (YAML for apply); empty for none.
    pub body: Bytes,
}

impl Request {
    pub fn new(verb: Verb, def: &'static ResourceDef, namespace: &str, name: &str) -> Request {
        Request {
            verb,
            def,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            subresource: None,
            query: Vec::new(),
            body: Bytes::new(),
        }
    }
    pub fn subresource(mut self, subresource: Option<Subresource>) -> Request {
        self.subresource = subresource;
        self
    }
    pub fn query(mut self, name: &'static str, value: impl Into<String>) -> Request {
        self.query.push((name, value.into()));
        self
    }
    pub fn body(mut self, body: impl Into<Bytes>) -> Request {
        self.body = body.into();
        self
    }
}

#[derive(Clone, Debug)]
pub struct WatchRequest {
    pub def: &'static ResourceDef,
    /// Empty: all.
    pub namespace: String,
    pub label_selector: String,
    pub field_selector: String,
    /// Empty: start with the present state as ADDED events and a bookmark (`sendInitialEvents`).
    pub resource_version: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventType {
    Added,
    Modified,
    Deleted,
    Bookmark,
}

/// One watch event; the object still as JSON, to be decoded once by whoever shares it.
#[derive(Clone, Debug)]
pub struct RawEvent {
    pub kind: EventType,
    pub object: Bytes,
}

/// A watch's stream; an `Err` ends it (`Expired`: list again).
pub type RawEvents = BoxStream<'static, Result<RawEvent, Status>>;

/// A kind that another server serves behind the API server.
#[derive(Clone, Debug)]
pub struct Foreign {
    pub def: &'static ResourceDef,
    /// As that server names them: `list`, `deletecollection`, …
    pub verbs: Vec<String>,
}

/// A group version that another server answers behind the API server.
#[derive(Clone, Debug)]
pub struct Aggregated {
    /// `GROUP/VERSION`.
    pub group_version: String,
    /// `None`: that server cannot be asked what it serves.
    pub kinds: Option<Vec<Foreign>>,
}

/// A read of what another server serves behind the API server and no row describes: names of metrics take the place
/// of kinds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ForeignRead {
    pub group: &'static str,
    pub version: &'static str,
    pub namespace: String,
    pub resource: String,
    /// Empty: all of them.
    pub name: String,
    pub subresource: String,
    /// As a `Request`'s.
    pub query: Vec<(&'static str, String)>,
}

impl ForeignRead {
    /// The URL path's segments, not escaped.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        let all = [
            "apis",
            self.group,
            self.version,
            "namespaces",
            &self.namespace,
            &self.resource,
            &self.name,
            &self.subresource,
        ];
        all.into_iter().filter(|segment| !segment.is_empty())
    }
}

/// Carries requests to an API server: in process or over TLS. Errors are always `Status`; what could not be
/// delivered is `ServiceUnavailable` with the reason in its message.
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    async fn call(&self, request: Request) -> Result<Bytes, Status>;
    async fn watch(&self, request: WatchRequest) -> Result<RawEvents, Status>;

    /// What other servers serve behind the API server, the preferred version of each group first. Who is not in the
    /// server's process has discovery for it.
    async fn aggregated(&self) -> Result<Vec<Aggregated>, Status> {
        Err(Status::not_implemented("asking what other servers serve, by this transport,"))
    }

    /// `None` where no other server serves the group in this version.
    async fn read_foreign(&self, _read: ForeignRead) -> Result<Option<Bytes>, Status> {
        Err(Status::not_implemented("reading what other servers serve, by this transport,"))
    }
}
