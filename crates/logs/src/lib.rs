//! Containers' logs: kept when their pods are gone, searched and followed.
//!
//! - `archive`: what is no longer written, compressed and indexed, within bounds of time and size.
//! - `export`: sends every line on to a store of the user's.
//! - `follow`: what is written from then on.
//! - `request`, `wire`: how both are asked for and answered.
//! - `search`: lines of many containers in the order of time, from live files and the archive alike.
//!
//! Invariants: no line that was written is lost before the bounds say so, and none is told twice; the lines of a container
//! keep their order; bytes that are no text are kept as they are.

mod archive;
mod block;
pub mod export;
mod fields;
mod follow;
mod identity;
mod level;
mod query;
mod raw_line;
mod request;
mod search;
mod segment;
mod service;
pub mod time;
mod watcher;
pub mod wire;

pub use archive::{AGE_MAX_DEFAULT, Archive, BYTES_MAX_DEFAULT, Options, claim_rotation};
pub use follow::Follower;
pub use identity::{Identity, Part, Rotation, Workload};
pub use level::Level;
pub use query::{Filter, LabelMatch, Order, Query, QueryError};
pub use raw_line::RawLine;
pub use request::Request;
pub use search::{Entry, Search, Source};
pub use service::{Refusal, Service};
pub use watcher::{Signal, Watcher};

#[cfg(test)]
mod test_node;
