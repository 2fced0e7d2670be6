//! Who owns whom, over all kinds. Pure.
//!
//! Bound: an entry per object that has an owner, is one, or waits to be let go; all others are not kept. A uid is never
//! used again, so that what is gone stays gone, and is remembered while something still names it as its owner.

use crate::follow::Meta;
use api::resource::ResourceDef;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use reconcile::Key;
use std::collections::{BTreeSet, HashMap};

pub(super) const FOREGROUND: &str = "foregroundDeletion";
pub(super) const ORPHAN: &str = "orphan";

/// What an object's deletion waits for on our side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Not deleted, or nothing of ours holds it.
    No,
    /// For its dependents to be gone.
    Foreground,
    /// For its dependents to forget it.
    Orphan,
}

#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) def: &'static ResourceDef,
    pub(super) namespace: Box<str>,
    pub(super) name: Box<str>,
    pub(super) owners: Box<[Reference]>,
    pub(super) deleted: bool,
    pub(super) ending: Ending,
    /// Told of since its kind was last listed.
    listed: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reference {
    pub(super) uid: Key,
    kind: OwnerKind,
    pub(super) name: Box<str>,
    pub(super) blocks: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum OwnerKind {
    Known(&'static ResourceDef),
    /// Group and kind: it may be defined yet.
    Unknown(Box<(String, String)>),
}

impl Reference {
    /// `None`: a kind that is not known here.
    pub(super) fn def(&self) -> Option<&'static ResourceDef> {
        match &self.kind {
            OwnerKind::Known(def) => Some(def),
            OwnerKind::Unknown(_) => None,
        }
    }
}

/// An owner's state, as far as one of its dependents is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    There,
    /// There, and waiting for its dependents to go.
    Waiting,
    Gone,
    /// Another object than the reference says has this uid: of another namespace, name or kind.
    Elsewhere,
    /// The graph cannot say.
    Unknown,
}

/// What becomes of an object.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Keep,
    /// It stays, without these owners.
    Forget(Vec<Key>),
    Delete {
        /// Its own dependents have to go before it, as somebody waits for all.
        foreground: bool,
    },
}

enum Presence {
    /// Named as an owner, and not seen itself.
    Unknown,
    There(Node),
    Gone,
}

struct Entry {
    presence: Presence,
    dependents: BTreeSet<Key>,
}

impl Entry {
    fn unknown() -> Entry {
        Entry { presence: Presence::Unknown, dependents: BTreeSet::new() }
    }

    fn is_idle(&self) -> bool {
        let holds = |node: &Node| !node.owners.is_empty() || node.ending != Ending::No;
        self.dependents.is_empty() && !matches!(&self.presence, Presence::There(node) if holds(node))
    }
}

#[derive(Default)]
pub(super) struct Graph {
    entries: HashMap<Key, Entry>,
    /// Kinds that users have added and that are served.
    custom: Vec<&'static ResourceDef>,
}

/// The built-in row of a kind, of whatever version.
fn builtin(group: &str, kind: &str) -> Option<&'static ResourceDef> {
    let mut defs = api::object::builtin().iter().map(|row| row.def());
    defs.find(|def| def.kind == kind && def.group == group)
}

/// Whether two rows are one kind, maybe of two versions.
pub(super) fn is_one_kind(one: &ResourceDef, other: &ResourceDef) -> bool {
    one.group == other.group && one.plural == other.plural
}

pub(super) fn ending(meta: &Meta) -> Ending {
    let has = |name: &str| meta.finalizers.iter().any(|finalizer| finalizer == name);
    match meta.deletion_timestamp {
        Some(_) if has(ORPHAN) => Ending::Orphan,
        Some(_) if has(FOREGROUND) => Ending::Foreground,
        _ => Ending::No,
    }
}

