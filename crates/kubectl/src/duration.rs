//! Durations as Go writes and reads them: `30s`, `1h15m`, `1.5h`; a bare number is seconds where upstream allows it.

use crate::failure::{Failure, Result};
use std::time::Duration;

/// Longer than any cluster lives; a bound for what arithmetic on clocks accepts.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

const UNITS: &[(&str, f64)] =
    &[("ns", 1e-9), ("us", 1e-6), ("µs", 1e-6), ("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];

/// `None` for a negative duration, which upstream takes for "a week" or "for ever" depending on the flag.
pub(crate) fn parse(text: &str) -> Result<Option<Duration>> {
    let invalid = || Failure::message(format!("time: invalid duration {text:?}"));
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if digits.is_empty() {
        return Err(invalid());
    }
    let mut rest = digits;
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let number: f64 = rest[..number_end].parse().map_err(|_| invalid())?;
        rest = &rest[number_end..];
        let unit_end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let unit = &rest[..unit_end];
        rest = &rest[unit_end..];
        let factor = match UNITS.iter().find(|(name, _)| *name == unit) {
            Some((_, factor)) => *factor,
            None if unit.is_empty() && (number == 0.0 || digits.len() == number_end) => 1.0,
            None => return Err(invalid()),
        };
        seconds += number * factor;
    }
    if negative {
        return Ok(None);
    }
    Duration::try_from_secs_f64(seconds).map(|duration| Some(duration.min(LONGEST))).map_err(|_| invalid())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_go_writes() {
        for (text, seconds) in
            [("30s", 30.0), ("1h15m", 4500.0), ("1.5h", 5400.0), ("250ms", 0.25), ("0", 0.0), ("90", 90.0)]
        {
            assert_eq!(parse(text).unwrap(), Some(Duration::from_secs_f64(seconds)), "{text}");
        }
        assert_eq!(parse("-1s").unwrap(), None);
        for text in ["", "x", "5x", "s", "1m3"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
