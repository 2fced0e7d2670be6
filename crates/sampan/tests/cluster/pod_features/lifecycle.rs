//! The order of containers, their ends and their restarts.

use super::{field, inside, pod, reasons, until_field, until_ready, with_node};
use crate::harness::{Machine, on_each_runtime};

const FIRST: &str = ".status.containerStatuses[0]";

on_each_runtime! {
    fn containers_begin_end_and_restart_as_specified(runtime) {
        with_node(runtime, &[
        init_containers_run_one_after_the_other,
        a_failing_init_container_holds_the_pod,
        a_sidecar_lives_as_long_as_the_pod,
        on_failure_restarts_until_it_succeeds,
        always_restarts_with_back_off,
        never_ends_with_the_containers,
        hooks_run_after_the_start_and_before_the_end,
        a_failing_post_start_hook_ends_the_container,
        what_ignores_the_signal_is_killed_after_the_grace,
        a_termination_message_is_reported,
        a_deadline_ends_the_pod,
    ]);
    }
}

fn init_containers_run_one_after_the_other(machine: &Machine) {
    let init = |name: &str, wait: &str| {
        format!(
            "  - name: {name}\n    image: user-center:v1.0\n    command: [sh, -c, 'sleep {wait}; echo {name} >>/v/order']\n    \
             volumeMounts: [{{name: v, mountPath: /v}}]\n"
        )
    };
    let main = "  - name: main\n    image: user-center:v1.0\n    command: [sh, -c, 'echo main >>/v/order; exec sleep 3600']\n    \
                volumeMounts: [{name: v, mountPath: /v}]\n";
    let specification = format!(
        "  initContainers:\n{}{}  containers:\n{main}  volumes: [{{name: v, emptyDir: {{}}}}]\n",
        init("one", "0.5"),
        init("two", "0")
    );
    pod(machine, "ordered", &specification);
    until_ready(machine, "ordered");
    assert_eq!(inside(machine, "ordered", "cat /v/order"), "one\ntwo\nmain\n");
    let ends = field(machine, "pod/ordered", ".status.initContainerStatuses[*].state.terminated.reason");
    assert_eq!(ends, "Completed Completed");
    let initialized = ".status.conditions[?(@.type==\"Initialized\")].status";
    assert_eq!(field(machine, "pod/ordered", initialized), "True");
}

fn a_failing_init_container_holds_the_pod(machine: &Machine) {
    pod(
        machine,
        "held",
        "  initContainers:\n  - {name: init, image: user-center:v1.0, command: [sh, -c, 'exit 3']}\n  containers:\n  \
         - {name: main, image: user-center:v1.0}\n",
    );
    until_field(machine, "pod/held", ".status.initContainerStatuses[0].state.waiting.reason", "CrashLoopBackOff");
    assert_eq!(field(machine, "pod/held", ".status.initContainerStatuses[0].lastState.terminated.exitCode"), "3");
    assert_eq!(field(machine, "pod/held", ".status.phase"), "Pending");
    assert_eq!(field(machine, "pod/held", &format!("{FIRST}.state.waiting.reason")), "PodInitializing");
    machine.kubectl("delete pod held");
    // With Never, its failure is the pod's.
    pod(
        machine,
        "failed",
        "  restartPolicy: Never\n  initContainers:\n  - {name: init, image: user-center:v1.0, command: [sh, -c, 'exit 3']}\n  \
         containers:\n  - {name: main, image: user-center:v1.0}\n",
    );
    until_field(machine, "pod/failed", ".status.phase", "Failed");
    assert_eq!(
        field(machine, "pod/failed", &format!("{FIRST}.state.waiting.reason")),
        "PodInitializing",
        "it never began"
    );
}

fn a_sidecar_lives_as_long_as_the_pod(machine: &Machine) {
    pod(
        machine,
        "sidecar",
        "  restartPolicy: Never\n  initContainers:\n  - name: side\n    image: user-center:v1.0\n    restartPolicy: Always\n    \
         command: [sh, -c, 'trap \"exit 0\" TERM; : >/v/side; sleep 3600 & wait']\n    \
         startupProbe: {exec: {command: [ls, /v/side]}, periodSeconds: 1}\n    volumeMounts: [{name: v, mountPath: /v}]\n  \
         containers:\n  - name: main\n    image: user-center:v1.0\n    command: [sh, -c, 'ls /v/side && sleep 0.5']\n    \
         volumeMounts: [{name: v, mountPath: /v}]\n  volumes: [{name: v, emptyDir: {}}]\n",
    );
    until_field(machine, "pod/sidecar", ".status.phase", "Succeeded");
    assert_eq!(machine.kubectl("logs sidecar -c main"), "/v/side\n", "the sidecar had started before");
    until_field(machine, "pod/sidecar", ".status.initContainerStatuses[0].state.terminated.exitCode", "0");
}

fn on_failure_restarts_until_it_succeeds(machine: &Machine) {
    let script = "echo x >>/v/n; n=$(busybox wc -l </v/n); echo attempt $n; [ $n = 3 ] || exit $n";
    pod(
        machine,
        "retried",
        &format!(
            "  restartPolicy: OnFailure\n  containers:\n  - name: c\n    image: user-center:v1.0\n    command: [sh, -c, '{script}']\n    \
             volumeMounts: [{{name: v, mountPath: /v}}]\n  volumes: [{{name: v, emptyDir: {{}}}}]\n"
        ),
    );
    until_field(machine, "pod/retried", &format!("{FIRST}.state.waiting.reason"), "CrashLoopBackOff");
    let message = field(machine, "pod/retried", &format!("{FIRST}.state.waiting.message"));
    assert!(message.starts_with("back-off 10s restarting failed container=c pod=retried_default("), "{message}");
    assert_eq!(field(machine, "pod/retried", &format!("{FIRST}.lastState.terminated.exitCode")), "2");
    assert_eq!(machine.kubectl("logs retried"), "attempt 2\n");
    assert_eq!(machine.kubectl("logs retried --previous"), "attempt 2\n", "while it waits both are its last");
    until_field(machine, "pod/retried", ".status.phase", "Succeeded");
    assert_eq!(field(machine, "pod/retried", &format!("{FIRST}.restartCount")), "2");
    assert_eq!(machine.kubectl("logs retried"), "attempt 3\n");
    assert_eq!(machine.kubectl("logs retried --previous"), "attempt 2\n");
    let events = reasons(machine, "retried");
    assert!(events.iter().any(|reason| reason == "BackOff"), "{events:?}");
}

