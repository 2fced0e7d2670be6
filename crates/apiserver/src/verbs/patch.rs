//! PATCH of an object, or of a subresource that shares its body.

use super::written;
use crate::call::Call;
use crate::http::Answer;
use crate::subresources::body;
use api::Status;
use registry::{Part, Patch, PatchKind};

const TYPES: &[(&str, PatchKind)] = &[
    ("application/json-patch+json", PatchKind::Json),
    ("application/merge-patch+json", PatchKind::Merge),
    ("application/strategic-merge-patch+json", PatchKind::Strategic),
    ("application/apply-patch+yaml", PatchKind::Apply),
];

/// Which patch a content type says the body is.
pub(crate) fn patch_kind(content_type: &str) -> Result<PatchKind, Status> {
    let known = TYPES.iter().find(|(name, _)| *name == content_type);
    known.map(|(_, kind)| *kind).ok_or_else(|| {
        let names: Vec<&str> = TYPES.iter().map(|(name, _)| *name).collect();
        Status::unsupported_media_type(&names)
    })
}

pub(super) async fn patch(call: &Call<'_>) -> Result<Answer, Status> {
    let write = call.write()?;
    let kind = patch_kind(call.content_type)?;
    let patch = Patch { kind, body: call.body.clone(), validation: call.validation()? };
    let (part, pick) = body::part(call.subresource);
    let pick = (part == Part::Given).then_some(pick);
    let patched =
        call.registry().patch(&call.resource, &write, part, call.namespace(), call.info.name, &patch, pick).await?;
    written(call, patched)
}
