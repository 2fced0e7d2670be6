//! What a container finds: its environment, its files, its network, its user.

use super::{field, inside, pod, until_field, until_ready, with_node};
use crate::harness::{Machine, on_each_runtime};

on_each_runtime! {
    fn containers_find_what_the_pod_says(runtime) {
        with_node(runtime, &[
        environment,
        missing_sources_hold_the_container,
        volumes_follow_their_sources,
        empty_dirs_are_shared,
        security_context,
        host_network,
        names,
    ]);
    }
}

fn environment(machine: &Machine) {
    machine.kubectl("create configmap settings --from-literal=color=blue --from-literal=SIZE=big");
    machine.kubectl("create secret generic keys --from-literal=password=hidden");
    pod(
        machine,
        "env",
        "  containers:\n  - name: c\n    image: user-center:v1.0\n    command: [sleep, '3600']\n    \
         resources: {limits: {memory: 64Mi, cpu: 250m}}\n    envFrom: [{configMapRef: {name: settings}, prefix: FROM_}]\n    env:\n    \
         - {name: NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}\n    \
         - {name: NOTE, valueFrom: {fieldRef: {fieldPath: 'metadata.annotations[''note'']'}}}\n    \
         - {name: IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}\n    \
         - {name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}\n    \
         - {name: HOST, valueFrom: {fieldRef: {fieldPath: status.hostIP}}}\n    \
         - {name: MEMORY, valueFrom: {resourceFieldRef: {resource: limits.memory, divisor: 1Mi}}}\n    \
         - {name: CPU, valueFrom: {resourceFieldRef: {resource: limits.cpu, divisor: 1m}}}\n    \
         - {name: COLOR, valueFrom: {configMapKeyRef: {name: settings, key: color}}}\n    \
         - {name: PASSWORD, valueFrom: {secretKeyRef: {name: keys, key: password}}}\n    \
         - {name: OPTIONAL, valueFrom: {configMapKeyRef: {name: nowhere, key: k, optional: true}}}\n    \
         - {name: BOTH, value: '$(COLOR)-$(NAME)-$$(NAME)-$(NOWHERE)'}\n",
    );
    until_ready(machine, "env");
    let seen = inside(machine, "env", "env");
    let ip = field(machine, "pod/env", ".status.podIP");
    for line in [
        "NAME=env",
        "NOTE=noted",
        &format!("IP={ip}"),
        "NODE=n0",
        "HOST=192.168.77.1",
        "MEMORY=64",
        "CPU=250",
        "COLOR=blue",
        "PASSWORD=hidden",
        "FROM_SIZE=big",
        "FROM_color=blue",
        "BOTH=blue-env-$(NAME)-$(NOWHERE)",
        "HOSTNAME=env",
        "KUBERNETES_SERVICE_HOST=10.43.0.1",
        "KUBERNETES_SERVICE_PORT=443",
        "KUBERNETES_PORT_443_TCP_ADDR=10.43.0.1",
    ] {
        assert!(seen.lines().any(|own| own == line), "{line} is not in\n{seen}");
    }
    assert!(!seen.contains("OPTIONAL"), "{seen}");
}

fn missing_sources_hold_the_container(machine: &Machine) {
    pod(
        machine,
        "waits",
        "  containers:\n  - name: c\n    image: user-center:v1.0\n    env:\n    \
         - {name: LATE, valueFrom: {configMapKeyRef: {name: late, key: k}}}\n",
    );
    until_field(
        machine,
        "pod/waits",
        ".status.containerStatuses[0].state.waiting.reason",
        "CreateContainerConfigError",
    );
    let message = field(machine, "pod/waits", ".status.containerStatuses[0].state.waiting.message");
    assert_eq!(message, "configmap \"late\" not found");
    machine.kubectl("create configmap late --from-literal=k=v");
    until_ready(machine, "waits");
    assert_eq!(inside(machine, "waits", "echo $LATE"), "v\n");
}

