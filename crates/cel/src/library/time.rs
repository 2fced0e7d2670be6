//! Parts of points in time and of spans, in UTC or in a named zone.

use super::{NO_OVERLOAD, Result};
use crate::error::EvalError;
use crate::functions::Row;
use crate::value::{DurationValue, Value};
use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};

pub(crate) const ROWS: &[Row] = &[
    ("getFullYear", "timestamp_to_year", "timestamp.() int", year),
    ("getFullYear", "timestamp_to_year_with_tz", "timestamp.(string) int", year),
    ("getMonth", "timestamp_to_month", "timestamp.() int", month),
    ("getMonth", "timestamp_to_month_with_tz", "timestamp.(string) int", month),
    ("getDayOfYear", "timestamp_to_day_of_year", "timestamp.() int", day_of_year),
    ("getDayOfYear", "timestamp_to_day_of_year_with_tz", "timestamp.(string) int", day_of_year),
    ("getDayOfMonth", "timestamp_to_day_of_month", "timestamp.() int", day_of_month),
    ("getDayOfMonth", "timestamp_to_day_of_month_with_tz", "timestamp.(string) int", day_of_month),
    ("getDate", "timestamp_to_day_of_month_1_based", "timestamp.() int", date),
    ("getDate", "timestamp_to_day_of_month_1_based_with_tz", "timestamp.(string) int", date),
    ("getDayOfWeek", "timestamp_to_day_of_week", "timestamp.() int", day_of_week),
    ("getDayOfWeek", "timestamp_to_day_of_week_with_tz", "timestamp.(string) int", day_of_week),
    ("getHours", "timestamp_to_hours", "timestamp.() int", hours),
    ("getHours", "timestamp_to_hours_with_tz", "timestamp.(string) int", hours),
    ("getHours", "duration_to_hours", "duration.() int", hours),
    ("getMinutes", "timestamp_to_minutes", "timestamp.() int", minutes),
    ("getMinutes", "timestamp_to_minutes_with_tz", "timestamp.(string) int", minutes),
    ("getMinutes", "duration_to_minutes", "duration.() int", minutes),
    ("getSeconds", "timestamp_to_seconds", "timestamp.() int", seconds),
    ("getSeconds", "timestamp_to_seconds_with_tz", "timestamp.(string) int", seconds),
    ("getSeconds", "duration_to_seconds", "duration.() int", seconds),
    ("getMilliseconds", "timestamp_to_milliseconds", "timestamp.() int", milliseconds),
    ("getMilliseconds", "timestamp_to_milliseconds_with_tz", "timestamp.(string) int", milliseconds),
    ("getMilliseconds", "duration_to_milliseconds", "duration.() int", milliseconds),
];

fn part<'v>(arguments: &[Value<'v>], of: fn(DateTime) -> i64) -> Result<'v> {
    let (at, zone) = match arguments {
        [Value::Timestamp(at)] => (at, TimeZone::UTC),
        [Value::Timestamp(at), Value::String(name)] => (at, zone(name)?),
        _ => return Err(NO_OVERLOAD),
    };
    Ok(Value::Int(of(at.in_zone(&zone)?)))
}

fn part_or_span<'v>(arguments: &[Value<'v>], of: fn(DateTime) -> i64, span: fn(DurationValue) -> i64) -> Result<'v> {
    match arguments {
        [Value::Duration(duration)] => Ok(Value::Int(span(*duration))),
        _ => part(arguments, of),
    }
}

/// A zone by its name, or by its distance from UTC: `-08:00`.
fn zone(name: &str) -> std::result::Result<TimeZone, EvalError> {
    let Some((hours, minutes)) = name.split_once(':') else {
        return TimeZone::get(name).map_err(|_| EvalError::failed(format!("unknown time zone {name}")));
    };
    let wrong = || EvalError::failed(format!("invalid time zone offset: {name}"));
    let negative = hours.starts_with('-');
    let hours: i32 = hours.trim_start_matches(['+', '-']).parse().map_err(|_| wrong())?;
    let minutes: i32 = minutes.parse().map_err(|_| wrong())?;
    if !(0..24).contains(&hours) || !(0..60).contains(&minutes) {
        return Err(wrong());
    }
    let seconds = (hours * 60 + minutes) * 60;
    Offset::from_seconds(if negative { -seconds } else { seconds }).map(TimeZone::fixed).map_err(|_| wrong())
}

fn year<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    part(arguments, |at| i64::from(at.year()))
}

fn month<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    part(arguments, |at| i64::from(at.month()) - 1)
}

fn day_of_year<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    part(arguments, |at| i64::from(at.day_of_year()) - 1)
}

fn day_of_month<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    part(arguments, |at| i64::from(at.day()) - 1)
}

fn date<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    part(arguments, |at| i64::from(at.day()))
}

fn day_of_week<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    part(arguments, |at| i64::from(at.weekday().to_sunday_zero_offset()))
}

fn hours<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    part_or_span(arguments, |at| i64::from(at.hour()), |span| span.0 / 3_600_000_000_000)
}

fn minutes<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    part_or_span(arguments, |at| i64::from(at.minute()), |span| span.0 / 60_000_000_000)
}

fn seconds<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    part_or_span(arguments, |at| i64::from(at.second()), |span| span.0 / 1_000_000_000)
}

fn milliseconds<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    part_or_span(arguments, |at| i64::from(at.millisecond()), |span| span.0 / 1_000_000)
}
