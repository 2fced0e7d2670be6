//! A view that is a text: a description, a manifest, a log that goes on.
//!
//! Invariant: a log keeps its last `LINES_MAX` lines, however long it is followed.

use super::filter::Filter;
use std::collections::VecDeque;

/// At most 40 MB, of lines that are cut at 4,096 characters; usually 1 MB.
const LINES_MAX: usize = 10_000;

#[derive(Default)]
pub(super) struct TextView {
    lines: VecDeque<String>,
    pub(super) filter: Filter,
    /// The first line on the screen, among those shown.
    offset: usize,
    /// Whether the end is always on the screen.
    pub(super) follows: bool,
    /// How many lines the screen had when it was drawn.
    height: usize,
}

impl TextView {
    pub(super) fn of(text: &str) -> TextView {
        let lines = text.lines().map(|line| super::plain::plain(line.as_bytes())).collect();
        TextView { lines, ..TextView::default() }
    }

    pub(super) fn log() -> TextView {
        TextView { follows: true, ..TextView::default() }
    }

    pub(super) fn push(&mut self, lines: Vec<String>) {
        self.lines.extend(lines);
        let beyond = self.lines.len().saturating_sub(LINES_MAX);
        self.lines.drain(..beyond);
        // What is being read stays where it is.
        self.offset = self.offset.saturating_sub(beyond);
    }

    pub(super) fn clear(&mut self) {
        self.lines.clear();
        self.offset = 0;
    }

    /// The lines for a screen of this height.
    pub(super) fn shown(&mut self, height: usize) -> Vec<&str> {
        self.height = height;
        let filter = &self.filter;
        let lines: Vec<&str> = self.lines.iter().map(String::as_str).filter(|line| filter.shows(line)).collect();
        let last = lines.len().saturating_sub(height);
        self.offset = if self.follows { last } else { self.offset.min(last) };
        lines.into_iter().skip(self.offset).take(height).collect()
    }

    pub(super) fn len(&self) -> usize {
        self.lines.len()
    }

    /// Moves by lines; moving ends following, except down at the end.
    pub(super) fn scroll(&mut self, lines: isize) {
        self.offset = self.offset.saturating_add_signed(lines);
        if lines < 0 {
            self.follows = false;
        }
    }

    pub(super) fn page(&mut self, pages: isize) {
        self.scroll(pages * isize::try_from(self.height.saturating_sub(1)).unwrap_or(1));
    }

    pub(super) fn go_to_start(&mut self) {
        (self.offset, self.follows) = (0, false);
    }

    pub(super) fn go_to_end(&mut self) {
        self.offset = usize::MAX >> 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_follows_its_end_until_it_is_scrolled() {
        let mut view = TextView::log();
        view.push((0..10).map(|line| line.to_string()).collect());
        assert_eq!(view.shown(3), ["7", "8", "9"]);
        view.scroll(-2);
        assert_eq!(view.shown(3), ["5", "6", "7"]);
        view.push(vec!["10".into()]);
        assert_eq!(view.shown(3), ["5", "6", "7"]);
        view.go_to_end();
        assert_eq!(view.shown(3), ["8", "9", "10"]);
        view.filter = Filter::new("1");
        assert_eq!(view.shown(3), ["1", "10"]);
    }

    #[test]
    fn old_lines_go() {
        let mut view = TextView::log();
        for start in 0..3 {
            view.push((0..LINES_MAX / 2).map(|line| format!("{start}-{line}")).collect());
        }
        assert_eq!(view.len(), LINES_MAX);
        view.go_to_start();
        assert_eq!(view.shown(1), ["1-0"]);
    }
}
