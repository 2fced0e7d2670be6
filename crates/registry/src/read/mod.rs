//! Reading: one object, or a list at a revision, page by page, in the resource's version.

mod list;
mod token;
mod version;

pub use list::{ListQuery, Listing};
pub use version::ReadVersion;

use crate::entry::Entry;
use crate::registry::{Registry, too_large};
use crate::resource::Resource;
use api::Status;
use std::sync::Arc;
use std::time::Duration;
use store::Revision;

/// How long a read waits for a revision that has not happened yet.
const FUTURE_WAIT: Duration = Duration::from_secs(3);

impl Registry {
    /// One object, at least as new as `version` says.
    pub async fn get(
        &self,
        resource: &Resource,
        namespace: &str,
        name: &str,
        version: ReadVersion,
    ) -> Result<Arc<Entry>, Status> {
        match version {
            ReadVersion::Latest => self.inner.fresh().await?,
            ReadVersion::Any => self.inner.progress.health()?,
            ReadVersion::NotOlderThan(revision) | ReadVersion::Exact(revision) => self.await_revision(revision).await?,
        }
        self.inner.shown_one(resource, resource.require(namespace, name)?).await
    }

    /// Returns when the cache has reached a revision; one far in the future is refused after a while.
    pub(crate) async fn await_revision(&self, revision: Revision) -> Result<(), Status> {
        self.inner.progress.health()?;
        match tokio::time::timeout(FUTURE_WAIT, self.inner.progress.reached(revision)).await {
            Ok(reached) => reached,
            Err(_) => Err(too_large(revision, self.inner.progress.applied())),
        }
    }
}
