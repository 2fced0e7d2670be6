//! Functions of instant vectors and numbers.

use super::labels::NAME;
use super::value::{ABSENT, Row, SAME_LABELS, Steps, Value, is_absent, merged};
use super::{Labels, QueryError, bad, histogram};
use jiff::Timestamp;
use jiff::tz::TimeZone;

type OfNumber = fn(f64) -> f64;

/// Functions of each value by itself.
fn of_number(name: &str) -> Option<OfNumber> {
    Some(match name {
        "abs" => f64::abs,
        "ceil" => f64::ceil,
        "floor" => f64::floor,
        "exp" => f64::exp,
        "ln" => f64::ln,
        "log2" => f64::log2,
        "log10" => f64::log10,
        "sqrt" => f64::sqrt,
        "sin" => f64::sin,
        "cos" => f64::cos,
        "tan" => f64::tan,
        "asin" => f64::asin,
        "acos" => f64::acos,
        "atan" => f64::atan,
        "sinh" => f64::sinh,
        "cosh" => f64::cosh,
        "tanh" => f64::tanh,
        "asinh" => f64::asinh,
        "acosh" => f64::acosh,
        "atanh" => f64::atanh,
        "deg" => f64::to_degrees,
        "rad" => f64::to_radians,
        "sgn" => |value| {
            if value > 0.0 {
                1.0
            } else if value < 0.0 {
                -1.0
            } else {
                value
            }
        },
        _ => return None,
    })
}

/// Functions of a moment, in seconds since 1970.
fn of_moment(name: &str) -> Option<fn(&jiff::Zoned) -> f64> {
    Some(match name {
        "minute" => |moment| f64::from(moment.minute()),
        "hour" => |moment| f64::from(moment.hour()),
        "day_of_month" => |moment| f64::from(moment.day()),
        "day_of_year" => |moment| f64::from(moment.day_of_year()),
        "day_of_week" => |moment| f64::from(moment.weekday().to_sunday_zero_offset()),
        "days_in_month" => |moment| f64::from(moment.days_in_month()),
        "month" => |moment| f64::from(moment.month()),
        "year" => |moment| f64::from(moment.year()),
        _ => return None,
    })
}

/// NaN where one is: what is not known is within no bounds. `f64::min` would take the other for the answer.
fn smaller(one: f64, other: f64) -> f64 {
    if one.is_nan() || other.is_nan() { f64::NAN } else { one.min(other) }
}

/// Likewise.
fn larger(one: f64, other: f64) -> f64 {
    if one.is_nan() || other.is_nan() { f64::NAN } else { one.max(other) }
}

/// What a call's arguments are, in order.
struct Arguments(std::vec::IntoIter<Value>);

impl Arguments {
    fn vector(&mut self) -> Result<Vec<Row>, QueryError> {
        match self.0.next() {
            Some(Value::Vector(rows)) => Ok(rows),
            other => {
                Err(bad(format!("expected type instant vector, got {}", other.map_or("nothing", |own| own.kind()))))
            }
        }
    }

    fn scalar(&mut self) -> Result<Vec<f64>, QueryError> {
        self.optional_scalar()?.ok_or_else(|| bad("expected type scalar, got nothing"))
    }

    fn optional_scalar(&mut self) -> Result<Option<Vec<f64>>, QueryError> {
        match self.0.next() {
            Some(Value::Scalar(values)) => Ok(Some(values)),
            None => Ok(None),
            Some(other) => Err(bad(format!("expected type scalar, got {}", other.kind()))),
        }
    }

    fn text(&mut self) -> Result<String, QueryError> {
        match self.0.next() {
            Some(Value::Text(text)) => Ok(text),
            other => Err(bad(format!("expected type string, got {}", other.map_or("nothing", |own| own.kind())))),
        }
    }
}

/// The rows without their names, each present value as `change` makes it at its step.
fn changed(rows: Vec<Row>, change: impl Fn(f64, usize) -> f64) -> Result<Value, QueryError> {
    let rows = rows.into_iter().map(|mut row| {
        for (step, value) in row.values.iter_mut().enumerate().filter(|(_, value)| !is_absent(**value)) {
            *value = change(*value, step);
        }
        Row { labels: row.labels.nameless(), values: row.values }
    });
    merged(rows.collect(), SAME_LABELS).map(Value::Vector)
}