fn always_restarts_with_back_off(machine: &Machine) {
    pod(machine, "always", "  containers:\n  - {name: c, image: user-center:v1.0, command: [sh, -c, 'exit 0']}\n");
    until_field(machine, "pod/always", &format!("{FIRST}.state.waiting.reason"), "CrashLoopBackOff");
    assert_eq!(field(machine, "pod/always", &format!("{FIRST}.lastState.terminated.reason")), "Completed");
    assert_eq!(field(machine, "pod/always", ".status.phase"), "Running");
    machine.kubectl("delete pod always");
}

fn never_ends_with_the_containers(machine: &Machine) {
    pod(
        machine,
        "never",
        "  restartPolicy: Never\n  containers:\n  - {name: a, image: user-center:v1.0, command: [sh, -c, 'exit 0']}\n  \
         - {name: b, image: user-center:v1.0, command: [sh, -c, 'exit 9']}\n",
    );
    until_field(machine, "pod/never", ".status.phase", "Failed");
    assert_eq!(field(machine, "pod/never", ".status.containerStatuses[*].state.terminated.exitCode"), "0 9");
    assert_eq!(field(machine, "pod/never", ".status.containerStatuses[*].restartCount"), "0 0");
}

fn hooks_run_after_the_start_and_before_the_end(machine: &Machine) {
    let out = machine.data_dir.join("hooks");
    std::fs::create_dir(&out).unwrap();
    let specification = format!(
        "  containers:\n  - name: c\n    image: user-center:v1.0\n    command: [sh, -c, 'trap \"echo term >>/out/hooks; exit 0\" TERM; \
         sleep 3600 & wait']\n    lifecycle:\n      postStart: {{exec: {{command: [sh, -c, 'echo start >>/out/hooks']}}}}\n      \
         preStop: {{exec: {{command: [sh, -c, 'echo stop >>/out/hooks']}}}}\n    volumeMounts: [{{name: o, mountPath: /out}}]\n  \
         volumes: [{{name: o, hostPath: {{path: {}}}}}]\n",
        out.display()
    );
    pod(machine, "hooked", &specification);
    until_ready(machine, "hooked");
    let read = || std::fs::read_to_string(out.join("hooks")).unwrap();
    assert_eq!(read(), "start\n");
    machine.kubectl("delete pod hooked --grace-period=10");
    assert_eq!(read(), "start\nstop\nterm\n");
}

fn a_failing_post_start_hook_ends_the_container(machine: &Machine) {
    pod(
        machine,
        "unhooked",
        "  containers:\n  - name: c\n    image: user-center:v1.0\n    command: [sleep, '3600']\n    lifecycle:\n      \
         postStart: {exec: {command: [sh, -c, 'exit 4']}}\n",
    );
    super::until_event(machine, "unhooked", "FailedPostStartHook");
    machine.until("the container is restarted", |machine| {
        let seen = field(machine, "pod/unhooked", &format!("{FIRST}.restartCount"));
        if seen.parse::<u32>().is_ok_and(|count| count > 0) { Ok(()) } else { Err(seen) }
    });
    machine.kubectl("delete pod unhooked --grace-period=0 --force");
}

fn what_ignores_the_signal_is_killed_after_the_grace(machine: &Machine) {
    pod(
        machine,
        "deaf",
        "  containers:\n  - {name: c, image: user-center:v1.0, command: [sh, -c, 'trap : TERM; while :; do sleep 0.1; done']}\n",
    );
    until_ready(machine, "deaf");
    let begun = std::time::Instant::now();
    machine.kubectl("delete pod deaf --grace-period=2");
    let took = begun.elapsed().as_secs_f64();
    assert!((2.0..8.0).contains(&took), "it had its grace of 2 s, and no more: {took}");
}

fn a_termination_message_is_reported(machine: &Machine) {
    pod(
        machine,
        "message",
        "  restartPolicy: Never\n  containers:\n  - {name: own, image: user-center:v1.0, command: [sh, -c, 'echo -n why >/dev/termination-log']}\n  \
         - {name: logs, image: user-center:v1.0, terminationMessagePolicy: FallbackToLogsOnError, command: [sh, -c, 'echo said; exit 1']}\n",
    );
    until_field(machine, "pod/message", ".status.phase", "Failed");
    let message = |name: &str| {
        field(
            machine,
            "pod/message",
            &format!(".status.containerStatuses[?(@.name==\"{name}\")].state.terminated.message"),
        )
    };
    assert_eq!((message("own").as_str(), message("logs").as_str()), ("why", "said\n"));
}

fn a_deadline_ends_the_pod(machine: &Machine) {
    pod(
        machine,
        "late",
        "  activeDeadlineSeconds: 1\n  containers:\n  - {name: c, image: user-center:v1.0, command: [sleep, '3600']}\n",
    );
    until_field(machine, "pod/late", ".status.phase", "Failed");
    assert_eq!(field(machine, "pod/late", ".status.reason"), "DeadlineExceeded");
}
