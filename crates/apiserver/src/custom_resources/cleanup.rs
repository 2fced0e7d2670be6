//! Emptying a definition that is being deleted: its objects first, then its finalizer.

use super::{FINALIZER, Writer};
use crate::backend::Backend;
use api::{Reason, Status};
use registry::{DeleteRequest, ListQuery, Part, ReadVersion, Resource, Selection, Start};
use std::sync::Arc;
use std::time::Duration;

/// A pause after a failure that is not the objects' own: the store or an admission webhook is away.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Ends when the definition's finalizer is gone.
pub(super) async fn cleanup(backend: Arc<Backend>, name: String, resource: Option<Arc<Resource>>) {
    let writer = Writer::new();
    loop {
        match attempt(&backend, &writer, &name, resource.as_ref()).await {
            Ok(()) => return,
            Err(error) => tracing::warn!(definition = name, %error, "the objects of a definition are not yet deleted"),
        }
        tokio::time::sleep(RETRY_PAUSE).await;
    }
}

async fn attempt(
    backend: &Backend,
    writer: &Writer,
    name: &str,
    resource: Option<&Arc<Resource>>,
) -> Result<(), Status> {
    if let Some(resource) = resource {
        empty(backend, writer, resource).await?;
    }
    let mut change = |current: &registry::Current<'_>| {
        let mut object = current.object.boxed();
        if let Some(finalizers) = &mut object.meta_mut().finalizers {
            finalizers.retain(|own| own != FINALIZER);
        }
        Ok(object)
    };
    match writer.update(backend, name, Part::Object, &mut change).await {
        Err(status) if status.reason == Reason::NotFound => Ok(()),
        other => other,
    }
}

/// Deletes all objects, and waits for those that have finalizers of their own.
async fn empty(backend: &Backend, writer: &Writer, resource: &Arc<Resource>) -> Result<(), Status> {
    let registry = backend.registry();
    let query = ListQuery {
        selection: Selection::all(""),
        version: ReadVersion::Latest,
        limit: 0,
        continue_token: String::new(),
    };
    let write = writer.write(backend.parts()?.admission.as_ref(), false);
    let mut watcher = registry.watch(resource, Selection::all(""), Start::Now).await?;
    loop {
        while watcher.try_next()?.is_some() {}
        registry.delete_collection(resource, &write, &query, &DeleteRequest::default()).await?;
        if resource.snapshot().objects.is_empty() {
            return Ok(());
        }
        watcher.changed().await;
    }
}
