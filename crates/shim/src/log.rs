//! A container's log in CRI format: `time stream F|P text`.
//!
//! Invariants: a line longer than [`LINE_BYTES_MAX`] is cut into `P` lines and ends with an `F` line; what cannot be
//! written (a full disk) is counted and dropped, as the container must not stop for its log; at most one line per
//! stream is held in memory, and what `rate` holds back.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::time::Instant;

use crate::rate::Rate;

/// As containerd's `max_container_log_line_size`, which kubelet's reader expects.
pub(crate) const LINE_BYTES_MAX: usize = 16 << 10;

/// Bytes gathered before they are written: one full line with its head.
const BATCH_BYTES: usize = LINE_BYTES_MAX + 64;

/// The log of one container.
pub(crate) struct Log {
    path: String,
    file: Option<File>,
    /// Whether the last write was cut short, so that the next begins on a line of its own.
    torn: bool,
    lost: u64,
    /// Bytes in the file.
    length: u64,
    rate: Rate,
}

/// What has come of one stream's current line.
pub(crate) struct Stream {
    name: &'static str,
    line: Vec<u8>,
}

impl Stream {
    pub(crate) fn new(name: &'static str) -> Stream {
        Stream { name, line: Vec::new() }
    }
}

impl Log {
    /// Opens the log at `path`; an empty path keeps none. It may grow by `rate` bytes a second; 0 is no limit.
    pub(crate) fn open(path: &str, rate: u64) -> io::Result<Log> {
        let rate = Rate::new(rate, Instant::now());
        let mut log = Log { path: path.to_owned(), file: None, torn: false, lost: 0, length: 0, rate };
        log.reopen()?;
        Ok(log)
    }

    /// Opens the file at the same path anew, after it was renamed. On an error the old file goes on.
    pub(crate) fn reopen(&mut self) -> io::Result<()> {
        if !self.path.is_empty() {
            let file = File::options().append(true).create(true).mode(0o640).open(&self.path)?;
            self.length = file.metadata()?.len();
            self.file = Some(file);
            self.torn = false;
        }
        Ok(())
    }

    /// How many lines could not be written.
    pub(crate) fn lost(&self) -> u64 {
        self.lost
    }

    /// Writes what a stream has said; an unfinished line waits for its rest.
    pub(crate) fn write(&mut self, stream: &mut Stream, mut bytes: &[u8]) {
        if self.file.is_none() {
            return;
        }
        let mut batch = Batch { bytes: Vec::new(), time: timestamp() };
        while !bytes.is_empty() {
            let room = LINE_BYTES_MAX - stream.line.len();
            let end = bytes.iter().take(room + 1).position(|byte| *byte == b'\n');
            match end {
                Some(end) => {
                    batch.push(stream.name, b'F', &stream.line, &bytes[..end]);
                    stream.line.clear();
                    bytes = &bytes[end + 1..];
                }
                // More than a line's worth: only then is it certain that the line goes on.
                None if bytes.len() > room => {
                    batch.push(stream.name, b'P', &stream.line, &bytes[..room]);
                    stream.line.clear();
                    bytes = &bytes[room..];
                }
                None => {
                    stream.line.extend_from_slice(bytes);
                    bytes = &[];
                }
            }
            if batch.bytes.len() >= BATCH_BYTES {
                self.flush(&mut batch);
            }
        }
        self.flush(&mut batch);
        if stream.line.is_empty() {
            // A quiet container holds no memory for its next line.
            stream.line = Vec::new();
        }
    }

    /// Writes a last line that was not ended, as containerd does: `P`.
    pub(crate) fn finish(&mut self, stream: &mut Stream) {
        if self.file.is_some() && !stream.line.is_empty() {
            let mut batch = Batch { bytes: Vec::new(), time: timestamp() };
            batch.push(stream.name, b'P', &stream.line, b"");
            self.flush(&mut batch);
        }
        stream.line = Vec::new();
        self.release(true);
    }

    /// Whether lines wait for room.
    pub(crate) fn is_holding(&self) -> bool {
        self.rate.is_holding()
    }

    /// Writes what was held back, if there is room or it is the `end`.
    pub(crate) fn release(&mut self, end: bool) {
        let Some((held, dropped)) = self.rate.release(self.length, end, Instant::now()) else { return };
        if dropped > 0 {
            let mut notice = Batch { bytes: Vec::new(), time: timestamp() };
            notice.push("stderr", b'F', self.rate.notice(dropped).as_bytes(), b"");
            self.append(&notice.bytes);
        }
        self.append(&held);
    }

    fn flush(&mut self, batch: &mut Batch) {
        if self.file.is_none() || batch.bytes.is_empty() {
            return;
        }
        self.release(false);
        if self.rate.admits(&batch.bytes, self.length, Instant::now()) {
            self.append(&batch.bytes);
        }
        batch.bytes.clear();
    }

