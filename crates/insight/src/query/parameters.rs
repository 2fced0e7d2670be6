//! What a question gives: texts, moments, lengths of time.

use super::Failure;
use std::time::Duration;

#[derive(Clone, Copy)]
pub(super) struct Parameters<'a> {
    pub(super) pairs: &'a [(String, String)],
    pub(super) now_ms: i64,
}

fn invalid(name: &str, text: &str, what: &str) -> Failure {
    Failure::BadData(format!("invalid parameter {name:?}: cannot parse {text:?} to a valid {what}"))
}

impl<'a> Parameters<'a> {
    pub(super) fn all(&self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.pairs.iter().filter(move |(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn get(&self, name: &'a str) -> Option<&'a str> {
        self.all(name).find(|value| !value.is_empty())
    }

    pub(super) fn query(&self) -> Result<&'a str, Failure> {
        self.get("query")
            .ok_or_else(|| Failure::BadData("invalid parameter \"query\": no expression found in input".into()))
    }

    /// Milliseconds since 1970.
    pub(super) fn time(&self, name: &'a str) -> Result<Option<i64>, Failure> {
        let Some(text) = self.get(name) else { return Ok(None) };
        time(text).map(Some).ok_or_else(|| invalid(name, text, "timestamp"))
    }

    pub(super) fn demanded_time(&self, name: &'a str) -> Result<i64, Failure> {
        self.time(name)?.ok_or_else(|| invalid(name, "", "timestamp"))
    }

    /// Milliseconds.
    pub(super) fn demanded_duration(&self, name: &'a str) -> Result<i64, Failure> {
        let text = self.get(name).unwrap_or_default();
        duration(text).ok_or_else(|| invalid(name, text, "duration"))
    }

    pub(super) fn lookback(&self, otherwise_ms: i64) -> Result<i64, Failure> {
        match self.get("lookback_delta") {
            None => Ok(otherwise_ms),
            Some(text) => duration(text).ok_or_else(|| invalid("lookback_delta", text, "duration")),
        }
    }

    pub(super) fn timeout(&self) -> Result<Option<Duration>, Failure> {
        let Some(text) = self.get("timeout") else { return Ok(None) };
        let milliseconds = duration(text).and_then(|milliseconds| u64::try_from(milliseconds).ok());
        milliseconds.map(|own| Some(Duration::from_millis(own))).ok_or_else(|| invalid("timeout", text, "duration"))
    }

    /// The moments that a question about labels spans.
    pub(super) fn span(&self, since_ms: i64) -> Result<(i64, i64), Failure> {
        let end = self.time("end")?.unwrap_or(self.now_ms);
        Ok((self.time("start")?.unwrap_or(end - since_ms), end))
    }

    /// 0: all.
    pub(super) fn limit(&self) -> Result<usize, Failure> {
        let Some(text) = self.get("limit") else { return Ok(0) };
        text.parse().map_err(|_| invalid("limit", text, "number"))
    }
}

/// The range in which milliseconds stay exact.
const SECONDS_MAX: f64 = 9e12;

/// Seconds since 1970, or RFC 3339.
fn time(text: &str) -> Option<i64> {
    if let Ok(seconds) = text.parse::<f64>() {
        return (seconds.is_finite() && seconds.abs() < SECONDS_MAX).then_some((seconds * 1000.0).round() as i64);
    }
    text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond)
}

/// Seconds, or Prometheus' text: `1h30m`.
fn duration(text: &str) -> Option<i64> {
    if let Ok(seconds) = text.parse::<f64>() {
        return (seconds.is_finite() && seconds.abs() < SECONDS_MAX).then_some((seconds * 1000.0) as i64);
    }
    let mut total = 0i64;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: i64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let unit = match &rest[..letters] {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "w" => 7 * 86_400_000,
            "y" => 365 * 86_400_000,
            _ => return None,
        };
        rest = &rest[letters..];
        total = total.checked_add(number.checked_mul(unit)?)?;
    }
    (!text.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_and_lengths_are_read_as_prometheus_does() {
        assert_eq!(time("1435781451.781"), Some(1_435_781_451_781));
        assert_eq!(time("2015-07-01T20:10:51.781Z"), Some(1_435_781_451_781));
        assert_eq!([time("soon"), time("NaN"), time("1e300")], [None; 3]);
        assert_eq!(
            ["15", "0.5", "1m30s", "1h", "500ms"].map(duration),
            [15_000, 500, 90_000, 3_600_000, 500].map(Some)
        );
        assert_eq!(["", "m", "5", "5x", "1m-"].map(duration), [None, None, Some(5000), None, None]);
    }
}
