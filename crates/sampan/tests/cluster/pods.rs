//! Pods on one node, through the real `kubectl`, on each runtime.

use crate::harness::{Cluster, Machine, Runtime, on_each_runtime, possible, said};
use crate::image;
use std::process::Stdio;

/// The example's Deployment with images from the node's own store.
pub(crate) fn user_center(replicas: usize) -> String {
    let text = include_str!("../../../../examples/user-center/2-deployment.yaml");
    let text = text.replace("127.0.0.1:5443/", "").replace("replicas: 20", &format!("replicas: {replicas}"));
    let service = include_str!("../../../../examples/user-center/3-service.yaml");
    let namespace = include_str!("../../../../examples/user-center/1-namespace.yaml");
    format!("{namespace}\n---\n{text}\n---\n{service}")
}

pub(crate) fn client_pod() -> String {
    include_str!("../../../../examples/user-center/4-client.yaml").replace("127.0.0.1:5443/", "")
}

pub(crate) fn wait_available(machine: &Machine) {
    machine.kubectl("wait --for=condition=Available deployment/user-center -n user-center --timeout=60s");
}

on_each_runtime! {
    fn a_rolling_update_loses_no_request(runtime) {
        // containerd takes ten times as long to make a pod.
        update_under_requests(runtime, if runtime == Runtime::Embedded { 20 } else { 2 });
    }

    fn commands_logs_and_exit_codes_reach_the_user(runtime) {
        commands_logs_and_exit_codes(runtime);
    }

    fn many_pods_run_at_once_and_leave_nothing(runtime) {
        many_pods(runtime, if runtime == Runtime::Embedded { 300 } else { 10 });
    }
}

fn update_under_requests(runtime: Runtime, replicas: usize) {
    if !possible() {
        return;
    }
    let cluster = Cluster::up_on(runtime, &[]);
    let machine = cluster.first();
    image::import(machine, "v1.0");
    image::import(machine, "v2.0");
    machine.apply(&format!("{}\n---\n{}", user_center(replicas), client_pod()));
    wait_available(machine);
    machine.kubectl("wait --for=condition=Ready pod/client -n user-center --timeout=60s");
    let vip = machine.kubectl("get service user-center -n user-center -o jsonpath={.spec.clusterIP}");

    // One stream of requests by VIP from the node, one by name from a pod, until the file appears. Answers go to files: a
    // pipe that nobody reads is soon full, and holds up who asks.
    let file = |name: &str| machine.data_dir.join(name);
    let answers = |name: &str| Stdio::from(std::fs::File::create(file(name)).unwrap());
    let stop = machine.data_dir.join("stop");
    let by_vip = format!("until [ -e {} ]; do busybox wget -qO- http://{vip}/ 2>&1 || echo LOST; done", stop.display());
    let mut by_vip = machine.inside("sh").args(["-c", &by_vip]).stdout(answers("by VIP")).spawn().unwrap();
    let loop_in_pod = "until [ -e /tmp/stop ]; do wget -qO- http://user-center/ 2>&1 || echo LOST; done";
    let by_name = ["exec", "-n", "user-center", "client", "--", "sh", "-c", loop_in_pod];
    let mut by_name = machine.inside("kubectl").args(by_name).stdout(answers("by name")).spawn().unwrap();

    machine.kubectl("set image deployment/user-center user-center=user-center:v2.0 -n user-center");
    let rolled = machine.kubectl("rollout status deployment/user-center -n user-center --timeout=60s");
    assert!(rolled.contains("successfully rolled out"), "{rolled}");
    // The old pods' last seconds belong to it.
    machine.until("the old pods are gone", |machine| {
        let pods = machine.kubectl("get pods -n user-center -l app=user-center --no-headers");
        if pods.lines().count() == replicas { Ok(()) } else { Err(pods) }
    });
    std::fs::write(&stop, "").unwrap();
    machine.kubectl_args(&["exec", "-n", "user-center", "client", "--", "sh", "-c", ": > /tmp/stop"]);
    for (name, child) in [("by VIP", &mut by_vip), ("by name", &mut by_name)] {
        assert!(child.wait().unwrap().success());
        let answers = std::fs::read_to_string(file(name)).unwrap();
        let count = |text: &str| answers.lines().filter(|line| line.contains(text)).count();
        // The line before says why.
        let lines: Vec<&str> = answers.lines().collect();
        let lost: Vec<_> = lines.windows(2).filter(|pair| pair[1] == "LOST").map(|pair| pair[0]).collect();
        assert_eq!(count("LOST"), 0, "requests {name} were lost of {}: {lost:?}", lines.len());
        assert!(count("v1.0") > 0 && count("v2.0") > 0, "{name}: both versions answered");
    }
    cluster.finish();
}

