//! Containers: from what CRI asks for to a process, and back to what CRI is told.

mod create;
mod devices;
mod exec;
mod filters;
mod mounts;
mod plan;
mod privileges;
mod resources;
mod spec;
mod start;
mod stats;
mod status;
mod stop;

pub(crate) use filters::Filters;
pub(crate) use status::{matches_labels, status};
pub(crate) use stop::kill_group;

use tonic::Status;

use crate::shim::ClientError;

/// What is reported for a container whose exit code nobody saw, as by containerd.
pub(crate) const UNKNOWN_EXIT_CODE: i32 = 255;

/// An error of the node's own making, with what was tried.
pub(crate) fn internal(what: &str, error: impl std::fmt::Display) -> Status {
    Status::internal(format!("failed to {what}: {error}"))
}

/// A shim's refusal with the code that containerd would use.
pub(crate) fn refused(what: &str, error: ClientError) -> Status {
    let message = format!("failed to {what}: {error}");
    match error {
        ClientError::NotFound(_) => Status::not_found(message),
        ClientError::State(_) => Status::failed_precondition(message),
        ClientError::Limit(_) => Status::resource_exhausted(message),
        ClientError::Gone | ClientError::Connect(_) => Status::unavailable(message),
        ClientError::Launch(_) | ClientError::Failed(_) => Status::unknown(message),
    }
}
