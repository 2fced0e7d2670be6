//! Reads tar: ustar, GNU long names, PAX records.
//!
//! The `tar` crate joins split names only. Its reader splits PAX records at line ends (an extended attribute is
//! binary: `security.capability` would be cut) and reads long names without a bound; its numbers refuse blank fields,
//! which mean zero, and times before 1970.

use std::io::{self, Read, Seek};

use tar::Header;

const BLOCK_BYTES: usize = 512;
/// Go's reader, and so containerd, allows a long name or a set of PAX records this size.
const SPECIAL_BYTES_MAX: u64 = 1 << 20;
const XATTR_PREFIX: &[u8] = b"SCHILY.xattr.";

/// What an entry makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    HardLink,
    Symlink,
    Character,
    Block,
    Directory,
    Fifo,
}

/// One entry's header.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) kind: Kind,
    pub(crate) path: Vec<u8>,
    /// Target of a link.
    pub(crate) link: Vec<u8>,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) modified_seconds: i64,
    pub(crate) modified_nanoseconds: i64,
    /// Bytes of data that follow.
    pub(crate) size: u64,
    pub(crate) device: (u32, u32),
    pub(crate) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Entry {
    /// The name for messages.
    pub(crate) fn path_lossy(&self) -> String {
        String::from_utf8_lossy(&self.path).into_owned()
    }
}

/// A tar stream. Reading from it reads the current entry's data.
pub(crate) struct Archive<R> {
    inner: R,
    position: u64,
    data_left: u64,
    padding: u64,
}

impl<R: Read> Archive<R> {
    pub(crate) fn new(inner: R) -> Self {
        Archive { inner, position: 0, data_left: 0, padding: 0 }
    }

    /// The stream behind the last entry.
    pub(crate) fn into_inner(self) -> R {
        self.inner
    }

    /// Bytes read so far: after `next_entry`, where that entry's data starts.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// The next entry; `None` at the end.
    pub(crate) fn next_entry(&mut self) -> io::Result<Option<Entry>> {
        let mut extended = Extended::default();
        loop {
            self.skip()?;
            let Some(block) = self.block()? else { return Ok(None) };
            let header = Header::from_byte_slice(&block);
            check_sum(&block)?;
            let size = unsigned(&block[124..136])?;
            match header.as_old().linkflag[0] {
                b'L' => extended.long_name = Some(trim_nul(self.special(size)?)),
                b'K' => extended.long_link = Some(trim_nul(self.special(size)?)),
                b'x' => extended.records = records(&self.special(size)?)?,
                b'g' => self.follow(size),
                flag => {
                    let entry = extended.entry(header, &block, flag, size)?;
                    self.follow(entry.size);
                    return Ok(Some(entry));
                }
            }
        }
    }

    fn follow(&mut self, size: u64) {
        self.data_left = size;
        self.padding = (BLOCK_BYTES as u64 - size % BLOCK_BYTES as u64) % BLOCK_BYTES as u64;
    }

