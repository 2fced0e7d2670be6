//! DELETE of a collection.

use super::delete_options;
use super::list::list_query;
use crate::call::Call;
use crate::http::Answer;
use crate::render;
use api::Status;

pub(super) async fn delete_collection(call: &Call<'_>) -> Result<Answer, Status> {
    let (request, dry_run) = delete_options(call)?;
    let write = registry::Write { dry_run, ..call.write()? };
    let query = list_query(call)?;
    let listing = call.registry().delete_collection(&call.resource, &write, &query, &request).await?;
    render::list(&call.resource, listing, call.form, call.registry().now())
}
