//! Metadata alone: `PartialObjectMetadata`.

use api::Status;
use registry::Entry;
use serde::Deserialize;
use serde_json::value::RawValue;

const HEAD: &[u8] = br#"{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":"#;

pub(super) fn write(entry: &Entry, out: &mut Vec<u8>) {
    out.extend_from_slice(HEAD);
    entry.write_metadata(out);
    out.push(b'}');
}

#[derive(Deserialize)]
struct WithMetadata<'a> {
    #[serde(borrow)]
    metadata: &'a RawValue,
}

pub(super) fn of_json(json: &[u8]) -> Result<Vec<u8>, Status> {
    let object: WithMetadata<'_> = serde_json::from_slice(json).map_err(Status::internal)?;
    let mut out = HEAD.to_vec();
    out.extend_from_slice(object.metadata.get().as_bytes());
    out.push(b'}');
    Ok(out)
}
