//! Strategic merge patches: applying them, and computing them as `kubectl apply` does.
//!
//! Invariants: lists merge by the keys of the table, never by guess; a patch made by `three_way` and applied by
//! `strategic_merge` yields the modified object where the live one did not differ. Error texts are upstream's.

mod diff;
mod error;
mod list;
mod merge;
mod meta;
mod three_way;

use super::facts::{self, Message};
use serde_json::{Map, Value};

pub use error::PatchError;
pub use three_way::{json_three_way, three_way, two_way};

type Object = Map<String, Value>;

const DIRECTIVE: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_FROM_LIST: &str = "$deleteFromPrimitiveList";
const SET_ORDER: &str = "$setElementOrder";

/// Applies `patch` to `original`, both whole objects of `message` (`k8s.io.api.core.v1.Pod`).
pub fn strategic_merge(message: &str, original: Value, patch: Value) -> Result<Value, PatchError> {
    let message = known(message)?;
    let (original, patch) = (object(original)?, object(patch)?);
    merge::map(original, patch, meta::Node::root(message), merge::Options::APPLY).map(Value::Object)
}

fn known(message: &str) -> Result<&'static Message, PatchError> {
    facts::message(message).ok_or(PatchError::UnsupportedMediaType)
}

fn object(value: Value) -> Result<Object, PatchError> {
    match value {
        Value::Object(members) => Ok(members),
        Value::Null => Ok(Object::new()),
        _ => Err(PatchError::BadDocument),
    }
}

/// The field that a parallel list such as `$setElementOrder/containers` is about.
fn directive_field<'a>(key: &'a str, prefix: &str) -> Option<&'a str> {
    key.strip_prefix(prefix)?.strip_prefix('/')
}

#[cfg(test)]
mod tests;
