//! Tables for people: the server's columns, aligned as upstream aligns them.
//!
//! Invariant: widths only grow while a watch prints row after row, so that rows stay below their headers.

use crate::calls::{name_of, namespace_of};
use crate::failure::{Failure, Result};
use serde_json::Value;

const CELL_WIDTH_MIN: usize = 6;
const PADDING: usize = 3;
const NONE: &str = "<none>";

/// How wide each column has been so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Widths(Vec<usize>);

/// Lines of cells, all columns but the last padded.
pub(crate) fn grid(lines: &[Vec<String>], widths: &mut Widths) -> String {
    grid_of(lines, widths, |_, cell| cell.to_owned())
}

/// As `grid`; `paint` makes of a column's cell what is written, which is as wide.
fn grid_of(lines: &[Vec<String>], widths: &mut Widths, paint: impl Fn(usize, &str) -> String) -> String {
    for line in lines {
        for (index, cell) in line.iter().enumerate() {
            let width = (cell.chars().count() + PADDING).max(CELL_WIDTH_MIN);
            match widths.0.get_mut(index) {
                Some(known) => *known = width.max(*known),
                None => widths.0.push(width),
            }
        }
    }
    let mut out = String::new();
    for line in lines {
        for (index, cell) in line.iter().enumerate() {
            out.push_str(&paint(index, cell));
            if index + 1 < line.len() {
                let gap = widths.0[index].saturating_sub(cell.chars().count());
                out.extend(std::iter::repeat_n(' ', gap));
            }
        }
        out.push('\n');
    }
    out
}

/// What to show beside the server's columns.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shown {
    pub(crate) wide: bool,
    pub(crate) namespace: bool,
    pub(crate) labels: bool,
    /// A column for the value of each label.
    pub(crate) label_columns: Vec<String>,
    /// `pod/x` for `x`, where several kinds are shown.
    pub(crate) kind_prefix: Option<String>,
}

/// Rows with their headers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    /// The server's columns; later pages, and later events of a watch, leave them out.
    columns: Vec<Value>,
    /// Whether status words have colours.
    is_painted: bool,
    pub(crate) headers: Vec<String>,
    pub(crate) rows: Vec<Row>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    pub(crate) cells: Vec<String>,
    /// Metadata, or the whole object where it was asked for.
    pub(crate) object: Value,
}

impl Table {
    pub(crate) fn new(is_painted: bool) -> Table {
        Table { is_painted, ..Table::default() }
    }

    /// Adds a page of the server's `Table`, or of a plain list from a server that makes none.
    pub(crate) fn add(&mut self, page: Value, shown: &Shown) -> Result<()> {
        if page["kind"] == "Table" {
            return self.add_table(page, shown);
        }
        self.add_objects(page, shown);
        Ok(())
    }

    fn add_table(&mut self, mut page: Value, shown: &Shown) -> Result<()> {
        if let Value::Array(columns) = page["columnDefinitions"].take()
            && !columns.is_empty()
        {
            let visible = columns.iter().filter(|column| shown.wide || priority(column) == 0);
            let names = visible.map(|column| column["name"].as_str().unwrap_or_default().to_uppercase()).collect();
            self.headers = shown.headers(names);
            self.columns = columns;
        }
        let Value::Array(rows) = page["rows"].take() else { return Ok(()) };
        for mut row in rows {
            let Value::Array(cells) = row["cells"].take() else {
                return Err(Failure::message("the server's table has a row without cells"));
            };
            let visible =
                |index: usize| shown.wide || self.columns.get(index).is_none_or(|column| priority(column) == 0);
            let cells =
                cells.iter().enumerate().filter(|(index, _)| visible(*index)).map(|(_, cell)| text(cell)).collect();
            let object = row["object"].take();
            self.rows.push(Row { cells: shown.cells(cells, &object), object });
        }
        Ok(())
    }

    fn add_objects(&mut self, mut page: Value, shown: &Shown) {
        self.headers = shown.headers(vec!["NAME".to_owned(), "AGE".to_owned()]);
        let objects = match page["items"].take() {
            Value::Array(items) => items,
            _ => vec![page],
        };
        for object in objects {
            let created = object.pointer("/metadata/creationTimestamp").and_then(Value::as_str).unwrap_or_default();
            let cells = vec![name_of(&object).to_owned(), crate::convert::age(created)];
            self.rows.push(Row { cells: shown.cells(cells, &object), object });
        }
    }

