//! The screen's lines: where it is, what is shown, and below what may be typed.
//!
//! Invariants: every width is that of a terminal's columns, not of characters; what does not fit is cut with `…`; a
//! screen too small for anything says so.

use super::app::{App, Prompt};
use super::table::{Order, TableView};
use super::view::Body;
use crate::print::{Tone, fitted, tone, width};
use ratatui_core::buffer::Buffer;
use ratatui_core::layout::{Position, Rect};
use ratatui_core::style::{Color, Modifier, Style};

const COLUMNS_MIN: u16 = 20;
const LINES_MIN: u16 = 6;
/// Lines above the view, and below.
const HEAD: u16 = 2;
const FOOT: u16 = 1;
const GAP: usize = 2;
/// A column is not cut below this.
const WIDTH_MIN: usize = 5;

const HINTS: &str = "<:>kind </>filter <enter>open <d>escribe <y>aml <l>og <s>hell <e>dit <^d>elete <?>help";

/// The cursor's place, where something is typed.
pub(super) fn draw(app: &mut App, buffer: &mut Buffer) -> Option<Position> {
    let area = buffer.area;
    if area.width < COLUMNS_MIN || area.height < LINES_MIN {
        put(buffer, 0, 0, area.width, "too small", Style::new());
        return None;
    }
    head(app, buffer, area);
    let body = Rect { y: HEAD, height: area.height - HEAD - FOOT, ..area };
    match &mut app.view().body {
        Body::Table(table) => draw_table(table, buffer, body),
        Body::Text(text) => {
            let lines = text.shown(body.height.into());
            for (line, y) in lines.into_iter().zip(body.y..) {
                put(buffer, 0, y, body.width, line, Style::new());
            }
        }
    }
    foot(app, buffer, area)
}

/// Writes a text that ends at the area's edge; answers how wide it is.
fn put(buffer: &mut Buffer, x: u16, y: u16, right: u16, text: &str, style: Style) -> u16 {
    let room = right.saturating_sub(x);
    let text = fitted(text, room.into());
    buffer.set_stringn(x, y, &text, room.into(), style).0
}

fn head(app: &mut App, buffer: &mut Buffer, area: Rect) {
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let dim = Style::new().add_modifier(Modifier::DIM);
    let server = app.context.connection.config.server.clone();
    let mut x = put(buffer, 0, 0, area.width, "sampan ", bold.fg(Color::Cyan));
    x = put(buffer, x, 0, area.width, &server, dim);
    x = put(buffer, x, 0, area.width, "  ", dim);
    let namespaces = std::iter::once("").chain(app.namespaces.iter().map(String::as_str)).enumerate();
    for (digit, namespace) in namespaces {
        let chosen = namespace == app.namespace;
        let name = if namespace.is_empty() { "all" } else { namespace };
        let style = if chosen { bold } else { dim };
        x = put(buffer, x, 0, area.width, &format!("<{digit}>{name} "), style);
    }
    let view = app.view();
    let filter = if view.filter().text.is_empty() { String::new() } else { format!(" /{}/", view.filter().text) };
    let title = format!(" {}{}{filter} ", view.title, view.count());
    let rule = "─".repeat(area.width.into());
    put(buffer, 0, 1, area.width, &rule, dim);
    put(buffer, 2, 1, area.width, &title, bold.fg(Color::Cyan));
}

fn foot(app: &mut App, buffer: &mut Buffer, area: Rect) -> Option<Position> {
    let y = area.height - 1;
    let bold = Style::new().add_modifier(Modifier::BOLD);
    if let Some(confirmation) = &app.confirmation {
        let question = format!("delete {} in {:?}? ", confirmation.target, confirmation.target.namespace);
        let x = put(buffer, 0, y, area.width.saturating_sub(16), &question, bold.fg(Color::Red));
        let chosen = |yes| if confirmation.yes == yes { bold.add_modifier(Modifier::REVERSED) } else { Style::new() };
        let x = put(buffer, x, y, area.width, "[ no ]", chosen(false));
        put(buffer, x + 1, y, area.width, "[ yes ]", chosen(true));
        return None;
    }
    if let Some(prompt) = &app.prompt {
        let (sign, text) = match prompt {
            Prompt::Command(text) => (':', text),
            Prompt::Filter(text) => ('/', text),
        };
        let x = put(buffer, 0, y, area.width - 1, &format!("{sign}{text}"), bold);
        return Some(Position::new(x, y));
    }
    let trouble = app.view().trouble.clone().map(|trouble| (trouble, true));
    match app.message.clone().or(trouble) {
        Some((text, true)) => put(buffer, 0, y, area.width, &text.replace('\n', " "), bold.fg(Color::Red)),
        Some((text, false)) => put(buffer, 0, y, area.width, &text.replace('\n', " "), bold),
        None => put(buffer, 0, y, area.width, HINTS, Style::new().add_modifier(Modifier::DIM)),
    };
    None
}

