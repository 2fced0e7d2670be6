//! `upgrade`: another build takes over under the same pid, and no container notices.

use crate::harness::{Cluster, Machine, possible, run, said};
use crate::image;
use crate::pods::{user_center, wait_available};
use crate::restarts::{Stopping, containers, kill_9, ready_again, write_until};
use nix::sys::signal::Signal;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::atomic::AtomicBool;

/// A text in the shim's program, which the build carries.
const SHIM_TEXT: &[u8] = b"malformed shim message";

/// A build of another version with another shim: what differs between two builds of Sampan that people would run.
pub(crate) fn another_build(folder: &Path) -> PathBuf {
    let mut program = std::fs::read(env!("CARGO_BIN_EXE_sampan-another-build")).unwrap();
    let places: Vec<usize> = memchr_all(&program, SHIM_TEXT);
    assert!(!places.is_empty(), "the build carries a shim");
    for at in places {
        program[at] = b'M';
    }
    let path = folder.join("another");
    std::fs::write(&path, program).unwrap();
    make_executable(&path);
    path
}

fn memchr_all(text: &[u8], part: &[u8]) -> Vec<usize> {
    text.windows(part.len()).enumerate().filter(|(_, window)| *window == part).map(|(at, _)| at).collect()
}

fn make_executable(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// A cluster that runs from a program of its own, which an upgrade may replace.
fn installed(folder: &Path) -> (Cluster, PathBuf) {
    let program = folder.join("sampan");
    std::fs::copy(env!("CARGO_BIN_EXE_sampan"), &program).unwrap();
    let cluster = Cluster::machines(1).running(&program);
    cluster.first().up(&[]);
    image::import(cluster.first(), "v1.0");
    (cluster, program)
}

pub(crate) fn upgrade(machine: &Machine, file: &Path) -> Output {
    let mut command = machine.inside(env!("CARGO_BIN_EXE_sampan"));
    run(command.arg("upgrade").arg(file).arg("--data-dir").arg(&machine.data_dir))
}

fn shims(machine: &Machine) -> usize {
    let folder = machine.data_dir.join("node/runtime/shim");
    let names = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter(|name| name.to_string_lossy().starts_with("sampan-shim-")).count()
}

#[test]
fn nothing_is_lost_across_an_upgrade_and_kills_around_it() {
    if !possible() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (cluster, program) = installed(folder.path());
    let machine = cluster.first();
    machine.apply(&user_center(3));
    wait_available(machine);
    let script = "until [ -e /tmp/end ]; do sleep 0.1; done; exit 9";
    machine.kubectl_args(&["run", "job", "--image=user-center:v1.0", "--restart=Never", "--", "sh", "-c", script]);
    machine.kubectl("wait --for=condition=Ready pod/job --timeout=60s");
    let (before, old, shims_before) = (containers(machine), machine.status(), shims(machine));
    let new = another_build(folder.path());
    let stop = AtomicBool::new(false);
    let acknowledged = std::thread::scope(|scope| {
        let writer = scope.spawn(|| write_until(machine, &stop));
        let stopping = Stopping(&stop);
        for role in ["server", "node"] {
            kill_9(machine, role);
        }
        ready_again(machine, "node", 1);
        // The end comes some time after the command that asks for it, while builds change.
        machine.kubectl_args(&["exec", "job", "--", "sh", "-c", "(sleep 0.5; : > /tmp/end) >/dev/null 2>&1 &"]);
        let output = upgrade(machine, &new);
        assert!(output.status.success(), "{}\n{}", said(&output), machine.log());
        assert!(said(&output).contains(&format!("from {} to ", old["version"].as_str().unwrap())), "{}", said(&output));
        kill_9(machine, "server");
        kill_9(machine, "node");
        ready_again(machine, "server", 1);
        ready_again(machine, "node", 1);
        drop(stopping);
        writer.join().unwrap()
    });
    let status = machine.status();
    assert_eq!(status["version"], format!("{}-another", old["version"].as_str().unwrap()));
    assert_eq!(status["pid"], old["pid"], "the supervisor's pid stays");
    assert_eq!(std::fs::read(&program).unwrap(), std::fs::read(&new).unwrap());
    assert!(!program.with_extension("previous.tmp").exists() && std::fs::read_dir(folder.path()).unwrap().count() == 2);
    machine.until("the exit is reported", |machine| {
        let path = "jsonpath={.status.containerStatuses[0].state.terminated.exitCode}";
        let output = machine.try_kubectl(&["get", "pod", "job", "-o", path]);
        if output.stdout == b"9" { Ok(()) } else { Err(said(&output)) }
    });
    assert!(acknowledged.len() > 3, "the writer came through: {}", acknowledged.len());
    assert!(acknowledged.is_sorted_by(|one, next| one.1 < next.1), "revisions only rise: {acknowledged:?}");
    let listed = machine.kubectl("get configmaps -o name");
    for (name, _) in &acknowledged {
        assert!(listed.contains(&format!("configmap/{name}\n")), "{name} of {} is lost", acknowledged.len());
    }
    assert_eq!(containers(machine), before, "no container was touched");
    // New pods come up under the new build's shim, beside those of the old one, and both answer.
    assert_eq!(shims(machine), shims_before + 1, "the other build brought another shim");
    machine.kubectl("scale deployment/user-center -n user-center --replicas=4");
    machine.kubectl("rollout status deployment/user-center -n user-center --timeout=60s");
    for pod in machine.kubectl("get pods -n user-center -l app=user-center -o name").lines() {
        machine.kubectl(&format!("exec -n user-center {pod} -- sh -c :"));
    }
    cluster.finish();
}

#[test]
fn what_is_no_build_is_refused_and_one_that_fails_is_taken_back() {
    if !possible() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (cluster, program) = installed(folder.path());
    let machine = cluster.first();
    machine.apply(&user_center(1));
    wait_available(machine);
    let (before, old) = (containers(machine), machine.status());
    let bytes = std::fs::read(&program).unwrap();
    let script = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    for (file, complaint) in [
        (script("text", "no program"), "it does not run on this machine"),
        (PathBuf::from("/bin/true"), "it is not a sampan for this cluster"),
    ] {
        let output = upgrade(machine, &file);
        assert!(!output.status.success() && said(&output).contains(complaint), "{}", said(&output));
        assert_eq!(machine.status(), old, "nothing was touched");
    }
    // They pass the check, and then fail: one whose server cannot open its store, and one that is no supervisor.
    let store = machine.data_dir.join("store");
    let no_store =
        format!("exec unshare --mount sh -c 'mount -t tmpfs -o ro none {} && exec \"$0\" \"$@\"'", store.display());
    for failing in [no_store.as_str(), "exit 1;"] {
        let build = env!("CARGO_BIN_EXE_sampan-another-build");
        let text = format!("#!/bin/sh\n[ \"$1\" = supervise ] && {failing} {build} \"$@\"\nexec {build} \"$@\"\n");
        let output = upgrade(machine, &script("failing", &text));
        assert!(!output.status.success() && said(&output).contains("runs again"), "{failing}: {}", said(&output));
        let status = machine.status();
        assert_eq!((&status["version"], &status["ready"]), (&old["version"], &true.into()), "{failing}");
        assert!(std::fs::read(&program).unwrap() == bytes, "{failing}: the old build is back in its place");
    }
    wait_available(machine);
    assert_eq!(containers(machine), before, "no container was touched");
    nix::sys::signal::kill(pid(machine), Signal::SIGUSR2).unwrap();
    machine.until("the same build starts anew", |machine| {
        let status = machine.status();
        let anew = status["ready"] == true && status["server"]["pid"] != old["server"]["pid"];
        if anew { Ok(()) } else { Err(status.to_string()) }
    });
    cluster.finish();
}

fn pid(machine: &Machine) -> nix::unistd::Pid {
    nix::unistd::Pid::from_raw(machine.status()["pid"].as_i64().unwrap().try_into().unwrap())
}
