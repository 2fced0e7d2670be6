//! Groups on this machine's own hierarchies, whatever they are.

use std::process::{Command, Stdio};
use std::time::Duration;

use super::{Cgroup, DeviceRule, Limits};

/// A group of this test alone; `None` (said aloud) without root.
fn group(name: &str) -> Option<Cgroup> {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("SKIPPED: needs root");
        return None;
    }
    Some(Cgroup::at(format!("/kernel-test-{name}-{}", std::process::id())).unwrap())
}

fn in_group(group: &Cgroup, script: &str) -> std::process::Child {
    let mut command = String::new();
    for directory in group.directories() {
        command.push_str(&format!("echo 0 > {}/cgroup.procs; ", directory.display()));
    }
    command.push_str(script);
    Command::new("sh").args(["-c", &command]).stdout(Stdio::piped()).spawn().unwrap()
}

#[test]
fn only_absolute_paths_without_dots_are_groups() {
    for bad in ["relative", "/a/../b", ""] {
        assert!(Cgroup::at(bad).is_err(), "{bad}");
    }
    let parent = Cgroup::at("/a").unwrap();
    assert!(parent.child("../b").is_err());
    assert_eq!(parent.child("b").unwrap().path(), std::path::Path::new("/a/b"));
}

#[test]
fn a_group_lives_and_dies_with_everything_below() {
    let Some(group) = group("life") else { return };
    let child = group.child("child").unwrap();
    child.create().unwrap();
    child.create().unwrap();
    let mut process = in_group(&child, "sleep 60 & sleep 60 & exec sleep 60");
    while child.processes().unwrap().len() < 3 {
        std::thread::yield_now();
    }
    assert!(group.remove().is_err(), "a group with processes stays");
    // The test reaps its own child beside the kill, as a parent does.
    let reaper = std::thread::spawn(move || process.wait().unwrap());
    group.end(Duration::from_secs(10)).unwrap();
    reaper.join().unwrap();
    assert!(!group.exists());
    group.end(Duration::from_secs(1)).unwrap();
}

#[test]
fn limits_hold_and_oom_kills_are_counted() {
    let Some(group) = group("limits") else { return };
    group.create().unwrap();
    let limits = Limits {
        memory_bytes_max: Some(20 << 20),
        memory_and_swap_bytes_max: Some(20 << 20),
        cpu_shares: Some(512),
        cpu_quota_us: Some(50_000),
        cpu_period_us: Some(100_000),
        pids_max: Some(20),
        ..Limits::default()
    };
    group.limit(&limits).unwrap();
    assert_eq!(group.stats().memory_bytes_max, Some(20 << 20));
    group
        .limit(&Limits { memory_bytes_max: Some(30 << 20), memory_and_swap_bytes_max: Some(30 << 20), ..limits })
        .unwrap();
    assert_eq!(group.stats().memory_bytes_max, Some(30 << 20), "a limit can grow");
    let hog = in_group(&group, "tail /dev/zero; echo ended $?");
    let output = hog.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "ended 137\n");
    assert_eq!(group.oom_kills(), 1);
    assert!(group.stats().cpu_usage_ns > 0);
    group.end(Duration::from_secs(10)).unwrap();
}

#[test]
fn devices_that_are_not_allowed_are_refused() {
    let Some(group) = group("devices") else { return };
    group.create().unwrap();
    let null = DeviceRule { kind: 'c', major: Some(1), minor: Some(3), read: true, write: true, mknod: true };
    group.allow_devices(&[null]).unwrap();
    let output = in_group(&group, "(: < /dev/null) && echo read; (: < /dev/zero) || echo kept").wait_with_output();
    assert_eq!(String::from_utf8_lossy(&output.unwrap().stdout), "read\nkept\n");
    group.end(Duration::from_secs(10)).unwrap();
}