fn draw_table(table: &mut TableView, buffer: &mut Buffer, area: Rect) {
    let height = usize::from(area.height - 1);
    let headers = headers(table);
    let (lines, chosen, offset) = {
        let rows = table.rows();
        let chosen = table.line(&rows);
        let last = rows.len().saturating_sub(height);
        let offset = table.offset.min(chosen).max((chosen + 1).saturating_sub(height)).min(last);
        let lines: Vec<Vec<String>> = rows.into_iter().skip(offset).take(height).map(|(_, cells)| cells).collect();
        (lines, chosen, offset)
    };
    table.offset = offset;
    let widths = widths(&headers, &lines, area.width.into());
    let bold = Style::new().add_modifier(Modifier::BOLD);
    draw_cells(buffer, area.y, area.width, &headers, &widths, |_, _| bold);
    for (index, (cells, y)) in lines.iter().zip(area.y + 1..).enumerate() {
        let is_chosen = offset + index == chosen;
        draw_cells(buffer, y, area.width, cells, &widths, |column, cell| {
            let painted = headers.get(column).and_then(|header| tone(header, cell)).map_or(Style::new(), style);
            if is_chosen { painted.add_modifier(Modifier::REVERSED) } else { painted }
        });
    }
}

/// With a mark at the column that is sorted by.
fn headers(table: &TableView) -> Vec<String> {
    let (order, reversed) = table.order();
    let sorted = match order {
        Order::Name => "NAME",
        Order::Age => "AGE",
        Order::Cpu => "CPU",
        Order::Memory => "MEMORY",
    };
    let mark = if reversed { "↑" } else { "↓" };
    let marked =
        |header: String| if header == sorted && (order != Order::Name || reversed) { header + mark } else { header };
    table.headers().into_iter().map(marked).collect()
}

/// Each column as wide as its cells; the widest give way until all fit.
fn widths(headers: &[String], lines: &[Vec<String>], room: usize) -> Vec<usize> {
    let mut widths: Vec<usize> = headers.iter().map(|header| width(header)).collect();
    for line in lines {
        for (index, cell) in line.iter().enumerate() {
            match widths.get_mut(index) {
                Some(known) => *known = width(cell).max(*known),
                None => widths.push(width(cell)),
            }
        }
    }
    let gaps = GAP * widths.len().saturating_sub(1);
    let mut total = widths.iter().sum::<usize>() + gaps;
    while total > room {
        let Some(widest) = widths.iter_mut().max().filter(|width| **width > WIDTH_MIN) else { break };
        *widest -= 1;
        total -= 1;
    }
    widths
}

fn draw_cells(
    buffer: &mut Buffer,
    y: u16,
    right: u16,
    cells: &[String],
    widths: &[usize],
    style: impl Fn(usize, &str) -> Style,
) {
    let mut x = 0;
    for (index, (cell, width)) in cells.iter().zip(widths).enumerate() {
        let style = style(index, cell);
        let gap = if index + 1 == widths.len() { usize::from(right.saturating_sub(x)) } else { width + GAP };
        let end = x.saturating_add(u16::try_from(gap).unwrap_or(u16::MAX)).min(right);
        // The gap is painted too, so that the chosen line is one bar.
        let blank = style.remove_modifier(Modifier::UNDERLINED);
        buffer.set_style(Rect { x, y, width: end.saturating_sub(x), height: 1 }, blank);
        buffer.set_string(x, y, fitted(cell, (*width).min(usize::from(right.saturating_sub(x)))), style);
        x = end;
        if x >= right {
            break;
        }
    }
}

fn style(tone: Tone) -> Style {
    let color = match tone {
        Tone::Good => Color::Green,
        Tone::Busy => Color::Yellow,
        Tone::Bad => Color::Red,
        Tone::Done => Color::DarkGray,
    };
    Style::new().fg(color)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_widest_columns_give_way() {
        let line = |cells: &[&str]| cells.iter().map(|cell| (*cell).to_owned()).collect::<Vec<_>>();
        let headers = line(&["NAME", "STATUS"]);
        let lines = [line(&[&"x".repeat(40), "Running"])];
        assert_eq!(widths(&headers, &lines, 80), [40, 7]);
        assert_eq!(widths(&headers, &lines, 30), [21, 7]);
        assert_eq!(widths(&headers, &lines, 10), [5, 5]);
    }
}
