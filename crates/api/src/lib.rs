//! Every kind of Kubernetes' API, declared once: its names, defaults, validation, columns and schema.
//!
//! Invariants: pure (no I/O, no async, no clock of its own); one table row and one file per kind.

pub mod cel_names;
mod check;
pub mod custom;
pub mod field;
pub mod kind;
mod kind_table;
pub mod labels;
pub mod meta;
pub mod object;
pub mod openapi;
pub mod quantity;
pub mod resource;
pub mod schema;
pub mod selector;
pub mod status;
pub mod table;
pub mod user;
pub mod version;
pub mod warnings;
mod webhook;

pub mod admissionregistration;
pub mod apiextensions;
pub mod apiregistration;
pub mod apps;
pub mod authentication;
pub mod authorization;
pub mod autoscaling;
pub mod batch;
pub mod certificates;
pub mod coordination;
pub mod core;
pub mod devices;
pub mod discovery;
pub mod events;
pub mod flowcontrol;
pub mod metrics;
pub mod networking;
pub mod node;
pub mod policy;
pub mod rbac;
pub mod scheduling;
pub mod storage;
pub mod storagemigration;

pub use field::{FieldError, FieldPath};
pub use k8s_openapi;
pub use kind::Kind;
pub use object::{Object, Registered};
pub use resource::{ResourceDef, Scope, Subresource};
pub use status::{Reason, Status};

/// What `/version` reports: the API that Sampan serves.
pub const KUBERNETES_VERSION: (&str, &str, &str) = ("1", "37", "v1.37.0+sampan");
