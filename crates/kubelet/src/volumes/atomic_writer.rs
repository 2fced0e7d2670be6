//! Writes a volume's files so that a reader sees the old set or the new one, never a mixture.
//!
//! Layout, as upstream's: files in `..<time>/`, `..data` linking there, and a link into `..data` for every name at
//! the top. An update writes a new directory and swings `..data` over by one rename.

use super::payload::Payload;
use jiff::Timestamp;
use std::collections::BTreeSet;
use std::io;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Component, Path, PathBuf};

const DATA: &str = "..data";
const DATA_NEW: &str = "..data_tmp";

/// Makes the volume at `root` hold exactly `payload`. With `group`, all of it is that group's and readable to it.
/// Answers whether anything changed.
pub(crate) fn write(root: &Path, payload: &Payload, group: Option<u32>, now: Timestamp) -> io::Result<bool> {
    let before = std::fs::read_link(root.join(DATA)).ok();
    if let Some(before) = &before
        && is_same(&root.join(before), payload, group)?
    {
        return Ok(false);
    }
    let stamp = format!("..{}", now.strftime("%Y_%m_%d_%H_%M_%S.%f"));
    let fresh = root.join(&stamp);
    // Left by a write that was interrupted in the very same instant of a clock that went back.
    remove_tree(&fresh)?;
    make_dir(&fresh, group)?;
    for (path, file) in payload {
        let target = fresh.join(path);
        make_parents(&fresh, path, group)?;
        std::fs::write(&target, &file.bytes)?;
        chown(&target, file.user, group)?;
        std::fs::set_permissions(&target, std::fs::Permissions::from_mode(mode(file.mode, group)))?;
    }
    let new_link = root.join(DATA_NEW);
    remove_file(&new_link)?;
    symlink(&stamp, &new_link)?;
    std::fs::rename(&new_link, root.join(DATA))?;
    link_names(root, payload)?;
    if let Some(before) = before.filter(|before| *before != Path::new(&stamp)) {
        remove_tree(&root.join(before))?;
    }
    Ok(true)
}

fn mode(mode: u32, group: Option<u32>) -> u32 {
    if group.is_some() { mode | 0o440 } else { mode }
}

fn make_dir(path: &Path, group: Option<u32>) -> io::Result<()> {
    std::fs::create_dir(path)?;
    if group.is_some() {
        chown(path, None, group)?;
    }
    let mode = if group.is_some() { 0o2775 } else { 0o755 };
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
}

fn make_parents(root: &Path, path: &str, group: Option<u32>) -> io::Result<()> {
    let mut directory = root.to_owned();
    for part in Path::new(path).parent().into_iter().flat_map(Path::components) {
        directory.push(part);
        if !directory.is_dir() {
            make_dir(&directory, group)?;
        }
    }
    Ok(())
}

/// Links at the top for the names of `payload`; those of names that are gone are taken away after.
fn link_names(root: &Path, payload: &Payload) -> io::Result<()> {
    let mut names = BTreeSet::new();
    for path in payload.keys() {
        if let Some(Component::Normal(first)) = Path::new(path).components().next() {
            names.insert(first.to_owned());
        }
    }
    for name in &names {
        let link = root.join(name);
        let target = Path::new(DATA).join(name);
        match std::fs::read_link(&link) {
            Ok(present) if present == target => {}
            Ok(_) => {
                std::fs::remove_file(&link)?;
                symlink(target, link)?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => symlink(target, link)?,
            Err(error) => return Err(error),
        }
    }
    for entry in std::fs::read_dir(root)? {
        let entry = entry?;
        let name = entry.file_name();
        let is_ours = entry.file_type()?.is_symlink() && !name.as_encoded_bytes().starts_with(b"..");
        if is_ours && !names.contains(&name) {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Whether the directory holds these files and no others.
fn is_same(directory: &Path, payload: &Payload, group: Option<u32>) -> io::Result<bool> {
    let mut present = BTreeSet::new();
    if !directory.is_dir() {
        return Ok(false);
    }
    files_below(directory, directory, &mut present)?;
    if present.len() != payload.len() {
        return Ok(false);
    }
    for (path, file) in payload {
        if !present.contains(Path::new(path)) {
            return Ok(false);
        }
        let at = directory.join(path);
        let same_mode = std::fs::metadata(&at)?.permissions().mode() & 0o7777 == mode(file.mode, group);
        if !same_mode || std::fs::read(&at)? != file.bytes {
            return Ok(false);
        }
    }
    Ok(true)
}

fn files_below(root: &Path, directory: &Path, into: &mut BTreeSet<PathBuf>) -> io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            files_below(root, &entry.path(), into)?;
        } else if let Ok(relative) = entry.path().strip_prefix(root) {
            into.insert(relative.to_owned());
        }
    }
    Ok(())
}

fn remove_tree(path: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn remove_file(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::payload::File;
    use super::*;

    fn payload(files: &[(&str, &str)]) -> Payload {
        let file = |text: &str| File { bytes: text.as_bytes().to_vec(), mode: 0o640, user: None };
        files.iter().map(|(path, text)| (path.to_string(), file(text))).collect()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn visible(root: &Path) -> Vec<String> {
        let names = std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.filter(|name| !name.starts_with("..")).collect();
        names.sort();
        names
    }

    #[test]
    fn an_update_replaces_everything_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        assert!(write(root, &payload(&[("a", "1"), ("d/b", "2")]), None, at(1)).unwrap());
        assert_eq!(std::fs::read_to_string(root.join("d/b")).unwrap(), "2");
        assert_eq!(std::fs::metadata(root.join("a")).unwrap().permissions().mode() & 0o777, 0o640);
        let first = std::fs::read_link(root.join(DATA)).unwrap();
        assert!(write(root, &payload(&[("a", "9"), ("c", "3")]), None, at(2)).unwrap());
        assert_eq!(std::fs::read_to_string(root.join("a")).unwrap(), "9");
        assert_eq!(visible(root), ["a", "c"]);
        assert!(!root.join(first).exists(), "the old directory is gone");
        assert_eq!(std::fs::read_link(root.join("a")).unwrap(), Path::new("..data/a"));
    }

    #[test]
    fn the_same_payload_is_not_written_again() {
        let dir = tempfile::tempdir().unwrap();
        let files = payload(&[("a", "1")]);
        assert!(write(dir.path(), &files, None, at(1)).unwrap());
        assert!(!write(dir.path(), &files, None, at(2)).unwrap());
        std::fs::write(dir.path().join("a"), "changed by hand").unwrap();
        assert!(write(dir.path(), &files, None, at(3)).unwrap());
    }
}
