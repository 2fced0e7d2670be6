//! What a write uses of what a namespace may use (a quota), where several servers write the store.
//!
//! Invariants: a judge on one server counts what is applied there and what it has claimed itself; of what another server
//! commits meanwhile it knows nothing. So every write that was judged so puts a key of its server's own, and is committed
//! only if the other servers' keys are as they were when the judge counted: of two such writes on two servers, the later
//! one counts the earlier one or is judged again. A server's first such write also writes a key that all check, so that
//! none is unknown to the others. Writes of one server do not hinder each other. Namespaces share keys, so that there are
//! at most `SHARDS` for each server that ever was.

use crate::registry::Inner;
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::ops::Bound;
use store::{Expect, Key, Op, Revision};

/// No object's key begins so.
const PREFIX: &str = "charged/";
/// More than namespaces that are written at once through several servers, so that few share a key.
const SHARDS: u32 = 64;

/// What must hold, and happens, when a write is committed that a judge has let pass. Empty where one server writes.
#[derive(Clone, Debug, Default)]
pub struct Charge {
    pub(crate) checks: Vec<(Key, Expect)>,
    pub(crate) ops: Vec<Op>,
}

/// The keys of all servers, as far as the cache has followed the store.
#[derive(Default)]
pub(crate) struct Charged {
    keys: Mutex<BTreeMap<Key, Revision>>,
}

impl Charged {
    /// Takes note of keys of ours; `None` where one is gone. To be called when the objects that were committed with them
    /// are in the logs: who judges by these keys must find those.
    pub(crate) fn observe(&self, changes: Vec<(Key, Option<Revision>)>) {
        if changes.is_empty() {
            return;
        }
        let mut keys = self.keys.lock();
        for (key, at) in changes {
            match at {
                Some(at) => drop(keys.insert(key, at)),
                None => drop(keys.remove(&key)),
            }
        }
    }

    pub(crate) fn clear(&self) {
        self.keys.lock().clear();
    }
}

pub(crate) fn is_key(key: &str) -> bool {
    key.starts_with(PREFIX)
}

/// The same on every server (FNV-1a).
fn shard(namespace: &str) -> u32 {
    namespace.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)) % SHARDS
}

impl Inner {
    /// To be asked for before a judge reads what is used.
    pub(crate) fn charge(&self, namespace: &str) -> Charge {
        if self.exclusive {
            return Charge::default();
        }
        let all: Key = format!("{PREFIX}{}", shard(namespace)).into();
        let prefix = format!("{all}/");
        let own: Key = format!("{prefix}{}", self.server).into();
        let keys = self.charged.keys.lock();
        let first = keys.get(&all).map_or(Expect::Absent, |at| Expect::At(*at));
        let servers = keys.range::<str, _>((Bound::Included(prefix.as_str()), Bound::Unbounded));
        let others = servers.take_while(|(key, _)| key.starts_with(&prefix)).filter(|(key, _)| **key != own);
        let others = others.map(|(key, at)| (key.clone(), Expect::At(*at)));
        let checks = std::iter::once((all.clone(), first)).chain(others).collect();
        let value = Bytes::copy_from_slice(namespace.as_bytes());
        let mut ops = vec![Op::Put { key: own.clone(), value: value.clone() }];
        if !keys.contains_key(&own) {
            ops.push(Op::Put { key: all, value });
        }
        Charge { checks, ops }
    }
}