    pub(crate) fn render(&self, with_headers: bool, widths: &mut Widths) -> String {
        let headers = with_headers.then(|| self.headers.clone());
        let lines: Vec<Vec<String>> =
            headers.into_iter().chain(self.rows.iter().map(|row| row.cells.clone())).collect();
        if !self.is_painted {
            return grid(&lines, widths);
        }
        grid_of(&lines, widths, |index, cell| match self.headers.get(index) {
            Some(header) => super::painted(header, cell),
            None => cell.to_owned(),
        })
    }
}

impl Shown {
    fn headers(&self, names: Vec<String>) -> Vec<String> {
        let namespace = self.namespace.then(|| "NAMESPACE".to_owned());
        let labels = self.label_columns.iter().map(|label| label.rsplit('/').next().unwrap_or(label).to_uppercase());
        namespace.into_iter().chain(names).chain(labels).chain(self.labels.then(|| "LABELS".to_owned())).collect()
    }

    fn cells(&self, mut cells: Vec<String>, object: &Value) -> Vec<String> {
        if let (Some(kind), Some(name)) = (&self.kind_prefix, cells.first_mut()) {
            *name = format!("{kind}/{name}");
        }
        let labels = object.pointer("/metadata/labels").and_then(Value::as_object);
        let label = |name: &String| labels.and_then(|labels| labels.get(name)?.as_str()).unwrap_or_default().to_owned();
        let namespace = self.namespace.then(|| namespace_of(object).to_owned());
        let all = || {
            let mut texts: Vec<String> = labels
                .into_iter()
                .flatten()
                .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
                .collect();
            texts.sort();
            if texts.is_empty() { NONE.to_owned() } else { texts.join(",") }
        };
        let labels_cell = self.labels.then(all);
        namespace.into_iter().chain(cells).chain(self.label_columns.iter().map(label)).chain(labels_cell).collect()
    }
}

fn priority(column: &Value) -> i64 {
    column["priority"].as_i64().unwrap_or_default()
}

/// A cell is one line: the rest of a longer text is three dots.
fn text(cell: &Value) -> String {
    let text = if cell.is_null() { return String::new() } else { super::display(cell) };
    match text.find(['\n', '\r', '\u{c}']) {
        Some(end) => format!("{}...", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn page() -> Value {
        json!({"kind": "Table", "columnDefinitions": [
            {"name": "Name", "priority": 0}, {"name": "N", "priority": 0}, {"name": "Node", "priority": 1}, {"name": "Age", "priority": 0},
        ], "rows": [
            {"cells": ["web-1", 0, "n1", "5m"], "object": {"metadata": {"namespace": "a", "labels": {"y": "2", "x": "1"}}}},
            {"cells": ["longer-name", null, "n2\nmore", "10s"], "object": {"metadata": {"namespace": "b"}}},
        ]})
    }

    fn check(shown: &Shown, expected: &str) {
        let mut table = Table::default();
        table.add(page(), shown).unwrap();
        assert_eq!(table.render(true, &mut Widths::default()), expected);
    }

    #[test]
    fn columns_are_aligned_as_upstream_aligns_them() {
        check(&Shown::default(), "NAME          N     AGE\nweb-1         0     5m\nlonger-name         10s\n");
        check(
            &Shown { wide: true, namespace: true, kind_prefix: Some("pod".into()), ..Shown::default() },
            "NAMESPACE   NAME              N     NODE    AGE\na           pod/web-1         0     n1      5m\n\
             b           pod/longer-name         n2...   10s\n",
        );
        check(
            &Shown { labels: true, label_columns: vec!["e.io/x".into(), "x".into()], ..Shown::default() },
            "NAME          N     AGE   X     X     LABELS\nweb-1         0     5m          1     x=1,y=2\n\
             longer-name         10s               <none>\n",
        );
    }

    #[test]
    fn widths_only_grow() {
        let mut widths = Widths::default();
        grid(&[vec!["longest".into(), "x".into()]], &mut widths);
        assert_eq!(grid(&[vec!["a".into(), "x".into()]], &mut widths), "a         x\n");
    }
}
