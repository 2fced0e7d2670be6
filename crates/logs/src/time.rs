//! Times of log lines: nanoseconds since 1970 in UTC, to and from RFC 3339.
//!
//! Fixed-width code, because a search reads millions of them; the calendar is H. Hinnant's ("chrono-compatible low-level
//! date algorithms").

/// Nanoseconds since 1970; from 1677 to 2262.
pub type Nanoseconds = i64;

const SECOND: i64 = 1_000_000_000;

fn digits(bytes: &[u8]) -> Option<i64> {
    bytes.iter().try_fold(0_i64, |value, byte| byte.is_ascii_digit().then(|| value * 10 + i64::from(byte - b'0')))
}

/// Reads `2026-01-02T03:04:05.000000001Z`; any number of fractional digits up to nine, `Z` or an offset.
pub fn parse(text: &[u8]) -> Option<Nanoseconds> {
    let (date, rest) = text.split_at_checked(19)?;
    let separators = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if separators.iter().any(|(at, byte)| date[*at] != *byte) {
        return None;
    }
    let (year, month, day) = (digits(&date[..4])?, digits(&date[5..7])?, digits(&date[8..10])?);
    let (hour, minute, second) = (digits(&date[11..13])?, digits(&date[14..16])?, digits(&date[17..19])?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let (fraction, zone) = fraction(rest)?;
    let seconds = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset_seconds(zone)?;
    seconds.checked_mul(SECOND)?.checked_add(fraction)
}

/// The fraction in nanoseconds, and what follows it.
fn fraction(rest: &[u8]) -> Option<(i64, &[u8])> {
    let Some(tail) = rest.strip_prefix(b".") else { return Some((0, rest)) };
    let length = tail.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if length == 0 || length > 9 {
        return None;
    }
    let value = digits(&tail[..length])? * 10_i64.pow(9 - length as u32);
    Some((value, &tail[length..]))
}

fn offset_seconds(zone: &[u8]) -> Option<i64> {
    let sign = match zone {
        b"Z" | b"z" => return Some(0),
        [b'+', ..] => 1,
        [b'-', ..] => -1,
        _ => return None,
    };
    if zone.len() != 6 || zone[3] != b':' {
        return None;
    }
    Some(sign * (digits(&zone[1..3])? * 3600 + digits(&zone[4..6])? * 60))
}

/// Days since 1970.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let shifted_month = (month + 9) % 12;
    let day_of_year = (153 * shifted_month + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// RFC 3339 in UTC with all nine digits: texts of equal length that sort as the times do.
pub fn format(time: Nanoseconds) -> [u8; 30] {
    let (seconds, fraction) = (time.div_euclid(SECOND), time.rem_euclid(SECOND));
    let (year, month, day) = civil(seconds.div_euclid(86_400));
    let second = seconds.rem_euclid(86_400);
    let mut text = *b"0000-00-00T00:00:00.000000000Z";
    let fields = [
        (0, 4, year),
        (5, 2, month),
        (8, 2, day),
        (11, 2, second / 3600),
        (14, 2, second / 60 % 60),
        (17, 2, second % 60),
        (20, 9, fraction),
    ];
    for (at, width, mut value) in fields {
        for digit in text[at..at + width].iter_mut().rev() {
            *digit = b'0' + (value % 10) as u8;
            value /= 10;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_as_they_are_written() {
        let check = |text: &str, canonical: &str| {
            let time = parse(text.as_bytes()).unwrap();
            assert_eq!(std::str::from_utf8(&format(time)).unwrap(), canonical, "{text}");
            assert_eq!(parse(canonical.as_bytes()), Some(time));
        };
        check("1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000000000Z");
        check("2000-02-29T12:34:56.000000789Z", "2000-02-29T12:34:56.000000789Z");
        check("2026-11-23T01:30:00.5+02:00", "2026-11-22T23:30:00.500000000Z");
        check("1969-12-31T23:59:59.999999999Z", "1969-12-31T23:59:59.999999999Z");
        check("2099-12-31T23:59:59-00:30", "2100-01-01T00:29:59.000000000Z");
    }

    #[test]
    fn what_is_no_time_is_refused() {
        let texts = [
            "",
            "2026-11-23",
            "2026-13-01T00:00:00Z",
            "2026-11-23T00:00:00",
            "2026-11-23T00:00:00.Z",
            "2026-11-23 00:00:00Z",
            "2026-11-23T00:00:00.1234567890Z",
            "2026-11-23T00:00:00+0200",
            "9999-01-01T00:00:00Z",
        ];
        for text in texts {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }
}
