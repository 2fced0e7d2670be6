//! Endpoints: which pods stand behind a service, as slices and in the old form.

mod backend;
pub(crate) mod dns;
pub(crate) mod legacy;
mod members;
pub(crate) mod mirror;
pub(crate) mod service;
mod slices;

const HEADLESS: &str = "service.kubernetes.io/headless";
