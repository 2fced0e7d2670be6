//! How found lines look.

use crate::cli::LogOutput;
use anstyle::{AnsiColor, Color, Reset};
use anyhow::{Context, Result};
use logs::Level;
use logs::wire::{LogLine, Message};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;

#[derive(Clone, Copy, Debug)]
pub(super) struct Style {
    pub(super) output: LogOutput,
    pub(super) colors: bool,
    pub(super) timestamps: bool,
    /// Lines of several namespaces may come.
    pub(super) namespaces: bool,
}

/// Readable on dark and on light; red and yellow are for what is grave.
const COLORS: [AnsiColor; 8] = [
    AnsiColor::Green,
    AnsiColor::Blue,
    AnsiColor::Magenta,
    AnsiColor::Cyan,
    AnsiColor::BrightGreen,
    AnsiColor::BrightBlue,
    AnsiColor::BrightMagenta,
    AnsiColor::BrightCyan,
];

pub(super) struct Printer<O, E> {
    style: Style,
    out: O,
    err: E,
    /// Whose line is not at its end: pod, container and stream.
    open: Option<(String, String, String)>,
}

impl<O: Write, E: Write> Printer<O, E> {
    pub(super) fn new(style: Style, out: O, err: E) -> Printer<O, E> {
        Printer { style, out, err, open: None }
    }

    pub(super) fn flush(&mut self) -> Result<()> {
        Ok(self.out.flush()?)
    }

    /// Prints one line of the server's answer.
    pub(super) fn line(&mut self, json: &[u8]) -> Result<()> {
        if json.is_empty() {
            return Ok(());
        }
        let message = serde_json::from_slice(json);
        let message = message.with_context(|| format!("not a log line: {}", String::from_utf8_lossy(json)))?;
        match message {
            Message::Live { .. } => {}
            Message::Warning { warning } => writeln!(self.err, "sampan: {warning}")?,
            Message::Line(_) if self.style.output == LogOutput::Json => {
                self.out.write_all(json)?;
                self.out.write_all(b"\n")?;
            }
            Message::Line(line) => self.text(&line)?,
        }
        Ok(())
    }

    fn text(&mut self, line: &LogLine<'_>) -> Result<()> {
        let own = (line.uid.to_string(), line.container.to_string(), line.stream.to_string());
        let goes_on = self.open.as_ref() == Some(&own);
        if self.open.is_some() && !goes_on {
            self.out.write_all(b"\n")?;
        }
        if !goes_on && self.style.output == LogOutput::Text {
            self.prefix(line)?;
        }
        self.out.write_all(&line.bytes())?;
        self.open = line.partial.then_some(own);
        if !line.partial {
            self.out.write_all(b"\n")?;
        }
        Ok(())
    }

    fn prefix(&mut self, line: &LogLine<'_>) -> Result<()> {
        let namespace = if self.style.namespaces { format!("{}/", line.namespace) } else { String::new() };
        let name = format!("{namespace}{} {}", line.pod, line.container);
        if self.style.timestamps {
            write!(self.out, "{} ", line.time)?;
        }
        if !self.style.colors {
            return Ok(write!(self.out, "{name} | ")?);
        }
        let bar = match line.level {
            Level::Fatal | Level::Error => AnsiColor::Red,
            Level::Warn => AnsiColor::Yellow,
            _ => color(line),
        };
        let (name_color, bar) = (Color::from(color(line)).render_fg(), Color::from(bar).render_fg());
        Ok(write!(self.out, "{name_color}{name}{Reset} {bar}|{Reset} ")?)
    }
}

/// A pod has the same color in every run.
fn color(line: &LogLine<'_>) -> AnsiColor {
    let mut hasher = DefaultHasher::new();
    (&line.namespace, &line.pod).hash(&mut hasher);
    COLORS[(hasher.finish() % COLORS.len() as u64) as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(pod: &str, extra: &str) -> String {
        format!(
            r#"{{"time":"2026-01-02T03:04:05.000000000Z","node":"n","namespace":"a","pod":"{pod}","uid":"u-{pod}","container":"c","stream":"stdout",{extra}}}"#
        )
    }

    fn printed(output: LogOutput, colors: bool, lines: &[String]) -> (String, String) {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let style = Style { output, colors, timestamps: false, namespaces: false };
        let mut printer = Printer::new(style, &mut out, &mut err);
        lines.iter().for_each(|line| printer.line(line.as_bytes()).unwrap());
        (String::from_utf8_lossy(&out).into_owned(), String::from_utf8(err).unwrap())
    }

    #[test]
    fn lines_come_behind_their_names() {
        let lines = [
            json("web", r#""line":"one""#),
            json("web", r#""partial":true,"line":"be""#),
            json("web", r#""line":"gun""#),
            json("db", r#""partial":true,"line":"cut""#),
            json("web", r#""line":"two""#),
            r#"{"warning":"node n2 is down"}"#.to_owned(),
            r#"{"live":true}"#.to_owned(),
            String::new(),
        ];
        let (out, err) = printed(LogOutput::Text, false, &lines);
        assert_eq!(out, "web c | one\nweb c | begun\ndb c | cut\nweb c | two\n");
        assert_eq!(err, "sampan: node n2 is down\n");
        assert_eq!(printed(LogOutput::Raw, false, &lines).0, "one\nbegun\ncut\ntwo\n");
        assert_eq!(printed(LogOutput::Json, false, &lines).0.lines().count(), 5);
    }

    #[test]
    fn pods_have_colors_and_grave_lines_a_red_bar() {
        let lines = [json("web", r#""line":"one""#), json("web", r#""level":"error","line":"two""#)];
        let (out, _) = printed(LogOutput::Text, true, &lines);
        let first: Vec<&str> = out.lines().map(|line| line.split("web c").next().unwrap()).collect();
        assert!(first[0].starts_with('\u{1b}') && first[0] == first[1], "{out:?}");
        assert!(!out.lines().next().unwrap().contains("\u{1b}[31m|") && out.contains("\u{1b}[31m|"), "{out:?}");
    }

    #[test]
    fn bytes_that_are_no_text_are_printed_as_they_were() {
        let line = json("web", r#""line":"\ufffd","raw":"/w==""#);
        let mut out = Vec::new();
        let style = Style { output: LogOutput::Raw, colors: false, timestamps: false, namespaces: false };
        Printer::new(style, &mut out, std::io::sink()).line(line.as_bytes()).unwrap();
        assert_eq!(out, b"\xff\n");
    }
}
