//! How much containers keep on their writable layers: overlayfs' upper directories, whichever runtime made them.
//!
//! The kernel does not count it, so layers are walked, a little each round. Invariants: what has not been walked to its
//! end is not known, and what was known before stands until it is; a walk never leaves the layer, whatever the container
//! makes of its directories meanwhile. A container whose processes have a user namespace of their own is not measured:
//! it could have mounted what its root shows itself, over any directory.
//!
//! Bounds: a round looks at `ROUND_ENTRIES_MAX` entries or takes `ROUND_TIME_MAX`, and a layer has a part of it; between
//! two walks of one layer lies `REST`. `WALKS_MAX` walks are under way, with two open files each; one of more than
//! `WALK_ENTRIES_MAX` entries, or with more than `PENDING_MAX` directories to come, is given up: then it is not known.

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, ResolveFlags, openat, openat2, statat};
use rustix::io::Errno;
use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const REST: Duration = Duration::from_secs(60);
const ROUND_ENTRIES_MAX: usize = 8192;
const ROUND_TIME_MAX: Duration = Duration::from_millis(40);
/// Of a round, what one layer gets.
const TURN_ENTRIES_MAX: usize = 2048;
const WALKS_MAX: usize = 64;
const WALK_ENTRIES_MAX: usize = 4_000_000;
const PENDING_MAX: usize = 10_000;
/// Entries between two looks at the clock.
const UNLOOKED: usize = 64;
/// A line is some 100 bytes; overlayfs' has up to 4 KiB more.
const MOUNTINFO_BYTES_MAX: u64 = 256 << 10;
const BLOCK_BYTES: u64 = 512;

/// One container's.
#[derive(Default)]
pub(super) struct Layer {
    upper: Option<PathBuf>,
    bytes: Option<u64>,
    walk: Option<Walk>,
    /// When it last had its turn, and whether that was the end of a walk.
    turn: Option<Instant>,
}

impl Layer {
    pub(super) fn bytes(&self) -> Option<u64> {
        self.bytes
    }

    fn is_due(&self, now: Instant) -> bool {
        self.walk.is_some() || self.turn.is_none_or(|turn| now.saturating_duration_since(turn) >= REST)
    }

    /// `None` while the walk is under way, and the size once it is done, if it is known.
    fn go_on(&mut self, proc: &Path, process: u64, round: &mut Round) -> Option<Option<u64>> {
        if self.walk.is_none() {
            self.upper = self.upper.take().or_else(|| upper(proc, process));
            self.walk = self.upper.as_deref().and_then(Walk::begin);
        }
        let Some(walk) = &mut self.walk else { return Some(None) };
        let result = match walk.go_on(round) {
            Ok(false) => return None,
            Ok(true) => Some(walk.bytes),
            Err(TooLarge) => None,
        };
        self.walk = None;
        Some(result)
    }
}

/// What may still be looked at.
struct Round {
    entries: usize,
    turn: usize,
    until: Instant,
}

impl Round {
    /// Whether there is more to it; one entry of it is spent.
    fn spend(&mut self) -> bool {
        if self.entries == 0 || self.turn == 0 {
            return false;
        }
        self.entries -= 1;
        self.turn -= 1;
        if self.entries.is_multiple_of(UNLOOKED) && Instant::now() >= self.until {
            self.entries = 0;
        }
        true
    }
}

/// Goes on with the layers, each of which has a process whose root it is below.
pub(super) fn go_on<'a>(proc: &Path, layers: impl Iterator<Item = (u64, &'a mut Layer)>, now: Instant) {
    let mut due: Vec<_> = layers.filter(|(_, layer)| layer.is_due(now)).collect();
    due.sort_by_key(|(_, layer)| layer.turn);
    let mut walks = due.iter().filter(|(_, layer)| layer.walk.is_some()).count();
    let mut round = Round { entries: ROUND_ENTRIES_MAX, turn: 0, until: Instant::now() + ROUND_TIME_MAX };
    for (process, layer) in due {
        if round.entries == 0 {
            break;
        }
        let begins = layer.walk.is_none();
        if begins && walks >= WALKS_MAX {
            continue;
        }
        round.turn = TURN_ENTRIES_MAX;
        layer.turn = Some(now);
        match layer.go_on(proc, process, &mut round) {
            Some(bytes) => layer.bytes = bytes,
            None => walks += usize::from(begins),
        }
    }
}

/// There is more of it than is looked at.
struct TooLarge;

struct Walk {
    root: OwnedFd,
    /// The directory that is being read, and its path below the root.
    open: Option<(Dir, PathBuf)>,
    pending: Vec<PathBuf>,
    entries: usize,
    bytes: u64,
}

