//! Why a patch cannot be applied or computed, in upstream's words.

use serde_json::Value;

/// Which HTTP status a variant becomes is upstream's choice: see `is_bad_request` and `is_unprocessable`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    /// Custom kinds take JSON and merge patches only.
    #[error(
        "the body of the request was in an unknown format - accepted media types include: \
         application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml"
    )]
    UnsupportedMediaType,
    #[error("invalid JSON document")]
    BadDocument,
    #[error("invalid patch format of primitive list")]
    BadPrimitiveList,
    #[error("invalid patch format of retainKeys")]
    BadRetainKeys,
    #[error("invalid patch format of setElementOrder list")]
    BadSetElementOrder,
    #[error("lists of lists are not supported")]
    ListOfLists,
    #[error("map: {map} does not contain declared merge key: {key}")]
    NoMergeKey { map: String, key: String },
    #[error("expected a {expected}, but received a {received}")]
    BadArgument { expected: &'static str, received: &'static str },
    #[error("unknown patch type: {directive} in map: {map}")]
    BadDirective { directive: String, map: String },
    #[error("merging lists cannot yet be specified in the patch")]
    MergeDirectiveInList,
    #[error("cannot merge lists without merge key for type {0}")]
    ListWithoutKey(&'static str),
    #[error("list element types are not identical: {0}")]
    MixedList(String),
    #[error("unable to find api field in struct {message} for the json field {field:?}")]
    UnknownField { message: &'static str, field: String },
    #[error("merging an object in json but data type is not struct, instead is: {0}")]
    NotAStruct(&'static str),
    #[error("The order in patch list:\n{patch}\n doesn't match $setElementOrder list:\n{order}\n")]
    OrderMismatch { patch: String, order: String },
    #[error("{0} and {1} are not deep equal: this may happen when calculating the 3-way diff patch")]
    RetainKeysDiffer(String, String),
    #[error("invalid value for special key: $patch")]
    BadDirectiveValue,
}

impl PatchError {
    /// Errors that upstream answers with 400; what is neither this nor unprocessable is 500, the media type 415.
    pub fn is_bad_request(&self) -> bool {
        matches!(
            self,
            PatchError::BadDocument
                | PatchError::BadPrimitiveList
                | PatchError::BadRetainKeys
                | PatchError::BadSetElementOrder
        )
    }

    /// Errors that upstream answers with 422.
    pub fn is_unprocessable(&self) -> bool {
        matches!(self, PatchError::ListOfLists | PatchError::NoMergeKey { .. })
    }

    pub(super) fn no_merge_key(map: &Value, key: &str) -> PatchError {
        PatchError::NoMergeKey { map: go_format(map), key: key.to_owned() }
    }

    pub(super) fn not_a_map(received: &Value) -> PatchError {
        PatchError::BadArgument { expected: "map[string]interface {}", received: go_type(received) }
    }

    pub(super) fn not_a_list(received: &Value) -> PatchError {
        PatchError::BadArgument { expected: "[]interface {}", received: go_type(received) }
    }
}

pub(super) fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "nil",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

/// `%v`: `map[image:httpd ports:[80]]`.
pub(super) fn go_format(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(elements) => format!("[{}]", elements.iter().map(go_format).collect::<Vec<_>>().join(" ")),
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(key, _)| *key);
            let texts: Vec<_> = members.iter().map(|(key, value)| format!("{key}:{}", go_format(value))).collect();
            format!("map[{}]", texts.join(" "))
        }
        other => other.to_string(),
    }
}
