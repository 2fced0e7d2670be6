//! Requests and limits: what is enforced and what is reported.

use super::{field, inside, pod, until_field, until_ready, with_node};
use crate::harness::{Machine, on_each_runtime};

on_each_runtime! {
    fn limits_are_enforced_and_told(runtime) {
        with_node(runtime, &[memory, classes, what_does_not_fit_waits]);
    }
}

fn memory(machine: &Machine) {
    pod(
        machine,
        "hungry",
        "  restartPolicy: Never\n  containers:\n  - {name: c, image: user-center:v1.0, resources: {limits: {memory: 32Mi}}, \
         command: [sh, -c, 'busybox tail /dev/zero']}\n",
    );
    until_field(machine, "pod/hungry", ".status.phase", "Failed");
    let end = ".status.containerStatuses[0].state.terminated";
    assert_eq!(field(machine, "pod/hungry", &format!("{end}.reason")), "OOMKilled");
    assert_eq!(field(machine, "pod/hungry", &format!("{end}.exitCode")), "137");
    // containerd's /dev/shm is the sandbox's: what fills it counts to the pod until that ends, and nothing starts any
    // more in a pod without memory. Files in /dev end with their container on both.
    let file = if machine.containerd.is_none() { "/dev/shm/x" } else { "/dev/x" };
    let script = format!("exec busybox dd if=/dev/zero of={file} bs=1M count=64");
    pod(
        machine,
        "files",
        &format!(
            "  containers:\n  - {{name: c, image: user-center:v1.0, resources: {{limits: {{memory: 32Mi}}}}, command: [sh, -c, \
             '[ -e /v/again ] && exec sleep 3600; : >/v/again; {script}'], \
             volumeMounts: [{{name: v, mountPath: /v}}]}}\n  volumes: [{{name: v, emptyDir: {{}}}}]\n"
        ),
    );
    until_field(machine, "pod/files", ".status.containerStatuses[0].lastState.terminated.reason", "OOMKilled");
    until_ready(machine, "files");
}

fn classes(machine: &Machine) {
    for (name, resources, class) in [
        ("best", "{}", "BestEffort"),
        ("burst", "{requests: {memory: 16Mi}, limits: {memory: 32Mi}}", "Burstable"),
        ("sure", "{limits: {memory: 32Mi, cpu: 100m}}", "Guaranteed"),
    ] {
        let container = format!(
            "  containers:\n  - {{name: c, image: user-center:v1.0, command: [sleep, '3600'], resources: {resources}}}\n"
        );
        pod(machine, name, &container);
        until_ready(machine, name);
        assert_eq!(field(machine, &format!("pod/{name}"), ".status.qosClass"), class);
        let parent = inside(machine, name, "cat /proc/self/cgroup");
        let folder = match class {
            "Guaranteed" => "/kubepods/pod".to_owned(),
            other => format!("/kubepods/{}/pod", other.to_lowercase()),
        };
        assert!(parent.contains(&folder), "{folder} is not in\n{parent}");
    }
    let adjusted = |name: &str| inside(machine, name, "cat /proc/1/oom_score_adj").trim().parse::<i32>().unwrap();
    assert_eq!(adjusted("best"), 1000);
    assert!((2..1000).contains(&adjusted("burst")), "{}", adjusted("burst"));
    // -997 where the machine lets it.
    assert!((-997..=0).contains(&adjusted("sure")), "{}", adjusted("sure"));
    let script = "cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us 2>/dev/null || cat /sys/fs/cgroup/cpu.max";
    let quota = inside(machine, "sure", script);
    assert!(quota == "10000\n" || quota == "10000 100000\n", "{quota}");
}

fn what_does_not_fit_waits(machine: &Machine) {
    pod(
        machine,
        "large",
        "  containers:\n  - {name: c, image: user-center:v1.0, resources: {requests: {cpu: '1000'}}}\n",
    );
    let condition = ".status.conditions[?(@.type==\"PodScheduled\")]";
    until_field(machine, "pod/large", &format!("{condition}.reason"), "Unschedulable");
    let message = field(machine, "pod/large", &format!("{condition}.message"));
    assert!(message.starts_with("0/1 nodes are available: 1 Insufficient cpu. "), "{message}");
    super::until_event(machine, "large", "FailedScheduling");
}
