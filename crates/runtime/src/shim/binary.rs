//! The shim's program, carried inside this one.
//!
//! It is written to the data directory under the hash of its content: shims of an earlier build keep theirs.

use std::io::Write;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

const PROGRAM: &[u8] = include_bytes!(env!("SHIM_PROGRAM"));

/// The program, ready to be started.
#[derive(Debug)]
pub(crate) struct Binary {
    /// On a read-only mount of its own, so that nothing in a container can write to it.
    sealed: OwnedFd,
}

impl Binary {
    /// Writes the program below `directory`, unless it is there, and opens it.
    pub(crate) fn install(directory: &Path) -> std::io::Result<Binary> {
        let digest = Sha256::digest(PROGRAM);
        let name: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let path = directory.join(format!("sampan-shim-{name}"));
        if !std::fs::read(&path).is_ok_and(|content| content == PROGRAM) {
            std::fs::create_dir_all(directory)?;
            write_whole(&path)?;
        }
        Ok(Binary { sealed: kernel::sealed::open(&path).map_err(std::io::Error::other)? })
    }

    /// What to execute.
    pub(crate) fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.sealed.as_raw_fd()))
    }
}

/// Under another name first: nobody ever sees half a program, and one that runs is not written to.
fn write_whole(path: &Path) -> std::io::Result<()> {
    let draft = path.with_extension(format!("{}.new", std::process::id()));
    let mut file = std::fs::File::options().write(true).create(true).truncate(true).mode(0o500).open(&draft)?;
    file.write_all(PROGRAM)?;
    file.sync_all()?;
    drop(file);
    std::fs::rename(&draft, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The shim has a lock file of its own. Where it named another version, a build after `cargo fetch` would still
    /// want the network.
    #[test]
    fn the_shim_needs_nothing_that_the_workspace_has_not() {
        let version = |lock: &str| {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(lock);
            let text = std::fs::read_to_string(path).unwrap();
            let mut lines = text.lines().skip_while(|line| *line != "name = \"libc\"");
            lines.nth(1).unwrap().to_owned()
        };
        assert_eq!(version("../shim/Cargo.lock"), version("../../Cargo.lock"));
    }

    #[test]
    fn the_program_is_whole_and_says_what_it_lacks() {
        let dir = tempfile::tempdir().unwrap();
        if !nix::unistd::geteuid().is_root() {
            return eprintln!("SKIPPED: needs root");
        }
        Binary::install(dir.path()).unwrap();
        let name = std::fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap().file_name();
        let path = dir.path().join(name);
        std::fs::write(&path, "torn").unwrap();
        let binary = Binary::install(dir.path()).unwrap();
        let garbage = dir.path().join("garbage");
        std::fs::write(&garbage, [255; 4]).unwrap();
        let input = std::fs::File::open(&garbage).unwrap();
        let output = std::process::Command::new(binary.path()).stdin(input).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(String::from_utf8_lossy(&output.stdout), "malformed shim message\n");
    }
}
