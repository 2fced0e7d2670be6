//! Server-side apply, the pure part: who manages which fields, and what an applied intent makes of an object.
//!
//! A `Set` is a set of paths into an object, as `managedFields` keep it (`FieldsV1`). A `Schema` says which maps and
//! lists merge member by member and which are one value; it comes from the committed table, from a schema in OpenAPI's
//! form (custom resources), or is unknown. From these: `extract` (the paths of a value), `compare` (the paths that
//! differ between two), `merge` (an intent laid over an object), `atomics` (what of an intent would replace a whole
//! value), `remove` (an object without some paths), and `Managed`, which keeps the books of an object's managers through
//! updates and applies.
//!
//! Invariants: no I/O, no clock; nothing here panics on any JSON; sets are sorted as upstream sorts them, so that equal
//! sets encode to equal bytes.

mod apply;
mod atomics;
mod bytes;
mod compare;
mod element;
mod extract;
mod fields_v1;
mod items;
mod last_applied;
mod managed;
mod merge;
mod remove;
mod schema;
mod set;
mod update;
mod validate;

pub use apply::{Applied, Applying, Conflict, Conflicts, Intent};
pub use atomics::atomics;
pub use bytes::{created_of_json, update_of_json};
pub use compare::{Comparison, compare, created};
pub use element::PathElement;
pub use extract::extract;
pub use last_applied::{LAST_APPLIED, allowed_conflicts};
pub use managed::{Author, BadManagedFields, Entry, Managed, Operation};
pub use merge::merge;
pub use remove::remove;
pub use schema::Schema;
pub use set::{Path, Set};
pub use update::OtherVersions;
pub use validate::validate;

#[cfg(test)]
mod tests;
