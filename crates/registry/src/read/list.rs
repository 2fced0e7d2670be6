//! A list: from a snapshot of the cache, or from the store where the cache has moved past the asked revision.
//!
//! Invariants: all pages of a list are of one revision; a page holds at most `limit` objects.

use super::{ReadVersion, token};
use crate::entry::Entry;
use crate::registry::{Registry, store_status};
use crate::resource::{Resource, Snapshot};
use crate::selection::Selection;
use api::Status;
use std::sync::Arc;
use store::{KeyValue, Revision, StoreError};

#[derive(Clone, Debug)]
pub struct ListQuery {
    pub selection: Selection,
    pub version: ReadVersion,
    /// 0: all.
    pub limit: usize,
    /// Of the page before; empty for the first.
    pub continue_token: String,
}

impl ListQuery {
    /// Everything selected, as new as can be.
    pub fn all(selection: Selection) -> ListQuery {
        ListQuery { selection, version: ReadVersion::Latest, limit: 0, continue_token: String::new() }
    }
}

/// One page.
#[derive(Debug)]
pub struct Listing {
    pub revision: Revision,
    pub entries: Vec<Arc<Entry>>,
    /// Empty: this was the last page.
    pub continue_token: String,
    /// How many objects come after this page, where that is known.
    pub remaining: Option<i64>,
}

/// How many stored values are looked at in one go when the store must be asked.
const STORE_PAGE: usize = 1_000;

impl Registry {
    pub async fn list(&self, resource: &Resource, query: &ListQuery) -> Result<Listing, Status> {
        if !query.continue_token.is_empty() {
            let (revision, last) = token::read(&query.continue_token)?;
            let after = format!("{}{last}", resource.prefix());
            return self.list_at(resource, query, revision, Some(&after)).await.map_err(|status| match status.reason {
                api::Reason::Expired => Status::expired(CONTINUE_TOO_OLD),
                _ => status,
            });
        }
        match query.version {
            ReadVersion::Latest => self.inner.fresh().await?,
            ReadVersion::Any => self.inner.progress.health()?,
            ReadVersion::NotOlderThan(revision) => self.await_revision(revision).await?,
            ReadVersion::Exact(revision) => return self.list_at(resource, query, revision, None).await,
        }
        // Read first: everything applied by now is in the snapshot that is taken afterwards.
        let applied = self.inner.progress.applied();
        let snapshot = resource.snapshot();
        let revision = applied.max(snapshot.revision);
        self.page(resource, query, &snapshot, revision, None).await
    }

    /// One page of a snapshot. What labels and fields select is told by the objects in the resource's version.
    async fn page(
        &self,
        resource: &Resource,
        query: &ListQuery,
        snapshot: &Snapshot,
        revision: Revision,
        after: Option<&str>,
    ) -> Result<Listing, Status> {
        if resource.is_stored_version() {
            return page(resource, query, snapshot, revision, after);
        }
        if !query.selection.selects() {
            let page = page(resource, query, snapshot, revision, after)?;
            return Ok(Listing { entries: self.inner.shown(resource, page.entries).await?, ..page });
        }
        let all = ListQuery::all(query.selection.place());
        let candidates = page(resource, &all, snapshot, revision, after)?.entries;
        let mut entries = Vec::new();
        for batch in candidates.chunks(STORE_PAGE) {
            for entry in self.inner.shown(resource, batch.to_vec()).await? {
                if !query.selection.matches(&entry, resource.kind) {
                    continue;
                }
                if query.limit > 0 && entries.len() == query.limit {
                    return more(entries, revision, None);
                }
                entries.push(entry);
            }
        }
        Ok(Listing { revision, entries, continue_token: String::new(), remaining: None })
    }

    async fn list_at(
        &self,
        resource: &Resource,
        query: &ListQuery,
        revision: Revision,
        after: Option<&str>,
    ) -> Result<Listing, Status> {
        self.await_revision(revision).await?;
        let snapshot = resource.snapshot();
        if snapshot.revision <= revision {
            return self.page(resource, query, &snapshot, revision, after).await;
        }
        self.list_stored(resource, query, &snapshot, revision, after).await
    }

