//! A second way into a cache: objects by something other than their name.
//!
//! Invariant: an index that is a controller's source is brought up to date before the change that it holds wakes a key.

use crate::Key;
use client::Change;
use parking_lot::RwLock;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Objects of a kind by the text that `by` makes of each. Bound: one entry per live object that has a text.
pub struct Index<K> {
    by: Box<dyn Fn(&K) -> Option<String> + Send + Sync>,
    entries: RwLock<HashMap<String, BTreeMap<Key, Arc<K>>>>,
}

impl<K> Index<K> {
    pub fn new(by: impl Fn(&K) -> Option<String> + Send + Sync + 'static) -> Arc<Index<K>> {
        Arc::new(Index { by: Box::new(by), entries: RwLock::default() })
    }

    /// In key order.
    pub fn get(&self, text: &str) -> Vec<Arc<K>> {
        self.entries.read().get(text).map(|objects| objects.values().cloned().collect()).unwrap_or_default()
    }

    pub fn is_empty(&self, text: &str) -> bool {
        !self.entries.read().contains_key(text)
    }

    pub(crate) fn apply(&self, change: &Change<K>) {
        let mut entries = self.entries.write();
        if let Some(text) = change.old.as_deref().and_then(&self.by)
            && let Some(objects) = entries.get_mut(&text)
        {
            objects.remove(&change.key);
            if objects.is_empty() {
                entries.remove(&text);
            }
        }
        if let Some(new) = &change.new
            && let Some(text) = (self.by)(new)
        {
            entries.entry(text).or_default().insert(change.key.clone(), new.clone());
        }
    }
}
