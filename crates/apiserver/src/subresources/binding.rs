//! `pods/NAME/binding`: a pod gets its node, once.

use super::admit::{Admitted, admit};
use super::{created, decode_other};
use crate::call::Call;
use crate::http::Answer;
use api::field::{FieldError, FieldPath};
use api::{Kind, Object, Reason, Status, Subresource};
use k8s_openapi::api::core::v1::{Binding, Pod, PodCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use registry::{Current, Part, Write};

pub(super) async fn bind(call: &Call<'_>) -> Result<Answer, Status> {
    let binding: Binding = decode_other(call, Binding::DEF.message)?;
    let name = binding.metadata.name.as_deref().unwrap_or_default();
    if !name.is_empty() && name != call.info.name {
        return Err(Status::bad_request("name in URL does not match name in Binding object"));
    }
    bind_to(call, binding, call.info.name).await
}

/// `POST …/bindings`, the older path: the pod is the one that the body names.
pub(crate) async fn bind_collection(call: &Call<'_>) -> Result<Answer, Status> {
    let binding: Binding = decode_other(call, Binding::DEF.message)?;
    match binding.metadata.name.clone().filter(|name| !name.is_empty()) {
        Some(name) => bind_to(call, binding, &name).await,
        None => Err(Status::bad_request("name is required")),
    }
}

async fn bind_to(call: &Call<'_>, binding: Binding, name: &str) -> Result<Answer, Status> {
    let binding = admit(call, Subresource::Binding, name, None, binding).await?;
    let node = check_target(&binding, name)?;
    // The scheduler's word is nobody's field: upstream books no binding.
    let write = Write { subresource: Some(Subresource::Binding), manager: None, admission: &Admitted, ..call.write()? };
    let now = call.registry().now();
    let mut change = |current: &Current<'_>| assign(current.object, &binding, node, now);
    call.registry().update(&call.resource, &write, Part::Given, call.namespace(), name, &mut change).await?;
    created()
}

fn check_target<'a>(binding: &'a Binding, name: &str) -> Result<&'a str, Status> {
    let target = FieldPath::new("target");
    let kind = binding.target.kind.as_deref().unwrap_or_default();
    let mut errors = Vec::new();
    if !matches!(kind, "" | "Node") {
        errors.push(FieldError::not_supported(target.child("kind"), kind, &["Node", "<empty>"]));
    }
    let node = binding.target.name.as_deref().unwrap_or_default();
    if node.is_empty() {
        errors.push(FieldError::required(target.child("name"), ""));
    }
    if errors.is_empty() { Ok(node) } else { Err(Status::invalid(&Binding::DEF, name, &errors)) }
}

fn refuse(pod: &Pod, why: &str) -> Status {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let message = format!("Operation cannot be fulfilled on pods/binding {name:?}: pod {name} {why}");
    Status::new(Reason::Conflict, message)
}

fn assign(object: &dyn Object, binding: &Binding, node: &str, now: Timestamp) -> Result<Box<dyn Object>, Status> {
    let Some(pod) = object.downcast::<Pod>() else { return Err(Status::no_such_path()) };
    let mut pod = pod.clone();
    if pod.metadata.deletion_timestamp.is_some() {
        return Err(refuse(&pod, "is being deleted, cannot be assigned to a host"));
    }
    let spec = pod.spec.get_or_insert_default();
    if let Some(own) = spec.node_name.as_deref().filter(|own| !own.is_empty()) {
        let why = format!("is already assigned to node {own:?}");
        return Err(refuse(&pod, &why));
    }
    if spec.scheduling_gates.as_ref().is_some_and(|gates| !gates.is_empty()) {
        return Err(refuse(&pod, "has non-empty .spec.schedulingGates"));
    }
    spec.node_name = Some(node.to_owned());
    if let Some(annotations) = &binding.metadata.annotations {
        pod.metadata.annotations.get_or_insert_default().extend(annotations.clone());
    }
    // What the binding's judges say of the place, the pod is told.
    if let Some(labels) = &binding.metadata.labels {
        pod.metadata.labels.get_or_insert_default().extend(labels.clone());
    }
    if binding.metadata.uid.is_some() {
        pod.metadata.uid.clone_from(&binding.metadata.uid);
    }
    if binding.metadata.resource_version.is_some() {
        pod.metadata.resource_version.clone_from(&binding.metadata.resource_version);
    }
    set_scheduled(&mut pod, now);
    Ok(Box::new(pod))
}

fn set_scheduled(pod: &mut Pod, now: Timestamp) {
    let scheduled = PodCondition {
        type_: "PodScheduled".to_owned(),
        status: "True".to_owned(),
        last_transition_time: Timestamp::from_second(now.as_second()).ok().map(Time),
        observed_generation: pod.metadata.generation,
        ..PodCondition::default()
    };
    let conditions = pod.status.get_or_insert_default().conditions.get_or_insert_default();
    conditions.retain(|condition| condition.type_ != scheduled.type_);
    conditions.push(scheduled);
}
