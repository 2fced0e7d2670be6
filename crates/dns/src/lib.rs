//! Names of services and pods, answered on every node from the caches; other names go to the machine's own resolvers.
//!
//! Invariants: what a name means is a pure function of the caches (`zone`); a query that is passed on comes back byte
//! for byte; the number of queries under way is bounded, and one beyond it gets SERVFAIL at once.

mod forward;
mod server;
mod zone;

pub use forward::upstreams;
pub use server::{Dns, DnsError, Options};