impl Node {
    fn new(
        def: &'static ResourceDef,
        meta: &Meta,
        key: impl Fn(&str) -> Key,
        kind: impl Fn(&OwnerReference) -> OwnerKind,
    ) -> Node {
        let reference = |owner: &OwnerReference| Reference {
            uid: key(&owner.uid),
            kind: kind(owner),
            name: owner.name.as_str().into(),
            blocks: owner.block_owner_deletion == Some(true),
        };
        Node {
            def,
            namespace: meta.namespace.as_str().into(),
            name: meta.name.as_str().into(),
            owners: meta.owner_references.iter().map(reference).collect(),
            deleted: meta.deletion_timestamp.is_some(),
            ending: ending(meta),
            listed: true,
        }
    }

    /// The namespace in which an owner of that kind has to be; `None`: it cannot be anywhere.
    pub(super) fn owners_namespace(&self, def: &ResourceDef) -> Option<&str> {
        match (def.namespaced(), self.def.namespaced()) {
            (false, _) => Some(""),
            (true, true) => Some(&self.namespace),
            (true, false) => None,
        }
    }
}

impl Graph {
    fn node(&self, uid: &str) -> Option<&Node> {
        match &self.entries.get(uid)?.presence {
            Presence::There(node) => Some(node),
            Presence::Unknown | Presence::Gone => None,
        }
    }

    /// A uid's one text: most objects name the same few owners.
    fn key(&self, uid: &str) -> Key {
        self.entries.get_key_value(uid).map_or_else(|| uid.into(), |(uid, _)| uid.clone())
    }

    fn kind(&self, owner: &OwnerReference) -> OwnerKind {
        let group = owner.api_version.split_once('/').map_or("", |(group, _)| group);
        let mut custom = self.custom.iter().copied();
        let known =
            builtin(group, &owner.kind).or_else(|| custom.find(|def| def.kind == owner.kind && def.group == group));
        known.map_or_else(|| OwnerKind::Unknown(Box::new((group.to_owned(), owner.kind.clone()))), OwnerKind::Known)
    }

    /// Whether objects of the kind can be asked for.
    pub(super) fn serves(&self, def: &ResourceDef) -> bool {
        builtin(def.group, def.kind).is_some() || self.custom.iter().any(|own| is_one_kind(own, def))
    }

    /// A kind that users have added, or serve in another version now; the uids that are to be looked at, as they name
    /// owners of it.
    pub(super) fn learn(&mut self, def: &'static ResourceDef) -> Vec<Key> {
        // While it was not, those who name owners of it were left alone.
        let was_served = self.serves(def);
        self.custom.retain(|own| !is_one_kind(own, def));
        self.custom.push(def);
        let mut look = Vec::new();
        for (uid, entry) in &mut self.entries {
            let Presence::There(node) = &mut entry.presence else { continue };
            if is_one_kind(node.def, def) {
                node.def = def;
            }
            for owner in &mut node.owners {
                let is_of_it = match &owner.kind {
                    OwnerKind::Known(known) => is_one_kind(known, def),
                    OwnerKind::Unknown(named) => named.0 == def.group && named.1 == def.kind,
                };
                if is_of_it {
                    let is_new = !was_served || matches!(owner.kind, OwnerKind::Unknown(_));
                    look.extend(is_new.then(|| uid.clone()));
                    owner.kind = OwnerKind::Known(def);
                }
            }
        }
        look
    }

    /// A kind that can be asked for no more.
    pub(super) fn unlearn(&mut self, def: &ResourceDef) {
        self.custom.retain(|own| !is_one_kind(own, def));
    }

    pub(super) fn get(&self, uid: &str) -> Option<Node> {
        self.node(uid).cloned()
    }

    /// Whether the object was there, and is no more.
    pub(super) fn is_gone(&self, uid: &str) -> bool {
        self.entries.get(uid).is_some_and(|entry| matches!(entry.presence, Presence::Gone))
    }

