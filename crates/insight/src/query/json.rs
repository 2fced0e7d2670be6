//! Answers as Prometheus writes them.

use super::Failure;
use crate::exposition::Number;
use crate::promql::{Labels, Point, Row, Steps, Value, is_absent};
use serde::ser::{SerializeMap, SerializeSeq, SerializeTuple};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

pub(super) enum Data {
    /// At a moment.
    Instant(i64, Value),
    Range(Steps, Value),
    Texts(Vec<String>),
    Series(Vec<Labels>),
    Json(serde_json::Value),
}

#[derive(Serialize)]
struct Success<'a> {
    status: &'static str,
    data: &'a Data,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Failed<'a> {
    status: &'static str,
    error_type: &'static str,
    error: &'a str,
}

/// The HTTP status, and the JSON.
pub(super) fn encode(answer: Result<Data, Failure>) -> (u16, Vec<u8>) {
    match answer {
        Ok(data) => match serde_json::to_vec(&Success { status: "success", data: &data }) {
            Ok(bytes) => (200, bytes),
            Err(why) => error(500, "internal", &why.to_string()),
        },
        Err(Failure::BadData(why)) => error(400, "bad_data", &why),
        Err(Failure::Execution(why)) => error(422, "execution", &why),
        Err(Failure::Internal(why)) => error(500, "internal", &why),
        Err(Failure::Timeout(why)) => error(503, "timeout", &why),
        Err(Failure::Canceled(why)) => error(499, "canceled", &why),
        Err(Failure::NotFound) => error(404, "not_found", "no such question is answered here"),
    }
}

pub(super) fn error(code: u16, error_type: &'static str, error: &str) -> (u16, Vec<u8>) {
    let body = serde_json::to_vec(&Failed { status: "error", error_type, error });
    (code, body.expect("three texts are JSON"))
}

impl Serialize for Data {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Data::Texts(texts) => texts.serialize(serializer),
            Data::Json(json) => json.serialize(serializer),
            Data::Series(series) => serializer.collect_seq(series.iter().map(Metric)),
            Data::Instant(time_ms, value) => instant(*time_ms, value, serializer),
            Data::Range(steps, value) => over_range(*steps, value, serializer),
        }
    }
}

fn result<S: Serializer>(serializer: S, kind: &str, result: &impl Serialize) -> Result<S::Ok, S::Error> {
    let mut data = serializer.serialize_map(Some(2))?;
    data.serialize_entry("resultType", kind)?;
    data.serialize_entry("result", result)?;
    data.end()
}

fn instant<S: Serializer>(time_ms: i64, value: &Value, serializer: S) -> Result<S::Ok, S::Error> {
    match value {
        Value::Scalar(values) => {
            result(serializer, "scalar", &Sample(time_ms, values.first().copied().unwrap_or(f64::NAN)))
        }
        Value::Text(text) => result(serializer, "string", &(Seconds(time_ms), text)),
        Value::Vector(rows) => {
            let of = |row: &Row| row.values.first().copied().filter(|value| !is_absent(*value));
            let present = rows.iter().filter_map(|row| Some((Metric(&row.labels), Sample(time_ms, of(row)?))));
            let samples: Vec<_> = present.map(|(metric, value)| One { metric, value }).collect();
            result(serializer, "vector", &samples)
        }
        Value::Matrix(series) => {
            let many = series.iter().map(|(labels, points)| Many { metric: Metric(labels), values: Points(points) });
            result(serializer, "matrix", &many.collect::<Vec<_>>())
        }
    }
}

fn over_range<S: Serializer>(steps: Steps, value: &Value, serializer: S) -> Result<S::Ok, S::Error> {
    let none = Labels::default();
    let all: Vec<(&Labels, &[f64])> = match value {
        Value::Vector(rows) => rows.iter().map(|row| (&row.labels, row.values.as_slice())).collect(),
        Value::Scalar(values) => vec![(&none, values.as_slice())],
        Value::Text(_) | Value::Matrix(_) => Vec::new(),
    };
    let many =
        all.into_iter().map(|(labels, values)| Many { metric: Metric(labels), values: Stepped { steps, values } });
    result(serializer, "matrix", &many.collect::<Vec<_>>())
}

#[derive(Serialize)]
struct One<'a> {
    metric: Metric<'a>,
    value: Sample,
}

#[derive(Serialize)]
struct Many<'a, V> {
    metric: Metric<'a>,
    values: V,
}

struct Metric<'a>(&'a Labels);

impl Serialize for Metric<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter())
    }
}

/// Milliseconds as seconds, exactly.
struct Seconds(i64);

impl Serialize for Seconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (seconds, rest) = (self.0.div_euclid(1000), self.0.rem_euclid(1000));
        if rest == 0 {
            return serializer.serialize_i64(seconds);
        }
        let text = if self.0 < 0 { (self.0 as f64 / 1000.0).to_string() } else { format!("{seconds}.{rest:03}") };
        RawValue::from_string(text).map_err(serde::ser::Error::custom)?.serialize(serializer)
    }
}

struct Sample(i64, f64);

impl Serialize for Sample {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut pair = serializer.serialize_tuple(2)?;
        pair.serialize_element(&Seconds(self.0))?;
        pair.serialize_element(&text(self.1))?;
        pair.end()
    }
}

/// Small numbers turn to exponents later than in the text format.
fn text(value: f64) -> String {
    if (1e-6..1e-4).contains(&value.abs()) { value.to_string() } else { Number(value).to_string() }
}

struct Points<'a>(&'a [Point]);

impl Serialize for Points<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|(time_ms, value)| Sample(*time_ms, *value)))
    }
}

struct Stepped<'a> {
    steps: Steps,
    values: &'a [f64],
}

impl Serialize for Stepped<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut all = serializer.serialize_seq(None)?;
        for (time_ms, value) in self.steps.times().zip(self.values).filter(|(_, value)| !is_absent(**value)) {
            all.serialize_element(&Sample(time_ms, *value))?;
        }
        all.end()
    }
}
