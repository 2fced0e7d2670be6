//! The protobuf form of built-in kinds, made from their JSON.
//!
//! Bound: an object, or a whole list, as a value tree while it is encoded.

use crate::http::{Answer, AnswerBody};
use api::Status;
use api::schema::proto::{self, ProtoError};

pub(crate) const MEDIA_TYPE: &str = "application/vnd.kubernetes.protobuf";
pub(crate) const WATCH_TYPE: &str = "application/vnd.kubernetes.protobuf;stream=watch";
/// What a watch ends with when it fails.
pub(crate) const STATUS: &str = "k8s.io.apimachinery.pkg.apis.meta.v1.Status";
/// Of any kind.
pub(crate) const PARTIAL: &str = "k8s.io.apimachinery.pkg.apis.meta.v1.PartialObjectMetadata";
pub(super) const PARTIAL_LIST: &str = "k8s.io.apimachinery.pkg.apis.meta.v1.PartialObjectMetadataList";

/// JSON of `message` as an enveloped object.
pub(crate) fn encode(message: &str, json: &[u8]) -> Result<Vec<u8>, Status> {
    let value = serde_json::from_slice(json).map_err(Status::internal)?;
    proto::encode(message, &value).map_err(|error| Status::internal(format!("encoding protobuf: {error}")))
}

pub(crate) fn answer(message: &str, json: &[u8]) -> Result<Answer, Status> {
    Ok(Answer::of(MEDIA_TYPE, AnswerBody::Bytes(encode(message, json)?.into())))
}

/// A client's body as JSON.
pub(crate) fn to_json(message: &str, body: &[u8]) -> Result<Vec<u8>, Status> {
    let value = proto::decode(message, body).map_err(|error| match error {
        ProtoError::UnknownMessage(_) => Status::unsupported_media_type(&["application/json", "application/yaml"]),
        other => Status::bad_request(other.to_string()),
    })?;
    serde_json::to_vec(&value).map_err(Status::internal)
}
