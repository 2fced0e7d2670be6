//! Lines of logs and texts as cells can hold them: without the sequences and controls that would move a cursor.

/// A longer line is cut: no screen shows it, and memory stays bounded.
const CHARACTERS_MAX: usize = 4096;
const TAB: usize = 8;

/// The visible text of a line.
pub(super) fn plain(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let mut out = String::with_capacity(text.len());
    let mut count = 0;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        if count >= CHARACTERS_MAX {
            out.push('…');
            break;
        }
        match character {
            '\u{1b}' => {
                if characters.next_if_eq(&'[').is_some() {
                    // Up to the letter that ends it.
                    while characters.next_if(|one| !('@'..='~').contains(one)).is_some() {}
                    characters.next();
                }
            }
            '\t' => {
                let spaces = TAB - count % TAB;
                out.extend(std::iter::repeat_n(' ', spaces));
                count += spaces;
            }
            other if other.is_control() => {}
            other => {
                out.push(other);
                count += 1;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_visible_stays() {
        for (line, expected) in [
            (&b"\x1b[1;31merror\x1b[0m: x\r\n"[..], "error: x"),
            (b"a\tb", "a       b"),
            ("日本\u{7}".as_bytes(), "日本"),
            (b"\xff", "\u{fffd}"),
        ] {
            assert_eq!(plain(line), expected);
        }
        assert_eq!(plain(&vec![b'x'; 5000]).chars().count(), CHARACTERS_MAX + 1);
    }
}
