//! A table that follows its objects: the server's rows, changed by each event of a watch.
//!
//! Invariants: one row an object, in the order in which servers list; no more than `ROWS_MAX` rows are kept, and what
//! was left out is counted; ages grow on this machine, without asking again.

use crate::calls::text;
use crate::failure::Result;
use crate::print::{Shown, Table};
use serde_json::Value;
use std::collections::BTreeMap;

/// About 10 MB of rows.
pub(crate) const ROWS_MAX: usize = 20_000;
const AGE: &str = "AGE";

/// A row and what is needed of its object.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LiveRow {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) uid: String,
    created: String,
    owners: Vec<String>,
    cells: Vec<String>,
}

impl LiveRow {
    /// The uid of an owner.
    pub(crate) fn is_owned_by(&self, uid: &str) -> bool {
        self.owners.iter().any(|owner| owner == uid)
    }

    pub(crate) fn created(&self) -> &str {
        &self.created
    }
}

/// What a watch says, or a list made anew.
#[derive(Debug)]
pub(crate) enum Change {
    /// All pages of a list; what stood before is gone.
    Listed(Vec<Value>),
    Event {
        kind: String,
        object: Value,
    },
}

pub(crate) struct Live {
    shown: Shown,
    table: Table,
    rows: BTreeMap<(String, String), LiveRow>,
    /// How many objects had no place.
    pub(crate) left_out: usize,
}

impl Live {
    pub(crate) fn new(shown: Shown) -> Live {
        Live { shown, table: Table::default(), rows: BTreeMap::new(), left_out: 0 }
    }

    pub(crate) fn apply(&mut self, change: Change) -> Result<()> {
        match change {
            Change::Listed(pages) => {
                self.rows.clear();
                self.left_out = 0;
                for page in pages {
                    self.add(page, false)?;
                }
            }
            // A bookmark only says how far the watch has come.
            Change::Event { kind, .. } if kind == "BOOKMARK" => {}
            Change::Event { kind, object } => self.add(object, kind == "DELETED")?,
        }
        Ok(())
    }

    fn add(&mut self, page: Value, gone: bool) -> Result<()> {
        self.table.add(page, &self.shown)?;
        for row in std::mem::take(&mut self.table.rows) {
            let of = |pointer: &str| text(&row.object, pointer).to_owned();
            let key = (of("/metadata/namespace"), of("/metadata/name"));
            if gone {
                self.rows.remove(&key);
                continue;
            }
            if self.rows.len() >= ROWS_MAX && !self.rows.contains_key(&key) {
                self.left_out += 1;
                continue;
            }
            let owners = row.object.pointer("/metadata/ownerReferences").and_then(Value::as_array);
            let owners = owners.into_iter().flatten().map(|owner| text(owner, "/uid").to_owned()).collect();
            let (namespace, name) = key.clone();
            let (uid, created) = (of("/metadata/uid"), of("/metadata/creationTimestamp"));
            self.rows.insert(key, LiveRow { namespace, name, uid, created, owners, cells: row.cells });
        }
        Ok(())
    }

    pub(crate) fn headers(&self) -> &[String] {
        &self.table.headers
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(crate) fn rows(&self) -> impl Iterator<Item = &LiveRow> {
        self.rows.values()
    }

    /// A row's cells as of now.
    pub(crate) fn cells(&self, row: &LiveRow) -> Vec<String> {
        let mut cells = row.cells.clone();
        if let Some(age) = self.headers().iter().position(|header| header == AGE)
            && let Some(cell) = cells.get_mut(age)
            && !row.created.is_empty()
        {
            *cell = crate::convert::age(&row.created);
        }
        cells
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn table(columns: bool, rows: &[(&str, &str)]) -> Value {
        let columns =
            if columns { json!([{"name": "Name"}, {"name": "Status"}, {"name": "Age"}]) } else { Value::Null };
        let row = |(name, status): &(&str, &str)| {
            json!({"cells": [name, status, "0s"], "object": {"metadata":
                {"name": name, "uid": format!("u-{name}"), "creationTimestamp": "2020-01-01T00:00:00Z", "ownerReferences": [{"uid": "o"}]}}})
        };
        json!({"kind": "Table", "columnDefinitions": columns, "rows": rows.iter().map(row).collect::<Vec<_>>()})
    }

    fn event(kind: &str, row: (&str, &str)) -> Change {
        Change::Event { kind: kind.to_owned(), object: table(false, &[row]) }
    }

    #[test]
    fn rows_follow_the_events() {
        let mut live = Live::new(Shown::default());
        live.apply(Change::Listed(vec![table(true, &[("b", "Pending"), ("a", "Running")])])).unwrap();
        live.apply(event("MODIFIED", ("b", "Running"))).unwrap();
        live.apply(event("ADDED", ("c", "Pending"))).unwrap();
        live.apply(event("DELETED", ("a", "Running"))).unwrap();
        live.apply(Change::Event { kind: "BOOKMARK".into(), object: json!({"kind": "Table", "rows": []}) }).unwrap();
        let seen: Vec<Vec<String>> = live.rows().map(|row| live.cells(row)).collect();
        assert_eq!(seen.iter().map(|cells| cells[..2].join(" ")).collect::<Vec<_>>(), ["b Running", "c Pending"]);
        assert!(seen[0][2].contains('y'), "an age is made from the time of creation: {}", seen[0][2]);
        assert!(live.rows().all(|row| row.is_owned_by("o") && !row.is_owned_by("u")));
        live.apply(Change::Listed(vec![table(true, &[("z", "Running")])])).unwrap();
        assert_eq!(live.rows().map(|row| row.name.as_str()).collect::<Vec<_>>(), ["z"]);
    }

    #[test]
    fn rows_without_a_place_are_counted() {
        let names: Vec<String> = (0..ROWS_MAX + 2).map(|index| format!("n{index}")).collect();
        let rows: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "Running")).collect();
        let mut live = Live::new(Shown::default());
        live.apply(Change::Listed(vec![table(true, &rows)])).unwrap();
        assert_eq!((live.len(), live.left_out), (ROWS_MAX, 2));
    }
}