    fn append(&mut self, lines: &[u8]) {
        let Some(file) = self.file.as_mut() else { return };
        let begun;
        let mut rest = match self.torn {
            true => {
                begun = [b"\n", lines].concat();
                begun.as_slice()
            }
            false => lines,
        };
        let all = rest;
        while !rest.is_empty() {
            match file.write(rest) {
                Ok(count) if count > 0 => rest = &rest[count..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                _ => break,
            }
        }
        let written = all.len() - rest.len();
        self.length += written as u64;
        if written > 0 {
            self.torn = all[written - 1] != b'\n';
        }
        self.lost += rest.iter().filter(|byte| **byte == b'\n').count() as u64;
    }
}

/// Lines on their way to the file, all of one time.
struct Batch {
    bytes: Vec<u8>,
    time: [u8; 30],
}

impl Batch {
    fn push(&mut self, stream: &str, tag: u8, begin: &[u8], end: &[u8]) {
        self.bytes.extend_from_slice(&self.time);
        self.bytes.push(b' ');
        self.bytes.extend_from_slice(stream.as_bytes());
        self.bytes.extend_from_slice(&[b' ', tag, b' ']);
        self.bytes.extend_from_slice(begin);
        self.bytes.extend_from_slice(end);
        self.bytes.push(b'\n');
    }
}

fn timestamp() -> [u8; 30] {
    let (seconds, nanoseconds) = crate::sys::now();
    format_time(seconds, nanoseconds)
}

/// RFC 3339 in UTC with all nine digits, as kubelet writes it.
fn format_time(seconds: i64, nanoseconds: i64) -> [u8; 30] {
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    let mut text = *b"0000-00-00T00:00:00.000000000Z";
    let fields = [
        (0, 4, year),
        (5, 2, month),
        (8, 2, day),
        (11, 2, second / 3600),
        (14, 2, second / 60 % 60),
        (17, 2, second % 60),
        (20, 9, nanoseconds),
    ];
    for (at, width, mut value) in fields {
        for digit in text[at..at + width].iter_mut().rev() {
            *digit = b'0' + (value % 10) as u8;
            value /= 10;
        }
    }
    text
}

/// Year, month and day of a day counted from 1970, by shifting the year's begin to March, which puts the leap day
/// last (H. Hinnant, "chrono-compatible low-level date algorithms").
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339() {
        let check = |seconds, nanoseconds, text: &str| {
            assert_eq!(std::str::from_utf8(&format_time(seconds, nanoseconds)).unwrap(), text);
        };
        check(0, 0, "1970-01-01T00:00:00.000000000Z");
        check(951_827_696, 789, "2000-02-29T12:34:56.000000789Z");
        check(1_795_392_000, 999_999_999, "2026-11-23T00:00:00.999999999Z");
        check(4_102_444_799, 0, "2099-12-31T23:59:59.000000000Z");
    }

    fn lines(chunks: &[&[u8]]) -> Vec<(char, usize)> {
        let path = std::env::temp_dir().join(format!("shim-log-{}-{}", std::process::id(), chunks.as_ptr() as usize));
        let mut log = Log::open(path.to_str().unwrap(), 0).unwrap();
        let mut stream = Stream::new("stdout");
        chunks.iter().for_each(|chunk| log.write(&mut stream, chunk));
        log.finish(&mut stream);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(log.lost(), 0);
        let parse = |line: &str| {
            let (head, text) = line.split_at(40);
            assert_eq!(&head[30..38], " stdout ", "{line}");
            (head.chars().nth(38).unwrap(), text.len())
        };
        text.lines().map(parse).collect()
    }

    #[test]
    fn long_lines_are_cut_and_unfinished_ones_kept() {
        let max = vec![b'x'; LINE_BYTES_MAX];
        assert_eq!(lines(&[b"ab", b"c\n\nd"]), [('F', 3), ('F', 0), ('P', 1)]);
        assert_eq!(lines(&[&max, b"\n"]), [('F', LINE_BYTES_MAX)], "an exact fit is whole");
        assert_eq!(lines(&[&max, b"y\n"]), [('P', LINE_BYTES_MAX), ('F', 1)]);
        assert_eq!(lines(&[&max, &max, b"\n"]), [('P', LINE_BYTES_MAX), ('F', LINE_BYTES_MAX)]);
    }

    /// Fifty megabytes at once, and then the end.
    #[test]
    fn a_flood_fills_no_disk_and_keeps_the_last_lines() {
        let path = std::env::temp_dir().join(format!("shim-flood-{}", std::process::id()));
        let mut log = Log::open(path.to_str().unwrap(), 1 << 20).unwrap();
        let mut stream = Stream::new("stdout");
        const LINES: usize = 500_000;
        let chunk: Vec<u8> = [[b'x'; 99].as_slice(), b"\n"].concat().repeat(160);
        for _ in 0..LINES / 160 {
            log.write(&mut stream, &chunk);
        }
        log.write(&mut stream, b"the last words\n");
        log.finish(&mut stream);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        // The burst, the rate for as long as this test may take, and what is held.
        assert!(text.len() < 40 << 20, "{}", text.len());
        assert!(text.ends_with("stdout F the last words\n"));
        let notices: Vec<&str> = text.lines().filter(|line| line.contains(" stderr F [sampan: ")).collect();
        let dropped =
            |line: &&str| line.split("[sampan: ").nth(1).unwrap().split(' ').next().unwrap().parse::<usize>().unwrap();
        let dropped: usize = notices.iter().map(dropped).sum();
        assert_eq!(text.lines().count() - notices.len() + dropped, LINES + 1, "every line is there or counted");
    }

    #[test]
    fn a_full_disk_costs_lines_not_the_container() {
        let mut log = Log::open("/dev/full", 0).unwrap();
        let mut stream = Stream::new("stderr");
        log.write(&mut stream, b"one\ntwo\nthr");
        log.finish(&mut stream);
        assert_eq!(log.lost(), 3);
    }
}
