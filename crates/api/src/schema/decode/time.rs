//! Times as upstream reads and writes them: RFC 3339 in, UTC out.
//!
//! Invariants: no clock and no time zone of the machine take part; complaints are those of Go's `time.Parse`.

use jiff::civil::DateTime;
use jiff::tz::Offset;

/// How fine a kind of time is kept.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Precision {
    Seconds,
    Micros,
}

/// The canonical text: `2024-01-02T03:04:05Z`, or with six digits of a second.
pub(super) fn canonical(text: &str, precision: Precision) -> Result<String, String> {
    let fields = Fields::parse(text).map_err(|problem| {
        let layout = match precision {
            Precision::Seconds => "2006-01-02T15:04:05Z07:00",
            Precision::Micros => "2006-01-02T15:04:05.000000Z07:00",
        };
        match problem {
            Problem::Expected { rest, element } => {
                format!("parsing time {text:?} as {layout:?}: cannot parse {rest:?} as {element:?}")
            }
            Problem::Range(field) => format!("parsing time {text:?}: {field} out of range"),
            Problem::Extra(rest) => format!("parsing time {text:?}: extra text: {rest:?}"),
        }
    })?;
    let time = fields.utc().ok_or_else(|| format!("parsing time {text:?}: year out of range"))?;
    let seconds = time.strftime("%Y-%m-%dT%H:%M:%S");
    Ok(match precision {
        Precision::Seconds => format!("{seconds}Z"),
        Precision::Micros => format!("{seconds}.{:06}Z", time.subsec_nanosecond() / 1000),
    })
}

/// Whether the text surely is canonical already.
pub(super) fn is_canonical(text: &[u8], precision: Precision) -> bool {
    let layout: &[u8] = match precision {
        Precision::Seconds => b"dddd-Md-DdTHd:md:mdZ",
        Precision::Micros => b"dddd-Md-DdTHd:md:md.ddddddZ",
    };
    // Only the first digit of a field is bounded here, so that the few that this lets past (`2024-02-31`) must be
    // looked at apart.
    text.len() == layout.len()
        && text.iter().zip(layout).all(|(byte, expected)| match expected {
            b'd' => byte.is_ascii_digit(),
            b'M' => matches!(byte, b'0' | b'1'),
            b'D' => matches!(byte, b'0'..=b'2'),
            b'H' => matches!(byte, b'0' | b'1'),
            b'm' => matches!(byte, b'0'..=b'5'),
            other => byte == other,
        })
        && !(text[5] == b'1' && text[6] > b'2')
        && &text[5..7] != b"00"
        && &text[8..10] != b"00"
        && (&text[5..7] != b"02" || text[8] < b'2' || text[9] < b'9')
}

enum Problem<'a> {
    Expected { rest: &'a str, element: &'static str },
    Range(&'static str),
    Extra(&'a str),
}

struct Fields {
    year: i16,
    month: i8,
    day: i8,
    hour: i8,
    minute: i8,
    second: i8,
    nanos: i32,
    offset_seconds: i32,
}

impl Fields {
    fn parse(text: &str) -> Result<Fields, Problem<'_>> {
        let mut rest = text;
        let year = digits(&mut rest, 4, "2006")?;
        literal(&mut rest, "-")?;
        let month = digits(&mut rest, 2, "01")?;
        if !(1..=12).contains(&month) {
            return Err(Problem::Range("month"));
        }
        literal(&mut rest, "-")?;
        let day = digits(&mut rest, 2, "02")?;
        literal(&mut rest, "T")?;
        let hour = digits(&mut rest, 2, "15")?;
        literal(&mut rest, ":")?;
        let minute = digits(&mut rest, 2, "04")?;
        literal(&mut rest, ":")?;
        let second = digits(&mut rest, 2, "05")?;
        let nanos = fraction(&mut rest);
        let offset_seconds = offset(&mut rest)?;
        if !rest.is_empty() {
            return Err(Problem::Extra(rest));
        }
        let bounded = |value: i32, limit: i32, field: &'static str| {
            if value < limit { Ok(value as i8) } else { Err(Problem::Range(field)) }
        };
        let (hour, minute) = (bounded(hour, 24, "hour")?, bounded(minute, 60, "minute")?);
        let second = bounded(second, 60, "second")?;
        let (year, month) = (year as i16, month as i8);
        let days = jiff::civil::Date::new(year, month, 1).map_or(31, |date| date.days_in_month());
        if day < 1 || day > i32::from(days) {
            return Err(Problem::Range("day"));
        }
        Ok(Fields { year, month, day: day as i8, hour, minute, second, nanos, offset_seconds })
    }

    fn utc(&self) -> Option<DateTime> {
        let local =
            DateTime::new(self.year, self.month, self.day, self.hour, self.minute, self.second, self.nanos).ok()?;
        let offset = Offset::from_seconds(self.offset_seconds).ok()?;
        Some(Offset::UTC.to_datetime(offset.to_timestamp(local).ok()?))
    }
}

