//! What an autoscaler scales: any kind with a scale, of this server, defined by a user, or of a server behind this one.

use crate::definition::DefinitionView;
use api::{ResourceDef, Status, Subresource};
use client::{Cache, Client, Request, Verb};
use k8s_openapi::api::autoscaling::v1::Scale;

/// The kinds that there are.
pub(super) struct Kinds {
    definitions: Cache<DefinitionView>,
}

impl Kinds {
    pub(super) fn new(definitions: Cache<DefinitionView>) -> Kinds {
        Kinds { definitions }
    }

    /// The row of a kind, whichever of its group's versions was named; of custom kinds, the stored one.
    pub(super) async fn find(&self, client: &Client, api_version: &str, kind: &str) -> Result<Row, String> {
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        let mut own = api::object::stored().map(|row| row.def());
        if let Some(def) = own.find(|def| def.group == group && def.kind == kind) {
            return Ok(Row::Own(def));
        }
        let defined = self.definitions.list().into_iter().filter_map(|definition| definition.row.ok().flatten());
        if let Some(def) = defined.into_iter().find(|def| def.group == group && def.kind == kind) {
            return Ok(Row::Own(def));
        }
        let served = client.transport().aggregated().await.map_err(|status| status.message)?;
        let mut foreign = served.into_iter().flat_map(|version| version.kinds.unwrap_or_default()).map(|own| own.def);
        let found = foreign.find(|def| def.group == group && def.kind == kind).map(Row::Foreign);
        found.ok_or_else(|| format!("no matches for kind {kind:?} in group {group:?}"))
    }
}

/// Of a kind.
#[derive(Clone, Copy)]
pub(super) enum Row {
    Own(&'static ResourceDef),
    /// Of a kind of another server's, which alone knows its subresources.
    Foreign(&'static ResourceDef),
}

impl Row {
    pub(super) fn def(self) -> &'static ResourceDef {
        match self {
            Row::Own(def) | Row::Foreign(def) => def,
        }
    }

    fn may_scale(self) -> bool {
        match self {
            Row::Own(def) => def.has(Subresource::Scale),
            Row::Foreign(_) => true,
        }
    }
}

/// How many there are and should be, and which pods they are.
pub(super) struct Target {
    def: &'static ResourceDef,
    scale: Scale,
}

impl Target {
    pub(super) async fn read(client: &Client, row: Row, namespace: &str, name: &str) -> Result<Target, Status> {
        if !row.may_scale() {
            return Err(Status::no_such_path());
        }
        let def = row.def();
        let request = Request::new(Verb::Get, def, namespace, name).subresource(Some(Subresource::Scale));
        let body = client.call(request).await?;
        let decoded = serde_json::from_slice(&body);
        let scale = decoded.map_err(|error| Status::internal(format!("decoding the scale of {name}: {error}")))?;
        Ok(Target { def, scale })
    }

    pub(super) fn wanted(&self) -> i32 {
        self.scale.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(0)
    }

    pub(super) fn present(&self) -> i32 {
        self.scale.status.as_ref().map_or(0, |status| status.replicas)
    }

    pub(super) fn selector(&self) -> &str {
        self.scale.status.as_ref().and_then(|status| status.selector.as_deref()).unwrap_or_default()
    }

    /// Asks for as many. The object is named by its uid, not its revision: its status changes all the time.
    pub(super) async fn write(&self, client: &Client, replicas: i32) -> Result<(), Status> {
        let mut scale = self.scale.clone();
        scale.metadata.resource_version = None;
        scale.spec.get_or_insert_default().replicas = Some(replicas);
        let body =
            serde_json::to_vec(&scale).map_err(|error| Status::internal(format!("encoding a scale: {error}")))?;
        let meta = &scale.metadata;
        let (namespace, name) = (meta.namespace.as_deref(), meta.name.as_deref());
        let request = Request::new(Verb::Update, self.def, namespace.unwrap_or_default(), name.unwrap_or_default());
        client.call(request.subresource(Some(Subresource::Scale)).body(body)).await.map(drop)
    }
}
