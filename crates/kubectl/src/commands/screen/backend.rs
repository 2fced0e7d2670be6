//! Cells to a terminal, in the sequences that every terminal since the VT100 knows.
//!
//! Invariant: where colours are not wanted none is sent; bold, dim and reverse are not colours.

use ratatui_core::backend::{Backend, ClearType, WindowSize};
use ratatui_core::buffer::Cell;
use ratatui_core::layout::{Position, Size};
use ratatui_core::style::{Color, Modifier};
use std::io::{Error, Write};

pub(super) struct Ansi {
    /// What is drawn, sent at once when a frame is whole.
    frame: Vec<u8>,
    colors: bool,
    cursor: Position,
}

/// How cells look.
#[derive(Clone, Copy, PartialEq)]
struct Look {
    fg: Color,
    bg: Color,
    modifier: Modifier,
}

const PLAIN: Look = Look { fg: Color::Reset, bg: Color::Reset, modifier: Modifier::empty() };
/// The sequences' numbers of what is used.
const MODIFIERS: [(Modifier, u8); 4] =
    [(Modifier::BOLD, 1), (Modifier::DIM, 2), (Modifier::UNDERLINED, 4), (Modifier::REVERSED, 7)];

impl Ansi {
    pub(super) fn new(colors: bool) -> Ansi {
        Ansi { frame: Vec::new(), colors, cursor: Position::ORIGIN }
    }

    fn look(&mut self, look: Look) {
        self.frame.extend_from_slice(b"\x1b[0");
        for (modifier, number) in MODIFIERS {
            if look.modifier.contains(modifier) {
                self.frame.extend_from_slice(format!(";{number}").as_bytes());
            }
        }
        if self.colors {
            for (color, base) in [(look.fg, 30), (look.bg, 40)] {
                if let Some(number) = number(color) {
                    self.frame.extend_from_slice(format!(";{}", base + number).as_bytes());
                }
            }
        }
        self.frame.push(b'm');
    }

    fn go(&mut self, x: u16, y: u16) {
        self.frame.extend_from_slice(format!("\x1b[{};{}H", y + 1, x + 1).as_bytes());
    }
}

/// One of a terminal's own colours, behind 30 or 40; `None` is the default.
fn number(color: Color) -> Option<u16> {
    Some(match color {
        Color::Black => 0,
        Color::Red => 1,
        Color::Green => 2,
        Color::Yellow => 3,
        Color::Blue => 4,
        Color::Magenta => 5,
        Color::Cyan => 6,
        Color::Gray => 7,
        Color::DarkGray => 60,
        _ => return None,
    })
}

impl Backend for Ansi {
    type Error = Error;

    fn draw<'a, I>(&mut self, content: I) -> Result<(), Error>
    where
        I: Iterator<Item = (u16, u16, &'a Cell)>,
    {
        let mut before = PLAIN;
        let mut next = None;
        self.look(PLAIN);
        for (x, y, cell) in content {
            if next != Some((x, y)) {
                self.go(x, y);
            }
            // A wide character moves the cursor by two: the next cell is gone to.
            next = cell.symbol().is_ascii().then_some((x + 1, y));
            let look = Look { fg: cell.fg, bg: cell.bg, modifier: cell.modifier };
            if look != before {
                self.look(look);
                before = look;
            }
            self.frame.extend_from_slice(cell.symbol().as_bytes());
        }
        self.look(PLAIN);
        Ok(())
    }

    fn hide_cursor(&mut self) -> Result<(), Error> {
        self.frame.extend_from_slice(b"\x1b[?25l");
        Ok(())
    }

    fn show_cursor(&mut self) -> Result<(), Error> {
        self.frame.extend_from_slice(b"\x1b[?25h");
        Ok(())
    }

    fn get_cursor_position(&mut self) -> Result<Position, Error> {
        Ok(self.cursor)
    }

    fn set_cursor_position<P: Into<Position>>(&mut self, position: P) -> Result<(), Error> {
        self.cursor = position.into();
        self.go(self.cursor.x, self.cursor.y);
        Ok(())
    }

    fn clear(&mut self) -> Result<(), Error> {
        self.clear_region(ClearType::All)
    }

    fn clear_region(&mut self, clear_type: ClearType) -> Result<(), Error> {
        self.frame.extend_from_slice(match clear_type {
            ClearType::All => b"\x1b[2J",
            ClearType::AfterCursor => b"\x1b[0J",
            ClearType::BeforeCursor => b"\x1b[1J",
            ClearType::CurrentLine => b"\x1b[2K",
            ClearType::UntilNewLine => b"\x1b[0K",
        });
        Ok(())
    }

    fn size(&self) -> Result<Size, Error> {
        let size = rustix::termios::tcgetwinsize(std::io::stdout())?;
        // A terminal that does not know its size is as small as terminals were.
        let or = |measured: u16, otherwise: u16| if measured == 0 { otherwise } else { measured };
        Ok(Size::new(or(size.ws_col, 80), or(size.ws_row, 24)))
    }

    fn window_size(&mut self) -> Result<WindowSize, Error> {
        Ok(WindowSize { columns_rows: self.size()?, pixels: Size::ZERO })
    }

    fn flush(&mut self) -> Result<(), Error> {
        let mut out = std::io::stdout().lock();
        out.write_all(&self.frame)?;
        self.frame.clear();
        out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(colors: bool) -> String {
        let mut red = Cell::new("日");
        red.fg = Color::Red;
        red.modifier = Modifier::BOLD;
        let plain = Cell::new("a");
        let mut backend = Ansi::new(colors);
        backend.draw([(0, 0, &red), (2, 0, &plain), (3, 0, &plain)].into_iter()).unwrap();
        String::from_utf8(backend.frame).unwrap()
    }

    #[test]
    fn cells_become_sequences() {
        assert_eq!(drawn(true), "\x1b[0m\x1b[1;1H\x1b[0;1;31m日\x1b[1;3H\x1b[0maa\x1b[0m");
        assert_eq!(drawn(false), "\x1b[0m\x1b[1;1H\x1b[0;1m日\x1b[1;3H\x1b[0maa\x1b[0m");
    }
}
