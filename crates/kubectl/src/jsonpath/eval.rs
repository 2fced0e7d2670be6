//! Values that a template finds in an object.

use super::{Filter, Operator, Segment, Slice, Step};
use serde_json::Value;
use std::cmp::Ordering;

type Result<T> = std::result::Result<T, String>;

/// One list of values for each piece of the template that yields some.
pub(super) fn segments(segments: &[Segment], object: &Value, strict: bool) -> Result<Vec<Vec<Value>>> {
    let mut results = Vec::new();
    for segment in segments {
        match segment {
            Segment::Text(text) => results.push(vec![text.as_str().into()]),
            Segment::Path(path) => results.push(walk_in(path, vec![object.clone()], strict)?),
            Segment::Range(path, body) => {
                for value in walk_in(path, vec![object.clone()], strict)? {
                    results.extend(self::segments(body, &value, strict)?);
                }
            }
        }
    }
    Ok(results)
}

fn walk(path: &[Step], values: Vec<Value>) -> Result<Vec<Value>> {
    walk_in(path, values, false)
}

/// `strict`: a field that none of the values has is an error.
fn walk_in(path: &[Step], mut values: Vec<Value>, strict: bool) -> Result<Vec<Value>> {
    for step in path {
        if strict
            && let Step::Field(name) = step
            && !values.iter().any(|value| value.get(name).is_some())
        {
            return Err(format!("{name} is not found"));
        }
        values = match step {
            Step::Field(name) => values.iter().filter_map(|value| value.get(name)).cloned().collect(),
            Step::Wildcard => values.into_iter().flat_map(children).collect(),
            Step::Recursive => values.into_iter().flat_map(descendants).collect(),
            Step::Slice(slice) => each(values, |value| slice.of(value))?,
            Step::Union(paths) => each(values, |value| {
                let found = paths.iter().map(|path| walk(path, vec![value.clone()]));
                Ok(found.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
            })?,
            Step::Filter(filter) => each(values, |value| filter.of(value))?,
            Step::Literal(value) => vec![value.clone()],
        };
    }
    Ok(values)
}

fn each(values: Vec<Value>, found: impl Fn(Value) -> Result<Vec<Value>>) -> Result<Vec<Value>> {
    let found: Vec<Vec<Value>> = values.into_iter().map(found).collect::<Result<_>>()?;
    Ok(found.into_iter().flatten().collect())
}

fn children(value: Value) -> Vec<Value> {
    match value {
        Value::Array(elements) => elements,
        Value::Object(mut members) => {
            members.sort_keys();
            members.into_iter().map(|(_, member)| member).collect()
        }
        _ => Vec::new(),
    }
}

/// The value and all below it that hold something.
fn descendants(value: Value) -> Vec<Value> {
    let below = children(value.clone());
    if below.is_empty() {
        return Vec::new();
    }
    std::iter::once(value).chain(below.into_iter().flat_map(descendants)).collect()
}

impl Slice {
    fn of(&self, value: Value) -> Result<Vec<Value>> {
        let elements = match value {
            Value::Array(elements) => elements,
            Value::Null => return Ok(Vec::new()),
            other => return Err(format!("{} is not array or slice", crate::print::type_name(&other))),
        };
        let length = i64::try_from(elements.len()).map_err(|_| "a list is too long")?;
        let from_end = |index: i64| if index < 0 { index + length } else { index };
        let start = from_end(self.start.unwrap_or(0));
        let end = match self.end {
            None => length,
            Some(0) if self.single => length,
            Some(end) => from_end(end),
        };
        if start == end {
            return Ok(Vec::new());
        }
        let outside = |index: i64| format!("array index out of bounds: index {index}, length {length}");
        if start >= length || start < 0 {
            return Err(outside(start));
        }
        if end > length || end < 0 {
            return Err(outside(end - 1));
        }
        if start > end {
            return Err(format!("starting index {start} is greater than ending index {end}"));
        }
        let bound = |index: i64| usize::try_from(index).map_err(|_| outside(index));
        let step = usize::try_from(self.step.unwrap_or(1)).map_err(|_| "step must be >= 0".to_owned())?.max(1);
        let (start, end) = (bound(start)?, bound(end)?);
        Ok(elements.into_iter().take(end).skip(start).step_by(step).collect())
    }
}

impl Filter {
    fn of(&self, value: Value) -> Result<Vec<Value>> {
        let Value::Array(elements) = value else {
            return Err(format!("{} is not array or slice and cannot be filtered", crate::print::display(&value)));
        };
        let mut found = Vec::new();
        for element in elements {
            if self.holds(&element)? {
                found.push(element);
            }
        }
        Ok(found)
    }

    fn holds(&self, element: &Value) -> Result<bool> {
        let left = walk(&self.left, vec![element.clone()])?;
        let Some((operator, right)) = &self.right else {
            return Ok(!left.is_empty());
        };
        let right = walk(right, vec![element.clone()])?;
        match (left.as_slice(), right.as_slice()) {
            ([], _) | (_, []) => Ok(false),
            ([left], [right]) => operator.holds(left, right),
            _ => Err("can only compare one element at a time".to_owned()),
        }
    }
}

impl Operator {
    fn holds(self, left: &Value, right: &Value) -> Result<bool> {
        let order = match (left, right) {
            (Value::String(left), Value::String(right)) => left.cmp(right),
            (Value::Number(left), Value::Number(right)) => {
                left.as_f64().partial_cmp(&right.as_f64()).ok_or("incompatible types for comparison")?
            }
            (Value::Bool(left), Value::Bool(right)) => {
                return match self {
                    Operator::Equal => Ok(left == right),
                    Operator::NotEqual => Ok(left != right),
                    _ => Err("invalid type for comparison".to_owned()),
                };
            }
            _ => return Err("incompatible types for comparison".to_owned()),
        };
        Ok(match self {
            Operator::Equal => order == Ordering::Equal,
            Operator::NotEqual => order != Ordering::Equal,
            Operator::Less => order == Ordering::Less,
            Operator::LessOrEqual => order != Ordering::Greater,
            Operator::Greater => order == Ordering::Greater,
            Operator::GreaterOrEqual => order != Ordering::Less,
        })
    }
}
