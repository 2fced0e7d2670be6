//! The text of a description: lines by their level, with tabs between columns that are aligned at the end.

use crate::calls::text;
use crate::print::display;
use serde_json::Value;
use std::fmt::{Display, Write};

/// A longer annotation stands on lines of its own, each cut here.
const ANNOTATION_CHARS_MAX: usize = 140;
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

#[derive(Default)]
pub(crate) struct Page {
    text: String,
}

impl Page {
    /// A line, two spaces further in for each level.
    pub(super) fn line(&mut self, level: usize, line: impl Display) {
        // Writing to a string cannot fail.
        writeln!(self.text, "{:width$}{line}", "", width = level * 2).unwrap_or_default();
    }

    pub(super) fn pair(&mut self, level: usize, label: &str, value: impl Display) {
        self.line(level, format_args!("{label}:\t{value}"));
    }

    /// A pair that is left out where there is nothing to say.
    pub(super) fn pair_of(&mut self, level: usize, label: &str, object: &Value, pointer: &str) {
        if let Some(value) = object.pointer(pointer).filter(|value| !value.is_null() && *value != "") {
            self.pair(level, label, display(value));
        }
    }

    /// The title with the first of the lines, the others below it.
    pub(super) fn column(&mut self, title: &str, lines: &[String]) {
        let (first, rest) = lines.split_first().map_or(("<none>", &[][..]), |(first, rest)| (first.as_str(), rest));
        self.line(0, format_args!("{title}:\t{first}"));
        rest.iter().for_each(|line| self.line(0, format_args!("\t{line}")));
    }

    /// `key=value`, a line each.
    pub(super) fn labels(&mut self, title: &str, labels: Option<&Value>) {
        let lines: Vec<String> =
            sorted(labels).map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())).collect();
        self.column(title, &lines);
    }

    /// `key: value`, without the one in which `apply` keeps a whole object.
    pub(super) fn annotations(&mut self, title: &str, annotations: Option<&Value>) {
        let mut lines = Vec::new();
        for (key, value) in sorted(annotations).filter(|(key, _)| *key != LAST_APPLIED) {
            let value = value.as_str().unwrap_or_default();
            let value = value.strip_suffix('\n').unwrap_or(value);
            if value.len() + key.len() + 2 <= ANNOTATION_CHARS_MAX && !value.contains('\n') {
                lines.push(format!("{key}: {value}"));
                continue;
            }
            lines.push(format!("{key}:"));
            lines.extend(value.split('\n').map(|line| format!("  {}", shortened(line))));
        }
        self.column(title, &lines);
    }

    /// What every object's description begins with.
    pub(super) fn name(&mut self, object: &Value) {
        self.pair(0, "Name", text(object, "/metadata/name"));
        self.pair(0, "Namespace", text(object, "/metadata/namespace"));
    }

    pub(super) fn labels_and_annotations(&mut self, object: &Value) {
        self.labels("Labels", object.pointer("/metadata/labels"));
        self.annotations("Annotations", object.pointer("/metadata/annotations"));
    }

    /// Rows below titles that are underlined as upstream underlines them.
    pub(super) fn conditions(&mut self, object: &Value, underlined: bool, columns: &[(&str, &str)]) {
        let conditions = items(object, "/status/conditions");
        if conditions.is_empty() {
            return;
        }
        self.line(0, "Conditions:");
        let titles: Vec<&str> = columns.iter().map(|(title, _)| *title).collect();
        self.line(1, titles.join("\t"));
        if underlined {
            let lines: Vec<String> = titles.iter().map(|title| "-".repeat(title.len())).collect();
            self.line(1, lines.join("\t"));
        }
        for condition in conditions {
            let cells: Vec<String> = columns.iter().map(|(title, member)| cell(condition, title, member)).collect();
            self.line(1, cells.join("\t"));
        }
    }

    /// Underlined titles and the rows below them.
    pub(super) fn table(&mut self, level: usize, titles: &[&str], rows: impl IntoIterator<Item = Vec<String>>) {
        self.line(level, titles.join("\t"));
        self.line(level, titles.iter().map(|title| "-".repeat(title.len())).collect::<Vec<_>>().join("\t"));
        rows.into_iter().for_each(|row| self.line(level, row.join("\t")));
    }

    /// All of it, aligned.
    pub(crate) fn finish(&self) -> String {
        crate::print::tabbed(&self.text)
    }
}

/// Upstream writes a space behind a condition's first words.
fn cell(condition: &Value, title: &str, member: &str) -> String {
    let value = text(condition, member);
    match title {
        "Type" => format!("{value} "),
        _ if member.ends_with("Time") => format!("{} ", time(value)),
        _ => value.to_owned(),
    }
}

fn shortened(line: &str) -> String {
    match line.char_indices().nth(ANNOTATION_CHARS_MAX - 2) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line.to_owned(),
    }
}

/// A map's members by their keys.
pub(super) fn sorted(map: Option<&Value>) -> impl Iterator<Item = (&String, &Value)> {
    let mut members: Vec<_> = map.and_then(Value::as_object).into_iter().flatten().collect();
    members.sort_by_key(|(key, _)| *key);
    members.into_iter()
}

pub(super) fn items<'a>(object: &'a Value, pointer: &str) -> &'a [Value] {
    object.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

pub(super) fn number(object: &Value, pointer: &str) -> i64 {
    object.pointer(pointer).and_then(Value::as_i64).unwrap_or_default()
}

/// As Go's RFC 1123 has it, where this machine is.
pub(super) fn time(text: &str) -> String {
    match text.parse::<jiff::Timestamp>() {
        Ok(time) => time.to_zoned(jiff::tz::TimeZone::system()).strftime("%a, %d %b %Y %H:%M:%S %z").to_string(),
        // What Go's zero time reads as.
        Err(_) => "Mon, 01 Jan 0001 00:00:00 +0000".to_owned(),
    }
}

/// As Go prints a time by itself, where this machine is.
pub(super) fn moment(text: &str) -> String {
    match text.parse::<jiff::Timestamp>() {
        Ok(time) => time.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S %z %Z").to_string(),
        Err(_) => "0001-01-01 00:00:00 +0000 UTC".to_owned(),
    }
}

/// `key=value` of each, on one line.
pub(super) fn pairs(map: Option<&Value>) -> String {
    let pairs: Vec<String> = sorted(map).map(|(key, value)| format!("{key}={}", display(value))).collect();
    or_none(&pairs.join(",")).to_owned()
}

/// The member's value, or that it is not set.
pub(super) fn or_unset(object: &Value, pointer: &str) -> String {
    let value = object.pointer(pointer).filter(|value| !value.is_null());
    value.map_or_else(|| "<unset>".to_owned(), display)
}

/// The words of a list, between separators.
pub(super) fn joined(object: &Value, pointer: &str, separator: &str) -> String {
    items(object, pointer).iter().filter_map(Value::as_str).collect::<Vec<_>>().join(separator)
}

pub(super) fn or_none(text: &str) -> &str {
    if text.is_empty() { "<none>" } else { text }
}

/// The controller that owns it: `ReplicaSet/web-1`.
pub(super) fn controller(object: &Value) -> Option<String> {
    let owner = items(object, "/metadata/ownerReferences").iter().find(|owner| owner["controller"] == true)?;
    Some(format!("{}/{}", text(owner, "/kind"), text(owner, "/name")))
}
