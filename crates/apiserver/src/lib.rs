//! The API server: who asks, who may, what is admitted, and the verbs over the registry.
//!
//! Start: `hooks` into `registry::Options`, `Registry::open`, `Backend::new`, components over `Direct`,
//! `Backend::install`, `Server::start`.

pub mod admission;
pub mod authn;
pub mod authz;
pub mod bootstrap;
pub mod pki;

mod backend;
mod call;
mod catalog;
mod component_statuses;
mod custom_resources;
mod direct;
mod discovery;
mod documents;
mod http;
mod metrics;
mod namespace;
mod plain_paths;
mod render;
mod reviews;
mod server;
mod service_allocation;
mod stack;
mod streams;
mod subresources;
mod verbs;

pub use backend::{Backend, Parts, ReadyCheck};
pub use direct::Direct;
pub use server::{Config, Server, ServerError};
pub use service_allocation::ServiceRanges;
pub use streams::KubeletAccess;

use registry::Hook;
use std::collections::HashMap;
use std::sync::Arc;

/// What namespaces and services need beside what every kind has; for `registry::Options`.
pub fn hooks(ranges: ServiceRanges) -> HashMap<String, Arc<dyn Hook>> {
    HashMap::from([
        ("namespaces".to_owned(), Arc::new(namespace::NamespaceLife) as Arc<dyn Hook>),
        ("services".to_owned(), Arc::new(service_allocation::Services::new(ranges))),
        (
            "customresourcedefinitions.apiextensions.k8s.io".to_owned(),
            Arc::new(custom_resources::DefinitionLife) as Arc<dyn Hook>,
        ),
    ])
}