    /// What is known of an owner that `node` names.
    pub(super) fn owner(&self, node: &Node, reference: &Reference) -> Owner {
        let is_named = |owner: &Node| {
            let def = reference.def().filter(|def| def.kind == owner.def.kind && def.group == owner.def.group);
            let namespace = def.and_then(|def| node.owners_namespace(def));
            namespace == Some(&*owner.namespace) && owner.name == reference.name
        };
        match self.entries.get(&reference.uid).map(|entry| &entry.presence) {
            Some(Presence::Gone) => Owner::Gone,
            Some(Presence::There(owner)) if !is_named(owner) => Owner::Elsewhere,
            Some(Presence::There(owner)) if owner.ending == Ending::Foreground => Owner::Waiting,
            Some(Presence::There(_)) => Owner::There,
            Some(Presence::Unknown) | None => Owner::Unknown,
        }
    }

    pub(super) fn namespace_of(&self, uid: &str) -> Option<String> {
        self.node(uid).map(|node| node.namespace.to_string())
    }

    fn dependents_of(&self, uid: &str) -> impl Iterator<Item = (&Key, &Node)> {
        let uids = self.entries.get(uid).into_iter().flat_map(|entry| &entry.dependents);
        uids.filter_map(|uid| Some((uid, self.node(uid)?)))
    }

    pub(super) fn dependents(&self, uid: &str) -> Vec<(Key, Node)> {
        self.dependents_of(uid).map(|(uid, node)| (uid.clone(), node.clone())).collect()
    }

    pub(super) fn has_dependents(&self, uid: &str) -> bool {
        self.dependents_of(uid).next().is_some()
    }

    /// Whether a dependent itself waits for its own: two that own each other would wait for ever.
    pub(super) fn has_waiting_dependent(&self, uid: &str) -> bool {
        self.dependents_of(uid).any(|(_, node)| node.ending == Ending::Foreground)
    }

    /// Whether the object has dependents that hold back its foreground deletion.
    pub(super) fn is_blocked(&self, uid: &str) -> bool {
        let blocks = |node: &Node| node.owners.iter().any(|owner| &*owner.uid == uid && owner.blocks);
        self.dependents_of(uid).any(|(_, node)| blocks(node))
    }

    /// Takes in an object's state; the uids that are to be looked at.
    pub(super) fn set(&mut self, def: &'static ResourceDef, meta: &Meta) -> Vec<Key> {
        let uid = meta.uid.as_str();
        let plain = meta.owner_references.is_empty() && ending(meta) == Ending::No;
        if plain && !self.entries.contains_key(uid) {
            return Vec::new();
        }
        let uid = self.key(uid);
        let new = Node::new(def, meta, |uid| self.key(uid), |owner| self.kind(owner));
        let entry = self.entries.entry(uid.clone()).or_insert_with(Entry::unknown);
        let old = std::mem::replace(&mut entry.presence, Presence::There(new.clone()));
        let (old_owners, old_ending) = match old {
            Presence::There(old) => (old.owners, old.ending),
            Presence::Unknown | Presence::Gone => (Box::default(), Ending::No),
        };
        let mut look = Vec::new();
        if old_owners != new.owners {
            look.extend((!new.owners.is_empty()).then(|| uid.clone()));
            self.relink(&uid, &old_owners, &new.owners);
            // They may have waited for this one.
            look.extend(old_owners.iter().map(|owner| owner.uid.clone()));
        }
        if new.ending != Ending::No {
            look.push(uid.clone());
        }
        if new.ending == Ending::Foreground && old_ending != Ending::Foreground {
            look.extend(self.dependents_of(&uid).map(|(uid, _)| uid.clone()));
        }
        self.tidy(&uid);
        look
    }

    /// An owner that was asked for and is there. As `set`, unless more is known of it already.
    pub(super) fn found(&mut self, def: &'static ResourceDef, meta: &Meta) -> Vec<Key> {
        let entry = self.entries.get(meta.uid.as_str());
        if entry.is_some_and(|entry| matches!(entry.presence, Presence::Unknown)) {
            self.set(def, meta)
        } else {
            Vec::new()
        }
    }

