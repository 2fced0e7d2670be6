//! The annotation that client-side apply leaves, and what an applier that takes over from it may take.

use super::compare::compare;
use super::extract::extract;
use super::schema::Schema;
use super::set::Set;
use serde_json::Value;

/// Where `kubectl apply` keeps what it applied last.
pub const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The fields that client-side apply set and that still are as it set them: `kubectl`, applying on the server, takes
/// them over without conflict. `None` without a usable annotation.
pub fn allowed_conflicts(schema: Schema<'_>, live: &Value, api_version: &str) -> Option<Set> {
    let text = live.get("metadata")?.get("annotations")?.get(LAST_APPLIED)?.as_str()?;
    let last: Value = serde_json::from_str(text).ok()?;
    if last.get("apiVersion").and_then(Value::as_str) != Some(api_version) {
        return None;
    }
    let differences = compare(schema, &last, live);
    let set = extract(schema, &last);
    Some(set.difference(&differences.modified).difference(&differences.added).difference(&differences.removed))
}