    fn skip(&mut self) -> io::Result<()> {
        let left = self.data_left.saturating_add(self.padding);
        let skipped = io::copy(&mut self.inner.by_ref().take(left), &mut io::sink())?;
        (self.data_left, self.padding) = (0, 0);
        self.position += skipped;
        if skipped < left { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    /// The next header; `None` at a zero block or the stream's end.
    fn block(&mut self) -> io::Result<Option<[u8; BLOCK_BYTES]>> {
        let mut block = [0; BLOCK_BYTES];
        let mut filled = 0;
        while filled < BLOCK_BYTES {
            match self.inner.read(&mut block[filled..]) {
                Ok(0) if filled == 0 => return Ok(None),
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.position += BLOCK_BYTES as u64;
        Ok(block.iter().any(|&b| b != 0).then_some(block))
    }

    fn special(&mut self, size: u64) -> io::Result<Vec<u8>> {
        if size > SPECIAL_BYTES_MAX {
            return Err(invalid(format!("tar: a name or PAX header of {size} bytes; at most {SPECIAL_BYTES_MAX}")));
        }
        self.follow(size);
        let mut content = Vec::new();
        self.read_to_end(&mut content)?;
        Ok(content)
    }
}

impl<R: Read + Seek> Archive<R> {
    /// Passes over the current entry's data without reading it. A file that is cut shows when the data is read.
    pub(crate) fn seek_past_data(&mut self) -> io::Result<()> {
        let left = self.data_left.saturating_add(self.padding);
        let offset = i64::try_from(left).map_err(|_| invalid(format!("tar: an entry of {left} bytes")))?;
        self.inner.seek_relative(offset)?;
        (self.data_left, self.padding) = (0, 0);
        self.position += left;
        Ok(())
    }
}

impl<R: Read> Read for Archive<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.data_left == 0 {
            return Ok(0);
        }
        let read = self.inner.by_ref().take(self.data_left).read(buffer)?;
        if read == 0 && !buffer.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.data_left -= read as u64;
        self.position += read as u64;
        Ok(read)
    }
}

/// What stood in front of an entry's header.
#[derive(Default)]
struct Extended {
    long_name: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
    records: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Extended {
    fn entry(self, header: &Header, block: &[u8; BLOCK_BYTES], flag: u8, size: u64) -> io::Result<Entry> {
        let path = self.long_name.unwrap_or_else(|| header.path_bytes().into_owned());
        let link = self.long_link.or_else(|| header.link_name_bytes().map(|link| link.into_owned()));
        // Fields that older formats have not, and that only devices need.
        let device = |field: &[u8]| unsigned(field).ok().and_then(|n| u32::try_from(n).ok()).unwrap_or_default();
        let mut entry = Entry {
            kind: kind(flag, &path)?,
            path,
            link: link.unwrap_or_default(),
            mode: u32::try_from(unsigned(&block[100..108])? & 0o7777).unwrap_or_default(),
            uid: narrow(unsigned(&block[108..116])?)?,
            gid: narrow(unsigned(&block[116..124])?)?,
            modified_seconds: numeric(&block[136..148])?,
            modified_nanoseconds: 0,
            size,
            device: (device(&block[329..337]), device(&block[337..345])),
            xattrs: Vec::new(),
        };
        for (key, value) in self.records {
            apply_record(&mut entry, &key, value)?;
        }
        // Links and devices have no data, whatever their header says (POSIX; GNU tar writes sizes for hard links).
        if !matches!(entry.kind, Kind::File) {
            entry.size = 0;
        }
        Ok(entry)
    }
}

fn apply_record(entry: &mut Entry, key: &[u8], value: Vec<u8>) -> io::Result<()> {
    match key {
        b"path" => entry.path = value,
        b"linkpath" => entry.link = value,
        b"size" => entry.size = number(&value)?,
        b"uid" => entry.uid = narrow(number(&value)?)?,
        b"gid" => entry.gid = narrow(number(&value)?)?,
        b"mtime" => (entry.modified_seconds, entry.modified_nanoseconds) = time(&value)?,
        _ => {
            if let Some(name) = key.strip_prefix(XATTR_PREFIX) {
                entry.xattrs.push((name.to_vec(), value));
            } else if key.starts_with(b"GNU.sparse.") {
                return Err(invalid("tar: sparse files are not supported".to_owned()));
            }
        }
    }
    Ok(())
}

fn kind(flag: u8, path: &[u8]) -> io::Result<Kind> {
    Ok(match flag {
        // Before ustar, a directory was a file whose name ends in a slash.
        0 | b'0' if path.ends_with(b"/") => Kind::Directory,
        0 | b'0' | b'7' => Kind::File,
        b'1' => Kind::HardLink,
        b'2' => Kind::Symlink,
        b'3' => Kind::Character,
        b'4' => Kind::Block,
        b'5' => Kind::Directory,
        b'6' => Kind::Fifo,
        b'S' => return Err(invalid("tar: sparse files are not supported".to_owned())),
        other => return Err(invalid(format!("tar: unhandled file type {:?}", char::from(other)))),
    })
}

/// The sum over the header with its own field taken as spaces.
fn check_sum(block: &[u8; BLOCK_BYTES]) -> io::Result<()> {
    let sum: u32 =
        block.iter().enumerate().map(|(i, &b)| if (148..156).contains(&i) { 32 } else { u32::from(b) }).sum();
    if unsigned(&block[148..156]).is_ok_and(|stated| stated == u64::from(sum)) {
        return Ok(());
    }
    Err(invalid("tar: invalid tar header".to_owned()))
}

/// A header's number: octal text, blank for zero, or GNU's two's complement behind a set top bit.
fn numeric(field: &[u8]) -> io::Result<i64> {
    let out_of_range = || invalid("tar: number out of range".to_owned());
    if field[0] & 0x80 == 0 {
        let text = field.split(|&b| b == 0).next().unwrap_or_default();
        let text = std::str::from_utf8(text).map(str::trim).map_err(|_| invalid("tar: malformed number".to_owned()))?;
        let digits = if text.is_empty() { "0" } else { text };
        return i64::from_str_radix(digits, 8).map_err(|_| invalid("tar: malformed number".to_owned()));
    }
    // The top bit only marks the form; the one below is the sign.
    let sign = if field[0] & 0x40 == 0 { 0 } else { -1 };
    let first = i64::from(field[0] & 0x7f) | if sign == 0 { 0 } else { -0x80 };
    field[1..].iter().try_fold(first, |value, &byte| {
        value.checked_mul(256).map(|value| value | i64::from(byte)).ok_or_else(out_of_range)
    })
}

fn unsigned(field: &[u8]) -> io::Result<u64> {
    u64::try_from(numeric(field)?).map_err(|_| invalid("tar: negative number".to_owned()))
}

/// PAX: `LENGTH KEY=VALUE\n`, where the length counts the whole record, so that a value may hold anything.
fn records(mut content: &[u8]) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let malformed = || invalid("tar: malformed PAX record".to_owned());
    let mut records = Vec::new();
    while !content.is_empty() {
        let space = content.iter().position(|&b| b == b' ').ok_or_else(malformed)?;
        let length = usize::try_from(number(&content[..space])?).map_err(|_| malformed())?;
        if length <= space + 1 || length > content.len() {
            return Err(malformed());
        }
        let (record, rest) = content.split_at(length);
        let body = record[space + 1..].strip_suffix(b"\n").ok_or_else(malformed)?;
        let equals = body.iter().position(|&b| b == b'=').ok_or_else(malformed)?;
        records.push((body[..equals].to_vec(), body[equals + 1..].to_vec()));
        content = rest;
    }
    Ok(records)
}

fn number(text: &[u8]) -> io::Result<u64> {
    let text = std::str::from_utf8(text).ok();
    text.and_then(|text| text.parse().ok()).ok_or_else(|| invalid("tar: malformed number".to_owned()))
}

/// Seconds with an optional fraction, as `1700000000.123`.
fn time(text: &[u8]) -> io::Result<(i64, i64)> {
    let malformed = || invalid("tar: malformed time".to_owned());
    let text = std::str::from_utf8(text).map_err(|_| malformed())?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds = whole.parse().map_err(|_| malformed())?;
    let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    let nanoseconds = digits.parse().map_err(|_| malformed())?;
    Ok((seconds, nanoseconds))
}

fn narrow(id: u64) -> io::Result<u32> {
    // The highest value means "leave it" to chown.
    u32::try_from(id).ok().filter(|&id| id != u32::MAX).ok_or_else(|| invalid(format!("tar: owner {id} out of range")))
}

fn trim_nul(mut name: Vec<u8>) -> Vec<u8> {
    if let Some(end) = name.iter().position(|&b| b == 0) {
        name.truncate(end);
    }
    name
}

fn invalid(reason: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(bytes: &[u8]) -> io::Result<Vec<(Entry, Vec<u8>)>> {
        let mut archive = Archive::new(bytes);
        let mut all = Vec::new();
        while let Some(entry) = archive.next_entry()? {
            let mut data = Vec::new();
            archive.read_to_end(&mut data)?;
            all.push((entry, data));
        }
        Ok(all)
    }

    fn header(size: u64) -> Header {
        let mut header = Header::new_ustar();
        header.set_size(size);
        header.set_mode(0o644);
        header
    }

    #[test]
    fn reads_long_names_and_binary_attributes() {
        let long = format!("{}/file", "d".repeat(300));
        let mut builder = tar::Builder::new(Vec::new());
        let binary: &[u8] = b"\x01\n\x00=\n2 ";
        builder.append_pax_extensions([("SCHILY.xattr.security.capability", binary), ("mtime", b"12.5")]).unwrap();
        builder.append_data(&mut header(3), "short", &b"abc"[..]).unwrap();
        let mut gnu = Header::new_gnu();
        gnu.set_size(1);
        gnu.set_mode(0o600);
        builder.append_data(&mut gnu, &long, &b"x"[..]).unwrap();
        let all = entries(&builder.into_inner().unwrap()).unwrap();
        assert_eq!(all.len(), 2);
        assert_eq!(all[0].0.xattrs, [(b"security.capability".to_vec(), binary.to_vec())]);
        assert_eq!((all[0].0.modified_seconds, all[0].0.modified_nanoseconds), (12, 500_000_000));
        assert_eq!((all[0].0.path_lossy().as_str(), all[0].1.as_slice()), ("short", &b"abc"[..]));
        assert_eq!((all[1].0.path_lossy(), all[1].1.as_slice()), (long, &b"x"[..]));
    }

    #[test]
    fn a_cut_or_bent_archive_is_an_error() {
        let mut builder = tar::Builder::new(Vec::new());
        builder.append_data(&mut header(600), "f", &[1; 600][..]).unwrap();
        let whole = builder.into_inner().unwrap();
        assert!(entries(&whole).is_ok());
        for cut in [100, 512 + 100, 512 + 600] {
            assert_eq!(entries(&whole[..cut]).unwrap_err().kind(), io::ErrorKind::UnexpectedEof, "{cut}");
        }
        let mut bent = whole;
        bent[0] = b'g';
        assert!(entries(&bent).unwrap_err().to_string().contains("invalid tar header"));
    }

    #[test]
    fn special_headers_are_bounded() {
        let mut big = header(SPECIAL_BYTES_MAX + 1);
        big.set_entry_type(tar::EntryType::XHeader);
        big.set_path("x").unwrap();
        big.set_cksum();
        assert!(entries(big.as_bytes()).unwrap_err().to_string().contains("at most"));
    }

    #[test]
    fn garbage_is_an_error_or_an_entry_but_never_a_panic() {
        let mut builder = tar::Builder::new(Vec::new());
        builder.append_pax_extensions([("path", b"long".as_slice()), ("size", b"3")]).unwrap();
        builder.append_data(&mut header(3), "f", &b"abc"[..]).unwrap();
        let whole = builder.into_inner().unwrap();
        let mut state = 7u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state >> 8
        };
        let mut errors = 0;
        for _ in 0..5_000 {
            let mut bent = whole.clone();
            let place = next() as usize % bent.len();
            bent[place] = next() as u8;
            // With the sum set right, so that what the header says is looked at.
            for start in [0, 1024] {
                let mut block = Header::from_byte_slice(&bent[start..start + BLOCK_BYTES]).clone();
                block.set_cksum();
                bent[start..start + BLOCK_BYTES].copy_from_slice(block.as_bytes());
            }
            errors += u32::from(entries(&bent).is_err());
        }
        assert!(errors > 0);
    }

    #[test]
    fn reads_numbers_of_all_forms() {
        let check = |field: &[u8], expected: Option<i64>| assert_eq!(numeric(field).ok(), expected, "{field:?}");
        check(b"0000644\0", Some(0o644));
        check(b" 644 \0\0\0", Some(0o644));
        check(&[0; 8], Some(0));
        check(&[0x80, 0, 0, 0, 0, 0, 1, 0], Some(256));
        check(&[0xff; 12], Some(-1));
        check(&[0x80, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], Some(0x7f_ffff_ffff_ffff));
        check(&[0x80, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], None);
        check(b"9999999\0", None);
        check(b"xxxxxxxx", None);
        assert!(unsigned(&[0xff; 12]).is_err());
    }

    #[test]
    fn malformed_records_are_errors() {
        for bad in ["5", "x a=b\n", "3 a=b\n", "99 a=b\n", "6 a=b ", "5 ab\n"] {
            assert!(records(bad.as_bytes()).is_err(), "{bad:?}");
        }
        assert_eq!(records(b"6 a=b\n").unwrap(), [(b"a".to_vec(), b"b".to_vec())]);
    }
}
