//! Points in time and spans, with upstream's ranges and texts.

use crate::error::EvalError;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

const EPOCH: DateTime = jiff::civil::date(1970, 1, 1).at(0, 0, 0, 0);

/// A point in time, within the years 1 to 9999.
///
/// Held as date and time in UTC: `jiff::Timestamp` ends some hours before the year 9999 does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimestampValue(DateTime);

impl TimestampValue {
    pub fn new(timestamp: Timestamp) -> Option<TimestampValue> {
        TimestampValue::within(TimeZone::UTC.to_datetime(timestamp))
    }

    fn within(utc: DateTime) -> Option<TimestampValue> {
        (1..=9999).contains(&utc.year()).then_some(TimestampValue(utc))
    }

    /// Date and time in UTC.
    pub fn utc(self) -> DateTime {
        self.0
    }

    /// Date and time in a zone.
    pub(crate) fn in_zone(self, zone: &TimeZone) -> Result<DateTime, EvalError> {
        let local = match zone.to_fixed_offset() {
            Ok(offset) => self.0.checked_add(SignedDuration::from_secs(i64::from(offset.seconds()))),
            Err(_) => TimeZone::UTC.to_timestamp(self.0).map(|timestamp| zone.to_datetime(timestamp)),
        };
        local.map_err(|_| EvalError::TimestampOverflow)
    }

    pub(crate) fn from_second(second: i64) -> Option<TimestampValue> {
        EPOCH.checked_add(SignedDuration::from_secs(second)).ok().and_then(TimestampValue::within)
    }

    /// Whole seconds since 1970, rounded down.
    pub(crate) fn second(self) -> i64 {
        let since = self.0.duration_since(EPOCH);
        since.as_secs() - i64::from(since.subsec_nanos() < 0)
    }

    /// RFC 3339, with its zone.
    pub(crate) fn parse(text: &str) -> Option<TimestampValue> {
        let bytes = text.as_bytes();
        let shaped = bytes.len() >= 20
            && bytes.is_ascii()
            && matches!(bytes[10], b'T' | b't')
            && bytes[4] == b'-'
            && bytes[7] == b'-'
            && bytes[13] == b':'
            && bytes[16] == b':';
        if !shaped {
            return None;
        }
        let (local, offset) = match text.strip_suffix(['Z', 'z']) {
            Some(local) => (local, 0),
            None => {
                let (local, zone) = text.split_at(text.len() - 6);
                (local, offset(zone)?)
            }
        };
        // What is left is a date and a time; `jiff` would also read zones here.
        let plain = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'-' | b':' | b'.' | b'T' | b't');
        let local: DateTime = local.bytes().all(plain).then(|| local.parse().ok())??;
        local.checked_sub(SignedDuration::from_secs(offset)).ok().and_then(TimestampValue::within)
    }

    /// A date alone: its midnight.
    pub(crate) fn parse_date(text: &str) -> Option<TimestampValue> {
        let date: Date = text.parse().ok().filter(|_| text.len() == 10)?;
        TimestampValue::within(date.at(0, 0, 0, 0))
    }

    pub(crate) fn checked_add(self, duration: DurationValue) -> Result<TimestampValue, EvalError> {
        let sum = self.0.checked_add(SignedDuration::from_nanos(duration.0));
        sum.ok().and_then(TimestampValue::within).ok_or(EvalError::TimestampOverflow)
    }

    pub(crate) fn since(self, earlier: TimestampValue) -> Result<DurationValue, EvalError> {
        let nanos = self.0.duration_since(earlier.0).as_nanos();
        i64::try_from(nanos).map(DurationValue).map_err(|_| EvalError::DurationOverflow)
    }
}

/// `+01:00` in seconds.
fn offset(zone: &str) -> Option<i64> {
    let (sign, rest) = match zone.as_bytes().first()? {
        b'+' => (1, &zone[1..]),
        b'-' => (-1, &zone[1..]),
        _ => return None,
    };
    let (hours, minutes) = rest.split_once(':').filter(|_| rest.len() == 5)?;
    let (hours, minutes): (i64, i64) = (hours.parse().ok()?, minutes.parse().ok()?);
    ((0..24).contains(&hours) && (0..60).contains(&minutes)).then_some(sign * (hours * 60 + minutes) * 60)
}

impl std::fmt::Display for TimestampValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}Z", self.0)
    }
}

/// A span of time in nanoseconds: about 292 years at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DurationValue(pub i64);

const UNITS: &[(&str, i128)] = &[
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

impl DurationValue {
    /// `1h30m`, `-1.5s`, `0`.
    pub(crate) fn parse(text: &str) -> Option<DurationValue> {
        let (negative, mut rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        if rest == "0" {
            return Some(DurationValue(0));
        }
        let mut total = 0i128;
        if rest.is_empty() {
            return None;
        }
        while !rest.is_empty() {
            let (nanos, after) = term(rest)?;
            total = total.checked_add(nanos)?;
            rest = after;
        }
        i64::try_from(if negative { -total } else { total }).ok().map(DurationValue)
    }

    pub(crate) fn seconds(self) -> f64 {
        (self.0 / 1_000_000_000) as f64 + (self.0 % 1_000_000_000) as f64 / 1e9
    }
}

/// One number with its unit, and what follows.
fn term(text: &str) -> Option<(i128, &str)> {
    let whole = text.bytes().take_while(u8::is_ascii_digit).count();
    let after = &text[whole..];
    let fraction =
        after.strip_prefix('.').map_or("", |rest| &rest[..rest.bytes().take_while(u8::is_ascii_digit).count()]);
    if whole == 0 && fraction.is_empty() {
        return None;
    }
    let rest = if after.starts_with('.') { &after[1 + fraction.len()..] } else { after };
    let length = rest.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(rest.len());
    let (_, nanos) = UNITS.iter().find(|(unit, _)| *unit == &rest[..length])?;
    let integer = if whole == 0 { 0 } else { text[..whole].parse::<i64>().ok()? };
    let digits = &fraction[..fraction.len().min(15)];
    let part =
        if digits.is_empty() { 0 } else { digits.parse::<i128>().ok()? * nanos / 10i128.pow(digits.len() as u32) };
    Some((i128::from(integer) * nanos + part, &rest[length..]))
}

impl std::fmt::Display for DurationValue {
    /// Seconds, as upstream converts a duration to a text.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}s", self.seconds())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_parse() {
        for (text, nanos) in [
            ("1s", Some(1_000_000_000)),
            ("1h30m", Some(5_400_000_000_000)),
            ("-1.5s", Some(-1_500_000_000)),
            ("100us", Some(100_000)),
            (".5ms", Some(500_000)),
            ("0", Some(0)),
            ("", None),
            ("1", None),
            ("1d", None),
            ("s", None),
            (".s", None),
            ("292277025y", None),
            ("9999999999h", None),
        ] {
            assert_eq!(DurationValue::parse(text).map(|duration| duration.0), nanos, "{text}");
        }
    }

    #[test]
    fn timestamps_stay_in_their_range() {
        assert!(TimestampValue::parse("0001-01-01T00:00:00Z").is_some());
        assert!(TimestampValue::parse("9999-12-31T23:59:59.999999999Z").is_some());
        for text in ["0000-12-31T23:59:59Z", "2020-01-01", "2020-01-01T00:00:00", "x", "2020-01-01 00:00:00Z"] {
            assert_eq!(TimestampValue::parse(text), None, "{text}");
        }
    }
}
