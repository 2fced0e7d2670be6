//! A body as a typed object, with upstream's words for one that is of another kind.

use crate::call::Call;
use api::Status;
use registry::{Decoded, Resource, decode_body};
use serde::Deserialize;

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct TypeMeta {
    api_version: String,
    kind: String,
}

/// The call's body as an object of its resource.
pub(crate) fn decode(call: &Call<'_>) -> Result<Decoded, Status> {
    let json = call.json_body(call.def().message)?;
    let decoded = decode_body(&call.resource, &json, call.validation()?);
    decoded.map_err(|status| of_another_type(&call.resource, &json).unwrap_or(status))
}

/// Whether the body fails because it is another kind's.
fn of_another_type(resource: &Resource, json: &[u8]) -> Option<Status> {
    let own: TypeMeta = serde_json::from_slice(json).ok()?;
    let def = resource.def;
    let expected = def.api_version();
    if !own.api_version.is_empty() && own.api_version != expected {
        return Some(Status::bad_request(format!(
            "the API version in the data ({}) does not match the expected API version ({expected})",
            own.api_version
        )));
    }
    if own.kind.is_empty() || own.kind == def.kind {
        return None;
    }
    let short = def.version;
    let group = def.group.split('.').next().filter(|group| !group.is_empty()).unwrap_or("core");
    Some(Status::bad_request(format!(
        "{kind} in version {short:?} cannot be handled as a {wanted}: converting ({short}.{kind}) to \
         ({group}.{wanted}): unknown conversion",
        kind = own.kind,
        wanted = def.kind
    )))
}