pub(super) fn call(name: &str, arguments: Vec<Value>, steps: Steps) -> Result<Value, QueryError> {
    let mut arguments = Arguments(arguments.into_iter());
    if let Some(function) = of_number(name) {
        return changed(arguments.vector()?, |value, _| function(value));
    }
    if let Some(function) = of_moment(name) {
        return dates(function, arguments, steps);
    }
    match name {
        "time" => Ok(Value::Scalar(steps.times().map(|time| time as f64 / 1000.0).collect())),
        "pi" => Ok(Value::Scalar(vec![std::f64::consts::PI; steps.count])),
        "vector" => {
            let values = arguments.scalar()?;
            Ok(Value::Vector(vec![Row { labels: Labels::default(), values }]))
        }
        "scalar" => scalar(&arguments.vector()?, steps),
        "round" => {
            let (rows, to) = (arguments.vector()?, arguments.optional_scalar()?);
            changed(rows, |value, step| {
                let inverse = 1.0 / to.as_ref().map_or(1.0, |to| to[step]);
                (value * inverse + 0.5).floor() / inverse
            })
        }
        "clamp" => {
            let (mut rows, least, most) = (arguments.vector()?, arguments.scalar()?, arguments.scalar()?);
            for (step, (least, most)) in least.iter().zip(&most).enumerate().filter(|(_, (least, most))| least > most) {
                tracing::trace!(least, most, "a range without numbers has no values");
                rows.iter_mut().for_each(|row| row.values[step] = ABSENT);
            }
            changed(rows, |value, step| larger(smaller(value, most[step]), least[step]))
        }
        "clamp_min" => {
            let (rows, least) = (arguments.vector()?, arguments.scalar()?);
            changed(rows, |value, step| larger(value, least[step]))
        }
        "clamp_max" => {
            let (rows, most) = (arguments.vector()?, arguments.scalar()?);
            changed(rows, |value, step| smaller(value, most[step]))
        }
        "histogram_quantile" => {
            let (share, rows) = (arguments.scalar()?, arguments.vector()?);
            merged(histogram::quantile(&share, rows, steps), SAME_LABELS).map(Value::Vector)
        }
        "sort" => Ok(Value::Vector(sorted(arguments.vector()?, false))),
        "sort_desc" => Ok(Value::Vector(sorted(arguments.vector()?, true))),
        "label_replace" => label_replace(arguments),
        "label_join" => label_join(arguments),
        _ => Err(bad(format!("function {name} is not known here"))),
    }
}

fn dates(function: fn(&jiff::Zoned) -> f64, mut arguments: Arguments, steps: Steps) -> Result<Value, QueryError> {
    let of = |seconds: f64| {
        let moment = Timestamp::from_second(seconds as i64).map(|moment| moment.to_zoned(TimeZone::UTC));
        moment.map_or(f64::NAN, |moment| function(&moment))
    };
    if arguments.0.len() == 0 {
        let values = steps.times().map(|time| of(time as f64 / 1000.0)).collect();
        return Ok(Value::Vector(vec![Row { labels: Labels::default(), values }]));
    }
    changed(arguments.vector()?, |value, _| of(value))
}

/// The value of the only series; NaN where there are none or several.
fn scalar(rows: &[Row], steps: Steps) -> Result<Value, QueryError> {
    let values = (0..steps.count).map(|step| {
        let mut present = rows.iter().map(|row| row.values[step]).filter(|value| !is_absent(*value));
        match (present.next(), present.next()) {
            (Some(only), None) => only,
            _ => f64::NAN,
        }
    });
    Ok(Value::Scalar(values.collect()))
}

/// By the value at the first step: sorting is for instants.
fn sorted(mut rows: Vec<Row>, descending: bool) -> Vec<Row> {
    let value = |row: &Row| row.values.first().copied().unwrap_or(f64::NAN);
    rows.sort_by(|one, other| {
        let (one, other) = (value(one), value(other));
        let nan_last = one.is_nan().cmp(&other.is_nan());
        nan_last.then(if descending { other.total_cmp(&one) } else { one.total_cmp(&other) })
    });
    rows
}

fn check_label(name: &str) -> Result<(), QueryError> {
    let mut characters = name.chars();
    let first = characters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_');
    if first && characters.all(|rest| rest.is_ascii_alphanumeric() || rest == '_') {
        return Ok(());
    }
    Err(super::execution(format!("invalid destination label name in label_replace(): {name}")))
}

fn label_replace(mut arguments: Arguments) -> Result<Value, QueryError> {
    let rows = arguments.vector()?;
    let (destination, replacement) = (arguments.text()?, arguments.text()?);
    let (source, pattern) = (arguments.text()?, arguments.text()?);
    let regex = regex::Regex::new(&format!("^(?s:{pattern})$"));
    let regex =
        regex.map_err(|_| super::execution(format!("invalid regular expression in label_replace(): {pattern}")))?;
    check_label(&destination)?;
    let rows = rows.into_iter().map(|mut row| {
        let value = row.labels.get(&source).to_owned();
        if let Some(found) = regex.captures(&value) {
            let mut text = String::new();
            found.expand(&replacement, &mut text);
            row.labels.set(&destination, &text);
        }
        row
    });
    merged(rows.collect(), SAME_LABELS).map(Value::Vector)
}

fn label_join(mut arguments: Arguments) -> Result<Value, QueryError> {
    let rows = arguments.vector()?;
    let (destination, separator) = (arguments.text()?, arguments.text()?);
    let sources: Vec<String> = std::iter::from_fn(|| arguments.text().ok()).collect();
    check_label(&destination)?;
    let rows = rows.into_iter().map(|mut row| {
        let parts: Vec<&str> = sources.iter().map(|source| row.labels.get(source)).collect();
        let joined = parts.join(&separator);
        row.labels.set(&destination, &joined);
        row
    });
    merged(rows.collect(), SAME_LABELS).map(Value::Vector)
}

/// 1 where `rows` has nothing, under the labels that its selector demanded.
pub(super) fn absent(rows: &[Row], mut labels: Labels, steps: Steps) -> Value {
    labels.set(NAME, "");
    let values = (0..steps.count).map(|step| {
        let any = rows.iter().any(|row| !is_absent(row.values[step]));
        if any { ABSENT } else { 1.0 }
    });
    let row = Row { labels, values: values.collect() };
    Value::Vector(if row.is_empty() { Vec::new() } else { vec![row] })
}
