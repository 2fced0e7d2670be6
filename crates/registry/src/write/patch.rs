//! Patch: JSON, merge and strategic merge patches through the update loop.
//!
//! Invariant: a patch that names no resourceVersion is applied again to the fresh object when it lost the race.

use super::decode::{FieldValidation, decode_body};
use super::operations::apply_operations;
use super::{Part, Write, Written};
use crate::registry::Registry;
use crate::resource::Resource;
use crate::write::update::Current;
use api::field::{FieldError, FieldPath};
use api::schema::{PatchError, duplicates, strategic_merge};
use api::{Object, Reason, Status};
use bytes::Bytes;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{StatusCause, StatusDetails};
use serde_json::Value;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatchKind {
    Json,
    Merge,
    Strategic,
}

/// Operations of one JSON patch, as upstream bounds them.
const OPERATIONS_MAX: usize = 10_000;

#[derive(Clone, Debug)]
pub struct Patch {
    pub kind: PatchKind,
    pub body: Bytes,
    pub validation: FieldValidation,
}

/// A patch that was read once, for however many attempts.
enum Parsed {
    Json(json_patch::Patch),
    Merge(Value),
    Strategic(Value),
}

/// Which object a subresource's patch becomes: the patched one, or the old one with some of its fields.
pub type Pick<'a> = &'a (dyn Fn(&dyn Object, Box<dyn Object>) -> Result<Box<dyn Object>, Status> + Send + Sync);

impl Registry {
    /// Patches the object; `pick` chooses what a subresource takes from the result.
    pub async fn patch(
        &self,
        resource: &Resource,
        write: &Write<'_>,
        part: Part,
        namespace: &str,
        name: &str,
        patch: &Patch,
        pick: Option<Pick<'_>>,
    ) -> Result<Written, Status> {
        let parsed = parse(resource, patch)?;
        // Managed fields are as long as all the rest, and hardly a patch is about them.
        let concerns_managers = memchr::memmem::find(&patch.body, b"managedFields").is_some();
        let repeated = match patch.validation {
            FieldValidation::Ignore => Vec::new(),
            FieldValidation::Warn | FieldValidation::Strict => duplicates(&patch.body),
        };
        let mut warnings = Vec::new();
        let mut change = |current: &Current<'_>| {
            let json = if concerns_managers { current.entry.json() } else { current.entry.unmanaged_json() };
            let patched = patched(resource, &parsed, json)?;
            let json = serde_json::to_vec(&patched).map_err(Status::internal)?;
            let validation = match patch.validation {
                FieldValidation::Ignore => FieldValidation::Ignore,
                FieldValidation::Warn | FieldValidation::Strict => FieldValidation::Warn,
            };
            let decoded = decode_body(resource, &json, validation).map_err(|status| unfit(resource, status))?;
            let complaints: Vec<String> = repeated.iter().cloned().chain(decoded.warnings).collect();
            if patch.validation == FieldValidation::Strict && !complaints.is_empty() {
                return Err(not_strict(&json, &complaints));
            }
            super::metadata::check_name(resource, decoded.object.meta(), namespace, name)?;
            warnings = complaints;
            match pick {
                Some(pick) => pick(current.object, decoded.object),
                None => Ok(decoded.object),
            }
        };
        let mut written = self.update(resource, write, part, namespace, name, &mut change).await?;
        written.warnings = warnings;
        Ok(written)
    }
}

fn parse(resource: &Resource, patch: &Patch) -> Result<Parsed, Status> {
    let malformed = |error: serde_json::Error| Status::bad_request(format!("error decoding patch: {error}"));
    match patch.kind {
        PatchKind::Json => {
            let operations: json_patch::Patch = serde_json::from_slice(&patch.body).map_err(malformed)?;
            if operations.0.len() > OPERATIONS_MAX {
                let why = format!(
                    "The allowed maximum operations in a JSON patch is {OPERATIONS_MAX}, got {}",
                    operations.0.len()
                );
                return Err(Status::new(Reason::RequestEntityTooLarge, why));
            }
            Ok(Parsed::Json(operations))
        }
        PatchKind::Merge => serde_json::from_slice(&patch.body).map(Parsed::Merge).map_err(malformed),
        PatchKind::Strategic if resource.def.message.is_empty() => Err(Status::unsupported_media_type(&[
            "application/json-patch+json",
            "application/merge-patch+json",
            "application/apply-patch+yaml",
        ])),
        PatchKind::Strategic => serde_json::from_slice(&patch.body).map(Parsed::Strategic).map_err(malformed),
    }
}

fn patched(resource: &Resource, patch: &Parsed, stored: Bytes) -> Result<Value, Status> {
    let json = resource.present(stored)?;
    let mut value: Value = serde_json::from_slice(&json).map_err(Status::internal)?;
    match patch {
        Parsed::Json(operations) => {
            apply_operations(&mut value, operations).map_err(|error| unprocessable(&error))?;
            Ok(value)
        }
        Parsed::Merge(patch) => {
            json_patch::merge(&mut value, patch);
            Ok(value)
        }
        Parsed::Strategic(patch) => {
            strategic_merge(resource.def.message, value, patch.clone()).map_err(|error| strategic_failed(&error))
        }
    }
}

fn strategic_failed(error: &PatchError) -> Status {
    match error {
        PatchError::UnsupportedMediaType => {
            Status { message: error.to_string(), ..Status::new(Reason::UnsupportedMediaType, "") }
        }
        error if error.is_bad_request() => Status::bad_request(error.to_string()),
        error if error.is_unprocessable() => unprocessable(error),
        error => Status::new(Reason::Unknown, error.to_string()),
    }
}

/// A well-formed patch that does not fit the object.
fn unprocessable(error: &dyn std::fmt::Display) -> Status {
    let cause = StatusCause {
        reason: Some("UnexpectedServerResponse".to_owned()),
        message: Some(error.to_string()),
        field: None,
    };
    let mut status = Status::new(Reason::Invalid, "the server rejected our request due to an error in our request");
    status.details = Some(Box::new(StatusDetails { causes: Some(vec![cause]), ..StatusDetails::default() }));
    status
}

/// A patched object that does not decode is the patch's fault.
fn unfit(resource: &Resource, status: Status) -> Status {
    if status.reason != Reason::BadRequest {
        return status;
    }
    let prefix = format!(
        "{kind} in version {version:?} cannot be handled as a {kind}: ",
        kind = resource.def.kind,
        version = resource.def.version
    );
    let why = status.message.strip_prefix(&prefix).unwrap_or(&status.message).to_owned();
    unprocessable(&why)
}

/// What strictness has against a patch, or against what becomes of the object; upstream names no kind here.
fn not_strict(patched: &[u8], complaints: &[String]) -> Status {
    let shown = String::from_utf8_lossy(patched);
    let why = format!("strict decoding error: {}", complaints.join(", "));
    let error = FieldError::invalid(FieldPath::new("patch"), &shown, why);
    let cause = StatusCause {
        reason: Some(error.kind.reason().to_owned()),
        message: Some(error.message()),
        field: Some(error.path.to_string()),
    };
    let mut status = Status::new(Reason::Invalid, format!(" \"\" is invalid: {error}"));
    status.details = Some(Box::new(StatusDetails { causes: Some(vec![cause]), ..StatusDetails::default() }));
    status
}
