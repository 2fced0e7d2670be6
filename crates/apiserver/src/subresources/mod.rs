//! The subresources: one file each.

pub(crate) mod admit;
mod binding;
pub(crate) mod body;
mod eviction;
mod scale;
mod token;

pub(crate) use binding::bind_collection;

use crate::call::Call;
use crate::http::Answer;
use crate::{streams, verbs};
use api::{Status, Subresource};
use http::StatusCode;
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;

pub(crate) async fn dispatch(call: &Call<'_>) -> Result<Answer, Status> {
    let Some(subresource) = call.subresource.filter(|subresource| call.def().has(*subresource)) else {
        return Err(Status::no_such_path());
    };
    match (subresource, call.info.verb) {
        (
            Subresource::Status
            | Subresource::EphemeralContainers
            | Subresource::Resize
            | Subresource::Approval
            | Subresource::Finalize,
            _,
        ) => verbs::dispatch_body(call).await,
        (Subresource::Scale, _) => scale::dispatch(call).await,
        (Subresource::Binding, "create") => binding::bind(call).await,
        (Subresource::Eviction, "create") => eviction::evict(call).await,
        (Subresource::Token, "create") => token::create(call).await,
        (Subresource::Log, "get") => streams::logs(call).await,
        (Subresource::Proxy, _) => Err(Status::not_implemented("the proxy subresource")),
        _ => Err(Status::method_not_allowed()),
    }
}

/// What `binding` and `eviction` answer.
pub(crate) fn created() -> Result<Answer, Status> {
    let status = meta::Status { status: Some("Success".to_owned()), code: Some(201), ..meta::Status::default() };
    Ok(Answer::serialized(&status)?.code(StatusCode::CREATED))
}

/// A body of a built-in type that is no resource of its own.
pub(crate) fn decode_other<T: serde::de::DeserializeOwned>(call: &Call<'_>, message: &str) -> Result<T, Status> {
    let body = call.json_body(message)?;
    let kind = message.rsplit('.').next().unwrap_or(message);
    serde_json::from_slice(&body).map_err(|error| {
        Status::bad_request(format!("{kind} in version \"v1\" cannot be handled as a {kind}: {error}"))
    })
}
