//! PUT of an object, or of a subresource that shares its body.

use super::patch::may_create;
use super::{decode, written};
use crate::call::Call;
use crate::http::Answer;
use crate::subresources::body;
use api::Status;
use http::StatusCode;
use registry::Part;

pub(super) async fn update(call: &Call<'_>) -> Result<Answer, Status> {
    let write = call.write()?;
    let decoded = decode(call)?;
    let (registry, namespace, name) = (call.registry(), call.namespace(), call.info.name);
    if call.subresource.is_none() && call.def().create_on_update {
        let create = may_create(call).await?;
        let allowed = || create.require();
        let object = decoded.object;
        let mut updated = registry.replace_or_create(&call.resource, &write, namespace, name, object, &allowed).await?;
        updated.warnings.extend(decoded.warnings);
        let code = if updated.created { StatusCode::CREATED } else { StatusCode::OK };
        return Ok(written(call, updated)?.code(code));
    }
    let mut updated = match body::part(call.subresource) {
        (part @ (Part::Object | Part::Status), _) => {
            registry.replace(&call.resource, &write, part, namespace, name, decoded.object).await?
        }
        (Part::Given, pick) => {
            let mut change = |current: &registry::Current<'_>| pick(current.object, decoded.object.boxed());
            registry.update(&call.resource, &write, Part::Given, namespace, name, &mut change).await?
        }
    };
    updated.warnings.extend(decoded.warnings);
    written(call, updated)
}
