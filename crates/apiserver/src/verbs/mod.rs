//! The verbs: one file each. A verb reads its options from the call, asks the registry, and renders the answer.

mod create;
mod decode;
mod delete;
mod delete_collection;
mod get;
mod list;
mod patch;
mod update;
pub(crate) mod watch;

pub(crate) use decode::decode;
pub(crate) use delete::delete_options;
pub(crate) use patch::{PatchVerb, apply, intent, patch_verb};

use crate::call::Call;
use crate::http::Answer;
use crate::subresources;
use api::resource::Verbs;
use api::{Reason, Status};
use registry::Written;

/// Answers a resource request that has been authorized.
pub(crate) async fn dispatch(call: &Call<'_>) -> Result<Answer, Status> {
    if call.def().verbs == Verbs::CreateOnly {
        return match (call.info.verb, call.info.name) {
            ("create", "") => crate::reviews::answer(call).await,
            _ => Err(Status::method_not_allowed()),
        };
    }
    if call.def().group == api::metrics::GROUP {
        return crate::measurements::answer(call).await;
    }
    if call.def().verbs == Verbs::ReadOnly {
        return crate::component_statuses::answer(call);
    }
    if !call.info.subresource.is_empty() {
        return subresources::dispatch(call).await;
    }
    match (call.info.verb, call.info.name.is_empty()) {
        ("get", false) => get::get(call).await,
        ("list", true) => list::list(call).await,
        ("watch", _) => watch::watch(call).await,
        ("create", true) => create::create(call).await,
        ("update", false) => update::update(call).await,
        ("patch", false) => patch::patch(call).await,
        ("delete", false) => delete::delete(call).await,
        ("deletecollection", true) => delete_collection::delete_collection(call).await,
        _ => Err(Status::method_not_allowed()),
    }
}

/// The verbs of a subresource that shares the object's body.
pub(crate) async fn dispatch_body(call: &Call<'_>) -> Result<Answer, Status> {
    match call.info.verb {
        "get" => get::get(call).await,
        "update" => update::update(call).await,
        "patch" => patch::patch(call).await,
        _ => Err(Status::method_not_allowed()),
    }
}

/// A written object in the asked form, with what there is to warn of.
pub(crate) fn written(call: &Call<'_>, written: Written) -> Result<Answer, Status> {
    let now = call.registry().now();
    let answer = crate::render::json(&call.resource, written.json(), call.form, now)?;
    Ok(answer.warn(written.warnings))
}

/// A namespaced object's path must name the namespace.
pub(crate) fn require_namespace(call: &Call<'_>) -> Result<(), Status> {
    if call.def().namespaced() && call.namespace().is_empty() {
        return Err(Status::new(Reason::BadRequest, "an empty namespace may not be set during creation"));
    }
    Ok(())
}
