//! Service addresses: packets to a VIP or a node port go to one of the service's endpoints.
//!
//! Invariants: rules follow from Services and EndpointSlices alone (`view`, pure); every change is one `nft`
//! transaction of just the difference (`script`, pure); maps only, with one chain per number of endpoints rather than
//! per service, so that a change costs milliseconds at 10,000 services.

mod conntrack;
mod proxy;
mod script;
mod view;

pub use proxy::{Options, Proxy, ProxyError};