    async fn list_stored(
        &self,
        resource: &Resource,
        query: &ListQuery,
        snapshot: &Snapshot,
        revision: Revision,
        after: Option<&str>,
    ) -> Result<Listing, Status> {
        let first = resource.first_key(&query.selection.namespace);
        let mut after = after.map(str::to_owned);
        let mut entries = Vec::new();
        loop {
            let most = if query.selection.selects() || query.limit == 0 { STORE_PAGE } else { query.limit + 1 };
            let range = self.inner.store.range(&first, after.as_deref(), most, Some(revision)).await;
            let range = range.map_err(|error| match error {
                StoreError::Compacted { .. } => {
                    Status::expired(format!("The resourceVersion for the provided list is too old: {revision}"))
                }
                other => store_status(other),
            })?;
            after = range.items.last().map(|item| item.key.to_string());
            let stored = range.items.into_iter().map(|item| stored_entry(resource, snapshot, item));
            for entry in self.inner.shown(resource, stored.collect::<Result<_, _>>()?).await? {
                if !query.selection.matches(&entry, resource.kind) {
                    continue;
                }
                if query.limit > 0 && entries.len() == query.limit {
                    return more(entries, revision, None);
                }
                entries.push(entry);
            }
            if !range.more {
                return Ok(Listing { revision, entries, continue_token: String::new(), remaining: None });
            }
        }
    }
}

const CONTINUE_TOO_OLD: &str = "The provided continue parameter is too old to display a consistent list result. \
    You must start a new list without the continue parameter.";

fn more(entries: Vec<Arc<Entry>>, revision: Revision, remaining: Option<i64>) -> Result<Listing, Status> {
    let last = entries.last().map_or("", |entry| entry.path());
    let continue_token = token::write(revision, last)?;
    Ok(Listing { revision, entries, continue_token, remaining })
}

/// One page of a snapshot.
fn page(
    resource: &Resource,
    query: &ListQuery,
    snapshot: &Snapshot,
    revision: Revision,
    after: Option<&str>,
) -> Result<Listing, Status> {
    let selection = &query.selection;
    resource.check_readable(snapshot, selection)?;
    if !selection.name.is_empty() && (!resource.def.namespaced() || !selection.namespace.is_empty()) {
        let key = resource.key(&selection.namespace, &selection.name);
        let found = snapshot.objects.get(key.as_str());
        let entries = found.filter(|entry| selection.matches(entry, resource.kind)).cloned().into_iter().collect();
        return Ok(Listing { revision, entries, continue_token: String::new(), remaining: None });
    }
    let first = resource.first_key(&selection.namespace);
    let range = snapshot.objects.range::<_, str>(resource.bounds(&first, after));
    let mut range = range.take_while(|(key, _)| key.starts_with(&first)).map(|(_, entry)| entry);
    let mut entries = Vec::with_capacity(if query.limit > 0 { query.limit.min(STORE_PAGE) } else { 0 });
    while let Some(entry) = range.next() {
        if !selection.matches(entry, resource.kind) {
            continue;
        }
        if query.limit > 0 && entries.len() == query.limit {
            let remaining = (!selection.selects()).then(|| 1 + range.count() as i64);
            return more(entries, revision, remaining);
        }
        entries.push(entry.clone());
    }
    Ok(Listing { revision, entries, continue_token: String::new(), remaining: None })
}

/// A stored value as an entry: the cache's own where it is the same state.
fn stored_entry(resource: &Resource, snapshot: &Snapshot, item: KeyValue) -> Result<Arc<Entry>, Status> {
    match snapshot.objects.get(&item.key) {
        Some(entry) if entry.revision == item.modified => Ok(entry.clone()),
        _ => resource.entry_or_status(item.key, item.modified, item.value),
    }
}
