//! The example image, made once per test from the machine's own files.

use crate::harness::Machine;
use std::path::{Path, PathBuf};
use std::process::Command;

/// `docker.io/library/user-center:VERSION` in the machine's store, or in that of its own runtime.
pub(crate) fn import(machine: &Machine, version: &str) {
    let archive = archive(&machine.data_dir, version);
    match &machine.containerd {
        Some(containerd) => containerd.import(&archive, &format!("docker.io/library/user-center:{version}")),
        None => {
            machine.sampan(&["image", "import", archive.to_str().unwrap()]);
        }
    }
}

pub(crate) fn archive(folder: &Path, version: &str) -> PathBuf {
    let archive = folder.join(format!("user-center-{version}.tar"));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/user-center/image/make.sh");
    let made = Command::new("sh").arg(script).arg(version).arg(&archive).status().unwrap();
    assert!(made.success());
    archive
}
