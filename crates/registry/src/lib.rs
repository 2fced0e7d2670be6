//! Any kind's life over the store: read, write loop, watch cache.
//!
//! Invariants: only this crate writes the store; every write is given its admission; a write returns when the cache
//! holds it, so its writer reads it; caches and watchers see changes in revision order.

mod admission;
mod applier;
mod charge;
mod conversion;
mod entry;
mod event;
mod fence;
mod freshness;
mod history;
mod hook;
mod install;
mod json;
mod log;
mod pieces;
mod progress;
mod read;
mod registry;
mod resource;
mod selectable;
mod selection;
mod surroundings;
mod unique;
mod unreadable;
mod watch;
mod write;

pub use admission::{Admission, Attempt, Books, Notes, Operation, RequestOptions};
pub use charge::Charge;
pub use conversion::Converter;
pub use entry::Entry;
pub use event::{Event, EventType, added_frame};
pub use fence::Fence;
pub use hook::{Claim, Hook};
pub use read::{ListQuery, Listing, ReadVersion};
pub use registry::{Options, Registry, RegistryError};
pub use resource::{Resource, Snapshot};
pub use selectable::Selectable;
pub use selection::Selection;
pub use store::Revision;
pub use surroundings::{Surroundings, System};
pub use watch::{Start, Step, Watcher};
pub use write::{
    Apply, Change, Current, Decoded, DeleteRequest, Deleted, FieldValidation, MayCreate, Part, Patch, PatchKind, Pick,
    Propagation, Write, Written, apply_operations, decode_body,
};
