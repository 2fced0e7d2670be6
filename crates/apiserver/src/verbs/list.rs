//! GET of a collection.

use crate::call::Call;
use crate::http::Answer;
use crate::render;
use api::Status;
use registry::{ListQuery, ReadVersion};

pub(super) async fn list(call: &Call<'_>) -> Result<Answer, Status> {
    let query = list_query(call)?;
    let listing = call.registry().list(&call.resource, &query).await?;
    render::list(&call.resource, listing, call.form, call.registry().now())
}

pub(super) fn list_query(call: &Call<'_>) -> Result<ListQuery, Status> {
    let limit = call.query.integer("limit")?.unwrap_or_default();
    let limit = usize::try_from(limit).map_err(|_| Status::bad_request("limit must not be negative"))?;
    let continue_token = call.query.get("continue").to_owned();
    let version = ReadVersion::of_list(
        call.def(),
        call.query.get("resourceVersion"),
        call.query.get("resourceVersionMatch"),
        !continue_token.is_empty(),
        limit > 0,
    )?;
    if call.query.find("sendInitialEvents").is_some() {
        return Err(Status::new(
            api::Reason::Invalid,
            "ListOptions.meta.k8s.io \"\" is invalid: sendInitialEvents: Forbidden: sendInitialEvents is forbidden \
             for list",
        ));
    }
    Ok(ListQuery { selection: call.selection()?, version, limit, continue_token })
}
