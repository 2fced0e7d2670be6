//! CRI's log format: `<RFC 3339 time> <stdout|stderr> <F|P> <text>`, one entry a line.

use crate::time::{self, Nanoseconds};

/// One line of a container's log file; a partial one (`P`) is continued by the next of its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawLine<'a> {
    pub time: Nanoseconds,
    pub stderr: bool,
    pub partial: bool,
    pub text: &'a [u8],
}

impl<'a> RawLine<'a> {
    /// `line` is without its newline. `None` for what is not in the format, such as the end of a file that a crash cut.
    pub fn parse(line: &'a [u8]) -> Option<RawLine<'a>> {
        let space = memchr::memchr(b' ', line.get(..line.len().min(40))?)?;
        let time = time::parse(&line[..space])?;
        let rest = &line[space + 1..];
        let (stderr, rest) = match rest.get(..7)? {
            b"stdout " => (false, &rest[7..]),
            b"stderr " => (true, &rest[7..]),
            _ => return None,
        };
        let tag_end = memchr::memchr(b' ', rest).unwrap_or(rest.len());
        let partial = match rest[..tag_end].split(|byte| *byte == b':').next()? {
            b"F" => false,
            b"P" => true,
            _ => return None,
        };
        Some(RawLine { time, stderr, partial, text: rest.get(tag_end + 1..).unwrap_or_default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_have_four_parts() {
        let check = |line: &[u8], wanted: Option<(bool, bool, &[u8])>| {
            let parsed = RawLine::parse(line).map(|line| (line.stderr, line.partial, line.text));
            assert_eq!(parsed, wanted, "{}", String::from_utf8_lossy(line));
        };
        check(b"2026-01-01T00:00:00.5Z stdout F hello there", Some((false, false, b"hello there")));
        check(b"2026-01-01T00:00:00.5Z stderr P half", Some((true, true, b"half")));
        check(b"2026-01-01T00:00:00.5Z stdout F ", Some((false, false, b"")));
        check(b"2026-01-01T00:00:00.5Z stdout F", Some((false, false, b"")));
        check(b"2026-01-01T00:00:00.5Z stdout F:x tagged", Some((false, false, b"tagged")));
        check(b"2026-01-01T00:00:00.5+09:00 stderr F \xff\x00 junk", Some((true, false, b"\xff\x00 junk")));
        check(b"2026-01-01T00:00:00.5Z nowhere F x", None);
        check(b"cut off", None);
        check(b"", None);
    }
}
