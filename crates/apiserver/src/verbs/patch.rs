//! PATCH of an object, or of a subresource that shares its body.

use super::written;
use crate::authz::{Attributes, Foreseen};
use crate::call::{Call, bad_option, yaml_to_json};
use crate::http::Answer;
use crate::subresources::body;
use api::{FieldError, FieldPath, Status};
use http::StatusCode;
use registry::{Apply, Part, Patch, PatchKind, Write, Written};
use serde_json::Value;

/// What a PATCH does with its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PatchVerb {
    Patch(PatchKind),
    /// Server-side apply.
    Apply,
}

const TYPES: &[(&str, PatchVerb)] = &[
    ("application/json-patch+json", PatchVerb::Patch(PatchKind::Json)),
    ("application/merge-patch+json", PatchVerb::Patch(PatchKind::Merge)),
    ("application/strategic-merge-patch+json", PatchVerb::Patch(PatchKind::Strategic)),
    ("application/apply-patch+yaml", PatchVerb::Apply),
];

/// What a content type says the body is, and whether the options fit it.
pub(crate) fn patch_verb(call: &Call<'_>) -> Result<PatchVerb, Status> {
    let known = TYPES.iter().find(|(name, _)| *name == call.content_type);
    let verb = known.map(|(_, verb)| *verb).ok_or_else(|| {
        let names: Vec<&str> = TYPES.iter().map(|(name, _)| *name).collect();
        Status::unsupported_media_type(&names)
    })?;
    let path = FieldPath::new;
    match verb {
        PatchVerb::Apply if call.query.get("fieldManager").is_empty() => {
            Err(bad_option("patch", &FieldError::required(path("fieldManager"), "is required for apply patch")))
        }
        PatchVerb::Patch(_) if call.query.find("force").is_some() => {
            let detail = "may not be specified for non-apply patch";
            Err(bad_option("patch", &FieldError::forbidden(path("force"), detail.to_owned())))
        }
        verb => Ok(verb),
    }
}

pub(super) async fn patch(call: &Call<'_>) -> Result<Answer, Status> {
    let (part, pick) = body::part(call.subresource);
    let pick = (part == Part::Given).then_some(pick);
    let patched = match patch_verb(call)? {
        PatchVerb::Apply => return apply_answer(call, part, pick).await,
        PatchVerb::Patch(kind) => {
            let write = call.write()?;
            let patch = Patch { kind, body: call.body.clone(), validation: call.validation()? };
            let (registry, namespace) = (call.registry(), call.namespace());
            registry.patch(&call.resource, &write, part, namespace, call.info.name, &patch, pick).await?
        }
    };
    written(call, patched)
}

async fn apply_answer(call: &Call<'_>, part: Part, pick: Option<registry::Pick<'_>>) -> Result<Answer, Status> {
    let applied = apply(call, &call.write()?, part, pick, intent(call)?).await?;
    let code = if applied.created { StatusCode::CREATED } else { StatusCode::OK };
    Ok(written(call, applied)?.code(code))
}

/// The body of an apply.
pub(crate) fn intent(call: &Call<'_>) -> Result<Value, Status> {
    let malformed = |error: &dyn std::fmt::Display| Status::bad_request(format!("error decoding YAML: {error}"));
    // JSON is YAML, and read faster.
    if call.body.first() == Some(&b'{')
        && let Ok(intent) = serde_json::from_slice(&call.body)
    {
        return Ok(intent);
    }
    let json = yaml_to_json(&call.body).map_err(|status| malformed(&status.message))?;
    serde_json::from_slice(&json).map_err(|error| malformed(&error))
}

/// Applies an intent; who may not create what is not there is told so.
pub(crate) async fn apply(
    call: &Call<'_>,
    write: &Write<'_>,
    part: Part,
    pick: Option<registry::Pick<'_>>,
    intent: Value,
) -> Result<Written, Status> {
    let create = may_create(call).await?;
    let may_create = || create.require();
    let apply = Apply { intent, force: call.query.flag("force"), may_create: &may_create, pick };
    call.registry().apply(&call.resource, write, part, call.namespace(), call.info.name, &apply).await
}

/// A write that turns out to create must be allowed to.
pub(super) async fn may_create<'a>(call: &'a Call<'_>) -> Result<Foreseen<'a>, Status> {
    let asked = Attributes { verb: "create", ..Attributes::of(&call.info) };
    Ok(call.backend.parts()?.authz.foresee(call.user, asked).await)
}
