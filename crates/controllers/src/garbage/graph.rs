//! Who owns whom, over all kinds. Pure.

use crate::follow::Meta;
use api::resource::ResourceDef;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use std::collections::{HashMap, HashSet};

pub(super) const FOREGROUND: &str = "foregroundDeletion";
pub(super) const ORPHAN: &str = "orphan";

/// One object. Bound of the graph: one per live object of the followed kinds.
#[derive(Clone)]
pub(super) struct Node {
    pub(super) def: &'static ResourceDef,
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) uid: String,
    pub(super) revision: String,
    pub(super) deleting: bool,
    pub(super) finalizers: Vec<String>,
    pub(super) owners: Vec<OwnerReference>,
}

impl Node {
    fn waits_for_dependents(&self) -> bool {
        self.deleting && self.finalizers.iter().any(|name| name == FOREGROUND)
    }

    fn blocks(&self, owner: &str) -> bool {
        self.owners.iter().any(|reference| reference.uid == owner && reference.block_owner_deletion == Some(true))
    }
}

/// An owner's state, as far as its dependents are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    There,
    /// There, and waiting for its dependents to go.
    Waiting,
    Gone,
    /// Not in the graph.
    Unknown,
}

/// What becomes of an object.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Keep,
    /// It stays, without these owners.
    Forget(Vec<String>),
    Delete {
        /// Its own dependents have to go before it, as somebody waits for all.
        foreground: bool,
    },
}

#[derive(Default)]
pub(super) struct Graph {
    nodes: HashMap<String, Node>,
    dependents: HashMap<String, HashSet<String>>,
}

impl Graph {
    pub(super) fn get(&self, uid: &str) -> Option<Node> {
        self.nodes.get(uid).cloned()
    }

    pub(super) fn owner(&self, uid: &str) -> Owner {
        match self.nodes.get(uid) {
            Some(node) if node.waits_for_dependents() => Owner::Waiting,
            Some(_) => Owner::There,
            None => Owner::Unknown,
        }
    }

    pub(super) fn dependents(&self, uid: &str) -> Vec<Node> {
        self.dependents.get(uid).into_iter().flatten().filter_map(|uid| self.get(uid)).collect()
    }

    pub(super) fn has_dependents(&self, uid: &str) -> bool {
        self.dependents.contains_key(uid)
    }

    /// Whether the owner, who waits, has dependents that hold it.
    pub(super) fn blocks(&self, uid: &str) -> bool {
        let mut dependents = self.dependents.get(uid).into_iter().flatten();
        dependents.any(|dependent| self.nodes.get(dependent).is_some_and(|node| node.blocks(uid)))
    }

    /// Takes in an object's state; the uids that are to be looked at.
    pub(super) fn set(&mut self, def: &'static ResourceDef, meta: Meta) -> Vec<String> {
        let uid = meta.uid.clone();
        let new = Node {
            def,
            namespace: meta.namespace,
            name: meta.name,
            uid: meta.uid,
            revision: meta.resource_version,
            deleting: meta.deletion_timestamp.is_some(),
            finalizers: meta.finalizers,
            owners: meta.owner_references,
        };
        let old = self.nodes.get(&uid).map(|old| (old.owners.clone(), old.waits_for_dependents(), old.deleting));
        let (old_owners, waited, was_deleting) = old.unwrap_or_default();
        let mut look = Vec::new();
        if old_owners != new.owners {
            for owner in &old_owners {
                self.unlink(&owner.uid, &uid);
                // It may have waited for this one.
                look.push(owner.uid.clone());
            }
            for owner in &new.owners {
                self.dependents.entry(owner.uid.clone()).or_default().insert(uid.clone());
            }
            if !new.owners.is_empty() {
                look.push(uid.clone());
            }
        }
        if new.waits_for_dependents() && !waited {
            look.extend(self.dependents.get(&uid).into_iter().flatten().cloned());
        }
        if new.deleting
            && (!was_deleting || new.waits_for_dependents() || new.finalizers.iter().any(|name| name == ORPHAN))
        {
            look.push(uid.clone());
        }
        self.nodes.insert(uid, new);
        look
    }

    /// An object is gone; the uids that are to be looked at.
    pub(super) fn remove(&mut self, uid: &str) -> Vec<String> {
        let Some(node) = self.nodes.remove(uid) else { return Vec::new() };
        let mut look: Vec<String> = self.dependents.get(uid).into_iter().flatten().cloned().collect();
        for owner in node.owners {
            self.unlink(&owner.uid, uid);
            look.push(owner.uid);
        }
        look
    }

    fn unlink(&mut self, owner: &str, dependent: &str) {
        if let Some(dependents) = self.dependents.get_mut(owner) {
            dependents.remove(dependent);
            if dependents.is_empty() {
                self.dependents.remove(owner);
            }
        }
    }
}

/// An object stays while one of its owners does; it goes when none is left that would keep it.
pub(super) fn verdict(owners: &[(OwnerReference, Owner)], has_dependents: bool) -> Verdict {
    let there = owners.iter().any(|(_, state)| matches!(state, Owner::There | Owner::Unknown));
    let parted: Vec<String> = owners
        .iter()
        .filter(|(_, state)| matches!(state, Owner::Gone | Owner::Waiting))
        .map(|(owner, _)| owner.uid.clone())
        .collect();
    match (there, parted.is_empty()) {
        (_, true) => Verdict::Keep,
        (true, false) => Verdict::Forget(parted),
        (false, false) => {
            let awaited = owners.iter().any(|(_, state)| *state == Owner::Waiting);
            Verdict::Delete { foreground: awaited && has_dependents }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(owners: &[Owner], has_dependents: bool, want: Verdict) {
        let owner = |(index, state): (usize, &Owner)| {
            (OwnerReference { uid: index.to_string(), ..OwnerReference::default() }, *state)
        };
        let owners: Vec<_> = owners.iter().enumerate().map(owner).collect();
        assert_eq!(verdict(&owners, has_dependents), want, "{owners:?}");
    }

    #[test]
    fn an_object_goes_with_its_last_owner() {
        use Owner::{Gone, There, Waiting};
        check(&[There], false, Verdict::Keep);
        check(&[Gone], true, Verdict::Delete { foreground: false });
        check(&[There, Gone], false, Verdict::Forget(vec!["1".to_owned()]));
        check(&[Waiting, There], true, Verdict::Forget(vec!["0".to_owned()]));
        check(&[Waiting, Gone], true, Verdict::Delete { foreground: true });
        check(&[Waiting], false, Verdict::Delete { foreground: false });
    }
}