    /// An object is gone; the uids that are to be looked at.
    pub(super) fn remove(&mut self, uid: &str) -> Vec<Key> {
        let Some(uid) = self.entries.get_key_value(uid).map(|(uid, _)| uid.clone()) else { return Vec::new() };
        let entry = self.entries.entry(uid.clone()).or_insert_with(Entry::unknown);
        let old = std::mem::replace(&mut entry.presence, Presence::Gone);
        let mut look: Vec<Key> = entry.dependents.iter().cloned().collect();
        if let Presence::There(node) = old {
            self.relink(&uid, &node.owners, &[]);
            look.extend(node.owners.iter().map(|owner| owner.uid.clone()));
        }
        self.tidy(&uid);
        look
    }

    /// All objects of a kind are about to be told of.
    pub(super) fn list_begins(&mut self, def: &ResourceDef) {
        for entry in self.entries.values_mut() {
            if let Presence::There(node) = &mut entry.presence
                && is_one_kind(node.def, def)
            {
                node.listed = false;
            }
        }
    }

    /// They were; the uids that are to be looked at, as what was not told of is gone.
    pub(super) fn list_ends(&mut self, def: &ResourceDef) -> Vec<Key> {
        let is_gone = |node: &Node| is_one_kind(node.def, def) && !node.listed;
        let gone: Vec<Key> = self.entries.keys().filter(|uid| self.node(uid).is_some_and(is_gone)).cloned().collect();
        gone.iter().flat_map(|uid| self.remove(uid)).collect()
    }

    fn relink(&mut self, uid: &Key, old: &[Reference], new: &[Reference]) {
        for owner in new {
            let entry = self.entries.entry(owner.uid.clone()).or_insert_with(Entry::unknown);
            entry.dependents.insert(uid.clone());
        }
        for owner in old.iter().filter(|owner| new.iter().all(|new| new.uid != owner.uid)) {
            if let Some(entry) = self.entries.get_mut(&owner.uid) {
                entry.dependents.remove(uid);
            }
            self.tidy(&owner.uid);
        }
    }

    fn tidy(&mut self, uid: &Key) {
        if self.entries.get(uid).is_some_and(Entry::is_idle) {
            self.entries.remove(uid);
        }
    }
}

