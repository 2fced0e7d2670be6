//! What expressions are worth, at all steps at once.

use super::labels::Labels;
use super::source::Point;
use super::{QueryError, STEPS_MAX, bad, execution};
use std::collections::HashMap;

/// Where a series has no value: a NaN of its own, which no arithmetic makes.
pub const ABSENT: f64 = f64::from_bits(0x7ff0_0000_0000_5a5a);

pub fn is_absent(value: f64) -> bool {
    value.to_bits() == ABSENT.to_bits()
}

/// The moments of an evaluation, milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Steps {
    pub start_ms: i64,
    pub step_ms: i64,
    pub count: usize,
}

impl Steps {
    pub fn instant(time_ms: i64) -> Steps {
        Steps { start_ms: time_ms, step_ms: 1, count: 1 }
    }

    /// From `start_ms` to `end_ms`, both included.
    pub fn between(start_ms: i64, end_ms: i64, step_ms: i64) -> Result<Steps, QueryError> {
        if step_ms <= 0 {
            return Err(bad("zero or negative query resolution step widths are not accepted. Try a positive integer"));
        }
        if end_ms < start_ms {
            return Err(bad("end timestamp must not be before start time"));
        }
        let count = end_ms.saturating_sub(start_ms) / step_ms + 1;
        match usize::try_from(count).ok().filter(|count| *count <= STEPS_MAX) {
            Some(count) => Ok(Steps { start_ms, step_ms, count }),
            None => Err(bad(
                "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution \
                 (?step=XX)",
            )),
        }
    }

    pub fn time(&self, step: usize) -> i64 {
        let step = i64::try_from(step).unwrap_or(i64::MAX);
        self.start_ms.saturating_add(self.step_ms.saturating_mul(step))
    }

    pub fn end_ms(&self) -> i64 {
        self.time(self.count.saturating_sub(1))
    }

    pub fn times(&self) -> impl Iterator<Item = i64> + '_ {
        (0..self.count).map(|step| self.time(step))
    }
}

/// One series of a vector: a value a step, `ABSENT` where it has none.
#[derive(Clone, Debug)]
pub struct Row {
    pub labels: Labels,
    pub values: Vec<f64>,
}

impl Row {
    pub(super) fn is_empty(&self) -> bool {
        self.values.iter().all(|value| is_absent(*value))
    }

    /// Each present value as `change` makes it.
    pub(super) fn map(mut self, change: impl Fn(f64) -> f64) -> Row {
        for value in self.values.iter_mut().filter(|value| !is_absent(**value)) {
            *value = change(*value);
        }
        self
    }
}

#[derive(Clone, Debug)]
pub enum Value {
    /// A number a step.
    Scalar(Vec<f64>),
    Text(String),
    Vector(Vec<Row>),
    /// Of an instant: the points themselves.
    Matrix(Vec<(Labels, Vec<Point>)>),
}

impl Value {
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Value::Scalar(_) => "scalar",
            Value::Text(_) => "string",
            Value::Vector(_) => "instant vector",
            Value::Matrix(_) => "range vector",
        }
    }

    /// How many numbers it holds.
    pub(super) fn cells(&self) -> usize {
        match self {
            Value::Scalar(values) => values.len(),
            Value::Text(_) => 0,
            Value::Vector(rows) => rows.iter().map(|row| row.values.len()).sum(),
            Value::Matrix(series) => series.iter().map(|(_, points)| points.len()).sum(),
        }
    }
}

/// One row for each set of labels; `clash` is said where two have a value at the same step.
pub(super) fn merged(rows: Vec<Row>, clash: &str) -> Result<Vec<Row>, QueryError> {
    let mut places: HashMap<Labels, usize> = HashMap::with_capacity(rows.len());
    let mut out: Vec<Row> = Vec::with_capacity(rows.len());
    for row in rows {
        match places.get(&row.labels) {
            None => {
                places.insert(row.labels.clone(), out.len());
                out.push(row);
            }
            Some(place) => {
                for (own, new) in out[*place].values.iter_mut().zip(row.values) {
                    match (is_absent(*own), is_absent(new)) {
                        (_, true) => {}
                        (true, false) => *own = new,
                        (false, false) => return Err(execution(clash)),
                    }
                }
            }
        }
    }
    out.retain(|row| !row.is_empty());
    Ok(out)
}

/// Of functions and operators that take the name away.
pub(super) const SAME_LABELS: &str = "vector cannot contain metrics with the same labelset";
