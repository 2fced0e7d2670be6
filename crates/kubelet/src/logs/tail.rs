//! The end of a log file.

use super::line::Line;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

const BLOCK: u64 = 8 << 10;

/// Where the last `lines` lines begin. A last line without its newline counts as one.
pub(crate) fn start_of_tail(file: &mut File, lines: u64) -> io::Result<u64> {
    let end = file.seek(SeekFrom::End(0))?;
    if lines == 0 {
        return Ok(end);
    }
    let mut left = lines;
    let mut at = end;
    let mut block = vec![0; BLOCK as usize];
    while at > 0 {
        let from = at.saturating_sub(BLOCK);
        let length = (at - from) as usize;
        file.seek(SeekFrom::Start(from))?;
        file.read_exact(&mut block[..length])?;
        for index in (0..length).rev() {
            let place = from + index as u64;
            // The newline that ends the file ends the last line; it begins no other.
            if block[index] == b'\n' && place + 1 != end {
                left -= 1;
                if left == 0 {
                    return Ok(place + 1);
                }
            }
        }
        at = from;
    }
    Ok(0)
}

/// The text of the last lines, at most so many bytes of it.
pub(crate) fn last_lines(path: &Path, lines: usize, bytes_max: usize) -> io::Result<String> {
    let mut file = File::open(path)?;
    let start = start_of_tail(&mut file, lines as u64)?;
    // The format's own parts come on top of the text that is kept.
    const OVERHEAD_PER_LINE: usize = 64;
    let end = file.seek(SeekFrom::End(0))?;
    let start = start.max(end.saturating_sub((bytes_max + lines * OVERHEAD_PER_LINE) as u64));
    file.seek(SeekFrom::Start(start))?;
    let mut raw = Vec::new();
    file.read_to_end(&mut raw)?;
    let mut text = Vec::new();
    for line in raw.split(|byte| *byte == b'\n').filter_map(Line::parse) {
        text.extend_from_slice(line.text);
        if !line.partial {
            text.push(b'\n');
        }
    }
    let text = String::from_utf8_lossy(&text[text.len().saturating_sub(bytes_max)..]).into_owned();
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_begins_at_a_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let check = |content: &str, lines: u64, wanted: &str| {
            std::fs::write(&path, content).unwrap();
            let start = start_of_tail(&mut File::open(&path).unwrap(), lines).unwrap() as usize;
            assert_eq!(&content[start..], wanted, "{content:?} {lines}");
        };
        check("a\nb\nc\n", 2, "b\nc\n");
        check("a\nb\nc", 2, "b\nc");
        check("a\nb\n", 5, "a\nb\n");
        check("a\nb\n", 0, "");
        check("", 3, "");
        let long = format!("{}\nend\n", "x".repeat(20_000));
        check(&long, 1, "end\n");
        check(&long, 2, &long);
    }

    #[test]
    fn last_lines_are_without_the_format() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let entry = |text: &str| format!("2026-01-01T00:00:00Z stdout F {text}\n");
        std::fs::write(&path, ["one", "two", "three"].map(entry).concat()).unwrap();
        assert_eq!(last_lines(&path, 2, 100).unwrap(), "two\nthree\n");
        assert_eq!(last_lines(&path, 2, 4).unwrap(), "ree\n");
    }
}
