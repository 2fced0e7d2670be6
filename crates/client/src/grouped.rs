//! A cache's objects by a group of the consumer's choosing: a service's slices, an owner's pods.

use crate::cache::{Change, ObjectKey};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Objects by group; kept current by feeding it every `Change` of one `Changes`.
pub struct Grouped<K> {
    group_of: fn(&K) -> Option<ObjectKey>,
    groups: BTreeMap<ObjectKey, BTreeMap<ObjectKey, Arc<K>>>,
}

impl<K> Grouped<K> {
    /// An object of which `group_of` says `None` is in no group.
    pub fn new(group_of: fn(&K) -> Option<ObjectKey>) -> Grouped<K> {
        Grouped { group_of, groups: BTreeMap::new() }
    }

    /// Takes a change in; returns the groups it touches: the one that the object left, and the one it is in.
    pub fn apply(&mut self, change: Change<K>) -> Vec<ObjectKey> {
        let mut touched = Vec::with_capacity(2);
        if let Some(group) = change.old.as_deref().and_then(self.group_of) {
            if let Some(members) = self.groups.get_mut(&group) {
                members.remove(&change.key);
                if members.is_empty() {
                    self.groups.remove(&group);
                }
            }
            touched.push(group);
        }
        if let Some(object) = change.new
            && let Some(group) = (self.group_of)(&object)
        {
            self.groups.entry(group.clone()).or_default().insert(change.key, object);
            if !touched.contains(&group) {
                touched.push(group);
            }
        }
        touched
    }

    /// A group's objects in key order.
    pub fn get(&self, group: &str) -> impl Iterator<Item = &Arc<K>> {
        self.groups.get(group).into_iter().flat_map(BTreeMap::values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_that_changes_its_group_leaves_the_old_one() {
        let mut grouped = Grouped::<String>::new(|text| text.get(..1).map(Into::into));
        let object = |text: &str| Some(Arc::new(text.to_owned()));
        let touched = grouped.apply(Change { key: "k".into(), old: None, new: object("a1") });
        assert_eq!(touched, ["a".into()]);
        let touched = grouped.apply(Change { key: "k".into(), old: object("a1"), new: object("b1") });
        assert_eq!(touched, ["a".into(), "b".into()]);
        assert_eq!((grouped.get("a").count(), grouped.get("b").count()), (0, 1));
        grouped.apply(Change { key: "k".into(), old: object("b1"), new: None });
        assert_eq!(grouped.get("b").count(), 0);
    }
}
