//! When a CronJob runs: whether its five fields, or the word in their place, make sense.

/// What is wrong with a schedule, in the words of the parser that upstream uses.
///
/// # Errors
/// The first thing that is wrong.
pub(super) fn check(schedule: &str) -> Result<(), String> {
    // A zone in front of the fields is complained of by itself.
    let fields = match schedule.split_once(' ') {
        Some((zone, rest)) if zone.starts_with("TZ=") || zone.starts_with("CRON_TZ=") => rest.trim(),
        _ => schedule,
    };
    if fields.starts_with('@') {
        return descriptor(fields);
    }
    let parts: Vec<&str> = fields.split_whitespace().collect();
    if parts.len() != FIELDS.len() {
        return Err(format!("expected exactly 5 fields, found {}: [{}]", parts.len(), parts.join(" ")));
    }
    for (part, field) in parts.iter().zip(FIELDS) {
        part.split(',').filter(|range| !range.is_empty()).try_for_each(|own| range(own, field))?;
    }
    Ok(())
}

/// The bounds of a field, and the words that stand for its numbers, the first for the least.
struct Field {
    least: u32,
    most: u32,
    names: &'static [&'static str],
}

const FIELDS: [&Field; 5] = [
    &Field { least: 0, most: 59, names: &[] },
    &Field { least: 0, most: 23, names: &[] },
    &Field { least: 1, most: 31, names: &[] },
    &Field {
        least: 1,
        most: 12,
        names: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
    },
    &Field { least: 0, most: 6, names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"] },
];

const DESCRIPTORS: &[&str] = &["@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"];
/// Of a span of time such as `1h30m`.
const UNITS: &[&str] = &["ns", "us", "µs", "ms", "s", "m", "h"];

fn descriptor(text: &str) -> Result<(), String> {
    if let Some(span) = text.strip_prefix("@every ") {
        return if is_span(span) {
            Ok(())
        } else {
            Err(format!("failed to parse duration {text}: time: invalid duration {span:?}"))
        };
    }
    if DESCRIPTORS.contains(&text) { Ok(()) } else { Err(format!("unrecognized descriptor: {text}")) }
}

fn is_span(text: &str) -> bool {
    let mut rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    if rest == "0" {
        return true;
    }
    if rest.is_empty() {
        return false;
    }
    while !rest.is_empty() {
        let number = rest.len() - rest.trim_start_matches(|digit: char| digit.is_ascii_digit() || digit == '.').len();
        let unit = rest[number..].len() - rest[number..].trim_start_matches(|own: char| own.is_alphabetic()).len();
        let good = rest[..number].parse::<f64>().is_ok() && UNITS.contains(&&rest[number..number + unit]);
        if !good {
            return false;
        }
        rest = &rest[number + unit..];
    }
    true
}

/// `*`, `5`, `1-5`, `*/10`, `5/10` or `mon-fri`.
fn range(text: &str, field: &Field) -> Result<(), String> {
    let parts: Vec<&str> = text.split('/').collect();
    let ends: Vec<&str> = parts[0].split('-').collect();
    let (first, mut last) = match ends.as_slice() {
        ["*" | "?", ..] => (field.least, field.most),
        [only] => (value(only, field)?, value(only, field)?),
        [first, last] => (value(first, field)?, value(last, field)?),
        _ => return Err(format!("too many hyphens: {text}")),
    };
    let step = match parts.as_slice() {
        [_] => 1,
        [_, step] => {
            let step = number(step)?;
            // From there to the end.
            if ends.len() == 1 {
                last = field.most;
            }
            step
        }
        _ => return Err(format!("too many slashes: {text}")),
    };
    if first < field.least {
        return Err(format!("beginning of range ({first}) below minimum ({}): {text}", field.least));
    }
    if last > field.most {
        return Err(format!("end of range ({last}) above maximum ({}): {text}", field.most));
    }
    if first > last {
        return Err(format!("beginning of range ({first}) beyond end of range ({last}): {text}"));
    }
    if step == 0 {
        return Err(format!("step of range should be a positive number: {text}"));
    }
    Ok(())
}

fn value(text: &str, field: &Field) -> Result<u32, String> {
    let named = field.names.iter().zip(field.least..).find(|(name, _)| name.eq_ignore_ascii_case(text));
    named.map_or_else(|| number(text), |(_, value)| Ok(value))
}

fn number(text: &str) -> Result<u32, String> {
    match text.parse::<i64>() {
        Ok(number) if number < 0 => Err(format!("negative number ({number}) not allowed: {text}")),
        Ok(number) => Ok(u32::try_from(number).unwrap_or(u32::MAX)),
        Err(_) => Err(format!("failed to parse int from {text}: strconv.Atoi: parsing {text:?}: invalid syntax")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_make_sense() {
        for schedule in [
            "* * * * *",
            "*/5 0-6,12 1 jan-Mar Mon-fri",
            "5/10 ? * * 0",
            "@hourly",
            "@every 1h30m",
            "@every 1.5s",
            "TZ=UTC 0 0 * * *",
        ] {
            assert_eq!(check(schedule), Ok(()), "{schedule}");
        }
    }

    #[test]
    fn schedules_that_make_none() {
        for (schedule, wanted) in [
            ("* * * *", "expected exactly 5 fields, found 4: [* * * *]"),
            ("60 * * * *", "end of range (60) above maximum (59): 60"),
            ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
            ("5-3 * * * *", "beginning of range (5) beyond end of range (3): 5-3"),
            ("*/0 * * * *", "step of range should be a positive number: */0"),
            ("x * * * *", "failed to parse int from x: strconv.Atoi: parsing \"x\": invalid syntax"),
            ("1-2-3 * * * *", "too many hyphens: 1-2-3"),
            ("1/2/3 * * * *", "too many slashes: 1/2/3"),
            ("@never", "unrecognized descriptor: @never"),
            ("@every x", "failed to parse duration @every x: time: invalid duration \"x\""),
        ] {
            assert_eq!(check(schedule), Err(wanted.to_owned()), "{schedule}");
        }
    }
}
