//! How grave a line is, as far as it says so itself.
//!
//! Recognized: a `level`, `lvl`, `severity` or `loglevel` field in JSON and logfmt, klog's head (`E0102 15:04:05`), and a
//! level's name among the first words, bare, bracketed or before a colon. What says nothing has no level.

use serde::{Deserialize, Serialize};

/// From the least grave to the gravest; lines without a level are below all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    #[default]
    None,
    Trace,
    Debug,
    Info,
    Warn,
    Error,
    Fatal,
}

/// Levels that there are, `None` counted.
pub(crate) const LEVELS: usize = 7;

/// Where bare words are looked for: a level stands at a line's beginning, behind a time and perhaps a name.
const HEAD_BYTES: usize = 96;
const HEAD_WORDS: usize = 6;
/// Where a field is looked for; large JSON lines have theirs near the beginning.
const FIELD_BYTES: usize = 4096;

const NAMES: &[(&str, Level)] = &[
    ("trace", Level::Trace),
    ("trc", Level::Trace),
    ("debug", Level::Debug),
    ("dbg", Level::Debug),
    ("dbug", Level::Debug),
    ("info", Level::Info),
    ("inf", Level::Info),
    ("information", Level::Info),
    ("informational", Level::Info),
    ("notice", Level::Info),
    ("warn", Level::Warn),
    ("wrn", Level::Warn),
    ("warning", Level::Warn),
    ("error", Level::Error),
    ("err", Level::Error),
    ("eror", Level::Error),
    ("severe", Level::Error),
    ("critical", Level::Fatal),
    ("crit", Level::Fatal),
    ("fatal", Level::Fatal),
    ("panic", Level::Fatal),
    ("alert", Level::Fatal),
    ("emerg", Level::Fatal),
    ("emergency", Level::Fatal),
];
const FIELDS: &[&str] = &["level", "lvl", "severity", "loglevel", "log.level"];

impl Level {
    pub const ALL: [Level; LEVELS] =
        [Level::None, Level::Trace, Level::Debug, Level::Info, Level::Warn, Level::Error, Level::Fatal];

    /// A level by any of its names, in any case.
    pub fn of_name(name: &str) -> Option<Level> {
        NAMES.iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, level)| *level)
    }

    /// As it is written; empty for none.
    pub fn name(self) -> &'static str {
        ["", "trace", "debug", "info", "warn", "error", "fatal"][self as usize]
    }

    pub(crate) fn of_code(code: u8) -> Level {
        Level::ALL.get(usize::from(code)).copied().unwrap_or_default()
    }

    /// What a line says of itself.
    pub fn of_line(line: &[u8]) -> Level {
        let line = line.trim_ascii_start();
        match line.first() {
            Some(b'{') => of_json(&line[..line.len().min(FIELD_BYTES)]),
            Some(first) if is_klog(line) => of_klog(*first),
            Some(_) => of_logfmt(&line[..line.len().min(FIELD_BYTES)]).unwrap_or_else(|| of_words(line)),
            None => Level::None,
        }
    }

    /// Whether a line goes on with what the line before it began, as stack traces do.
    pub fn is_continuation(line: &[u8]) -> bool {
        matches!(line.first(), Some(b' ' | b'\t' | b'}' | b')' | b']')) || line.starts_with(b"Caused by:")
    }
}

fn named(text: &[u8]) -> Option<Level> {
    std::str::from_utf8(text).ok().and_then(Level::of_name)
}

/// Numbers as pino and bunyan write them.
fn numbered(text: &[u8]) -> Option<Level> {
    Some(match text {
        b"10" => Level::Trace,
        b"20" => Level::Debug,
        b"30" => Level::Info,
        b"40" => Level::Warn,
        b"50" => Level::Error,
        b"60" => Level::Fatal,
        _ => return None,
    })
}

/// The first field of a level's name; no whole parse, as it is asked of every line.
fn of_json(line: &[u8]) -> Level {
    for quote in memchr::memchr_iter(b'"', line) {
        let rest = &line[quote + 1..];
        let Some(name) = FIELDS.iter().find(|name| starts_ignoring_case(rest, name)) else { continue };
        let Some(value) = rest[name.len()..].strip_prefix(b"\"") else { continue };
        let Some(value) = value.trim_ascii_start().strip_prefix(b":") else { continue };
        let value = value.trim_ascii_start();
        let found = match value.strip_prefix(b"\"") {
            Some(text) => memchr::memchr(b'"', text).and_then(|end| named(&text[..end])),
            None => {
                let end = value.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(value.len());
                numbered(&value[..end])
            }
        };
        if let Some(level) = found {
            return level;
        }
    }
    Level::None
}

