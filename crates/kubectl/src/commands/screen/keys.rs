//! What a terminal sends for the keys of its keyboard.
//!
//! Invariant: a sequence that is not known is swallowed whole: its letters never become keys.

/// One key.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Key {
    Char(char),
    /// A letter with the control key, in lower case.
    Control(char),
    Enter,
    Escape,
    Tab,
    Backspace,
    Up,
    Down,
    Left,
    Right,
    PageUp,
    PageDown,
    Home,
    End,
}

const ESCAPE: u8 = 0x1b;

/// Bytes that are not yet a whole key.
#[derive(Default)]
pub(super) struct Keys {
    pending: Vec<u8>,
}

/// What begins the pending bytes.
enum Step {
    Key(Key, usize),
    Skip(usize),
    /// More bytes have to come.
    Wait,
}

impl Keys {
    /// The keys that these bytes complete.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Vec<Key> {
        self.pending.extend_from_slice(bytes);
        let mut keys = Vec::new();
        loop {
            let used = match step(&self.pending) {
                Step::Key(key, used) => {
                    keys.push(key);
                    used
                }
                Step::Skip(used) => used,
                Step::Wait => return keys,
            };
            self.pending.drain(..used);
        }
    }

    /// Whether an escape waits for what may follow it.
    pub(super) fn is_waiting(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Nothing followed: the escape was the key of that name.
    pub(super) fn give_up(&mut self) -> Option<Key> {
        let escape = self.pending.first() == Some(&ESCAPE);
        self.pending.clear();
        escape.then_some(Key::Escape)
    }
}

fn step(bytes: &[u8]) -> Step {
    match bytes {
        [] | [ESCAPE] => Step::Wait,
        [ESCAPE, b'[', rest @ ..] => sequence(rest),
        [ESCAPE, b'O', rest @ ..] => rest.first().map_or(Step::Wait, |last| named(*last, &[], 3)),
        [ESCAPE, ..] => Step::Key(Key::Escape, 1),
        [b'\r' | b'\n', ..] => Step::Key(Key::Enter, 1),
        [b'\t', ..] => Step::Key(Key::Tab, 1),
        [0x08 | 0x7f, ..] => Step::Key(Key::Backspace, 1),
        [control @ 1..=26, ..] => Step::Key(Key::Control((control - 1 + b'a').into()), 1),
        [0..=31, ..] => Step::Skip(1),
        _ => character(bytes),
    }
}

/// Behind `ESC [`: parameters, and the byte that ends them.
fn sequence(rest: &[u8]) -> Step {
    match rest.iter().position(|byte| (0x40..=0x7e).contains(byte)) {
        Some(end) => named(rest[end], &rest[..end], end + 3),
        // Longer than any key's: not one.
        None if rest.len() > 32 => Step::Skip(rest.len() + 2),
        None => Step::Wait,
    }
}

fn named(last: u8, parameters: &[u8], used: usize) -> Step {
    let key = match (last, parameters) {
        (b'A', _) => Key::Up,
        (b'B', _) => Key::Down,
        (b'C', _) => Key::Right,
        (b'D', _) => Key::Left,
        (b'H', _) | (b'~', b"1" | b"7") => Key::Home,
        (b'F', _) | (b'~', b"4" | b"8") => Key::End,
        (b'~', b"5") => Key::PageUp,
        (b'~', b"6") => Key::PageDown,
        _ => return Step::Skip(used),
    };
    Step::Key(key, used)
}

fn character(bytes: &[u8]) -> Step {
    const LENGTH_MAX: usize = 4;
    let begin = &bytes[..bytes.len().min(LENGTH_MAX)];
    let valid = match std::str::from_utf8(begin) {
        Ok(text) => text,
        Err(error) if error.valid_up_to() > 0 => {
            std::str::from_utf8(&begin[..error.valid_up_to()]).expect("valid up to there")
        }
        Err(error) => return error.error_len().map_or(Step::Wait, Step::Skip),
    };
    valid.chars().next().map_or(Step::Wait, |first| Step::Key(Key::Char(first), first.len_utf8()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_become_keys() {
        for (bytes, expected) in [
            (&b"j"[..], vec![Key::Char('j')]),
            (b"\x04\r\t\x7f", vec![Key::Control('d'), Key::Enter, Key::Tab, Key::Backspace]),
            (b"\x1b[A\x1bOB\x1b[5~\x1b[1;5C", vec![Key::Up, Key::Down, Key::PageUp, Key::Right]),
            (b"\x1b[200~a\x1b[?1;2c", vec![Key::Char('a')]),
            ("é日".as_bytes(), vec![Key::Char('é'), Key::Char('日')]),
            (b"\xffx", vec![Key::Char('x')]),
            (b"\x1bq", vec![Key::Escape, Key::Char('q')]),
            (b"\0", vec![]),
        ] {
            assert_eq!(Keys::default().take(bytes), expected, "{bytes:?}");
        }
    }

    #[test]
    fn a_key_may_come_in_pieces() {
        let mut keys = Keys::default();
        assert_eq!(keys.take(b"\x1b"), []);
        assert_eq!(keys.take(b"["), []);
        assert_eq!(keys.take(b"B"), [Key::Down]);
        assert_eq!(keys.take(&"日".as_bytes()[..2]), []);
        assert_eq!(keys.take(&"日".as_bytes()[2..]), [Key::Char('日')]);
        assert!(!keys.is_waiting());
        assert_eq!(keys.take(b"\x1b"), []);
        assert!(keys.is_waiting());
        assert_eq!(keys.give_up(), Some(Key::Escape));
        assert_eq!(keys.take(b"[B"), [Key::Char('['), Key::Char('B')]);
    }
}