fn volumes_follow_their_sources(machine: &Machine) {
    machine.kubectl("create configmap live --from-literal=k=before");
    machine.kubectl("create secret generic sealed --from-literal=k=before");
    pod(
        machine,
        "files",
        "  containers:\n  - name: c\n    image: user-center:v1.0\n    command: [sleep, '3600']\n    volumeMounts:\n    \
         - {name: map, mountPath: /map}\n    - {name: secret, mountPath: /secret}\n    - {name: down, mountPath: /down}\n    \
         - {name: all, mountPath: /all}\n    - {name: map, mountPath: /one, subPath: k}\n  volumes:\n  \
         - {name: map, configMap: {name: live, defaultMode: 0440}}\n  \
         - {name: secret, secret: {secretName: sealed, items: [{key: k, path: deep/er}]}}\n  \
         - {name: down, downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}]}}\n  \
         - name: all\n    projected: {sources: [{configMap: {name: live}}, {secret: {name: sealed, items: [{key: k, path: s}]}}]}\n",
    );
    until_ready(machine, "files");
    let read = |path: &str| inside(machine, "files", &format!("cat {path}"));
    assert_eq!(
        read("/map/k /secret/deep/er /down/labels /all/k /all/s /one"),
        "beforebeforeapp=\"files\"beforebeforebefore"
    );
    assert_eq!(inside(machine, "files", "busybox stat -L -c %a /map/k /secret/deep/er"), "440\n644\n");
    assert_eq!(inside(machine, "files", "busybox readlink /map/k"), "..data/k\n");
    machine.kubectl_args(&["patch", "configmap", "live", "-p", r#"{"data":{"k":"after","l":"new"}}"#]);
    machine.kubectl_args(&["patch", "secret", "sealed", "-p", r#"{"stringData":{"k":"after"}}"#]);
    machine.kubectl("label pod files more=label");
    machine.until("the files are the new ones", |_| {
        let seen =
            inside(machine, "files", "cat /map/k /map/l /secret/deep/er /down/labels /all/k /all/s 2>&1 || true");
        if seen == "afternewafterapp=\"files\"\nmore=\"label\"afterafter" { Ok(()) } else { Err(seen) }
    });
    assert_eq!(read("/one"), "before", "a sub path does not follow");
}

fn empty_dirs_are_shared(machine: &Machine) {
    pod(
        machine,
        "shared",
        "  containers:\n  - name: writer\n    image: user-center:v1.0\n    command: [sh, -c, 'echo hello >/w/f; exec sleep 3600']\n    \
         volumeMounts: [{name: v, mountPath: /w}]\n  - name: reader\n    image: user-center:v1.0\n    command: [sleep, '3600']\n    \
         volumeMounts: [{name: v, mountPath: /r, readOnly: true}, {name: m, mountPath: /m}]\n  volumes:\n  \
         - {name: v, emptyDir: {}}\n  - {name: m, emptyDir: {medium: Memory, sizeLimit: 1Mi}}\n",
    );
    until_ready(machine, "shared");
    let read = |script: &str| machine.kubectl_args(&["exec", "shared", "-c", "reader", "--", "sh", "-c", script]);
    assert_eq!(read("cat /r/f; echo x 2>&1 >/r/f || true"), "hello\nsh: can't create /r/f: Read-only file system\n");
    assert_eq!(read("busybox df -P /m | busybox awk 'NR==2 {print $1, $2}'"), "tmpfs 1024\n");
    // Both containers see one another on the loopback and by the pod's name.
    assert_eq!(read("busybox hostname"), "shared\n");
}

fn security_context(machine: &Machine) {
    pod(
        machine,
        "secure",
        "  securityContext: {runAsUser: 1000, runAsGroup: 2000, fsGroup: 3000, supplementalGroups: [4000]}\n  containers:\n  \
         - name: c\n    image: user-center:v1.0\n    command: [sh, -c, ': >/v/f; exec sleep 3600']\n    securityContext:\n      \
         {readOnlyRootFilesystem: true, allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}, seccompProfile: {type: RuntimeDefault}}\n    \
         volumeMounts: [{name: v, mountPath: /v}]\n  volumes: [{name: v, emptyDir: {}}]\n",
    );
    until_ready(machine, "secure");
    assert_eq!(inside(machine, "secure", "id -u; id -g; id -G"), "1000\n2000\n2000 3000 4000\n");
    assert_eq!(inside(machine, "secure", "busybox stat -c %u:%g /v/f"), "1000:3000\n", "fsGroup owns the volume");
    assert_eq!(inside(machine, "secure", "(: >/f) 2>&1 || true"), "sh: can't create /f: Read-only file system\n");
    let status = inside(machine, "secure", "cat /proc/self/status");
    for line in ["CapEff:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"] {
        assert!(status.lines().any(|own| own == line), "{line} is not in\n{status}");
    }
    pod(
        machine,
        "rooted",
        "  securityContext: {runAsNonRoot: true}\n  containers:\n  - {name: c, image: user-center:v1.0}\n",
    );
    until_field(
        machine,
        "pod/rooted",
        ".status.containerStatuses[0].state.waiting.reason",
        "CreateContainerConfigError",
    );
    let message = field(machine, "pod/rooted", ".status.containerStatuses[0].state.waiting.message");
    assert!(
        message.starts_with("container has runAsNonRoot and image will run as root (pod: \"rooted_default("),
        "{message}"
    );
}

fn host_network(machine: &Machine) {
    pod(
        machine,
        "hosted",
        "  hostNetwork: true\n  containers:\n  - {name: c, image: user-center:v1.0, command: [sleep, '3600']}\n",
    );
    until_ready(machine, "hosted");
    assert_eq!(field(machine, "pod/hosted", ".status.podIP"), "192.168.77.1");
    let links = inside(machine, "hosted", "busybox ip -o -4 addr show eth0");
    assert!(links.contains(" 192.168.77.1/24 "), "{links}");
}

fn names(machine: &Machine) {
    pod(
        machine,
        "named",
        "  hostname: me\n  subdomain: us\n  hostAliases: [{ip: 192.0.2.1, hostnames: [alias]}]\n  \
         dnsConfig: {options: [{name: timeout, value: '1'}]}\n  containers:\n  \
         - {name: c, image: user-center:v1.0, command: [sleep, '3600']}\n",
    );
    machine.kubectl("create service clusterip us --clusterip=None");
    machine.kubectl("set selector service us app=named");
    until_ready(machine, "named");
    let ip = field(machine, "pod/named", ".status.podIP");
    let own = inside(machine, "named", "busybox ip -o -4 addr show eth0");
    assert!(own.contains(&format!(" {ip}/")), "{own}");
    let hosts = inside(machine, "named", "cat /etc/hosts");
    assert!(hosts.contains(&format!("{ip}\tme.us.default.svc.cluster.local\tme\n")), "{hosts}");
    assert!(hosts.contains("192.0.2.1\talias\n"), "{hosts}");
    let resolver = inside(machine, "named", "cat /etc/resolv.conf");
    for line in [
        "search default.svc.cluster.local svc.cluster.local cluster.local",
        "nameserver 10.43.0.10",
        "ndots:5",
        "timeout:1",
    ] {
        assert!(resolver.contains(line), "{line} is not in\n{resolver}");
    }
    machine.until("the pod has its name", |machine| {
        let output = machine.try_kubectl(&["exec", "named", "--", "nslookup", "me.us.default.svc.cluster.local"]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if text.contains(&ip) { Ok(()) } else { Err(text) }
    });
}