fn commands_logs_and_exit_codes(runtime: Runtime) {
    if !possible() {
        return;
    }
    let cluster = Cluster::up_on(runtime, &[]);
    let machine = cluster.first();
    image::import(machine, "v1.0");
    machine.apply(&client_pod().replace("namespace: user-center", "namespace: default"));
    machine.kubectl("wait --for=condition=Ready pod/client --timeout=60s");

    let failed = machine.try_kubectl(&["exec", "client", "--", "sh", "-c", "echo out; echo err >&2; exit 7"]);
    assert_eq!(failed.status.code(), Some(7), "{}", said(&failed));
    assert_eq!(String::from_utf8_lossy(&failed.stdout), "out\n");
    assert!(String::from_utf8_lossy(&failed.stderr).starts_with("err\n"), "{}", said(&failed));

    let script = "for n in 1 2 3; do echo line $n; done; exit 4";
    machine.kubectl_args(&["run", "job", "--image=user-center:v1.0", "--restart=Never", "--", "sh", "-c", script]);
    machine.kubectl("wait --for=jsonpath={.status.phase}=Failed pod/job --timeout=60s");
    assert_eq!(machine.kubectl("logs job"), "line 1\nline 2\nline 3\n");
    assert_eq!(machine.kubectl("logs job --tail=1"), "line 3\n");
    let code = "{.status.containerStatuses[0].state.terminated.exitCode}";
    assert_eq!(machine.kubectl(&format!("get pod job -o jsonpath={code}")), "4");

    let missing = machine.try_kubectl(&["logs", "nowhere"]);
    assert_eq!(
        String::from_utf8_lossy(&missing.stderr),
        "error: error from server (NotFound): pods \"nowhere\" not found in namespace \"default\"\n"
    );
    cluster.finish();
}

fn many_pods(runtime: Runtime, count: usize) {
    if !possible() {
        return;
    }
    let cluster = Cluster::up_on(runtime, &[]);
    let machine = cluster.first();
    image::import(machine, "v1.0");
    // Sleepers: the test is of pods, not of what hundreds of shells of a probe cost.
    let command = "command: [sleep, \"1000000\"]\n          ports:";
    let manifest = user_center(count).replace(
        "ports:\n            - { name: http, containerPort",
        &format!("{command}\n            - {{ name: http, containerPort"),
    );
    let probe = "readinessProbe:\n            httpGet: { path: /, port: http }\n            periodSeconds: 2\n          lifecycle:\n            preStop:\n              sleep: { seconds: 3 }\n          ";
    // They do not hear the stop signal, and what is left of the grace would only be waited for.
    let manifest = manifest.replace("GracePeriodSeconds: 10", "GracePeriodSeconds: 1");
    machine.apply(&manifest.replace(probe, ""));
    machine.until("all run", |machine| {
        let output = machine.try_kubectl(&[
            "get",
            "deployment",
            "user-center",
            "-n",
            "user-center",
            "-o",
            "jsonpath={.status.readyReplicas}",
        ]);
        if output.stdout == count.to_string().as_bytes() { Ok(()) } else { Err(said(&output)) }
    });
    let addresses = machine.kubectl("get pods -n user-center -o jsonpath={.items[*].status.podIP}");
    let different: std::collections::BTreeSet<&str> = addresses.split_whitespace().collect();
    assert_eq!(different.len(), count, "each pod has its own address");
    machine.kubectl("delete namespace user-center --timeout=60s");
    let shims = kernel::cgroup::Cgroup::at(format!("{}/shims", machine.cgroup_root)).unwrap();
    assert_eq!(shims.processes().unwrap(), Vec::<i32>::new(), "no shim is left");
    cluster.finish();
}
