//! Lists as sets.

use super::{NO_OVERLOAD, Result, bool};
use crate::functions::Row;
use crate::value::{List, Value};

pub(crate) const ROWS: &[Row] = &[
    ("sets.contains", "list_sets_contains_list", "(list(T), list(T)) bool", contains),
    ("sets.equivalent", "list_sets_equivalent_list", "(list(T), list(T)) bool", equivalent),
    ("sets.intersects", "list_sets_intersects_list", "(list(T), list(T)) bool", intersects),
];

fn within(part: &List<'_>, whole: &List<'_>) -> bool {
    part.iter().all(|item| whole.contains(&item))
}

fn contains<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    match arguments {
        [Value::List(whole), Value::List(part)] => bool(within(part, whole)),
        _ => Err(NO_OVERLOAD),
    }
}

fn equivalent<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    match arguments {
        [Value::List(a), Value::List(b)] => bool(within(a, b) && within(b, a)),
        _ => Err(NO_OVERLOAD),
    }
}

fn intersects<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    match arguments {
        [Value::List(a), Value::List(b)] => bool(a.iter().any(|item| b.contains(&item))),
        _ => Err(NO_OVERLOAD),
    }
}
