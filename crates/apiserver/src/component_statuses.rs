//! ComponentStatuses: what this process knows of the control plane's parts, asked anew for each reader.
//!
//! Invariant: only what can be asked is listed. The store is; controllers and scheduler have health of their own
//! elsewhere, and an entry for them here would be a guess.

use crate::call::Call;
use crate::http::{Answer, Form};
use crate::render::{self, TableWriter, protobuf};
use api::{Object, Status};
use bytes::Bytes;
use k8s_openapi::api::core::v1::{ComponentCondition, ComponentStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

const DEPRECATED: &str = "v1 ComponentStatus is deprecated in v1.19+";
const STORE: &str = "etcd-0";

pub(crate) fn answer(call: &Call<'_>) -> Result<Answer, Status> {
    let all = all(call);
    let answer = match (call.info.verb, call.info.name) {
        ("list", "") => list(call, &all)?,
        ("get", name) => {
            let found = all.iter().find(|own| own.metadata.name.as_deref() == Some(name));
            let found = found.ok_or_else(|| Status::not_found(call.def(), name))?;
            render::json(&call.resource, json(found)?, call.form, call.registry().now())?
        }
        _ => return Err(Status::method_not_allowed()),
    };
    Ok(answer.warn(vec![DEPRECATED.to_owned()]))
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

fn json(status: &ComponentStatus) -> Result<Bytes, Status> {
    Object::encode(status).map(Bytes::from).map_err(Status::internal)
}

fn list(call: &Call<'_>, all: &[ComponentStatus]) -> Result<Answer, Status> {
    if let Form::Table(include) = call.form {
        let mut table = TableWriter::new(&call.resource, include, call.registry().now());
        for own in all {
            table.row(own, &json(own)?)?;
        }
        return Ok(Answer::json(table.finish("", "", None)?));
    }
    let items: Vec<Bytes> = all.iter().map(json).collect::<Result<_, _>>()?;
    let mut body = br#"{"kind":"ComponentStatusList","apiVersion":"v1","metadata":{},"items":["#.to_vec();
    body.extend_from_slice(&items.join(&b","[..]));
    body.extend_from_slice(b"]}\n");
    match call.form {
        Form::Protobuf => protobuf::answer(&format!("{}List", call.def().message), &body),
        Form::Yaml => render::yaml(&body),
        Form::Partial => Err(Status::not_acceptable(&["application/json", "application/yaml", protobuf::MEDIA_TYPE])),
        Form::Json | Form::Table(_) => Ok(Answer::json(body)),
    }
}
