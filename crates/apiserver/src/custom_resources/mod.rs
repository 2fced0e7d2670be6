//! Custom resources: what CustomResourceDefinitions define is served while they are there.
//!
//! `follow` is the one task that installs and removes kinds; `names` decides who gets which name, `conditions` says so
//! in the definitions' status; `cleanup` empties a definition that is being deleted; `life` judges definitions when
//! they are written; `rules` are the expressions of schemas.

mod cleanup;
mod conditions;
mod follow;
mod life;
mod names;
mod rules;

pub(crate) use follow::start;
pub(crate) use life::DefinitionLife;

use api::user::User;
use api::{Kind, Status};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use registry::{Change, Part, Registry, Resource, Write};
use std::sync::Arc;

/// Keeps a definition until its objects are gone.
const FINALIZER: &str = "customresourcecleanup.apiextensions.k8s.io";
const MANAGER: &str = "kube-apiserver";

fn definitions(registry: &Registry) -> Result<Arc<Resource>, Status> {
    registry.resource(&CustomResourceDefinition::DEF)
}

/// The server's own writes to definitions and to what is left of them.
struct Writer {
    user: User,
}

impl Writer {
    fn new() -> Writer {
        Writer { user: User::component("system:apiserver") }
    }

    fn write<'a>(&'a self, admission: &'a dyn registry::Admission, status: bool) -> Write<'a> {
        let subresource = status.then_some(api::Subresource::Status);
        Write { user: &self.user, admission, dry_run: false, subresource, manager: Some(MANAGER) }
    }

    /// Changes a definition that is there.
    async fn update(&self, backend: &crate::Backend, name: &str, part: Part, change: Change<'_>) -> Result<(), Status> {
        let write = self.write(backend.parts()?.admission.as_ref(), part == Part::Status);
        let registry = backend.registry();
        registry.update(definitions(registry)?.as_ref(), &write, part, "", name, change).await.map(drop)
    }
}
