//! The kinds of the core group.

mod binding;
pub(crate) mod columns;
mod component_status;
mod config_map;
mod endpoints;
mod event;
mod limit_range;
pub mod namespace;
mod node;
pub(crate) mod persistent_volume;
pub(crate) mod persistent_volume_claim;
pub mod pod;
mod pod_template;
mod replication_controller;
mod resource_quota;
pub mod resources;
mod secret;
pub mod service;
mod service_account;
mod volume_sources;
