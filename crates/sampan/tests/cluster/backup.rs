//! Backup and restore: what was there is there again, and nobody is shown a revision twice.

use crate::harness::{Cluster, Machine, possible, run, said};
use crate::image;
use crate::pods::{user_center, wait_available};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

fn revision(machine: &Machine, name: &str) -> u64 {
    let path = format!("get configmap {name} -o jsonpath={{.metadata.resourceVersion}}");
    machine.kubectl(&path).parse().unwrap()
}

pub(crate) fn restore(machine: &Machine, file: &Path, flags: &[&str]) -> std::process::Output {
    let mut command = machine.inside(env!("CARGO_BIN_EXE_sampan"));
    command.arg("restore").arg(file).arg("--data-dir").arg(&machine.data_dir).args(flags);
    run(&mut command)
}

#[test]
fn a_backup_of_a_running_cluster_comes_back_after_everything_is_lost() {
    if !possible() {
        return;
    }
    let cluster = Cluster::up(&[]);
    let machine = cluster.first();
    image::import(machine, "v1.0");
    machine.apply(&user_center(2));
    wait_available(machine);
    machine.kubectl("create configmap before");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cluster.backup");
    machine.sampan(&["backup", file.to_str().unwrap()]);
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!machine.data_dir.join("backup.tmp").exists());
    let token = machine.kubectl("create token default");
    machine.kubectl("create configmap after");
    let seen = revision(machine, "after");

    // In the same directory, with its containers alive.
    let refused = restore(machine, &file, &[]);
    assert!(said(&refused).contains("a sampan runs in"), "{}", said(&refused));
    let before = crate::restarts::containers(machine);
    machine.stop();
    let refused = restore(machine, &file, &[]);
    assert!(said(&refused).contains("is not empty: --overwrite"), "{}", said(&refused));
    let done = restore(machine, &file, &["--overwrite"]);
    assert!(done.status.success(), "{}", said(&done));
    machine.up_again();
    goes_on(machine, seen);
    wait_available(machine);
    assert_eq!(crate::restarts::containers(machine), before, "no container was touched");

    // After everything of the machine was lost.
    machine.sampan(&["reset", "--yes"]);
    let done = restore(machine, &file, &[]);
    assert!(done.status.success(), "{}", said(&done));
    machine.up_again();
    goes_on(machine, seen);
    image::import(machine, "v1.0");
    wait_available(machine);
    // The keys are the old ones: what was issued before is still good.
    let who =
        machine.try_kubectl(&["auth", "whoami", "--token", token.trim(), "-o", "jsonpath={.status.userInfo.username}"]);
    assert_eq!(String::from_utf8_lossy(&who.stdout), "kubernetes-admin", "a client certificate wins over a token");
    cluster.finish();
}

/// What the backup has is there and nothing else is; revisions go on after all that were ever seen, and whoever
/// watched from one of those is told that it is gone.
fn goes_on(machine: &Machine, seen: u64) {
    machine.kubectl("get configmap before");
    let gone = machine.try_kubectl(&["get", "configmap", "after"]);
    assert!(said(&gone).contains("not found"), "{}", said(&gone));
    let name = format!("again-{seen}");
    machine.kubectl(&format!("create configmap {name}"));
    assert!(revision(machine, &name) > seen, "{} is not after {seen}", revision(machine, &name));
    machine.kubectl(&format!("delete configmap {name}"));
    let path = format!("/api/v1/namespaces/default/configmaps?watch=true&timeoutSeconds=1&resourceVersion={seen}");
    let watched = machine.try_kubectl(&["get", "--raw", &path]);
    let text = said(&watched);
    assert!(text.contains("too old resource version") || text.contains("\"code\":410"), "{text}");
}

#[test]
fn a_backup_that_is_cut_short_is_refused_and_nothing_is_changed() {
    if !possible() {
        return;
    }
    let cluster = Cluster::machines(1);
    let machine = cluster.first();
    machine.up_server();
    machine.stop();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("stopped.backup");
    machine.sampan(&["backup", file.to_str().unwrap()]);
    let whole = std::fs::read(&file).unwrap();
    let state = listing(&machine.data_dir);
    for length in [0, 100, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&file, &whole[..length]).unwrap();
        let refused = restore(machine, &file, &["--overwrite"]);
        assert!(said(&refused).contains("is no whole backup"), "{length}: {}", said(&refused));
        assert_eq!(listing(&machine.data_dir), state, "cut at {length}");
    }
    machine.sampan(&["reset", "--yes"]);
    let refused = restore(machine, &file, &[]);
    assert!(!refused.status.success() && !machine.data_dir.exists(), "{}", said(&refused));
    cluster.finish();
}

/// Every file below a folder, with its length.
fn listing(folder: &Path) -> Vec<(std::path::PathBuf, u64)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(listing(&path));
        } else {
            found.push((path.clone(), path.metadata().unwrap().len()));
        }
    }
    found.sort();
    found
}
