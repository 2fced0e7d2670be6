//! What this process holds in memory.

use crate::{Error, Result};
use std::path::Path;

/// Where the kernel lists this process's mappings, and what of each is in memory.
const MAPPINGS: &str = "/proc/self/smaps";

/// Lets go of the pages of the program and its libraries that were needed so far, most of them for the only time: code
/// that ran, tables that were read, relocations that the start applied. They stay in the page cache, and what is needed
/// again is mapped again when it is. To be called once, after the start.
#[allow(unsafe_code)]
pub fn forget_program() -> Result<()> {
    let text = std::fs::read_to_string(MAPPINGS).map_err(Error::file("read", Path::new(MAPPINGS)))?;
    for Mapping { start, len } in unchanged(&text) {
        // SAFETY: the mapping is a private one of a file and cannot be written, and none of its pages was changed while
        // it could be: its pages are the file's own and come back as they were. Nothing unmaps a program or library
        // while this runs: none is ever unloaded here.
        let refused = unsafe { libc::madvise(start as *mut libc::c_void, len, libc::MADV_DONTNEED) } != 0;
        if refused {
            return Err(Error::call("let go of the program's pages")(std::io::Error::last_os_error()));
        }
    }
    Ok(())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mapping {
    start: usize,
    len: usize,
}

/// The mappings of files whose pages are all the files' own.
fn unchanged(text: &str) -> Vec<Mapping> {
    let mut found = Vec::new();
    let mut candidate = None;
    for line in text.lines() {
        if let Some(begun) = begins(line) {
            found.extend(candidate.take());
            candidate = begun;
        } else if has_own_pages(line) {
            candidate = None;
        }
    }
    found.extend(candidate);
    found
}

/// `None` for a line that begins no mapping; otherwise the mapping, where it is a file's and cannot be written.
fn begins(line: &str) -> Option<Option<Mapping>> {
    let mut fields = line.split_ascii_whitespace();
    let (start, end) = fields.next()?.split_once('-')?;
    let (start, end) = (usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?);
    let (permissions, file) = (fields.next()?, fields.nth(3).unwrap_or_default());
    let is_program = matches!(permissions, "r-xp" | "r--p") && file.starts_with('/');
    Some(end.checked_sub(start).filter(|_| is_program).map(|len| Mapping { start, len }))
}

/// Pages that were written before the mapping became read-only, as the loader does: in memory or swapped out.
fn has_own_pages(line: &str) -> bool {
    let counted = line.strip_prefix("Anonymous:").or_else(|| line.strip_prefix("Swap:"));
    counted.is_some_and(|amount| amount.trim() != "0 kB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pages_that_are_the_files_own_are_let_go() {
        let counted = |anonymous: &str, swap: &str| {
            format!("Size:  8 kB\nRss:  8 kB\nAnonymous:   {anonymous} kB\nSwap:   {swap} kB\nVmFlags: rd mr mw me\n")
        };
        let mapping = |line: &str, anonymous: &str, swap: &str| format!("{line}\n{}", counted(anonymous, swap));
        let text = [
            mapping("55d0a000-55d0c000 r-xp 00002000 fe:00 1234      /usr/bin/sampan", "0", "0"),
            mapping("55d0c000-55d0d000 r--p 00004000 fe:00 1234      /usr/bin/sampan", "0", "0"),
            mapping("55d0d000-55d0e000 r--p 00005000 fe:00 1234      /usr/bin/relocated", "4", "0"),
            mapping("55d0e000-55d0f000 r--p 00006000 fe:00 1234      /usr/bin/swapped", "0", "4"),
            mapping("55d0f000-55d10000 rw-p 00007000 fe:00 1234      /usr/bin/sampan", "0", "0"),
            mapping("55d10000-55d11000 r--s 00007000 fe:00 1234      /var/shared", "0", "0"),
            mapping("7f0000000000-7f0000001000 r-xp 00000000 00:00 0", "0", "0"),
            mapping("7ffc0000-7ffc1000 r-xp 00000000 00:00 0         [vdso]", "0", "0"),
        ];
        let wanted = [Mapping { start: 0x55d0_a000, len: 0x2000 }, Mapping { start: 0x55d0_c000, len: 0x1000 }];
        assert_eq!(unchanged(&text.concat()), wanted);
    }

    #[test]
    fn what_the_loader_changed_is_left_alone() {
        let text = std::fs::read_to_string(MAPPINGS).unwrap();
        // Pointers in constants are relocated: were their page let go, this one would read as it is in the file.
        static TABLE: [&str; 2] = ["feed", "face"];
        let table = TABLE.as_ptr() as usize;
        let holds = |own: &Mapping| (own.start..own.start + own.len).contains(&table);
        assert!(!unchanged(&text).iter().any(holds));
        forget_program().unwrap();
        assert_eq!(std::hint::black_box(&TABLE).map(str::len), [4, 4]);
        assert_eq!(format!("{:x}", 0xfeed), TABLE[0]);
    }
}
