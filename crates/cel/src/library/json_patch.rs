//! What mutating policies use to make JSON patches.

use super::{NO_OVERLOAD, Result, text};
use crate::functions::Row;
use crate::value::Value;

pub(crate) const ROWS: &[Row] =
    &[("jsonpatch.escapeKey", "string_jsonpatch_escapeKey_string", "(string) string", escape_key)];

/// A key as a segment of a JSON pointer.
fn escape_key<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    match arguments {
        [Value::String(key)] => text(key.replace('~', "~0").replace('/', "~1")),
        _ => Err(NO_OVERLOAD),
    }
}
