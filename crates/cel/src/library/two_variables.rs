//! What the macros of two variables call. The evaluator has a step of its own for one entry.

use super::{NO_OVERLOAD, Result};
use crate::eval::inserted;
use crate::functions::Row;
use crate::value::{Map, Value};
use std::sync::Arc;

pub(crate) const ROWS: &[Row] = &[
    ("cel.@mapInsert", "@mapInsert_map_key_value", "(map(K, V), K, V) map(K, V)", insert),
    ("cel.@mapInsert", "@mapInsert_map_map", "(map(K, V), map(K, V)) map(K, V)", insert),
];

fn insert<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    let (map, entries) = match arguments {
        [Value::Map(map), Value::Map(more)] => (map, more.entries()),
        [Value::Map(map), key, value] => (map, vec![(key.clone(), value.clone())]),
        _ => return Err(NO_OVERLOAD),
    };
    let mut made = map.clone().into_entries();
    for (key, value) in entries {
        inserted(&mut made, &key, value)?;
    }
    Ok(Value::Map(Map::Made(Arc::new(made))))
}
