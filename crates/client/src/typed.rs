//! Typed calls over any transport.

use crate::cache::{Cache, Caches, Scope};
use crate::cached::Cached;
use crate::transport::{PatchType, Request, Transport, Verb};
use api::{Kind, Status, Subresource};
use k8s_openapi::List;
use k8s_openapi::ListableResource;
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;

/// A handle that is cheap to clone; all clones share the transport and the caches.
#[derive(Clone)]
pub struct Client {
    transport: Arc<dyn Transport>,
    caches: Arc<Caches>,
}

#[derive(Clone, Debug, Default)]
pub struct ListOptions {
    pub label_selector: String,
    pub field_selector: String,
}

#[derive(Clone, Debug, Default)]
pub struct DeleteOptions {
    pub grace_seconds: Option<i64>,
    pub uid: Option<String>,
    pub resource_version: Option<String>,
    /// `Background`, `Foreground` or `Orphan`.
    pub propagation: Option<&'static str>,
}

impl DeleteOptions {
    fn body(&self) -> Result<Vec<u8>, Status> {
        let preconditions = (self.uid.is_some() || self.resource_version.is_some())
            .then(|| meta::Preconditions { uid: self.uid.clone(), resource_version: self.resource_version.clone() });
        encode(&meta::DeleteOptions {
            api_version: Some("v1".to_owned()),
            kind: Some("DeleteOptions".to_owned()),
            grace_period_seconds: self.grace_seconds,
            preconditions,
            propagation_policy: self.propagation.map(str::to_owned),
            ..Default::default()
        })
    }
}

fn encode(body: &impl Serialize) -> Result<Vec<u8>, Status> {
    serde_json::to_vec(body).map_err(|error| Status::internal(format!("encoding a request: {error}")))
}

fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, Status> {
    serde_json::from_slice(body).map_err(|error| Status::internal(format!("decoding an answer: {error}")))
}

/// One object alone: it shares its parts with nobody.
fn cached<K: Cached>(body: &[u8]) -> Result<K, Status> {
    K::decode(body, &mut K::Shelf::default()).map_err(|error| Status::internal(format!("decoding an answer: {error}")))
}

impl Client {
    pub fn new(transport: Arc<dyn Transport>) -> Client {
        Client { transport, caches: Arc::default() }
    }

    pub fn transport(&self) -> &Arc<dyn Transport> {
        &self.transport
    }

    /// Any request, answered with the raw body.
    pub async fn call(&self, request: Request) -> Result<bytes::Bytes, Status> {
        self.transport.call(request).await
    }

    /// The process's shared cache of all objects of a kind; the first call starts it.
    pub fn cache<K: Cached>(&self) -> Cache<K> {
        self.cache_of(Scope::default())
    }

    /// As `cache`, of the objects that match (a node's pods: `spec.nodeName=n1`); one per kind and scope.
    pub fn cache_of<K: Cached>(&self, scope: Scope) -> Cache<K> {
        self.caches.get(&self.transport, scope)
    }

    pub async fn get<K: Cached>(&self, namespace: &str, name: &str) -> Result<K, Status> {
        cached(&self.call(Request::new(Verb::Get, &K::RESOURCE, namespace, name)).await?)
    }

    /// `None` where the object does not exist.
    pub async fn find<K: Cached>(&self, namespace: &str, name: &str) -> Result<Option<K>, Status> {
        match self.get(namespace, name).await {
            Ok(object) => Ok(Some(object)),
            Err(status) if status.reason == api::Reason::NotFound => Ok(None),
            Err(status) => Err(status),
        }
    }

    /// `namespace` empty: all.
    pub async fn list<K: Kind + ListableResource>(
        &self,
        namespace: &str,
        options: ListOptions,
    ) -> Result<List<K>, Status> {
        let mut request = Request::new(Verb::List, &K::DEF, namespace, "");
        for (name, value) in [("labelSelector", options.label_selector), ("fieldSelector", options.field_selector)] {
            if !value.is_empty() {
                request = request.query(name, value);
            }
        }
        decode(&self.call(request).await?)
    }

    /// The namespace is the object's own.
    pub async fn create<K: Kind>(&self, object: &K) -> Result<K, Status> {
        let namespace = object.metadata().namespace.as_deref().unwrap_or_default();
        decode(&self.call(Request::new(Verb::Create, &K::DEF, namespace, "").body(encode(object)?)).await?)
    }

    pub async fn update<K: Kind>(&self, object: &K) -> Result<K, Status> {
        self.replace(object, None).await
    }

    pub async fn update_status<K: Kind>(&self, object: &K) -> Result<K, Status> {
        self.replace(object, Some(Subresource::Status)).await
    }

    async fn replace<K: Kind>(&self, object: &K, subresource: Option<Subresource>) -> Result<K, Status> {
        let meta = object.metadata();
        let (namespace, name) =
            (meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default());
        let request = Request::new(Verb::Update, &K::DEF, namespace, name).subresource(subresource);
        decode(&self.call(request.body(encode(object)?)).await?)
    }

    pub async fn patch<K: Cached>(
        &self,
        namespace: &str,
        name: &str,
        kind: PatchType,
        subresource: Option<Subresource>,
        patch: &impl Serialize,
    ) -> Result<K, Status> {
        let request = Request::new(Verb::Patch(kind), &K::RESOURCE, namespace, name).subresource(subresource);
        cached(&self.call(request.body(encode(patch)?)).await?)
    }

    pub async fn delete<K: Cached>(&self, namespace: &str, name: &str, options: &DeleteOptions) -> Result<(), Status> {
        self.call(Request::new(Verb::Delete, &K::RESOURCE, namespace, name).body(options.body()?)).await.map(drop)
    }

    /// Creates through a subresource whose body is another kind: `binding`, `eviction`, `token`.
    pub async fn create_subresource<K: Kind, B: Serialize, R: DeserializeOwned>(
        &self,
        namespace: &str,
        name: &str,
        subresource: Subresource,
        body: &B,
    ) -> Result<R, Status> {
        let request = Request::new(Verb::Create, &K::DEF, namespace, name).subresource(Some(subresource));
        decode(&self.call(request.body(encode(body)?)).await?)
    }
}
