//! A view that is a table: which of its rows are shown, in which order, and which one is chosen.
//!
//! Invariant: the choice is of an object, not of a line: it stays on its object while others come and go.

use super::feed::Usages;
use super::filter::Filter;
use crate::live::{Live, LiveRow};
use crate::print::Shown;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Order {
    Name,
    Age,
    Cpu,
    Memory,
}

pub(super) struct TableView {
    pub(super) live: Live,
    pub(super) filter: Filter,
    pub(super) usages: Usages,
    /// Only what this object owns, by uid.
    owner: Option<String>,
    order: Order,
    reversed: bool,
    chosen: Option<(String, String)>,
    /// Where the choice was, for when its object goes.
    index: usize,
    /// The first line on the screen.
    pub(super) offset: usize,
    /// Whether a list has come.
    pub(super) is_listed: bool,
}

fn key(row: &LiveRow) -> (String, String) {
    (row.namespace.clone(), row.name.clone())
}

impl TableView {
    pub(super) fn new(shows_namespaces: bool, owner: Option<String>) -> TableView {
        TableView {
            live: Live::new(Shown { namespace: shows_namespaces, ..Shown::default() }),
            filter: Filter::default(),
            usages: Usages::new(),
            owner,
            order: Order::Name,
            reversed: false,
            chosen: None,
            index: 0,
            offset: 0,
            is_listed: false,
        }
    }

    /// The rows that are shown, in order, with their cells.
    pub(super) fn rows(&self) -> Vec<(&LiveRow, Vec<String>)> {
        let owned = |row: &&LiveRow| self.owner.as_ref().is_none_or(|owner| row.is_owned_by(owner));
        let rows = self.live.rows().filter(owned).map(|row| (row, self.cells(row)));
        let mut rows: Vec<(&LiveRow, Vec<String>)> =
            rows.filter(|(_, cells)| self.filter.is_empty() || self.filter.shows(&cells.join(" "))).collect();
        let usage = |row: &LiveRow| self.usages.get(&key(row)).copied().unwrap_or_default();
        match self.order {
            Order::Name => {}
            // The youngest first.
            Order::Age => rows.sort_by(|(a, _), (b, _)| b.created().cmp(a.created())),
            Order::Cpu => rows.sort_by_key(|(row, _)| -usage(row).cpu),
            Order::Memory => rows.sort_by_key(|(row, _)| -usage(row).memory),
        }
        if self.reversed {
            rows.reverse();
        }
        rows
    }

    pub(super) fn headers(&self) -> Vec<String> {
        let mut headers = self.live.headers().to_vec();
        if !self.usages.is_empty() {
            headers.extend(["CPU".to_owned(), "MEMORY".to_owned()]);
        }
        headers
    }

    fn cells(&self, row: &LiveRow) -> Vec<String> {
        let mut cells = self.live.cells(row);
        if !self.usages.is_empty() {
            let usage = self.usages.get(&key(row));
            cells.push(usage.map(|usage| usage.cpu_text()).unwrap_or_default());
            cells.push(usage.map(|usage| usage.memory_text()).unwrap_or_default());
        }
        cells
    }

    /// The same order again turns it around.
    pub(super) fn sort(&mut self, order: Order) {
        self.reversed = self.order == order && !self.reversed;
        self.order = order;
    }

    pub(super) fn order(&self) -> (Order, bool) {
        (self.order, self.reversed)
    }

    /// The line of the choice among rows; the nearest where its object is gone.
    pub(super) fn line(&self, rows: &[(&LiveRow, Vec<String>)]) -> usize {
        let chosen = |(row, _): &(&LiveRow, Vec<String>)| {
            self.chosen.as_ref().is_some_and(|(namespace, name)| row.namespace == *namespace && row.name == *name)
        };
        rows.iter().position(chosen).unwrap_or(self.index).min(rows.len().saturating_sub(1))
    }

    /// What is chosen; `None` where nothing is shown.
    pub(super) fn chosen(&self) -> Option<LiveRow> {
        let rows = self.rows();
        rows.get(self.line(&rows)).map(|(row, _)| (*row).clone())
    }

    pub(super) fn go(&mut self, line: impl FnOnce(usize, usize) -> usize) {
        let (line, chosen) = {
            let rows = self.rows();
            let last = rows.len().saturating_sub(1);
            let line = line(self.line(&rows), last).min(last);
            (line, rows.get(line).map(|(row, _)| key(row)))
        };
        (self.index, self.chosen) = (line, chosen);
    }

    /// Takes the choice along where its line is another, and its line where its object is gone.
    pub(super) fn settle(&mut self) {
        self.go(|line, _| line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::top::Usage;
    use crate::live::Change;
    use serde_json::{Value, json};

    fn listed(names: &[&str]) -> Change {
        let row = |name: &&str| json!({"cells": [name], "object": {"metadata": {"name": name, "creationTimestamp": format!("2026-01-0{}T00:00:00Z", name.len())}}});
        let rows: Vec<Value> = names.iter().map(row).collect();
        Change::Listed(vec![json!({"kind": "Table", "columnDefinitions": [{"name": "Name"}], "rows": rows})])
    }

    fn names(view: &TableView) -> Vec<String> {
        view.rows().iter().map(|(row, _)| row.name.clone()).collect()
    }

    #[test]
    fn the_choice_stays_on_its_object() {
        let mut view = TableView::new(false, None);
        view.live.apply(listed(&["b", "cc", "ddd"])).unwrap();
        view.go(|line, _| line + 1);
        assert_eq!(view.chosen().unwrap().name, "cc");
        view.live.apply(listed(&["a", "b", "cc", "ddd"])).unwrap();
        view.settle();
        assert_eq!(view.chosen().unwrap().name, "cc");
        view.live.apply(listed(&["a", "b", "ddd"])).unwrap();
        assert_eq!(view.chosen().unwrap().name, "ddd");
        view.live.apply(listed(&[])).unwrap();
        assert_eq!(view.chosen(), None);
    }

    #[test]
    fn rows_are_ordered_by_what_is_asked_for() {
        let mut view = TableView::new(false, None);
        view.live.apply(listed(&["a", "bb", "ccc"])).unwrap();
        let usage = |cpu, memory| Usage { cpu, memory, swap: None };
        view.usages = [("a", usage(1, 30)), ("bb", usage(9, 10)), ("ccc", usage(5, 20))]
            .map(|(name, usage)| ((String::new(), name.to_owned()), usage))
            .into();
        assert_eq!(view.headers(), ["NAME", "CPU", "MEMORY"]);
        for (order, expected) in [
            (Order::Cpu, ["bb", "ccc", "a"]),
            (Order::Cpu, ["a", "ccc", "bb"]),
            (Order::Memory, ["a", "ccc", "bb"]),
            (Order::Age, ["ccc", "bb", "a"]),
            (Order::Name, ["a", "bb", "ccc"]),
        ] {
            view.sort(order);
            assert_eq!(names(&view), expected, "{order:?}");
        }
    }

    #[test]
    fn a_filter_hides_rows() {
        let mut view = TableView::new(false, None);
        view.live.apply(listed(&["a", "bb", "ccc"])).unwrap();
        view.filter = Filter::new("b|c");
        assert_eq!(names(&view), ["bb", "ccc"]);
        assert_eq!(view.chosen().unwrap().name, "bb");
    }
}
