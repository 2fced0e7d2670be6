//! Which autoscalers select a pod: two that did would fight over it.
//!
//! Invariant: an autoscaler is known by the selector that its target had when it was last looked at. Bound: one entry
//! per live autoscaler.

use super::snapshot::label_hash;
use api::selector::Selector;
use client::Labels;
use reconcile::{Key, split};
use std::collections::{BTreeSet, HashMap};

/// A namespace, and a label that all pods have which an autoscaler there selects; 0 where it asks for no one label.
type Place = (String, u64);

#[derive(Default)]
pub(super) struct Claims {
    selectors: HashMap<Key, (Selector, Place)>,
    by_label: HashMap<Place, BTreeSet<Key>>,
}

impl Claims {
    pub(super) fn put(&mut self, key: &Key, selector: &Selector) {
        if self.selectors.get(key).is_some_and(|(known, _)| known == selector) {
            return;
        }
        self.forget(key);
        let namespace = split(key).0;
        let exact = selector.requirements().iter().filter_map(|own| Some((own.key(), selector.exact(own.key())?)));
        let places = exact.map(|(key, value)| (namespace.to_owned(), label_hash(key, value)));
        // A label that many ask for tells them apart less well.
        let place = places.min_by_key(|place| self.by_label.get(place).map_or(0, BTreeSet::len));
        let place = place.unwrap_or_else(|| (namespace.to_owned(), 0));
        self.by_label.entry(place.clone()).or_default().insert(key.clone());
        self.selectors.insert(key.clone(), (selector.clone(), place));
    }

    pub(super) fn forget(&mut self, key: &Key) {
        let Some((_, place)) = self.selectors.remove(key) else { return };
        if let Some(keys) = self.by_label.get_mut(&place) {
            keys.remove(key);
            if keys.is_empty() {
                self.by_label.remove(&place);
            }
        }
    }

    /// Adds who selects pods of these labels.
    pub(super) fn claimants(&self, namespace: &str, labels: &Labels, found: &mut BTreeSet<Key>) {
        let hashes = labels.iter().map(|(key, value)| label_hash(key, value)).chain([0]);
        for hash in hashes {
            let Some(keys) = self.by_label.get(&(namespace.to_owned(), hash)) else { continue };
            let selects = |key: &&Key| self.selectors.get(*key).is_some_and(|(selector, _)| selector.matches(labels));
            found.extend(keys.iter().filter(selects).cloned());
        }
    }
}

/// As upstream prints them.
pub(super) fn text(claimants: &BTreeSet<Key>) -> String {
    let each: Vec<String> = claimants
        .iter()
        .map(|key| {
            let (namespace, name) = split(key);
            format!("{{{name} {namespace}}}")
        })
        .collect();
    format!("[{}]", each.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_selects_a_pod_is_found_until_it_is_forgotten() {
        let mut claims = Claims::default();
        let labels = Labels::from([("app".to_owned(), "web".to_owned()), ("tier".to_owned(), "1".to_owned())]);
        let check = |claims: &Claims, want: &str| {
            let mut found = BTreeSet::new();
            claims.claimants("d", &labels, &mut found);
            assert_eq!(text(&found), want);
        };
        let selectors = [
            ("d/a", "app=web"),
            ("d/b", "tier=1,app!=db"),
            ("d/c", "tier"),
            ("d/x", "app=web,tier=2"),
            ("e/a", "app=web"),
        ];
        for (key, selector) in selectors {
            claims.put(&key.into(), &Selector::parse(selector).unwrap());
        }
        check(&claims, "[{a d} {b d} {c d}]");
        claims.put(&"d/a".into(), &Selector::parse("app=db").unwrap());
        claims.forget(&"d/c".into());
        check(&claims, "[{b d}]");
        for (key, _) in selectors {
            claims.forget(&key.into());
        }
        assert!(claims.selectors.is_empty() && claims.by_label.is_empty());
    }
}
