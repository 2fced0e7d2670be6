//! OpenAPI documents of what is served: v3 per group version, v2 of everything.
//!
//! Invariants: a document depends on the resources and the table alone, byte for byte, so that its hash names it;
//! built-in and custom resources come out of one path. Nothing is kept: callers cache the documents.

mod custom;
mod descriptions;
mod gnostic;
mod operations;
mod paths;
mod plain;
mod schemas;

use crate::KUBERNETES_VERSION;
use crate::resource::ResourceDef;
use serde_json::{Map, Value, json};
use std::sync::Arc;

use descriptions::Descriptions;
use schemas::Schemas;

/// Which of the two formats is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dialect {
    V2,
    V3,
}

/// The schema of a kind that the table of messages does not have.
pub type CustomSchemas<'a> = &'a dyn Fn(&ResourceDef) -> Option<Arc<Value>>;

/// The paths of all v3 documents, sorted: of each group version, and of each path that is no resource.
pub fn v3_paths(defs: &[&ResourceDef]) -> Vec<String> {
    let plain = plain::all(defs).into_iter().map(|plain| plain.document.into_owned());
    let mut paths: Vec<String> = defs.iter().map(|def| document_path(def)).chain(plain).collect();
    paths.sort();
    paths.dedup();
    paths
}

/// The document at `/openapi/v3/{path}`, one of `v3_paths`: `api/v1`, `apis/apps/v1`, `version`.
pub fn v3(path: &str, defs: &[&ResourceDef], customs: CustomSchemas<'_>) -> Vec<u8> {
    let plain = plain::all(defs).into_iter().filter(|plain| plain.document == path);
    let defs: Vec<&ResourceDef> = defs.iter().copied().filter(|def| document_path(def) == path).collect();
    let descriptions = Descriptions::read();
    let mut schemas = Schemas::new(Dialect::V3, &descriptions, &defs, customs);
    let paths = paths::all(&defs, plain, Dialect::V3, &mut schemas);
    let document = json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": KUBERNETES_VERSION.2},
        "paths": paths,
        "components": {
            "schemas": schemas.finish(),
            "securitySchemes": {"BearerToken": bearer_token()},
        },
    });
    document.to_string().into_bytes()
}

/// The document at `/openapi/v2`, as JSON.
pub fn v2(defs: &[&ResourceDef], customs: CustomSchemas<'_>) -> Vec<u8> {
    v2_document(defs, customs).to_string().into_bytes()
}

/// The same for `application/com.github.proto-openapi.spec.v2.v1.0+protobuf`.
pub fn v2_protobuf(document: &Value) -> Vec<u8> {
    gnostic::document(document)
}

/// The same as a value, for those who add to it.
pub fn v2_document(defs: &[&ResourceDef], customs: CustomSchemas<'_>) -> Value {
    let descriptions = Descriptions::read();
    let mut schemas = Schemas::new(Dialect::V2, &descriptions, defs, customs);
    let paths = paths::all(defs, plain::all(defs), Dialect::V2, &mut schemas);
    json!({
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": KUBERNETES_VERSION.2},
        "paths": paths,
        "definitions": schemas.finish(),
        "securityDefinitions": {"BearerToken": bearer_token()},
        "security": [{"BearerToken": []}],
    })
}

/// The index at `/openapi/v3`: where each document is, by its path and `hash`.
pub fn v3_index<'a>(documents: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<u8> {
    let paths: Map<String, Value> = documents
        .into_iter()
        .map(|(path, hash)| (path.to_owned(), json!({"serverRelativeURL": format!("/openapi/v3/{path}?hash={hash}")})))
        .collect();
    json!({"paths": paths}).to_string().into_bytes()
}

/// The path of the v3 document that a resource is in: `api/v1`, `apis/apps/v1`.
pub fn document_path(def: &ResourceDef) -> String {
    if def.group.is_empty() { format!("api/{}", def.version) } else { format!("apis/{}/{}", def.group, def.version) }
}

/// Names a document's content in URLs and ETags: 128 bits in upper case hexadecimal. It guards against nothing but
/// change, so FNV-1a will do.
pub fn hash(document: &[u8]) -> String {
    const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    let hash = document.iter().fold(OFFSET, |hash, byte| (hash ^ u128::from(*byte)).wrapping_mul(PRIME));
    format!("{hash:032X}")
}

fn bearer_token() -> Value {
    json!({
        "type": "apiKey",
        "description": "Bearer Token authentication",
        "name": "authorization",
        "in": "header",
    })
}

#[cfg(test)]
mod tests;
