//! What one resource needs beside what holds for every kind: claims on shared numbers, and a life of its own.

use crate::resource::Resource;
use api::{Object, Status};
use std::any::Any;

/// Holds what was claimed for a write until the write has been applied or given up: dropping it releases what no
/// stored object has.
pub type Claim = Box<dyn Any + Send>;

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

    /// A change that is now in the cache; called in revision order, at the start with every object.
    fn observe(&self, _resource: &Resource, _before: Option<&dyn Object>, _after: Option<&dyn Object>) {}

    /// What a delete changes beside the metadata, where the object stays for a while.
    fn mark_deleted(&self, _object: &mut dyn Object) {}

    /// Whether something beside `metadata.finalizers` keeps a deleted object.
    fn holds(&self, _object: &dyn Object) -> bool {
        false
    }
}
