//! `get -w` on a terminal: one table that changes in place, instead of a line for each change.
//!
//! Invariants: only lines that were written before are written over; no line is wider and the table no higher than the
//! terminal; nothing is written while nothing changes; the terminal's modes are never touched, so that any end is clean.

use super::screen::{Feed, Source, Update};
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::live::Live;
use crate::print::{Shown, fitted, painted, width};
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::MissedTickBehavior;

/// Ages are shown in seconds.
const TICK: Duration = Duration::from_secs(1);
const PADDING: usize = 3;

/// What stands on the terminal.
#[derive(Default)]
struct Drawn {
    text: String,
    /// How wide each line is.
    widths: Vec<usize>,
}

/// One line as it is written, and its width.
type Line = (String, usize);

pub(super) async fn run(context: &Context, source: Source, shown: Shown, headers: bool) -> Result<()> {
    let own = Context::new(context.server.clone(), context.connection.clone(), Some(context.namespace.clone()));
    let mut feed = Feed::unmeasured(&Arc::new(own), &source);
    let mut resized = signal(SignalKind::window_change())
        .map_err(|error| Failure::message(format!("listening for changes of the terminal: {error}")))?;
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut live = Live::new(shown);
    let mut drawn = Drawn::default();
    loop {
        let updates = tokio::select! {
            updates = feed.next() => updates,
            _ = resized.recv() => Vec::new(),
            _ = ticks.tick() => Vec::new(),
        };
        for update in updates {
            match update {
                Update::Change(change) => live.apply(change)?,
                Update::Trouble(trouble) => {
                    // Above the table that is drawn anew.
                    context.remark(trouble)?;
                    drawn = Drawn::default();
                }
                Update::Lines(_) | Update::Usages(_) | Update::Ended => {}
            }
        }
        if live.len() > 0 || !drawn.widths.is_empty() {
            draw(context, &live, headers, &mut drawn)?;
        }
    }
}

fn draw(context: &Context, live: &Live, headers: bool, drawn: &mut Drawn) -> Result<()> {
    let size = rustix::termios::tcgetwinsize(std::io::stdout());
    let size = size.map_err(|error| Failure::message(format!("the terminal: {error}")))?;
    let or = |measured: u16, otherwise: usize| if measured == 0 { otherwise } else { measured.into() };
    let (columns, height) = (or(size.ws_col, 80), or(size.ws_row, 24));
    let lines = lines(live, headers, columns, height.saturating_sub(1), context.is_painted);
    let text: String = lines.iter().map(|(line, _)| format!("{line}\n")).collect();
    if text == drawn.text {
        return Ok(());
    }
    // A line that was written when the terminal was wider takes several now.
    let above: usize = drawn.widths.iter().map(|width| width.div_ceil(columns).max(1)).sum();
    let up = if above > 0 { format!("\x1b[{above}A") } else { String::new() };
    context.print(format!("{up}\r\x1b[J{text}"))?;
    *drawn = Drawn { text, widths: lines.into_iter().map(|(_, width)| width).collect() };
    Ok(())
}

fn lines(live: &Live, headers: bool, columns: usize, height: usize, paints: bool) -> Vec<Line> {
    let rows: Vec<Vec<String>> = live.rows().map(|row| live.cells(row)).collect();
    let mut widths: Vec<usize> = live.headers().iter().map(|header| width(header)).collect();
    for row in &rows {
        for (known, cell) in widths.iter_mut().zip(row) {
            *known = width(cell).max(*known);
        }
    }
    let head = headers.then(|| line(live.headers(), &widths, columns, |_, cell| cell.to_owned()));
    let paint = |index: usize, cell: &str| match live.headers().get(index) {
        Some(header) if paints => painted(header, cell),
        _ => cell.to_owned(),
    };
    let mut lines: Vec<Line> =
        head.into_iter().chain(rows.iter().map(|row| line(row, &widths, columns, paint))).collect();
    let beyond = lines.len().saturating_sub(height) + live.left_out;
    if lines.len() > height {
        lines.truncate(height.saturating_sub(1));
    }
    if beyond > 0 {
        let more = fitted(&format!("… and {} more", beyond + 1), columns);
        let width = width(&more);
        lines.push((more, width));
    }
    lines
}

fn line(cells: &[String], widths: &[usize], columns: usize, paint: impl Fn(usize, &str) -> String) -> Line {
    let (mut out, mut used) = (String::new(), 0);
    for (index, (cell, wide)) in cells.iter().zip(widths).enumerate() {
        let shown = fitted(cell, columns.saturating_sub(used));
        let own = width(&shown);
        out.push_str(&paint(index, &shown));
        used += own;
        let gap = (wide + PADDING - own.min(wide + PADDING)).min(columns.saturating_sub(used));
        if index + 1 < cells.len() {
            out.extend(std::iter::repeat_n(' ', gap));
            used += gap;
        }
    }
    (out, used)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::Change;
    use serde_json::{Value, json};

    #[test]
    fn a_table_fits_its_terminal() {
        let row = |name: &str| json!({"cells": [name, "Running"], "object": {"metadata": {"name": name}}});
        let rows: Vec<Value> = ["a", "日本", "long-name"].map(row).into();
        let mut live = Live::new(Shown::default());
        let page = json!({"kind": "Table", "columnDefinitions": [{"name": "Name"}, {"name": "Status"}], "rows": rows});
        live.apply(Change::Listed(vec![page])).unwrap();
        let drawn = |columns, height, paints| {
            lines(&live, true, columns, height, paints).into_iter().map(|(line, _)| line).collect::<Vec<_>>()
        };
        assert_eq!(
            drawn(80, 9, false),
            ["NAME        STATUS", "a           Running", "long-name   Running", "日本        Running"]
        );
        assert_eq!(drawn(16, 9, false)[1], "a           Run…");
        assert_eq!(drawn(80, 3, false), ["NAME        STATUS", "a           Running", "… and 2 more"]);
        assert_eq!(drawn(80, 9, true)[1], "a           \u{1b}[32mRunning\u{1b}[0m");
    }
}
