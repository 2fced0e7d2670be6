//! `scale`: how many replicas, the same for every kind that has them.

use super::admit::row;
use super::decode_other;
use crate::call::Call;
use crate::http::{Answer, Form};
use crate::render::{protobuf, yaml};
use crate::verbs::{self, PatchVerb};
use api::custom::CustomObject;
use api::field::{FieldError, FieldPath};
use api::selector::Selector;
use api::{Kind, Object, Status};
use async_trait::async_trait;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::autoscaling::v1::{Scale, ScaleSpec, ScaleStatus};
use k8s_openapi::api::core::v1::ReplicationController;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use registry::{Admission, Attempt, Books, Claim, Current, Part, PatchKind, ReadVersion, Write};
use serde_json::{Value, json};

pub(super) async fn dispatch(call: &Call<'_>) -> Result<Answer, Status> {
    match call.info.verb {
        "get" => get(call).await,
        "update" => {
            let wanted: Scale = decode_other(call, Scale::DEF.message)?;
            set(call, &|_| Ok(wanted.clone())).await
        }
        "patch" => match verbs::patch_verb(call)? {
            PatchVerb::Apply => apply(call).await,
            PatchVerb::Patch(kind) => set(call, &|scale| patched(kind, &call.body, scale)).await,
        },
        _ => Err(Status::method_not_allowed()),
    }
}

async fn get(call: &Call<'_>) -> Result<Answer, Status> {
    let version = ReadVersion::of_get(call.def(), call.query.get("resourceVersion"))?;
    let entry = call.registry().get(&call.resource, call.namespace(), call.info.name, version).await?;
    let object = entry.decode(call.resource.kind).map_err(Status::internal)?;
    answer(call, &read(object.as_ref())?)
}

fn answer(call: &Call<'_>, scale: &Scale) -> Result<Answer, Status> {
    let json = serde_json::to_vec(scale).map_err(Status::internal)?;
    match call.form {
        Form::Yaml => yaml(&json),
        Form::Protobuf => protobuf::answer(Scale::DEF.message, &json),
        _ => Ok(Answer::json(json)),
    }
}

/// To apply a Scale is to apply the replicas of its object.
async fn apply(call: &Call<'_>) -> Result<Answer, Status> {
    let intent = verbs::intent(call)?;
    let text = |name: &str| intent.get(name).and_then(Value::as_str).unwrap_or_default();
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    if (api_version, kind) != (Scale::DEF.api_version().as_str(), Scale::DEF.kind) {
        return Err(Status::bad_request(format!("invalid object type: {api_version}, Kind={kind}")));
    }
    let scale: Scale =
        serde_json::from_value(intent.clone()).map_err(|error| Status::bad_request(error.to_string()))?;
    let replicas = scale.spec.as_ref().and_then(|spec| spec.replicas);
    check(call, &scale, replicas.unwrap_or_default())?;
    let metadata = intent.get("metadata").cloned().unwrap_or_default();
    let mut object = json!({"apiVersion": call.def().api_version(), "kind": call.def().kind, "metadata": metadata});
    if let Some(replicas) = replicas {
        object["spec"] = json!({"replicas": replicas});
    }
    let write = call.write()?;
    let write = Write { admission: &OfScale(write.admission), ..write };
    let applied = verbs::apply(call, &write, Part::Object, None, object).await?;
    let object = applied.entry.decode(call.resource.kind).map_err(Status::internal)?;
    answer(call, &read(object.as_ref())?)
}

type MakeScale<'a> = &'a (dyn Fn(&Scale) -> Result<Scale, Status> + Send + Sync);

