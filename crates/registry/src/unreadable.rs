//! Stored values that are no objects: sealed under a key that is not there, or damaged.
//!
//! Invariants: such a value is kept apart, and stops reads of what it belongs to with an error that says why, never
//! another kind; nothing is told to watchers that did not happen: they begin anew.

use crate::entry::Entry;
use crate::resource::{Resource, Snapshot};
use crate::selectable::Selectable;
use crate::selection::Selection;
use api::Status;
use bytes::Bytes;
use std::sync::Arc;
use store::{Key, Revision};

/// Why, by key.
pub(crate) type Unreadable = imbl::OrdMap<Key, Arc<str>>;

/// How a value begins that some key seals.
const SEALED: &[u8] = b"k8s:enc:";

fn refusal(key: &str, reason: &str) -> Status {
    Status::internal(format!("unable to transform key {key:?}: {reason}"))
}

impl Resource {
    /// A stored value as the cache holds it, or why it cannot.
    pub(crate) fn read(
        &self,
        key: Key,
        revision: Revision,
        value: Bytes,
        selectable: Option<Arc<Selectable>>,
    ) -> Result<Arc<Entry>, Arc<str>> {
        if let Some(reason) = store::unreadable_reason(&value) {
            return Err(reason.into());
        }
        let sealed = value.starts_with(SEALED);
        // What this server wrote as the kind is now is so already.
        let rewritten = if selectable.is_none() { self.kind.normalized(&value) } else { None };
        let is_rewritten = rewritten.is_some();
        let value = rewritten.map_or(value, Bytes::from);
        let entry = self.bare_entry(key, revision, value).map_err(|error| match sealed {
            true => Arc::from("identity transformer tried to read encrypted data"),
            false => Arc::from(error.to_string()),
        })?;
        Ok(Arc::new(entry.rewritten(is_rewritten).with_selectable(selectable)))
    }

    /// As `read`, for a reader who is to be told.
    pub(crate) fn entry_or_status(&self, key: Key, revision: Revision, value: Bytes) -> Result<Arc<Entry>, Status> {
        self.read(key.clone(), revision, value, None).map_err(|reason| refusal(&key, &reason))
    }

    /// The object; `None` where there is none.
    ///
    /// # Errors
    /// When something is there that cannot be read.
    pub(crate) fn look_up(&self, namespace: &str, name: &str) -> Result<Option<Arc<Entry>>, Status> {
        let (key, snapshot) = (self.key(namespace, name), self.snapshot());
        match snapshot.objects.get(key.as_str()) {
            Some(entry) => Ok(Some(entry.clone())),
            None => snapshot.unreadable.get(key.as_str()).map_or(Ok(None), |reason| Err(refusal(&key, reason))),
        }
    }

    /// As `look_up`; that there is none is an error too.
    pub(crate) fn require(&self, namespace: &str, name: &str) -> Result<Arc<Entry>, Status> {
        self.look_up(namespace, name)?.ok_or_else(|| Status::not_found(self.def, name))
    }

    /// Refuses a read of several objects one of which cannot be read.
    pub(crate) fn check_readable(&self, snapshot: &Snapshot, selection: &Selection) -> Result<(), Status> {
        if snapshot.unreadable.is_empty() {
            return Ok(());
        }
        let first = self.first_key(&selection.namespace);
        let mut within = snapshot.unreadable.range::<_, str>(self.bounds(&first, None));
        match within.next().filter(|(key, _)| key.starts_with(&first)) {
            Some((key, reason)) => Err(refusal(key, reason)),
            None => Ok(()),
        }
    }
}
