//! Deletecollection: every selected object, each as its own delete.

use super::{DeleteRequest, Write};
use crate::read::{ListQuery, Listing};
use crate::registry::Registry;
use crate::resource::Resource;
use api::{Reason, Status};
use futures::{FutureExt, TryStreamExt};

/// Deletes under way at once: enough that the store commits them in groups.
const CONCURRENT_MAX: usize = 128;

impl Registry {
    /// Deletes what the query selects; the answer is what it selected.
    pub async fn delete_collection(
        &self,
        resource: &Resource,
        write: &Write<'_>,
        query: &ListQuery,
        request: &DeleteRequest,
    ) -> Result<Listing, Status> {
        let listing = self.list(resource, query).await?;
        let entries = listing.entries.clone();
        futures::stream::iter(entries.into_iter().map(Ok::<_, Status>))
            .try_for_each_concurrent(CONCURRENT_MAX, |entry| async move {
                match self.delete(resource, write, entry.namespace(), entry.name(), request).await {
                    Ok(_) => Ok(()),
                    // Somebody else deleted it: that is what was wanted.
                    Err(status) if status.reason == Reason::NotFound => Ok(()),
                    Err(status) => Err(status),
                }
            })
            .boxed()
            .await?;
        Ok(listing)
    }
}
