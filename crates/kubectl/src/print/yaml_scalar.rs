//! Which style a text needs in YAML so that it reads back as the same text, as upstream's emitter decides it.

use std::sync::LazyLock;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    Single,
    Double,
    Literal,
}

pub(super) fn style_of(text: &str) -> Style {
    let traits = Traits::of(text);
    if text.contains('\n') {
        return if traits.block { Style::Literal } else { Style::Double };
    }
    // Unicode's own breaks are lines to older readers, unless they are escaped.
    if is_other_type(text) || text.contains(['\u{2028}', '\u{2029}']) {
        return Style::Double;
    }
    match traits {
        Traits { plain: true, .. } => Style::Plain,
        Traits { single: true, .. } => Style::Single,
        _ => Style::Double,
    }
}

/// The characters that libyaml writes as themselves.
pub(super) fn is_printable(character: char) -> bool {
    matches!(character, '\n' | ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}') && character != '\u{feff}'
}

fn is_break(character: char) -> bool {
    matches!(character, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// What a text's characters allow.
struct Traits {
    plain: bool,
    single: bool,
    block: bool,
}

impl Traits {
    fn of(text: &str) -> Traits {
        let characters: Vec<char> = text.chars().collect();
        let (Some(first), Some(last)) = (characters.first().copied(), characters.last().copied()) else {
            return Traits { plain: false, single: true, block: false };
        };
        let special = characters.iter().any(|character| !is_printable(*character));
        let pair = |found: fn(char, char) -> bool| characters.windows(2).any(|pair| found(pair[0], pair[1]));
        let break_space = pair(|a, b| is_break(a) && b == ' ');
        let space_break = pair(|a, b| a == ' ' && is_break(b));
        let at_the_edge = [first, last].iter().any(|edge| *edge == ' ' || is_break(*edge));
        let lines = characters.iter().any(|character| is_break(*character));
        let odd = special || space_break;
        Traits {
            plain: !odd && !break_space && !at_the_edge && !lines && !has_indicator(&characters),
            single: !odd && !break_space,
            block: !odd && last != ' ',
        }
    }
}

/// Whether a character means something to YAML where it stands.
fn has_indicator(characters: &[char]) -> bool {
    if matches!(characters, ['-', '-', '-', ..] | ['.', '.', '.', ..]) {
        return true;
    }
    let blank = |index: usize| characters.get(index).is_none_or(|next| matches!(next, ' ' | '\t') || is_break(*next));
    characters.iter().enumerate().any(|(index, character)| match (index, character) {
        (0, '#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`') => true,
        (0, '?' | ':' | '-') => blank(1),
        (_, ':') => blank(index + 1),
        (_, '#') => index > 0 && blank(index - 1),
        _ => false,
    })
}

/// Whether YAML 1.1 would read the plain text as something other than a text.
fn is_other_type(text: &str) -> bool {
    static WORDS: LazyLock<Vec<String>> = LazyLock::new(|| {
        let words = ["y", "n", "yes", "no", "true", "false", "on", "off", "null"];
        let cases = |word: &&str| {
            let (first, rest) = word.split_at(1);
            [word.to_string(), first.to_uppercase() + rest, word.to_uppercase()]
        };
        words.iter().flat_map(cases).collect()
    });
    if text.is_empty() || text == "~" || WORDS.iter().any(|word| word == text) {
        return true;
    }
    match text.as_bytes()[0] {
        b'0'..=b'9' | b'+' | b'-' => is_number(text) || is_timestamp(text) || is_base_60(text),
        b'.' => is_special_float(text) || (separates_digits(text) && is_decimal(&text.replace('_', ""))),
        _ => false,
    }
}

fn is_special_float(text: &str) -> bool {
    matches!(text, ".nan" | ".NaN" | ".NAN" | ".inf" | ".Inf" | ".INF")
}

/// Whether each underscore stands between two digits.
fn separates_digits(text: &str) -> bool {
    let bytes = text.as_bytes();
    let digit = |index: Option<usize>| index.and_then(|index| bytes.get(index)).is_some_and(u8::is_ascii_digit);
    (0..bytes.len()).all(|at| bytes[at] != b'_' || (digit(at.checked_sub(1)) && digit(Some(at + 1))))
}

fn is_number(text: &str) -> bool {
    let digits = text.replace('_', "");
    let unsigned = digits.strip_prefix(['+', '-']).unwrap_or(&digits);
    let radix = |prefix: [&str; 2], radix: u32| {
        let rest = unsigned.strip_prefix(prefix[0]).or_else(|| unsigned.strip_prefix(prefix[1]));
        rest.is_some_and(|rest| !rest.starts_with(['+', '-']) && u64::from_str_radix(rest, radix).is_ok())
    };
    is_decimal(&digits)
        // Upstream leaves `-.nan` plain, which stricter readers take for a number.
        || is_special_float(unsigned)
        || radix(["0x", "0X"], 16)
        || radix(["0o", "0O"], 8)
        || radix(["0b", "0B"], 2)
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`, and not too large to be a number at all.
fn is_decimal(text: &str) -> bool {
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['+', '-']).unwrap_or(exponent))),
        None => (unsigned, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    all_digits(whole)
        && all_digits(fraction)
        && !(whole.is_empty() && fraction.is_empty())
        && exponent.is_none_or(|exponent| !exponent.is_empty() && all_digits(exponent))
        && text.parse::<f64>().is_ok_and(f64::is_finite)
}

/// `1:30`: upstream's parser does not read it as a number, but older ones do.
fn is_base_60(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let mut parts = unsigned.split(':');
    let first = parts.next().unwrap_or_default();
    let rest: Vec<&str> = parts.collect();
    let Some((last, middle)) = rest.split_last() else { return false };
    let minute = |part: &str| matches!(part.as_bytes(), [b'0'..=b'9'] | [b'0'..=b'5', b'0'..=b'9']);
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_');
    let (last, fraction) = last.split_once('.').unwrap_or((last, ""));
    first.starts_with(|digit: char| digit.is_ascii_digit())
        && digits(first)
        && middle.iter().all(|part| minute(part))
        && minute(last)
        && digits(fraction)
}

/// A date, or a date and a time: `2026-1-2`, `2026-01-02T03:04:05Z`.
fn is_timestamp(text: &str) -> bool {
    let (date, time) = match text.find(['T', 't', ' ']) {
        Some(at) => (&text[..at], Some((text.as_bytes()[at], &text[at + 1..]))),
        None => (text, None),
    };
    let parts: Vec<&str> = date.split('-').collect();
    let [year, month, day] = parts.as_slice() else { return false };
    let number = |part: &str, lengths: std::ops::RangeInclusive<usize>| {
        let digits = lengths.contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
        if digits { part.parse::<i16>().ok() } else { None }
    };
    let (Some(year), Some(month), Some(day)) = (number(year, 4..=4), number(month, 1..=2), number(day, 1..=2)) else {
        return false;
    };
    let exists = i8::try_from(month).ok().zip(i8::try_from(day).ok());
    if exists.is_none_or(|(month, day)| jiff::civil::Date::new(year, month, day).is_err()) {
        return false;
    }
    let Some((separator, time)) = time else { return true };
    let (clock, zoned) = match time.find(['Z', '+', '-']) {
        Some(at) => (&time[..at], is_zone(&time[at..])),
        None => (time, false),
    };
    is_clock(clock) && (separator == b' ') != zoned
}

fn is_zone(text: &str) -> bool {
    text == "Z"
        || matches!(text.as_bytes(), [b'+' | b'-', h1, h2, b':', m1, m2] if [h1, h2, m1, m2].iter().all(|digit| digit.is_ascii_digit()))
}

fn is_clock(text: &str) -> bool {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let parts: Vec<&str> = whole.split(':').collect();
    let below =
        |part: &str, limit: u8| (1..=2).contains(&part.len()) && part.parse::<u8>().is_ok_and(|number| number < limit);
    matches!(parts.as_slice(), [hour, minute, second] if below(hour, 24) && below(minute, 60) && below(second, 60))
        && !fraction.is_empty()
        && fraction.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_reads_as_something_else_is_quoted() {
        for (style, texts) in [
            (
                Style::Double,
                vec![
                    "",
                    "~",
                    "y",
                    "No",
                    "TRUE",
                    "null",
                    "1",
                    "-5",
                    "+1",
                    "0x1F",
                    "017",
                    "08",
                    "0b11",
                    "0o7",
                    "1_000",
                    "1.5",
                    ".5",
                    "1e3",
                    ".inf",
                    "-.inf",
                    "2026-01-02",
                    "2026-1-2",
                    "2026-01-02T03:04:05Z",
                    "2026-01-02 03:04:05",
                    "1:30",
                    "10:30:00.5",
                    ".5_0",
                    "a\u{2028}b",
                    "a\tb",
                    "tab\t",
                    "a \nb",
                    "emoji \u{1f600}",
                    "\r",
                ],
            ),
            (
                Style::Plain,
                vec![
                    "web",
                    "yess",
                    "123e4567",
                    "1.2.3",
                    "10.0.0.1",
                    "100m",
                    "1Gi",
                    "a:b",
                    "a#b",
                    "-x",
                    ":x",
                    "?x",
                    "2026-13-01",
                    "0xZZ",
                    "1:99",
                    "é",
                    "a{b}",
                    "<none>",
                    "=",
                    "2026-01-02T03:04:05",
                    "nginx:1.25",
                    "a, b",
                    "1e999",
                    "Null2",
                    "..",
                    "._5",
                ],
            ),
            (
                Style::Single,
                vec![
                    "a: b", "a #b", "# c", "- x", "[a", "{a", "*", "&a", "!a", "|", ">", "'a", "\"a", "%a", "@a", "`a",
                    " a", "a ", "a:", "---", "--- a", "...", "-", ",", "? x",
                ],
            ),
            (Style::Literal, vec!["a\nb", "a\n", "\na", " a\nb", "a\n b"]),
        ] {
            for text in texts {
                assert_eq!(style_of(text), style, "{text:?}");
            }
        }
    }
}
