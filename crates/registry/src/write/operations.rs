//! The operations of a JSON patch (RFC 6902), as upstream's library reads them.
//!
//! It differs from the letter in what clients rely on: a member that an object has not equals null, so that a patch can
//! test for absence (`kube`'s finalizers do), and may be replaced all the same.

use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, Patch, PatchError, PatchOperation};
use serde_json::Value;

/// Applies the operations one after the other; after an error the value is what those before made of it.
///
/// # Errors
/// For the first that fails.
pub fn apply_operations(value: &mut Value, patch: &Patch) -> Result<(), PatchError> {
    for (index, operation) in patch.0.iter().enumerate() {
        if !finds_absence(value, operation) {
            let added = into_absence(value, operation);
            let one = std::slice::from_ref(added.as_ref().unwrap_or(operation));
            json_patch::patch(value, one).map_err(|mut error| {
                error.operation = index;
                error
            })?;
        }
    }
    Ok(())
}

/// Whether the operation tests that an object has no such member, and it has none.
fn finds_absence(value: &Value, operation: &PatchOperation) -> bool {
    let PatchOperation::Test(test) = operation else { return false };
    test.value.is_null() && is_absent(value, &test.path)
}

/// A replacement of what an object has not, as the addition that it is.
fn into_absence(value: &Value, operation: &PatchOperation) -> Option<PatchOperation> {
    let PatchOperation::Replace(replace) = operation else { return None };
    is_absent(value, &replace.path)
        .then(|| PatchOperation::Add(AddOperation { path: replace.path.clone(), value: replace.value.clone() }))
}

/// Whether the path is of a member that an object which is there has not.
fn is_absent(value: &Value, path: &PointerBuf) -> bool {
    let holder = path.parent().and_then(|parent| value.pointer(parent.as_str()));
    holder.is_some_and(Value::is_object) && value.pointer(path.as_str()).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(operations: Value, wanted: Option<Value>) {
        let patch: Patch = serde_json::from_value(operations).expect("a patch");
        let mut value = json!({"a": {"b": 1, "n": null}, "l": [1]});
        let applied = apply_operations(&mut value, &patch).map(|()| value).map_err(|error| error.operation);
        assert_eq!(applied.ok(), wanted);
    }

    #[test]
    fn what_is_absent_is_null() {
        let add = json!({"op": "add", "path": "/a/c", "value": [1]});
        let added = json!({"a": {"b": 1, "n": null, "c": [1]}, "l": [1]});
        check(json!([{"op": "test", "path": "/a/c", "value": null}, add]), Some(added.clone()));
        check(json!([{"op": "test", "path": "/a/n", "value": null}, add]), Some(added));
        check(json!([{"op": "test", "path": "/a/b", "value": null}, add]), None);
        check(json!([{"op": "test", "path": "/a/c", "value": 1}, add]), None);
        check(json!([{"op": "test", "path": "/x/c", "value": null}, add]), None);
        check(json!([{"op": "test", "path": "/l/5", "value": null}, add]), None);
    }

    #[test]
    fn what_is_absent_may_be_replaced() {
        let replaced = json!({"a": {"b": 1, "n": null, "c": [1]}, "l": [1]});
        check(json!([{"op": "replace", "path": "/a/c", "value": [1]}]), Some(replaced));
        check(json!([{"op": "replace", "path": "/x/c", "value": 1}]), None);
        check(json!([{"op": "replace", "path": "/l/5", "value": 1}]), None);
        check(json!([{"op": "remove", "path": "/a/c"}]), None);
    }

    #[test]
    fn the_operation_that_fails_is_told_by_its_place() {
        let patch = json!([{"op": "test", "path": "/a", "value": 1}, {"op": "remove", "path": "/c"}]);
        let patch: Patch = serde_json::from_value(patch).expect("a patch");
        let error = apply_operations(&mut json!({"a": 1}), &patch).expect_err("nothing to remove");
        assert_eq!(error.operation, 1);
    }
}
