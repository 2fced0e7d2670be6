//! The user's terminal while a command in a container owns it.
//!
//! Invariant: what was set is set back when the value is dropped, however the command ends.

use crate::failure::{Failure, Result};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

pub(crate) struct Terminal {
    before: Termios,
}

fn failed(error: rustix::io::Errno) -> Failure {
    Failure::message(format!("the terminal: {error}"))
}

impl Terminal {
    /// Every key goes through as it is, `^C` too.
    pub(crate) fn raw() -> Result<Terminal> {
        let before = tcgetattr(std::io::stdin()).map_err(failed)?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(std::io::stdin(), OptionalActions::Now, &raw).map_err(failed)?;
        Ok(Terminal { before })
    }

    /// Columns and rows.
    pub(crate) fn size() -> Result<(u16, u16)> {
        let size = tcgetwinsize(std::io::stdin()).map_err(failed)?;
        Ok((size.ws_col, size.ws_row))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if let Err(error) = tcsetattr(std::io::stdin(), OptionalActions::Now, &self.before) {
            eprintln!("setting the terminal back: {error}");
        }
    }
}
