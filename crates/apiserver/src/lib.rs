//! The API server: who asks, who may, what is admitted, and the verbs over the registry.
//!
//! Start: `hooks` into `registry::Options`, `Registry::open`, `Backend::new`, components over `Direct`,
//! `Backend::install`, `Server::start`.

pub mod admission;
pub mod audit;
pub mod authn;
pub mod authz;
pub mod bootstrap;
pub mod pki;

mod aggregation;
mod backend;
mod call;
pub mod callout;
mod catalog;
mod component_statuses;
mod configuration_file;
mod custom_resources;
mod device_selectors;
mod direct;
mod discovery;
mod documents;
mod expiring;
pub mod fairness;
mod front;
pub mod go_time;
mod http;
mod measurements;
mod metrics;
mod namespace;
mod plain_paths;
mod render;
mod request_options;
mod review_webhook;
mod reviews;
mod server;
mod service_allocation;
mod stack;
mod streams;
mod subresources;
mod time_limit;
mod verbs;

#[cfg(test)]
mod test_server;

pub use backend::{Backend, MetricsBeside, Parts, ReadyCheck};
pub use configuration_file::ConfigurationError;
pub use direct::Direct;
pub use front::{Credential, Entered, Front};
pub use measurements::{Measurements, Question, Visible};
pub use metrics::storage::MeasuredStore;
pub use server::{Config, Server, ServerError};
pub use service_allocation::ServiceRanges;
pub use streams::KubeletAccess;

use registry::Hook;
use std::collections::HashMap;
use std::sync::Arc;

/// What namespaces and services need beside what every kind has; for `registry::Options`.
pub fn hooks(ranges: ServiceRanges) -> HashMap<String, Arc<dyn Hook>> {
    let others = [
        ("namespaces".to_owned(), Arc::new(namespace::NamespaceLife) as Arc<dyn Hook>),
        ("services".to_owned(), Arc::new(service_allocation::Services::new(ranges))),
        (
            "customresourcedefinitions.apiextensions.k8s.io".to_owned(),
            Arc::new(custom_resources::DefinitionLife) as Arc<dyn Hook>,
        ),
        (
            "validatingadmissionpolicies.admissionregistration.k8s.io".to_owned(),
            Arc::new(admission::PolicyCheck) as Arc<dyn Hook>,
        ),
        (
            "mutatingadmissionpolicies.admissionregistration.k8s.io".to_owned(),
            Arc::new(admission::PolicyCheck) as Arc<dyn Hook>,
        ),
    ];
    others.into_iter().chain(device_selectors::checks()).collect()
}