async fn set(call: &Call<'_>, make: MakeScale<'_>) -> Result<Answer, Status> {
    let write = call.write()?;
    let write = Write { admission: &OfScale(write.admission), ..write };
    let mut change = |current: &Current<'_>| {
        let wanted = make(&read(current.object)?)?;
        let replicas = wanted.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or_default();
        check(call, &wanted, replicas)?;
        let mut object = current.object.boxed();
        set_replicas(object.as_mut(), replicas)?;
        let meta = object.meta_mut();
        // Who names no version means the one that is there, whatever the kind demands of its own updates.
        if wanted.metadata.resource_version.is_some() || call.def().unconditional_update {
            meta.resource_version = wanted.metadata.resource_version;
        }
        if wanted.metadata.uid.is_some() {
            meta.uid = wanted.metadata.uid;
        }
        Ok(object)
    };
    let (registry, name) = (call.registry(), call.info.name);
    let updated = registry.update(&call.resource, &write, Part::Object, call.namespace(), name, &mut change).await?;
    let object = updated.entry.decode(call.resource.kind).map_err(Status::internal)?;
    answer(call, &read(object.as_ref())?)
}

/// Shows judges the Scale of an object in the object's place.
struct OfScale<'a>(&'a dyn Admission);

/// Both sides of a write as Scales.
fn scales(object: &dyn Object, old: Option<&dyn Object>) -> Result<(Scale, Option<Scale>), Status> {
    Ok((read(object)?, old.map(read).transpose()?))
}

/// A scale has no managed fields: those of its object are about other fields.
fn of_scale<'a>(attempt: &Attempt<'a>) -> Attempt<'a> {
    Attempt { kind: row::<Scale>(), books: Books::default(), ..*attempt }
}

#[async_trait]
impl Admission for OfScale<'_> {
    async fn mutate(
        &self,
        attempt: &Attempt<'_>,
        object: &mut Box<dyn Object>,
        old: Option<&dyn Object>,
    ) -> Result<(), Status> {
        let (scale, before) = scales(object.as_ref(), old)?;
        let replicas = |scale: &Scale| scale.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or_default();
        let wanted = replicas(&scale);
        let mut scale: Box<dyn Object> = Box::new(scale);
        let before = before.as_ref().map(|before| before as &dyn Object);
        self.0.mutate(&of_scale(attempt), &mut scale, before).await?;
        match scale.downcast::<Scale>().map(replicas) {
            Some(left) if left != wanted => set_replicas(object.as_mut(), left),
            _ => Ok(()),
        }
    }

    async fn validate(
        &self,
        attempt: &Attempt<'_>,
        object: Option<&dyn Object>,
        old: Option<&dyn Object>,
    ) -> Result<Vec<Claim>, Status> {
        let Some(object) = object else { return self.0.validate(attempt, object, old).await };
        let (scale, before) = scales(object, old)?;
        let before = before.as_ref().map(|before| before as &dyn Object);
        self.0.validate(&of_scale(attempt), Some(&scale), before).await
    }
}

fn check(call: &Call<'_>, wanted: &Scale, replicas: i32) -> Result<(), Status> {
    let name = wanted.metadata.name.as_deref().unwrap_or_default();
    if name != call.info.name {
        return Err(Status::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            call.info.name
        )));
    }
    if replicas < 0 {
        let why = "must be greater than or equal to 0";
        let error = FieldError::invalid(FieldPath::new("spec").child("replicas"), &replicas, why);
        return Err(Status::invalid(&Scale::DEF, name, &[error]));
    }
    Ok(())
}

fn patched(kind: PatchKind, body: &[u8], scale: &Scale) -> Result<Scale, Status> {
    let malformed = |error: serde_json::Error| Status::bad_request(format!("error decoding patch: {error}"));
    let mut value = serde_json::to_value(scale).map_err(Status::internal)?;
    match kind {
        PatchKind::Json => {
            let operations: json_patch::Patch = serde_json::from_slice(body).map_err(malformed)?;
            registry::apply_operations(&mut value, &operations)
                .map_err(|error| Status::new(api::Reason::Invalid, error.to_string()))?;
        }
        // A Scale has no lists: both merge alike.
        PatchKind::Merge | PatchKind::Strategic => {
            let patch = serde_json::from_slice(body).map_err(malformed)?;
            json_patch::merge(&mut value, &patch);
        }
    }
    serde_json::from_value(value).map_err(|error| Status::bad_request(error.to_string()))
}

