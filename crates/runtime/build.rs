//! Builds the shim, a static program of its own, and puts it where `shim::binary` includes it.
//!
//! It is always the release build, in a target directory of its own: what a developer tests is what ships.

use std::path::{Path, PathBuf};
use std::process::Command;

/// What the outer build set for itself and must not reach the inner one.
const NOT_INHERITED: [&str; 6] = [
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_TARGET_DIR",
    "CARGO_BUILD_TARGET_DIR",
    "RUSTC_WRAPPER",
    "RUSTC_WORKSPACE_WRAPPER",
    "CARGO_INCREMENTAL",
];

/// Static and at fixed addresses: no loader and no relocations, whose pages every shim would have for itself.
const FLAGS: &str = "-C target-feature=+crt-static -C relocation-model=static";

fn main() {
    let source = PathBuf::from(variable("CARGO_MANIFEST_DIR")).join("../shim");
    for part in ["Cargo.toml", "Cargo.lock", "src"] {
        println!("cargo:rerun-if-changed={}", source.join(part).display());
    }
    let target = PathBuf::from(variable("OUT_DIR")).join("shim");
    let triple = variable("TARGET");
    build(&source, &target, &triple);
    let program = target.join(&triple).join("release/sampan-shim");
    println!("cargo:rustc-env=SHIM_PROGRAM={}", program.display());
}

fn build(source: &Path, target: &Path, triple: &str) {
    let mut cargo = Command::new(variable("CARGO"));
    cargo.args(["build", "--release", "--locked", "--quiet", "--bin", "sampan-shim", "--target", triple]);
    cargo.arg("--manifest-path").arg(source.join("Cargo.toml")).arg("--target-dir").arg(target);
    cargo.current_dir(source).env("RUSTFLAGS", FLAGS);
    for name in NOT_INHERITED {
        cargo.env_remove(name);
    }
    match cargo.status() {
        Ok(status) if status.success() => {}
        Ok(status) => panic!("building the shim failed: {status}"),
        Err(error) => panic!("cannot run cargo for the shim: {error}"),
    }
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("cargo sets {name} for build scripts"))
}
