//! Files that nobody else may read, replaced as a whole or not at all.

use super::PkiError;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

fn write_error(path: &Path) -> impl FnOnce(std::io::Error) -> PkiError {
    |source| PkiError::Write { path: path.to_owned(), source }
}

/// Makes a directory (and those above it) that only its owner may enter.
pub(crate) fn private_dir(dir: &Path) -> Result<(), PkiError> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(write_error(dir))
}

/// The file's text; `None` where there is no file.
pub(crate) fn read(path: &Path) -> Result<Option<String>, PkiError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(PkiError::Read { path: path.to_owned(), source }),
    }
}

/// Replaces a file by way of a neighbour of mode 0600 that is on disk before it takes the name.
pub fn write_private(path: &Path, text: &str) -> Result<(), PkiError> {
    let mut neighbour = path.as_os_str().to_owned();
    neighbour.push(".new");
    let neighbour = Path::new(&neighbour);
    match std::fs::remove_file(neighbour) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(write_error(neighbour)(error)),
        _ => {}
    }
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(neighbour).map_err(write_error(neighbour))?;
    file.write_all(text.as_bytes()).map_err(write_error(neighbour))?;
    file.sync_all().map_err(write_error(neighbour))?;
    std::fs::rename(neighbour, path).map_err(write_error(path))
}

/// Makes the names of the directory's files durable.
pub(crate) fn sync_dir(dir: &Path) -> Result<(), PkiError> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(write_error(dir))
}

/// The private keys of a file, in its order; made with one key if there is none.
pub(crate) fn keys(path: &Path) -> Result<Vec<String>, PkiError> {
    let text = match read(path)? {
        Some(text) => text,
        None => {
            let key = rcgen::KeyPair::generate()
                .map_err(|source| PkiError::Make { what: "the key of service accounts", source })?
                .serialize_pem();
            write_private(path, &key)?;
            key
        }
    };
    let keys = pem_blocks(&text, "PRIVATE KEY");
    if keys.is_empty() {
        return Err(PkiError::Damaged { path: path.to_owned(), why: "no private key".to_owned() });
    }
    Ok(keys)
}

/// The PEM blocks whose label ends with `label`, with their armour.
pub(crate) fn pem_blocks(text: &str, label: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find("-----BEGIN ") {
        let Some(length) = rest[start..].find("-----END ") else { break };
        let tail = &rest[start + length..];
        let end = start + length + tail.find('\n').map_or(tail.len(), |newline| newline + 1);
        let first = rest[start..].lines().next().unwrap_or_default();
        if first.trim_end().trim_end_matches('-').ends_with(label) {
            let mut block = rest[start..end].to_owned();
            if !block.ends_with('\n') {
                block.push('\n');
            }
            blocks.push(block);
        }
        rest = &rest[end..];
    }
    blocks
}
