//! Mounts of the node: binds, small file systems, and the mount table.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags};

use crate::{Error, Result};

/// One line of `/proc/self/mountinfo`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Where it is mounted.
    pub target: PathBuf,
    /// The directory of its file system that is seen there.
    pub root: PathBuf,
    /// File system type, such as `tmpfs`.
    pub fs_type: String,
    /// Options of the file system, such as `rw,memory` of a cgroup hierarchy.
    pub super_options: String,
    /// Whether mounts below it reach its peers.
    pub shared: bool,
    /// Whether mounts below its peers reach it.
    pub slave: bool,
}

/// The calling process's mount table.
pub fn table() -> Result<Vec<Mount>> {
    let path = Path::new("/proc/thread-self/mountinfo");
    let bytes = std::fs::read(path).map_err(Error::file("read", path))?;
    Ok(bytes.split(|byte| *byte == b'\n').filter_map(parse).collect())
}

/// The mount that holds `path`, the deepest and latest one.
pub fn holding(path: &Path) -> Result<Option<Mount>> {
    let all = table()?;
    Ok(all.into_iter().filter(|mount| path.starts_with(&mount.target)).max_by_key(|m| m.target.as_os_str().len()))
}

/// Whether something is mounted exactly at `path`.
pub fn is_mount_point(path: &Path) -> Result<bool> {
    Ok(table()?.iter().any(|mount| mount.target == path))
}

/// Has the kernel load a file system's module, if it is one. An error when the kernel has no such file system.
///
/// Several first mounts at one time would each have it loaded, and those that find it half loaded fail.
pub fn load_file_system(name: &str) -> Result<()> {
    let opened = rustix::mount::fsopen(name, rustix::mount::FsOpenFlags::FSOPEN_CLOEXEC);
    opened.map(drop).map_err(|error| Error::file("use the file system", Path::new(name))(error.into()))
}

/// Mounts a tmpfs. `size_bytes_max` of 0 is the kernel's default, half of the memory.
pub fn tmpfs(target: &Path, size_bytes_max: u64, mode: u32) -> Result<()> {
    let size = if size_bytes_max == 0 { String::new() } else { format!(",size={size_bytes_max}") };
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    nix::mount::mount(Some("tmpfs"), target, Some("tmpfs"), flags, Some(format!("mode={mode:o}{size}").as_str()))
        .map_err(|errno| Error::file("mount a tmpfs on", target)(errno.into()))
}

/// Shows `source` and what is mounted below it also at `target`.
pub fn bind(source: &Path, target: &Path) -> Result<()> {
    nix::mount::mount(Some(source), target, None::<&str>, MsFlags::MS_BIND | MsFlags::MS_REC, None::<&str>)
        .map_err(|errno| Error::file("bind on", target)(errno.into()))
}

/// Makes the mount at `target` read-only, not what is mounted below it.
pub fn make_read_only(target: &Path) -> Result<()> {
    let flags = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
    nix::mount::mount(None::<&str>, target, None::<&str>, flags, None::<&str>)
        .map_err(|errno| Error::file("make read-only", target)(errno.into()))
}

/// Takes the topmost mount at `target` away, at once from view and for good when nobody uses it any more.
///
/// Answers whether there was one.
pub fn unmount(target: &Path) -> Result<bool> {
    match nix::mount::umount2(target, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW) {
        Ok(()) => Ok(true),
        Err(Errno::EINVAL | Errno::ENOENT) => Ok(false),
        Err(errno) => Err(Error::file("unmount", target)(errno.into())),
    }
}

fn parse(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|byte| *byte == b' ');
    let root = unescape(fields.nth(3)?);
    let target = unescape(fields.next()?);
    let optional: Vec<&[u8]> = fields.by_ref().skip(1).take_while(|field| *field != b"-").collect();
    let has = |name: &[u8]| optional.iter().any(|field| field.starts_with(name));
    let (shared, slave) = (has(b"shared:"), has(b"master:"));
    let fs_type = String::from_utf8_lossy(fields.next()?).into_owned();
    let super_options = String::from_utf8_lossy(fields.nth(1)?).into_owned();
    Some(Mount { target, root, fs_type, super_options, shared, slave })
}

/// The kernel writes space, tab, newline and backslash as three octal digits.
fn unescape(field: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, tail)) = rest.split_first() {
        let code = (first == b'\\').then(|| tail.get(..3)).flatten();
        let code = code.and_then(|digits| std::str::from_utf8(digits).ok());
        match code.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[3..];
            }
            None => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    PathBuf::from(OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_table_are_understood() {
        let check = |line: &str, target: &str, fs_type: &str, shared: bool| {
            let mount = parse(line.as_bytes()).unwrap();
            assert_eq!((mount.target.to_str().unwrap(), mount.fs_type.as_str()), (target, fs_type));
            assert_eq!(mount.shared, shared);
        };
        check(
            "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory",
            "/sys/fs/cgroup/memory",
            "cgroup",
            false,
        );
        check("1 2 8:1 /a /b\\040c rw,relatime shared:1 master:2 - ext4 /dev/vda rw", "/b c", "ext4", true);
        check("1 2 8:1 / / rw master:2 - ext4 /dev/vda rw", "/", "ext4", false);
        assert_eq!(parse(b""), None);
    }

    #[test]
    fn a_mount_comes_and_goes() {
        if !nix::unistd::geteuid().is_root() {
            eprintln!("SKIPPED: needs root");
            return;
        }
        load_file_system("tmpfs").unwrap();
        assert_eq!(load_file_system("none-of-this-name").unwrap_err().errno(), Some(libc::ENODEV));
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        std::fs::create_dir(&from).unwrap();
        std::fs::create_dir(&to).unwrap();
        tmpfs(&from, 1 << 20, 0o700).unwrap();
        std::fs::write(from.join("file"), "x").unwrap();
        bind(&from, &to).unwrap();
        make_read_only(&to).unwrap();
        assert_eq!(std::fs::read_to_string(to.join("file")).unwrap(), "x");
        assert!(std::fs::write(to.join("file"), "y").is_err());
        assert!(is_mount_point(&to).unwrap());
        assert_eq!(holding(&to.join("file")).unwrap().unwrap().target, to);
        assert!(unmount(&to).unwrap() && unmount(&from).unwrap());
        assert!(!unmount(&to).unwrap());
    }
}
