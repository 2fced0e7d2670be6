//! `make run` and `make stop`, literally.

use crate::harness::{Cluster, possible, run, said};
use std::path::{Path, PathBuf};

#[test]
fn the_main_job_runs_twice_and_leaves_nothing() {
    if !possible() || which("docker-registry").is_none() || which("skopeo").is_none() {
        eprintln!("SKIPPED: needs docker-registry and skopeo");
        return;
    }
    let cluster = Cluster::machines(1);
    let machine = cluster.first();
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let registry = format!("{}-example-registry", machine.data_dir.display());
    let _registry = EndsRegistry(Path::new(&registry).join("pid"));
    let script = |name: &str| {
        let mut command = machine.inside("sh");
        command
            .arg(examples.join(name))
            .env("SAMPAN", env!("CARGO_BIN_EXE_sampan"))
            .env("SAMPAN_DATA_DIR", &machine.data_dir);
        run(&mut command)
    };
    for _ in 0..2 {
        let output = script("run.sh");
        assert!(output.status.success(), "{}", said(&output));
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains("All of it holds"), "{text}");
        assert!(text.contains("user-center v1.0 pod=user-center-"), "{text}");
    }
    let output = script("stop.sh");
    assert!(output.status.success(), "{}", said(&output));
    assert!(!Path::new(&registry).exists());
    cluster.finish();
}

/// After a failure `stop.sh` did not run: the registry must not outlive the test all the same.
struct EndsRegistry(PathBuf);

impl Drop for EndsRegistry {
    fn drop(&mut self) {
        let pid = std::fs::read_to_string(&self.0).ok().and_then(|pid| pid.trim().parse().ok());
        if let Some(pid @ 1..) = pid {
            let ended = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::SIGKILL);
            eprintln!("the example registry, pid {pid}, ended: {ended:?}");
        }
    }
}

fn which(program: &str) -> Option<()> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).any(|folder| folder.join(program).exists()).then_some(())
}
