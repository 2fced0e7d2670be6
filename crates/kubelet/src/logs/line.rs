//! CRI's log format: `<RFC 3339 time> <stdout|stderr> <F|P> <text>`, one entry a line.

use jiff::Timestamp;

/// One entry; a partial one (`P`) is continued by the next of its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    pub(crate) time: &'a str,
    pub(crate) stderr: bool,
    pub(crate) partial: bool,
    pub(crate) text: &'a [u8],
}

impl<'a> Line<'a> {
    /// `line` is without its newline. `None` for what is not in the format, such as the end of a file that a crash cut.
    pub(crate) fn parse(line: &'a [u8]) -> Option<Line<'a>> {
        let mut parts = line.splitn(4, |byte| *byte == b' ');
        let time = std::str::from_utf8(parts.next()?).ok()?;
        let stderr = match parts.next()? {
            b"stdout" => false,
            b"stderr" => true,
            _ => return None,
        };
        let partial = match parts.next()?.split(|byte| *byte == b':').next()? {
            b"F" => false,
            b"P" => true,
            _ => return None,
        };
        Some(Line { time, stderr, partial, text: parts.next().unwrap_or_default() })
    }

    pub(crate) fn timestamp(&self) -> Option<Timestamp> {
        self.time.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_have_four_parts() {
        let check = |line: &str, wanted: Option<(bool, bool, &str)>| {
            let parsed = Line::parse(line.as_bytes());
            let parsed = parsed.map(|line| (line.stderr, line.partial, std::str::from_utf8(line.text).unwrap()));
            assert_eq!(parsed, wanted, "{line}");
        };
        check("2026-01-01T00:00:00.5Z stdout F hello there", Some((false, false, "hello there")));
        check("2026-01-01T00:00:00.5Z stderr P half", Some((true, true, "half")));
        check("2026-01-01T00:00:00.5Z stdout F ", Some((false, false, "")));
        check("2026-01-01T00:00:00.5Z stdout F:x tagged", Some((false, false, "tagged")));
        check("2026-01-01T00:00:00.5Z nowhere F x", None);
        check("cut off", None);
        check("", None);
    }
}
