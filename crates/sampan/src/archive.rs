//! The file that a backup is: a gzipped tar, which ordinary tools can look into.
//!
//! Invariants: its last entry is `SHA256SUMS`, over all others, so that a file cut short or changed anywhere is refused
//! before anything of it is used; only names that a backup has are unpacked.

use crate::files::{self, Draft};
use anyhow::{Context, Result, bail};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use ring::digest::{Context as Digest, SHA256};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path};

const SUMS: &str = "SHA256SUMS";
/// Of `SHA256SUMS` itself: a line for each of some dozen files.
const SUMS_BYTES_MAX: u64 = 1 << 20;

/// Digests of what passes, by entry.
type Sums = BTreeMap<String, String>;

pub(crate) struct Writer {
    tar: tar::Builder<GzEncoder<BufWriter<File>>>,
    draft: Draft,
    sums: Sums,
    /// Of every entry: seconds since the epoch.
    time: u64,
}

impl Writer {
    pub(crate) fn create(path: &Path, time: u64) -> Result<Writer> {
        let draft = Draft::create(path, 0o600)?;
        let file = draft.file.try_clone().with_context(|| format!("writing {}", path.display()))?;
        let tar = tar::Builder::new(GzEncoder::new(BufWriter::new(file), Compression::fast()));
        Ok(Writer { tar, draft, sums: Sums::new(), time })
    }

    pub(crate) fn bytes(&mut self, name: &str, content: &[u8]) -> Result<()> {
        self.append(name, content.len() as u64, content)
    }

    pub(crate) fn file(&mut self, name: &str, path: &Path) -> Result<()> {
        let file = File::open(path).with_context(|| format!("reading {}", path.display()))?;
        let length = file.metadata().with_context(|| format!("reading {}", path.display()))?.len();
        self.append(name, length, file)
    }

    /// Each file in a folder, below its name.
    pub(crate) fn folder(&mut self, name: &str, path: &Path) -> Result<()> {
        for entry in std::fs::read_dir(path).with_context(|| format!("reading {}", path.display()))? {
            let entry = entry.with_context(|| format!("reading {}", path.display()))?;
            let file = entry.file_name();
            let file = file.to_str().with_context(|| format!("{} is no text", entry.path().display()))?;
            self.file(&format!("{name}/{file}"), &entry.path())?;
        }
        Ok(())
    }

    fn append(&mut self, name: &str, length: u64, content: impl Read) -> Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_size(length);
        header.set_mode(0o600);
        header.set_mtime(self.time);
        let mut content = Digesting::new(content);
        self.tar.append_data(&mut header, name, &mut content).with_context(|| format!("packing {name}"))?;
        let (read, sum) = content.finish();
        if read != length {
            bail!("{name} changed its length while it was packed");
        }
        self.sums.insert(name.to_owned(), sum);
        Ok(())
    }

    /// Gives the file its name: whole, or not at all.
    pub(crate) fn finish(mut self) -> Result<()> {
        let sums: String = self.sums.iter().map(|(name, sum)| format!("{sum}  {name}\n")).collect();
        self.bytes(SUMS, sums.as_bytes())?;
        let packed = self.tar.into_inner().and_then(GzEncoder::finish).and_then(|mut buffer| buffer.flush());
        packed.context("packing")?;
        self.draft.publish()
    }
}

/// Unpacks a backup into an empty directory, and looks at every byte.
pub(crate) fn unpack(path: &Path, into: &Path) -> Result<()> {
    let file = File::open(path).with_context(|| format!("reading {}", path.display()))?;
    unpack_from(BufReader::new(file), into).with_context(|| format!("{} is no whole backup", path.display()))
}

fn unpack_from(file: impl Read, into: &Path) -> Result<()> {
    let mut found = Sums::new();
    let mut told = None;
    let mut unzipped = GzDecoder::new(file);
    let mut tar = tar::Archive::new(&mut unzipped);
    for entry in tar.entries().context("it is cut short or no archive")? {
        let mut entry = entry.context("it is cut short")?;
        let name = checked_name(&entry)?;
        if told.is_some() {
            bail!("{name} follows after {SUMS}");
        }
        if name == SUMS {
            let mut sums = String::new();
            entry.take(SUMS_BYTES_MAX).read_to_string(&mut sums).context("it is cut short")?;
            told = Some(sums);
            continue;
        }
        let length = entry.size();
        let sum = unpack_one(&mut entry, length, &into.join(&name)).with_context(|| format!("unpacking {name}"))?;
        if found.insert(name.clone(), sum).is_some() {
            bail!("{name} is in it twice");
        }
    }
    let told = told.context("it is cut short")?;
    // What follows the last entry is only zeros, but gzip's own checksum stands behind them.
    std::io::copy(&mut unzipped, &mut std::io::sink()).context("it is cut short")?;
    compare(&told, &found)
}

