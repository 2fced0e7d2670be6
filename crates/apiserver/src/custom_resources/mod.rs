//! Custom resources: what CustomResourceDefinitions define is served while they are there.
//!
//! `follow` is the one task that installs and removes kinds; `names` decides who gets which name, `conditions` says so
//! in the definitions' status; `cleanup` empties a definition that is being deleted; `life` judges definitions when
//! they are written; `rules` are the expressions of schemas; `conversion` asks the webhook that converts a kind.

mod cleanup;
mod conditions;
mod conversion;
mod follow;
mod life;
mod names;
mod rules;

pub(crate) use conversion::CONVERSIONS;
pub(crate) use follow::start;
pub(crate) use life::DefinitionLife;

use api::user::User;
use api::{Kind, Status};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use registry::{Change, Notes, Part, Registry, Resource, Write};
use std::sync::Arc;
use std::time::Duration;

/// Keeps a definition until its objects are gone.
const FINALIZER: &str = "customresourcecleanup.apiextensions.k8s.io";
const MANAGER: &str = "kube-apiserver";

fn definitions(registry: &Registry) -> Result<Arc<Resource>, Status> {
    registry.resource(&CustomResourceDefinition::DEF)
}

/// How long a request for a kind that is not served waits for what another server was told of.
const CATCH_UP_TIME_MAX: Duration = Duration::from_secs(3);

/// Returns when every kind is served here that was defined through any server before now.
pub(crate) async fn catch_up(backend: &crate::Backend) -> Result<(), Status> {
    let registry = backend.registry();
    if registry.is_exclusive() {
        return Ok(());
    }
    registry.fresh().await?;
    let defined = definitions(registry)?.snapshot().revision;
    if tokio::time::timeout(CATCH_UP_TIME_MAX, backend.customs_since(defined)).await.is_err() {
        tracing::warn!("a custom resource definition is not served yet");
    }
    Ok(())
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
        Write {
            user: &self.user,
            admission,
            dry_run: false,
            subresource,
            manager: Some(MANAGER),
            options: None,
            notes: Notes::unheard(),
            fence: None,
        }
    }

    /// Changes a definition that is there.
    async fn update(&self, backend: &crate::Backend, name: &str, part: Part, change: Change<'_>) -> Result<(), Status> {
        let write = self.write(backend.parts()?.admission.as_ref(), part == Part::Status);
        let registry = backend.registry();
        registry.update(definitions(registry)?.as_ref(), &write, part, "", name, change).await.map(drop)
    }
}