fn starts_ignoring_case(text: &[u8], begin: &str) -> bool {
    text.get(..begin.len()).is_some_and(|head| head.eq_ignore_ascii_case(begin.as_bytes()))
}

/// `I0102 15:04:05.000000`.
fn is_klog(line: &[u8]) -> bool {
    line.len() > 13
        && matches!(line[0], b'I' | b'W' | b'E' | b'F')
        && line[1..5].iter().all(u8::is_ascii_digit)
        && line[5] == b' '
        && line[8] == b':'
}

fn of_klog(first: u8) -> Level {
    match first {
        b'I' => Level::Info,
        b'W' => Level::Warn,
        b'E' => Level::Error,
        _ => Level::Fatal,
    }
}

fn of_logfmt(line: &[u8]) -> Option<Level> {
    let mut from = 0;
    while let Some(equals) = memchr::memchr(b'=', &line[from..]).map(|at| from + at) {
        from = equals + 1;
        let start = line[..equals].iter().rposition(|byte| !is_key(*byte)).map_or(0, |at| at + 1);
        let key = &line[start..equals];
        if FIELDS.iter().any(|name| key.eq_ignore_ascii_case(name.as_bytes())) {
            let value = line[from..].strip_prefix(b"\"").unwrap_or(&line[from..]);
            let end = value.iter().position(|byte| !byte.is_ascii_alphabetic()).unwrap_or(value.len());
            return named(&value[..end]);
        }
    }
    None
}

fn is_key(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
}

fn of_words(line: &[u8]) -> Level {
    let head = &line[..line.len().min(HEAD_BYTES)];
    let words = head.split(|byte| !byte.is_ascii_alphabetic() && *byte != b'_').filter(|word| word.len() > 2);
    for word in words.take(HEAD_WORDS) {
        let upper = word.iter().all(u8::is_ascii_uppercase);
        let marked = upper || is_marked(head, word);
        if let Some(level) = named(word).filter(|_| marked) {
            return level;
        }
    }
    Level::None
}

/// Whether a lower-case word is set apart as a level is: `[info]`, `info:`, `<info>`, or alone at the beginning.
fn is_marked(head: &[u8], word: &[u8]) -> bool {
    let start = word.as_ptr() as usize - head.as_ptr() as usize;
    let before = start.checked_sub(1).map(|at| head[at]);
    let after = head.get(start + word.len()).copied();
    matches!((before, after), (Some(b'['), Some(b']')) | (Some(b'<'), Some(b'>')) | (Some(b'('), Some(b')')))
        || matches!((before, after), (None | Some(b' '), Some(b':' | b'|')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_say_how_grave_they_are() {
        for (line, level) in [
            (r#"{"ts":1,"level":"error","msg":"x"}"#, Level::Error),
            (r#"{"severity": "WARNING", "level_x":"debug"}"#, Level::Warn),
            (r#"{"level":30,"msg":"pino"}"#, Level::Info),
            (r#"{"msg":"the level is high"}"#, Level::None),
            ("I0102 15:04:05.000000       1 main.go:10] started", Level::Info),
            ("E0102 15:04:05.000000       1 main.go:10] failed", Level::Error),
            ("ts=2026 level=debug msg=\"x y\"", Level::Debug),
            ("time=x lvl=\"warn\" msg=y", Level::Warn),
            ("2026-01-02 03:04:05 ERROR something broke", Level::Error),
            ("2026-01-02T03:04:05Z  INFO module: text", Level::Info),
            ("[warn] careful", Level::Warn),
            ("[2026-01-02] [notice] server started", Level::Info),
            ("error: no such file", Level::Error),
            ("panic: runtime error", Level::Fatal),
            ("FATAL: the database system is starting up", Level::Fatal),
            ("10.0.0.1 - - \"GET /error HTTP/1.1\" 200", Level::None),
            ("an error is nothing to fear", Level::None),
            ("Information about warning signs", Level::None),
            ("", Level::None),
        ] {
            assert_eq!(Level::of_line(line.as_bytes()), level, "{line}");
        }
    }

    #[test]
    fn traces_go_on() {
        assert!(Level::is_continuation(b"\tat com.example.Main"));
        assert!(Level::is_continuation(b"Caused by: java.io.IOException"));
        assert!(!Level::is_continuation(b"next"));
    }
}
