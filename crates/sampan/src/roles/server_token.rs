//! The secret by which a server proves that it belongs to a cluster: 32 random bytes, in hexadecimal.
//!
//! Invariant: it is nowhere but in files that only root may read, never on a command line.

use crate::files;
use crate::settings::{Datastore, Settings};
use anyhow::{Context, Result, bail};
use ring::rand::{SecureRandom as _, SystemRandom};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

const BYTES: usize = 32;

pub(crate) struct ServerToken(Zeroizing<String>);

pub(crate) fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).ok().context("asking the system for random bytes")?;
    Ok(bytes)
}

impl ServerToken {
    pub(crate) fn make() -> Result<ServerToken> {
        let bytes = Zeroizing::new(random::<BYTES>()?);
        Ok(ServerToken(Zeroizing::new(files::hexadecimal(&*bytes))))
    }

    /// Where this server's own stands.
    fn own(settings: &Settings) -> PathBuf {
        settings.data_dir.join("server-token")
    }

    /// The file that counts: the one that was named, else this server's own.
    pub(crate) fn source(settings: &Settings, datastore: &Datastore) -> PathBuf {
        match &datastore.server_token_file {
            Some(named) if named.exists() => named.clone(),
            _ => ServerToken::own(settings),
        }
    }

    /// What this server has been given, or made before. A file that was named may be gone once the token is our own.
    pub(crate) fn of(settings: &Settings, datastore: &Datastore) -> Result<Option<ServerToken>> {
        let found = read(&ServerToken::source(settings, datastore))?;
        match (&datastore.server_token_file, found) {
            (Some(named), None) => bail!("--server-token-file {}: no such file", named.display()),
            (_, found) => Ok(found),
        }
    }

    pub(crate) fn keep(&self, settings: &Settings) -> Result<()> {
        let path = ServerToken::own(settings);
        match read(&path) {
            Ok(Some(present)) if present.0 == self.0 => Ok(()),
            _ => files::write_private(&path, self.0.as_bytes()),
        }
    }

    pub(crate) fn secret(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

fn read(path: &Path) -> Result<Option<ServerToken>> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => Zeroizing::new(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
    };
    warn_of_readers(path)?;
    let token = text.trim();
    if token.len() != 2 * BYTES || !token.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        bail!("{} is no server token: one has {} hexadecimal digits", path.display(), 2 * BYTES);
    }
    Ok(Some(ServerToken(Zeroizing::new(token.to_owned()))))
}

/// A file that an operator brought has the permissions that it was brought with.
fn warn_of_readers(path: &Path) -> Result<()> {
    let metadata = std::fs::metadata(path).with_context(|| format!("reading {}", path.display()))?;
    if metadata.permissions().mode() & 0o077 != 0 {
        tracing::warn!(path = %path.display(), "others than its owner may read the server token: chmod 600");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_back_and_nothing_else_is_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("server-token");
        assert!(read(&path).unwrap().is_none());
        let token = ServerToken::make().unwrap();
        std::fs::write(&path, format!("{}\n", &*token.0)).unwrap();
        assert_eq!(read(&path).unwrap().unwrap().secret(), token.secret());
        for wrong in ["", "abc", &"g".repeat(64)] {
            std::fs::write(&path, wrong).unwrap();
            let error = read(&path).err().unwrap().to_string();
            assert!(error.contains("64 hexadecimal digits"), "{error}");
        }
    }
}