/// `a` or `a/b`, and a plain file: nothing that leads out.
fn checked_name<R: Read>(entry: &tar::Entry<'_, R>) -> Result<String> {
    let path = entry.path().context("an entry has no name")?;
    let plain = path.components().all(|part| matches!(part, Component::Normal(_))) && path.components().count() <= 2;
    match path.to_str() {
        Some(name) if plain && entry.header().entry_type().is_file() => Ok(name.to_owned()),
        _ => bail!("{} has no place in a backup", path.display()),
    }
}

fn unpack_one(content: impl Read, length: u64, path: &Path) -> Result<String> {
    if let Some(parent) = path.parent() {
        files::private_dir(parent)?;
    }
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(path).context("creating it")?;
    let mut content = Digesting::new(content);
    let copied = std::io::copy(&mut content, &mut file).context("the backup is cut short")?;
    if copied != length {
        bail!("the backup is cut short");
    }
    file.sync_all().context("syncing it")?;
    files::sync_names(path.parent())?;
    Ok(content.finish().1)
}

fn compare(told: &str, found: &Sums) -> Result<()> {
    let mut left = found.clone();
    for line in told.lines() {
        let (sum, name) = line.split_once("  ").with_context(|| format!("{SUMS} has the line {line:?}"))?;
        match left.remove(name) {
            Some(found) if found == sum => {}
            Some(_) => bail!("{name} is not what was packed"),
            None => bail!("{name} is missing"),
        }
    }
    match left.keys().next() {
        Some(name) => bail!("{name} is not in {SUMS}"),
        None => Ok(()),
    }
}

/// Computes the digest of what is read through it.
struct Digesting<R> {
    inner: R,
    digest: Digest,
    bytes: u64,
}

impl<R: Read> Digesting<R> {
    fn new(inner: R) -> Digesting<R> {
        Digesting { inner, digest: Digest::new(&SHA256), bytes: 0 }
    }

    fn finish(self) -> (u64, String) {
        (self.bytes, files::hexadecimal(self.digest.finish().as_ref()))
    }
}

impl<R: Read> Read for Digesting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.digest.update(&buffer[..read]);
        self.bytes += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(folder: &Path) -> Vec<u8> {
        let path = folder.join("backup");
        let store = folder.join("store");
        std::fs::create_dir(&store).unwrap();
        std::fs::write(store.join("log"), vec![7; 5000]).unwrap();
        let mut writer = Writer::create(&path, 1).unwrap();
        writer.bytes("settings.json", b"{}").unwrap();
        writer.folder("store", &store).unwrap();
        assert!(!path.exists(), "it has no name before it is whole");
        writer.finish().unwrap();
        std::fs::read(&path).unwrap()
    }

    fn unpacked(bytes: &[u8]) -> Result<tempfile::TempDir> {
        let into = tempfile::tempdir().unwrap();
        unpack_from(bytes, into.path())?;
        Ok(into)
    }

    #[test]
    fn what_was_packed_comes_out() {
        let folder = tempfile::tempdir().unwrap();
        let out = unpacked(&packed(folder.path())).unwrap();
        assert_eq!(std::fs::read(out.path().join("settings.json")).unwrap(), b"{}");
        assert_eq!(std::fs::read(out.path().join("store/log")).unwrap(), vec![7; 5000]);
        assert_eq!(std::fs::read_dir(out.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_backup_that_is_cut_or_changed_anywhere_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let whole = packed(folder.path());
        for length in (0..whole.len()).step_by(7).chain([whole.len() - 1]) {
            assert!(unpacked(&whole[..length]).is_err(), "cut at {length} of {}", whole.len());
        }
        let mut refused = 0;
        for at in (0..whole.len()).step_by(5) {
            let mut changed = whole.clone();
            changed[at] ^= 0x10;
            match unpacked(&changed) {
                Err(_) => refused += 1,
                // Some bits mean nothing: the time in gzip's header, the length of a code that does not occur.
                Ok(out) => assert_eq!(std::fs::read(out.path().join("store/log")).unwrap(), vec![7; 5000], "{at}"),
            }
        }
        assert!(refused > whole.len() / 5 * 9 / 10, "{refused} of {}", whole.len() / 5);
    }

    #[test]
    fn names_that_lead_out_are_refused() {
        for name in ["../x", "/x", "a/b/c"] {
            let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
            let mut header = tar::Header::new_gnu();
            header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_size(0);
            header.set_cksum();
            tar.append(&header, &b""[..]).unwrap();
            let bytes = tar.into_inner().unwrap().finish().unwrap();
            let error = format!("{:#}", unpacked(&bytes).unwrap_err());
            assert!(error.contains("has no place in a backup"), "{error}");
        }
    }
}
