//! What one resource needs beside what holds for every kind: claims on shared numbers, and a life of its own.

use crate::charge::Charge;
use crate::resource::Resource;
use api::{Object, Status};
use std::any::Any;

/// Holds what was claimed for a write until the write has been applied or given up: dropping it releases what no
/// stored object has.
pub struct Claim {
    _held: Box<dyn Any + Send + Sync>,
    pub(crate) charge: Charge,
}

impl Claim {
    pub fn new(held: impl Any + Send + Sync) -> Claim {
        Claim { _held: Box::new(held), charge: Charge::default() }
    }

    /// One that other servers must learn of with the write.
    pub fn charged(held: impl Any + Send + Sync, charge: Charge) -> Claim {
        Claim { charge, ..Claim::new(held) }
    }
}

/// Runs inside the write loop, so anything it does may happen again on a retry.
pub trait Hook: Send + Sync {
    /// Fills in and claims what must be unique among objects (a service's addresses); after admission, before
    /// validation.
    fn claim(
        &self,
        _object: &mut dyn Object,
        _old: Option<&dyn Object>,
        _dry_run: bool,
    ) -> Result<Option<Claim>, Status> {
        Ok(None)
    }

    /// What no other object may have while this one has it, as names that are the same on every server: an address
    /// that `claim` chose. Where several servers write the store it looks after them.
    fn unique(&self, _object: &dyn Object) -> Vec<String> {
        Vec::new()
    }

    /// A change that is now in the cache; called in revision order, at the start with every object.
    fn observe(&self, _resource: &Resource, _before: Option<&dyn Object>, _after: Option<&dyn Object>) {}

    /// What a delete changes beside the metadata, where the object stays for a while.
    fn mark_deleted(&self, _object: &mut dyn Object) {}

    /// Whether something beside `metadata.finalizers` keeps a deleted object.
    fn holds(&self, _object: &dyn Object) -> bool {
        false
    }
}
