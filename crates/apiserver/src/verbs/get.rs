//! GET of one object.

use crate::call::Call;
use crate::http::Answer;
use crate::render;
use api::Status;
use registry::ReadVersion;

pub(super) async fn get(call: &Call<'_>) -> Result<Answer, Status> {
    let version = ReadVersion::of_get(call.def(), call.query.get("resourceVersion"))?;
    let entry = call.registry().get(&call.resource, call.namespace(), call.info.name, version).await?;
    render::entry(&call.resource, &entry, call.form, call.registry().now())
}
