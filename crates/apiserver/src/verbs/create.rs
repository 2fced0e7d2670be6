//! POST to a collection.

use super::{decode, require_namespace, written};
use crate::call::Call;
use crate::http::Answer;
use api::Status;
use http::StatusCode;

pub(super) async fn create(call: &Call<'_>) -> Result<Answer, Status> {
    require_namespace(call)?;
    if call.resource.kind.is_ending() {
        let message = "create not allowed while custom resource definition is terminating";
        return Err(Status { message: message.to_owned(), ..Status::method_not_allowed() });
    }
    let write = call.write()?;
    let decoded = decode(call)?;
    let mut created = call.registry().create(&call.resource, &write, call.namespace(), decoded.object).await?;
    created.warnings.extend(decoded.warnings);
    if call.def().unattended {
        created
            .warnings
            .push(format!("{} is stored, but no controller of this server acts on it", call.def().group_resource()));
    }
    Ok(written(call, created)?.code(StatusCode::CREATED))
}
