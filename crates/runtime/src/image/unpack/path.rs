//! The names inside a layer, made safe to resolve.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The kernel's `PATH_MAX`, less its NUL.
const PATH_LENGTH_MAX: usize = 4095;
const WHITEOUT_PREFIX: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";
/// aufs kept its own files under this prefix (`.wh..wh.plnk`, `.wh..wh.aufs`): no image means them.
const AUFS_PREFIX: &[u8] = b".wh..wh.";

/// A relative path without `.` and `..`; the layer's root is empty. An absolute one counts from the layer's root.
///
/// This is not what keeps writes inside (the kernel does, where links are followed): it refuses what no honest
/// layer holds.
pub(crate) fn clean(raw: &[u8]) -> Result<PathBuf, String> {
    if raw.len() > PATH_LENGTH_MAX {
        return Err(format!("its name is longer than {PATH_LENGTH_MAX} bytes"));
    }
    if raw.contains(&0) {
        return Err("its name has a zero byte".to_owned());
    }
    let mut clean = PathBuf::new();
    for component in raw.split(|&b| b == b'/') {
        match component {
            b"" | b"." => {}
            b".." => {
                if !clean.pop() {
                    return Err("it is outside of the layer's root".to_owned());
                }
            }
            name => clean.push(OsStr::from_bytes(name)),
        }
    }
    Ok(clean)
}

/// What a file's name says, beyond naming a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Marker {
    /// Nothing: a file of the image.
    None,
    /// The directory hides what layers below have in it.
    Opaque,
    /// This sibling is hidden.
    Whiteout(PathBuf),
    /// Another tool's bookkeeping.
    Ignored,
}

/// Reads OCI's whiteout convention off a clean path.
pub(super) fn marker(path: &Path) -> Result<Marker, String> {
    let Some(name) = path.file_name().map(OsStr::as_bytes) else { return Ok(Marker::None) };
    if name == OPAQUE {
        return Ok(Marker::Opaque);
    }
    if name.starts_with(AUFS_PREFIX) {
        return Ok(Marker::Ignored);
    }
    match name.strip_prefix(WHITEOUT_PREFIX) {
        None => Ok(Marker::None),
        Some(b"" | b"." | b"..") => Err("a whiteout must name a file".to_owned()),
        Some(hidden) => Ok(Marker::Whiteout(path.with_file_name(OsStr::from_bytes(hidden)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_inside() {
        let check = |raw: &str, expected: Option<&str>| {
            assert_eq!(clean(raw.as_bytes()).ok().as_deref(), expected.map(Path::new), "{raw}");
        };
        check("./", Some(""));
        check("a/./b//c/", Some("a/b/c"));
        check("/etc/passwd", Some("etc/passwd"));
        check("a/../b", Some("b"));
        check("../x", None);
        check("a/../../x", None);
        check("/..", None);
        check("a\0b", None);
        check(&"x/".repeat(3000), None);
    }

    #[test]
    fn reads_whiteouts() {
        let check = |path: &str| marker(Path::new(path));
        assert_eq!(check("a/b"), Ok(Marker::None));
        assert_eq!(check("a/.wh.b"), Ok(Marker::Whiteout("a/b".into())));
        assert_eq!(check("a/.wh..wh..opq"), Ok(Marker::Opaque));
        assert_eq!(check(".wh..wh.plnk"), Ok(Marker::Ignored));
        assert!(check("a/.wh...").is_err());
        assert!(check("a/.wh..").is_err());
        assert!(check("a/.wh.").is_err());
    }
}