fn digits<'a>(rest: &mut &'a str, count: usize, element: &'static str) -> Result<i32, Problem<'a>> {
    let number = rest.get(..count).filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
    let number = number.and_then(|text| text.parse().ok()).ok_or(Problem::Expected { rest, element })?;
    *rest = &rest[count..];
    Ok(number)
}

fn literal<'a>(rest: &mut &'a str, expected: &'static str) -> Result<(), Problem<'a>> {
    *rest = rest.strip_prefix(expected).ok_or(Problem::Expected { rest, element: expected })?;
    Ok(())
}

/// Billionths, from as many digits as there are.
fn fraction(rest: &mut &str) -> i32 {
    let Some(after) = rest.strip_prefix(['.', ',']) else { return 0 };
    let count = after.bytes().take_while(u8::is_ascii_digit).count();
    if count == 0 {
        return 0;
    }
    *rest = &after[count..];
    after.bytes().take(count).chain(std::iter::repeat(b'0')).take(9).fold(0, |n, b| n * 10 + i32::from(b - b'0'))
}

fn offset<'a>(rest: &mut &'a str) -> Result<i32, Problem<'a>> {
    if let Some(after) = rest.strip_prefix('Z') {
        *rest = after;
        return Ok(0);
    }
    let whole = *rest;
    let wrong = || Problem::Expected { rest: whole, element: "Z07:00" };
    let sign = match whole.as_bytes().first() {
        Some(b'+') => 1,
        Some(b'-') => -1,
        _ => return Err(wrong()),
    };
    *rest = &whole[1..];
    let hours = digits(rest, 2, "Z07:00").map_err(|_| wrong())?;
    *rest = rest.strip_prefix(':').ok_or_else(wrong)?;
    let minutes = digits(rest, 2, "Z07:00").map_err(|_| wrong())?;
    if hours > 24 || minutes >= 60 {
        return Err(Problem::Range("time zone offset hour"));
    }
    Ok(sign * (hours * 3600 + minutes * 60))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_become_utc_seconds() {
        let cases = [
            ("2024-01-02T03:04:05Z", "2024-01-02T03:04:05Z"),
            ("2024-01-02T03:04:05.987Z", "2024-01-02T03:04:05Z"),
            ("2024-01-02T03:04:05+02:30", "2024-01-02T00:34:05Z"),
            ("2023-12-31T23:30:00-01:00", "2024-01-01T00:30:00Z"),
            ("2024-02-29T00:00:00Z", "2024-02-29T00:00:00Z"),
        ];
        for (text, expected) in cases {
            assert_eq!(canonical(text, Precision::Seconds).as_deref(), Ok(expected), "{text}");
        }
        let micro = canonical("2024-01-02T03:04:05.1234567+00:00", Precision::Micros);
        assert_eq!(micro.as_deref(), Ok("2024-01-02T03:04:05.123456Z"));
    }

    #[test]
    fn complains_as_go_does() {
        let layout = "2006-01-02T15:04:05Z07:00";
        let cases = [
            ("", format!(r#"parsing time "" as "{layout}": cannot parse "" as "2006""#)),
            ("yesterday", format!(r#"parsing time "yesterday" as "{layout}": cannot parse "yesterday" as "2006""#)),
            ("2024-01-02", format!(r#"parsing time "2024-01-02" as "{layout}": cannot parse "" as "T""#)),
            ("2024-13-02T00:00:00Z", r#"parsing time "2024-13-02T00:00:00Z": month out of range"#.to_owned()),
            ("2023-02-29T00:00:00Z", r#"parsing time "2023-02-29T00:00:00Z": day out of range"#.to_owned()),
            ("2024-01-02T00:00:00Zx", r#"parsing time "2024-01-02T00:00:00Zx": extra text: "x""#.to_owned()),
        ];
        for (text, expected) in cases {
            assert_eq!(canonical(text, Precision::Seconds), Err(expected), "{text}");
        }
    }

    #[test]
    fn what_counts_as_canonical_is() {
        for month in 0..14 {
            for day in 0..33 {
                for hour in [0, 9, 19, 23, 24] {
                    let text = format!("2023-{month:02}-{day:02}T{hour:02}:00:59Z");
                    if is_canonical(text.as_bytes(), Precision::Seconds) {
                        assert_eq!(canonical(&text, Precision::Seconds).as_ref(), Ok(&text));
                    }
                }
            }
        }
        assert!(is_canonical(b"2024-11-12T10:00:00Z", Precision::Seconds));
        assert!(is_canonical(b"2024-11-12T10:00:00.000001Z", Precision::Micros));
    }
}