impl Walk {
    fn begin(upper: &Path) -> Option<Walk> {
        let flags = OFlags::DIRECTORY | OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let root = openat(CWD, upper, flags, Mode::empty()).ok()?;
        Some(Walk { root, open: None, pending: vec![PathBuf::from(".")], entries: 0, bytes: 0 })
    }

    /// Whether it has come to its end.
    fn go_on(&mut self, round: &mut Round) -> Result<bool, TooLarge> {
        loop {
            let Some((directory, path)) = &mut self.open else {
                let Some(next) = self.pending.pop() else { return Ok(true) };
                // What is no longer there, or no longer a directory, holds nothing.
                self.open = read_directory(&self.root, &next).map(|directory| (directory, next));
                continue;
            };
            if !round.spend() {
                return Ok(false);
            }
            // A directory that cannot be read to its end counts as far as it was.
            let Some(Ok(entry)) = directory.read() else {
                self.open = None;
                continue;
            };
            let name = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            self.entries += 1;
            if self.entries > WALK_ENTRIES_MAX || self.pending.len() > PENDING_MAX {
                return Err(TooLarge);
            }
            let stat = directory.fd().and_then(|fd| statat(fd, name, AtFlags::SYMLINK_NOFOLLOW));
            let Ok(stat) = stat else { continue };
            let blocks = u64::try_from(stat.st_blocks).unwrap_or(0) * BLOCK_BYTES;
            if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                self.pending.push(path.join(std::ffi::OsStr::from_bytes(name.to_bytes())));
                self.bytes += blocks;
            } else {
                // Each of a file's names counts for its part. Their number has 32 bits on some machines.
                #[allow(clippy::useless_conversion)]
                let names = u64::from(stat.st_nlink);
                self.bytes += blocks / names.max(1);
            }
        }
    }
}

fn read_directory(root: &OwnedFd, path: &Path) -> Option<Dir> {
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let within =
        ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV | ResolveFlags::NO_MAGICLINKS;
    loop {
        match openat2(root, path, flags, Mode::empty(), within) {
            Ok(directory) => return Dir::new(directory).ok(),
            // The kernel could not tell for a rename elsewhere.
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => return None,
        }
    }
}

/// The upper directory of the overlay that is a process's root; `None` where that is something else or not to be trusted.
fn upper(proc: &Path, process: u64) -> Option<PathBuf> {
    let own = std::fs::read_link(proc.join("self/ns/user")).ok()?;
    let process = proc.join(process.to_string());
    if std::fs::read_link(process.join("ns/user")).ok()? != own {
        return None;
    }
    let mut text = Vec::new();
    File::open(process.join("mountinfo")).ok()?.take(MOUNTINFO_BYTES_MAX).read_to_end(&mut text).ok()?;
    // What was mounted last lies on top.
    let line = text.split(|byte| *byte == b'\n').rfind(|line| words(line).nth(4) == Some(b"/"))?;
    let (kind, options) = {
        let mut behind = words(line).skip_while(|word| *word != b"-").skip(1);
        (behind.next()?, behind.nth(1)?)
    };
    let mut options = options.split(|byte| *byte == b',').filter_map(|option| option.strip_prefix(b"upperdir="));
    let path = (kind == b"overlay").then(|| options.next()).flatten()?;
    Some(PathBuf::from(OsString::from_vec(unescaped(path)))).filter(|path| path.is_absolute())
}

fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|byte| *byte == b' ')
}