/// An object's own metadata, wanted and observed replicas, and the selector of its pods as text.
fn read(object: &dyn Object) -> Result<Scale, Status> {
    let text = |selector: &LabelSelector| -> Result<String, Status> {
        Selector::from_label_selector(selector).map(|selector| selector.to_string()).map_err(Status::internal)
    };
    let (wanted, observed, selector) = if let Some(Deployment { spec, status, .. }) = object.downcast() {
        (spec.replicas, status.as_ref().and_then(|status| status.replicas), text(&spec.selector)?)
    } else if let Some(ReplicaSet { spec, status, .. }) = object.downcast() {
        (spec.replicas, status.as_ref().map(|status| status.replicas), text(&spec.selector)?)
    } else if let Some(StatefulSet { spec, status, .. }) = object.downcast() {
        (spec.replicas, status.as_ref().map(|status| status.replicas), text(&spec.selector)?)
    } else if let Some(ReplicationController { spec, status, .. }) = object.downcast() {
        let spec = spec.as_ref().ok_or_else(no_spec)?;
        let selector = spec.selector.as_ref().map(|map| Selector::from_map(map).to_string()).unwrap_or_default();
        (spec.replicas, status.as_ref().map(|status| status.replicas), selector)
    } else if let Some(custom) = object.as_any().downcast_ref::<CustomObject>() {
        of_custom(custom)?
    } else {
        return Err(Status::not_implemented("scaling this kind"));
    };
    let meta = object.meta();
    Ok(Scale {
        metadata: ObjectMeta {
            name: meta.name.clone(),
            namespace: meta.namespace.clone(),
            uid: meta.uid.clone(),
            resource_version: meta.resource_version.clone(),
            creation_timestamp: meta.creation_timestamp.clone(),
            ..ObjectMeta::default()
        },
        spec: Some(ScaleSpec { replicas: Some(wanted.unwrap_or_default()) }),
        status: Some(ScaleStatus {
            replicas: observed.unwrap_or_default(),
            selector: Some(selector).filter(|text| !text.is_empty()),
        }),
    })
}

fn set_replicas(object: &mut dyn Object, replicas: i32) -> Result<(), Status> {
    let replicas = Some(replicas);
    if let Some(deployment) = object.downcast_mut::<Deployment>() {
        deployment.spec.replicas = replicas;
    } else if let Some(replica_set) = object.downcast_mut::<ReplicaSet>() {
        replica_set.spec.replicas = replicas;
    } else if let Some(stateful_set) = object.downcast_mut::<StatefulSet>() {
        stateful_set.spec.replicas = replicas;
    } else if let Some(controller) = object.downcast_mut::<ReplicationController>() {
        controller.spec.as_mut().ok_or_else(no_spec)?.replicas = replicas;
    } else if let Some(custom) = object.as_any_mut().downcast_mut::<CustomObject>() {
        let definition = custom.definition().clone();
        let path = definition.scale().and_then(|paths| paths.wanted.fields());
        let path = path.ok_or_else(|| Status::not_implemented("scaling this kind"))?;
        custom.set(&path, Value::from(replicas));
    } else {
        return Err(Status::not_implemented("scaling this kind"));
    }
    Ok(())
}

/// What a custom object says at its definition's paths.
fn of_custom(custom: &CustomObject) -> Result<(Option<i32>, Option<i32>, String), Status> {
    let paths = custom.definition().scale().ok_or_else(|| Status::not_implemented("scaling this kind"))?;
    let whole = custom.whole();
    let number = |path: &api::custom::JsonPath| {
        let found = path.find(&whole).first().and_then(|value| value.as_i64());
        found.and_then(|number| i32::try_from(number).ok())
    };
    let selector = paths.selector.as_ref().and_then(|path| path.find(&whole).first().and_then(|own| own.as_str()));
    Ok((number(&paths.wanted), number(&paths.observed), selector.unwrap_or_default().to_owned()))
}

fn no_spec() -> Status {
    Status::internal("an object that scales has no spec")
}
