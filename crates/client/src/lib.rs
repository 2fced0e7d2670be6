//! The API's client: one trait for the transport (in process, or TLS), typed calls, and shared caches.
//!
//! Invariants: an object that several consumers watch is decoded once per process; a cached object is never changed.

mod cache;
mod cached;
mod config;
mod grouped;
pub mod pods;
mod remote;
mod servers;
#[cfg(feature = "testing")]
pub mod testing;
mod transport;
mod typed;
mod unverified;

pub use cache::{Cache, Change, Changes, ObjectKey, Scope as CacheScope};
pub use cached::{Cached, Labels, Meta};
pub use config::{Config, ConfigError, Credentials};
pub use grouped::Grouped;
pub use pods::PodView;
pub use remote::{EventLines, Remote, parse_event};
pub use servers::{SERVERS_MAX, Servers};
pub use transport::{
    Aggregated, EventType, Foreign, ForeignRead, PatchType, RawEvent, RawEvents, Request, Transport, Verb, WatchRequest,
};
pub use typed::{Client, DeleteOptions, ListOptions};
pub use unverified::{any_server, presented_certificates, unverified_tls};
