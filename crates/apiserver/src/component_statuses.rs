//! ComponentStatuses: what this process knows of the control plane's parts, asked anew for each reader.
//!
//! Invariant: only what can be asked is listed. The store is; controllers and scheduler have health of their own
//! elsewhere, and an entry for them here would be a guess.

use crate::call::Call;
use crate::http::Answer;
use crate::render;
use api::Status;
use k8s_openapi::api::core::v1::{ComponentCondition, ComponentStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

const STORE: &str = "etcd-0";

pub(crate) fn answer(call: &Call<'_>) -> Result<Answer, Status> {
    let all = all(call);
    match (call.info.verb, call.info.name) {
        ("list", "") => render::computed_list(call, &all),
        ("get", name) => {
            let found = all.iter().find(|own| own.metadata.name.as_deref() == Some(name));
            let found = found.ok_or_else(|| Status::not_found(call.def(), name))?;
            render::computed(call, found)
        }
        _ => Err(Status::method_not_allowed()),
    }
}

fn all(call: &Call<'_>) -> Vec<ComponentStatus> {
    let health = call.registry().health();
    let condition = ComponentCondition {
        type_: "Healthy".to_owned(),
        status: if health.is_ok() { "True" } else { "False" }.to_owned(),
        message: Some(health.as_ref().map_or_else(|status| status.message.clone(), |()| "ok".to_owned())),
        error: None,
    };
    let metadata = ObjectMeta { name: Some(STORE.to_owned()), ..ObjectMeta::default() };
    vec![ComponentStatus { conditions: Some(vec![condition]), metadata }]
}
