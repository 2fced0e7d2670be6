//! Objects and lists in the forms that clients ask for.
//!
//! Invariant: what is rendered is in the asked version already; JSON is copied, never decoded; only tables decode.

mod computed;
mod list;
mod partial;
pub(crate) mod protobuf;
mod table;

pub(crate) use computed::{computed, computed_list};
pub(crate) use list::list;
pub(crate) use table::{TableWriter, bookmark as table_bookmark};

use crate::http::{Answer, Form};
use api::Status;
use bytes::Bytes;
use k8s_openapi::jiff::Timestamp;
use registry::{Entry, Resource};

/// One object that is not (or not only) a stored entry.
pub(crate) fn json(resource: &Resource, json: Bytes, form: Form, now: Timestamp) -> Result<Answer, Status> {
    match form {
        Form::Json => Ok(Answer::json(json)),
        Form::Yaml => yaml(&json),
        // Custom kinds have no protobuf form.
        Form::Protobuf if resource.def.message.is_empty() => Ok(Answer::json(json)),
        Form::Protobuf => protobuf::answer(resource.def.message, &json),
        Form::Partial => partial::of_json(&json).map(Answer::json),
        Form::PartialProtobuf => protobuf::answer(protobuf::PARTIAL, &partial::of_json(&json)?),
        Form::Table(include) => {
            let object = resource.kind.decode(&json).map_err(Status::internal)?;
            let mut table = TableWriter::new(resource, include, now);
            let version = object.meta().resource_version.clone().unwrap_or_default();
            table.row(object.as_ref(), &json)?;
            Ok(Answer::json(table.finish(&version, "", None)?))
        }
    }
}

pub(crate) fn entry(resource: &Resource, entry: &Entry, form: Form, now: Timestamp) -> Result<Answer, Status> {
    match form {
        Form::Partial | Form::PartialProtobuf => {
            let mut out = Vec::with_capacity(512);
            partial::write(entry, &mut out);
            match form {
                Form::Partial => Ok(Answer::json(out)),
                _ => protobuf::answer(protobuf::PARTIAL, &out),
            }
        }
        form => json(resource, entry.json(), form, now),
    }
}

/// The JSON of any answer as YAML.
pub(crate) fn yaml(json: &[u8]) -> Result<Answer, Status> {
    let value: serde_json::Value = serde_json::from_slice(json).map_err(Status::internal)?;
    let text = serde_saphyr::to_string(&value).map_err(Status::internal)?;
    let mut answer = Answer::json(text);
    answer.content_type = "application/yaml";
    Ok(answer)
}

/// One watch event's object in the asked form, appended.
pub(crate) fn event_object(
    resource: &Resource,
    entry_json: &[u8],
    form: Form,
    now: Timestamp,
    first: bool,
    out: &mut Vec<u8>,
) -> Result<(), Status> {
    match form {
        Form::Json | Form::Yaml => out.extend_from_slice(entry_json),
        Form::Protobuf => out.extend_from_slice(&protobuf::encode(resource.def.message, entry_json)?),
        Form::Partial => out.extend_from_slice(&partial::of_json(entry_json)?),
        Form::PartialProtobuf => {
            out.extend_from_slice(&protobuf::encode(protobuf::PARTIAL, &partial::of_json(entry_json)?)?);
        }
        Form::Table(include) => {
            let object = resource.kind.decode(entry_json).map_err(Status::internal)?;
            let mut table = TableWriter::new(resource, include, now);
            if !first {
                table = table.without_columns();
            }
            table.row(object.as_ref(), entry_json)?;
            let version = object.meta().resource_version.clone().unwrap_or_default();
            out.extend_from_slice(&table.finish(&version, "", None)?);
        }
    }
    Ok(())
}