/// An object stays while one of its owners does; it goes when none is left that would keep it.
pub(super) fn verdict(owners: &[(Key, Owner)], has_dependents: bool) -> Verdict {
    let is_parted = |state: &Owner| matches!(state, Owner::Gone | Owner::Elsewhere | Owner::Waiting);
    let parted: Vec<Key> =
        owners.iter().filter(|(_, state)| is_parted(state)).map(|(owner, _)| owner.clone()).collect();
    if parted.is_empty() {
        return Verdict::Keep;
    }
    if parted.len() < owners.len() {
        return Verdict::Forget(parted);
    }
    let awaited = owners.iter().any(|(_, state)| *state == Owner::Waiting);
    Verdict::Delete { foreground: awaited && has_dependents }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(owners: &[Owner], has_dependents: bool, want: Verdict) {
        let owners: Vec<(Key, Owner)> =
            owners.iter().enumerate().map(|(index, state)| (index.to_string().into(), *state)).collect();
        assert_eq!(verdict(&owners, has_dependents), want, "{owners:?}");
    }

    #[test]
    fn an_object_goes_with_its_last_owner() {
        use Owner::{Elsewhere, Gone, There, Unknown, Waiting};
        check(&[There], false, Verdict::Keep);
        check(&[Unknown], false, Verdict::Keep);
        check(&[Gone], true, Verdict::Delete { foreground: false });
        check(&[Elsewhere, Gone], true, Verdict::Delete { foreground: false });
        check(&[There, Gone], false, Verdict::Forget(vec!["1".into()]));
        check(&[Waiting, There], true, Verdict::Forget(vec!["0".into()]));
        check(&[Waiting, Gone], true, Verdict::Delete { foreground: true });
        check(&[Waiting], false, Verdict::Delete { foreground: false });
    }

    fn def() -> &'static ResourceDef {
        api::object::find("", "v1", "configmaps").unwrap().def()
    }

    /// A config map; its uid is its name.
    fn meta(name: &str, owners: &[&str], deletion: Option<&str>) -> Meta {
        let owners: Vec<_> = owners
            .iter()
            .map(|owner| json!({"apiVersion": "v1", "kind": "ConfigMap", "name": owner, "uid": owner, "blockOwnerDeletion": true}))
            .collect();
        serde_json::from_value(json!({"name": name, "namespace": "d", "uid": name, "ownerReferences": owners,
            "deletionTimestamp": deletion.map(|_| "2026-01-01T00:00:00Z"), "finalizers": Vec::from_iter(deletion)}))
        .unwrap()
    }

    fn sorted(mut uids: Vec<Key>) -> Vec<String> {
        uids.sort();
        uids.dedup();
        uids.iter().map(ToString::to_string).collect()
    }

    fn set(graph: &mut Graph, name: &str, owners: &[&str], deletion: Option<&str>) -> Vec<String> {
        sorted(graph.set(def(), &meta(name, owners, deletion)))
    }

    fn kept(graph: &Graph) -> Vec<String> {
        sorted(graph.entries.keys().cloned().collect())
    }

    #[test]
    fn only_owners_and_owned_are_kept() {
        let mut graph = Graph::default();
        assert!(set(&mut graph, "root", &[], None).is_empty());
        assert!(kept(&graph).is_empty(), "nobody knows of its dependents yet");
        assert_eq!(set(&mut graph, "child", &["root"], None), ["child"]);
        let child = graph.get("child").unwrap();
        assert_eq!(graph.owner(&child, &child.owners[0]), Owner::Unknown);
        assert!(sorted(graph.found(def(), &meta("root", &[], None))).is_empty());
        assert_eq!(graph.owner(&child, &child.owners[0]), Owner::There);
        assert!(set(&mut graph, "child", &["root"], None).is_empty(), "nothing new");
        assert_eq!(kept(&graph), ["child", "root"]);
        assert_eq!(set(&mut graph, "root", &[], Some(FOREGROUND)), ["child", "root"]);
        assert_eq!(graph.owner(&child, &child.owners[0]), Owner::Waiting);
        assert!(graph.is_blocked("root"));
        assert_eq!(sorted(graph.remove("child")), ["root"]);
        assert!(!graph.is_blocked("root"));
        assert!(graph.remove("root").is_empty());
        assert!(kept(&graph).is_empty());
    }

    #[test]
    fn what_is_gone_is_remembered_while_it_is_named() {
        let mut graph = Graph::default();
        set(&mut graph, "child", &["root"], None);
        assert_eq!(sorted(graph.remove("root")), ["child"], "deleted before it was seen");
        assert!(graph.found(def(), &meta("root", &[], None)).is_empty(), "an answer from before the deletion");
        let child = graph.get("child").unwrap();
        assert_eq!(graph.owner(&child, &child.owners[0]), Owner::Gone);
        assert_eq!(set(&mut graph, "child", &[], None), ["root"]);
        assert!(kept(&graph).is_empty());
    }

    #[test]
    fn an_owner_is_who_the_reference_says() {
        let mut graph = Graph::default();
        set(&mut graph, "child", &["root"], None);
        let mut elsewhere = meta("root", &[], None);
        elsewhere.namespace = "other".to_owned();
        graph.found(def(), &elsewhere);
        let child = graph.get("child").unwrap();
        assert_eq!(graph.owner(&child, &child.owners[0]), Owner::Elsewhere);
    }

    #[test]
    fn what_a_list_does_not_tell_of_is_gone() {
        let mut graph = Graph::default();
        set(&mut graph, "a", &["root"], None);
        set(&mut graph, "b", &["a"], None);
        set(&mut graph, "c", &["a"], None);
        graph.list_begins(def());
        set(&mut graph, "b", &["a"], None);
        let looked = sorted(graph.list_ends(def()));
        assert!(looked.contains(&"b".to_owned()) && looked.contains(&"root".to_owned()), "{looked:?}");
        assert_eq!(kept(&graph), ["a", "b"]);
        let b = graph.get("b").unwrap();
        assert_eq!(graph.owner(&b, &b.owners[0]), Owner::Gone);
    }
}
