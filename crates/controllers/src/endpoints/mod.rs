//! Endpoints: which pods stand behind a service, as slices and in the old form.

mod backend;
pub(crate) mod dns;
pub(crate) mod legacy;
pub(crate) mod service;
mod slices;

use client::{Cache, Change};
use k8s_openapi::api::core::v1::{Pod, Service};
use reconcile::{Key, key_of};

/// The services that a pod's change concerns: those that select it as it is or as it was.
fn selecting(services: &Cache<Service>, change: &Change<Pod>) -> Vec<Key> {
    let states = || [&change.old, &change.new].into_iter().flatten();
    let Some(pod) = states().next() else { return Vec::new() };
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let concerned = services.list_namespace(namespace).into_iter().filter(|service| {
        let selector = backend::selector(service);
        selector.is_some_and(|selector| states().any(|pod| selector.matches(crate::labels(&pod.metadata))))
    });
    concerned.map(|service| key_of(&*service)).collect()
}