/// The kernel writes some bytes as a backslash and three octal digits.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, behind)) = rest.split_first() {
        let digits = behind.get(..3).filter(|_| *first == b'\\');
        let byte = digits.and_then(|digits| u8::from_str_radix(str::from_utf8(digits).ok()?, 8).ok());
        out.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &behind[3..] } else { behind };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    const PROCESS: u64 = 4711;

    struct Machine {
        folder: tempfile::TempDir,
        now: Instant,
    }

    impl Machine {
        fn new(namespace: &str) -> Machine {
            let folder = tempfile::tempdir().unwrap();
            for (process, namespace) in [("self", "user:[1]"), ("4711", namespace)] {
                std::fs::create_dir_all(folder.path().join("proc").join(process).join("ns")).unwrap();
                symlink(namespace, folder.path().join("proc").join(process).join("ns/user")).unwrap();
            }
            let upper = folder.path().join("the layer");
            std::fs::create_dir(&upper).unwrap();
            let lines = [
                "20 1 0:30 / /old rw - tmpfs tmpfs rw".to_owned(),
                format!(
                    "21 1 0:31 / / rw,relatime shared:1 - overlay overlay rw,lowerdir=/l,upperdir={},workdir=/w",
                    upper.to_str().unwrap().replace(' ', "\\040")
                ),
                "22 21 0:32 / /proc rw - proc proc rw".to_owned(),
            ];
            std::fs::write(folder.path().join("proc/4711/mountinfo"), lines.join("\n")).unwrap();
            Machine { folder, now: Instant::now() }
        }

        fn upper(&self) -> PathBuf {
            self.folder.path().join("the layer")
        }

        fn round(&mut self, layers: &mut [Layer]) {
            self.now += Duration::from_secs(10);
            let all = layers.iter_mut().map(|layer| (PROCESS, layer));
            go_on(&self.folder.path().join("proc"), all, self.now);
        }

        fn fill(&self, path: &str, bytes: usize) {
            let path = self.upper().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, vec![1; bytes]).unwrap();
        }
    }

    /// What the file system itself says, so that it is right on any.
    fn blocks(path: &Path) -> u64 {
        use std::os::unix::fs::MetadataExt;
        std::fs::symlink_metadata(path).unwrap().blocks() * 512
    }

    #[test]
    fn what_lies_in_the_layer_counts_once_and_what_lies_elsewhere_does_not() {
        let mut machine = Machine::new("user:[1]");
        machine.fill("a/b/c", 100_000);
        machine.fill("d", 5000);
        std::fs::hard_link(machine.upper().join("d"), machine.upper().join("a/e")).unwrap();
        std::fs::write(machine.folder.path().join("outside"), vec![1; 1 << 20]).unwrap();
        symlink("..", machine.upper().join("out")).unwrap();
        let mut layers = [Layer::default()];
        assert_eq!(layers[0].bytes(), None);
        machine.round(&mut layers);
        let all = ["a", "a/b", "a/b/c", "d", "out"].map(|path| blocks(&machine.upper().join(path)));
        assert_eq!(layers[0].bytes(), Some(all.iter().sum()));
    }

    #[test]
    fn a_large_layer_takes_several_rounds_and_is_not_known_before_its_end() {
        let mut machine = Machine::new("user:[1]");
        for number in 0..TURN_ENTRIES_MAX + 10 {
            machine.fill(&format!("d{}/{number}", number % 7), 1);
        }
        let mut layers = [Layer::default(), Layer::default()];
        machine.round(&mut layers);
        assert_eq!([layers[0].bytes(), layers[1].bytes()], [None, None]);
        // A slow machine may need more rounds than two: the clock ends one as well.
        for _ in 0..1000 {
            machine.round(&mut layers);
            if layers.iter().all(|layer| layer.bytes().is_some()) {
                break;
            }
        }
        let known = layers[0].bytes();
        assert!(known.is_some_and(|bytes| bytes > 0) && layers[1].bytes() == known, "{known:?}");
        machine.fill("more", 1 << 20);
        machine.round(&mut layers);
        assert_eq!(layers[0].bytes(), known, "it is not walked again at once");
        for _ in 0..1000 {
            machine.round(&mut layers);
        }
        assert!(layers[0].bytes() > known.map(|bytes| bytes + (1 << 19)));
    }

    #[test]
    fn what_is_no_overlay_or_not_to_be_trusted_is_not_known() {
        let mut foreign = Machine::new("user:[2]");
        foreign.fill("a", 1);
        let mut layers = [Layer::default()];
        foreign.round(&mut layers);
        assert_eq!(layers[0].bytes(), None);
        let mut plain = Machine::new("user:[1]");
        std::fs::write(plain.folder.path().join("proc/4711/mountinfo"), "1 0 8:1 / / rw - ext4 /dev/vda rw\n").unwrap();
        plain.round(&mut layers);
        assert_eq!(layers[0].bytes(), None);
        let mut gone = [Layer::default()];
        go_on(&plain.folder.path().join("proc"), gone.iter_mut().map(|layer| (1, layer)), Instant::now());
        assert_eq!(gone[0].bytes(), None);
    }

    #[test]
    fn a_directory_that_becomes_a_link_is_not_followed() {
        let machine = Machine::new("user:[1]");
        std::fs::create_dir(machine.folder.path().join("outside")).unwrap();
        symlink(machine.folder.path().join("outside"), machine.upper().join("a")).unwrap();
        let walk = Walk::begin(&machine.upper()).unwrap();
        assert!(read_directory(&walk.root, Path::new("a")).is_none());
        assert!(read_directory(&walk.root, Path::new("../outside")).is_none());
        assert!(read_directory(&walk.root, Path::new(".")).is_some());
    }
}
