//! The API server: who asks, who may, what is admitted, and the verbs over the registry.

pub mod admission;
pub mod authn;
pub mod authz;
pub mod bootstrap;
pub mod pki;
