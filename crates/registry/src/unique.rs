//! What no two objects may have at once (a service's address), where several servers write the store.
//!
//! Invariants: each such thing is a key beside the objects' keys, with its owner's key as the value. It comes and goes in
//! the transaction that gives it to the object or takes it away, and comes only if it is absent: so no two servers
//! give it away, whatever their memories say. A single server's memory suffices: there are no such keys then.

use crate::charge::Charge;
use crate::registry::{Inner, store_status};
use crate::resource::Resource;
use api::{Object, Status};
use bytes::Bytes;
use std::collections::HashMap;
use store::{Expect, Key, Op, Outcome, Txn};

/// No object's key begins so.
const PREFIX: &str = "unique/";
/// Keys read at once.
const PAGE: usize = 1_000;

/// What a write does to such keys.
#[derive(Default)]
pub(crate) struct Unique {
    pub(crate) checks: Vec<(Key, Expect)>,
    pub(crate) ops: Vec<Op>,
}

impl Unique {
    /// Adds what other servers must learn of a claim.
    pub(crate) fn charge(&mut self, charge: &Charge) {
        // Two claims of one write are charged alike.
        if charge.checks.iter().all(|check| !self.checks.contains(check)) {
            self.checks.extend_from_slice(&charge.checks);
            self.ops.extend_from_slice(&charge.ops);
        }
    }
}

fn keys(resource: &Resource, object: Option<&dyn Object>) -> Vec<Key> {
    let (Some(hook), Some(object)) = (&resource.hook, object) else { return Vec::new() };
    let mut keys: Vec<Key> = hook.unique(object).into_iter().map(|name| format!("{PREFIX}{name}").into()).collect();
    keys.sort();
    keys.dedup();
    keys
}

impl Inner {
    /// Whether what is to be unique is looked after in the store.
    pub(crate) fn keeps_unique(&self, resource: &Resource) -> bool {
        !self.exclusive && resource.hook.is_some()
    }

    /// What changes when the object `owner` becomes `new`.
    pub(crate) fn unique(
        &self,
        resource: &Resource,
        owner: &Key,
        old: Option<&dyn Object>,
        new: Option<&dyn Object>,
    ) -> Unique {
        let mut unique = Unique::default();
        if !self.keeps_unique(resource) {
            return unique;
        }
        let (before, after) = (keys(resource, old), keys(resource, new));
        for key in after.iter().filter(|key| !before.contains(key)) {
            unique.checks.push((key.clone(), Expect::Absent));
            unique.ops.push(Op::Put { key: key.clone(), value: Bytes::copy_from_slice(owner.as_bytes()) });
        }
        unique.ops.extend(before.into_iter().filter(|key| !after.contains(key)).map(|key| Op::Delete { key }));
        unique
    }

    /// Makes the keys true for objects that came without them, as from a backup, while others may be writing.
    pub(crate) async fn repair_unique(&self) -> Result<(), Status> {
        if self.exclusive {
            return Ok(());
        }
        let mut present = self.present_unique().await?;
        for resource in self.all().values().filter(|resource| resource.hook.is_some()) {
            for (owner, entry) in &resource.snapshot().objects {
                let object = entry.decode(resource.kind).map_err(Status::internal)?;
                for key in keys(resource, Some(object.as_ref())) {
                    match present.remove(&key) {
                        Some((own, _)) if own == **owner => {}
                        Some((other, at)) if self.has(&other, &key)? => {
                            tracing::error!(%key, %owner, other, "two objects have what only one may have");
                            present.insert(key, (other, at));
                        }
                        stands => {
                            let op = Op::Put { key: key.clone(), value: Bytes::copy_from_slice(owner.as_bytes()) };
                            let expect = stands.as_ref().map_or(Expect::Absent, |(_, at)| Expect::At(*at));
                            let mut checks = vec![(owner.clone(), Expect::At(entry.revision)), (key, expect)];
                            checks.extend(stands.map(|(other, _)| self.as_loaded(other)));
                            self.mend(Txn { checks, ops: vec![op] }).await?;
                        }
                    }
                }
            }
        }
        for (key, (owner, at)) in present {
            let checks = vec![(key.clone(), Expect::At(at)), self.as_loaded(owner)];
            self.mend(Txn { checks, ops: vec![Op::Delete { key }] }).await?;
        }
        Ok(())
    }

    /// Whether an object that was loaded has what `key` stands for.
    fn has(&self, owner: &str, key: &Key) -> Result<bool, Status> {
        let Some(resource) = self.resource_of_key(owner) else { return Ok(false) };
        let Some(entry) = resource.snapshot().objects.get(owner).cloned() else { return Ok(false) };
        let object = entry.decode(resource.kind).map_err(Status::internal)?;
        Ok(keys(&resource, Some(object.as_ref())).contains(key))
    }

    /// That an object is as it was loaded, there or not.
    fn as_loaded(&self, owner: String) -> (Key, Expect) {
        let owner: Key = owner.into();
        let found = self.resource_of_key(&owner).and_then(|resource| resource.snapshot().objects.get(&owner).cloned());
        (owner, found.map_or(Expect::Absent, |entry| Expect::At(entry.revision)))
    }

    /// Every key with its owner and its revision.
    async fn present_unique(&self) -> Result<HashMap<Key, (String, store::Revision)>, Status> {
        let (mut present, mut after) = (HashMap::new(), None::<Key>);
        loop {
            let page = self.store.range(PREFIX, after.as_deref(), PAGE, None).await.map_err(store_status)?;
            after = page.items.last().map(|item| item.key.clone());
            present.extend(
                page.items
                    .into_iter()
                    .map(|item| (item.key, (String::from_utf8_lossy(&item.value).into_owned(), item.modified))),
            );
            if !page.more {
                return Ok(present);
            }
        }
    }

    async fn mend(&self, txn: Txn) -> Result<(), Status> {
        let keys: Vec<String> = txn.checks.iter().map(|(key, _)| key.to_string()).collect();
        match self.store.commit(txn).await.map_err(store_status)? {
            Outcome::Committed(_) => tracing::info!(?keys, "what only one object may have was set right"),
            // Whoever wrote one of them meanwhile has kept the other true.
            Outcome::Conflict(_) => tracing::debug!(?keys, "another server was faster"),
        }
        Ok(())
    }
}
