//! Objects that are made for each reader and stored nowhere, one or all, in the asked form.

use super::{TableWriter, protobuf, yaml};
use crate::call::Call;
use crate::http::{Answer, Form};
use api::{Kind, Object, Status};
use bytes::Bytes;

fn encoded(object: &impl Kind) -> Result<Bytes, Status> {
    Object::encode(object).map(Bytes::from).map_err(Status::internal)
}

pub(crate) fn computed(call: &Call<'_>, object: &impl Kind) -> Result<Answer, Status> {
    super::json(&call.resource, encoded(object)?, call.form, call.registry().now())
}

/// The list of `all`. It has no revision, as nothing of it is stored.
pub(crate) fn computed_list(call: &Call<'_>, all: &[impl Kind]) -> Result<Answer, Status> {
    let def = call.def();
    if let Form::Table(include) = call.form {
        let mut table = TableWriter::new(&call.resource, include, call.registry().now());
        for own in all {
            table.row(own, &encoded(own)?)?;
        }
        return Ok(Answer::json(table.finish("", "", None)?));
    }
    // What kind they are is said once.
    let named = format!(r#"{{"apiVersion":"{}","kind":"{}","#, def.api_version(), def.kind);
    let item = |own| {
        let json: Bytes = encoded(own)?;
        let rest = json.strip_prefix(named.as_bytes());
        Ok::<_, Status>(rest.map_or_else(|| json.to_vec(), |rest| [b"{", rest].concat()))
    };
    let items: Vec<Vec<u8>> = all.iter().map(item).collect::<Result<_, _>>()?;
    let head = format!(r#"{{"kind":"{}List","apiVersion":"{}","metadata":{{}},"items":["#, def.kind, def.api_version());
    let mut body = head.into_bytes();
    body.extend_from_slice(&items.join(&b","[..]));
    body.extend_from_slice(b"]}\n");
    match call.form {
        Form::Protobuf => protobuf::answer(&format!("{}List", def.message), &body),
        Form::Yaml => yaml(&body),
        Form::Partial | Form::PartialProtobuf => {
            Err(Status::not_acceptable(&["application/json", "application/yaml", protobuf::MEDIA_TYPE]))
        }
        Form::Json | Form::Table(_) => Ok(Answer::json(body)),
    }
}
