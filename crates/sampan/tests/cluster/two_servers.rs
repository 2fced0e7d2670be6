//! Two servers on one etcd of three members: one API at two addresses, and no gap when one of them dies.

use crate::harness::{Cluster, Machine, PATIENCE, must, possible_with_etcd, run, said};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};
use std::time::{Duration, Instant};

/// An etcd with a member on every machine; the members die with the thread that started them.
struct Members {
    children: Vec<Option<Child>>,
    endpoints: String,
}

impl Members {
    fn on(machines: &[Machine], folder: &Path) -> Members {
        let client = |machine: &Machine| format!("http://{}:2379", machine.address);
        let peer = |machine: &Machine| format!("http://{}:2380", machine.address);
        let all: Vec<String> = machines.iter().map(|machine| format!("{}={}", machine.name, peer(machine))).collect();
        let start = |machine: &Machine| {
            let mut command = machine.inside("setpriv");
            command.args(["--pdeathsig", "KILL", "etcd", "--logger=zap", "--name", &machine.name]);
            command.arg(format!("--data-dir={}", folder.join(&machine.name).display()));
            command.arg(format!("--listen-client-urls={0},http://127.0.0.1:2379", client(machine)));
            command.arg(format!("--advertise-client-urls={}", client(machine)));
            command.arg(format!("--listen-peer-urls={}", peer(machine)));
            command.arg(format!("--initial-advertise-peer-urls={}", peer(machine)));
            command.arg(format!("--initial-cluster={}", all.join(",")));
            Some(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("etcd starts"))
        };
        let endpoints: Vec<String> = machines.iter().map(client).collect();
        Members { children: machines.iter().map(start).collect(), endpoints: endpoints.join(",") }
    }

    fn kill(&mut self, index: usize) {
        if let Some(mut child) = self.children[index].take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

impl Drop for Members {
    fn drop(&mut self) {
        (0..self.children.len()).for_each(|index| self.kill(index));
    }
}

/// Nodes here are objects only: nobody reports for them, and they are not to be taken for lost.
const GRACE: [&str; 2] = ["--node-monitor-grace", "3600"];

pub(crate) struct World {
    pub(crate) cluster: Cluster,
    members: Members,
    folder: tempfile::TempDir,
}

impl World {
    /// The etcd on three machines; no server yet.
    fn new() -> Option<World> {
        if !possible_with_etcd() {
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let cluster = Cluster::machines(3);
        let members = Members::on(&cluster.machines, folder.path());
        Some(World { cluster, members, folder })
    }

    fn try_server(&self, index: usize, flags: &[&str]) -> Output {
        let all = [&["--datastore-endpoint", &self.members.endpoints], &GRACE[..], flags].concat();
        self.cluster.machines[index].try_server(&all)
    }

    fn server(&self, index: usize, flags: &[&str]) -> &Machine {
        let (up, machine) = (self.try_server(index, flags), &self.cluster.machines[index]);
        assert!(up.status.success(), "{}\n{}", said(&up), machine.log());
        machine
    }

    /// A copy of the first server's token, as an operator brings it to another machine.
    fn token(&self) -> PathBuf {
        let copy = self.folder.path().join("token");
        std::fs::copy(self.cluster.first().data_dir.join("server-token"), &copy).unwrap();
        copy
    }

    /// Both servers.
    pub(crate) fn both() -> Option<World> {
        let world = World::new()?;
        world.server(0, &[]);
        let token = world.token();
        world.server(1, &["--server-token-file", token.to_str().unwrap()]);
        Some(world)
    }

    pub(crate) fn servers(&self) -> (&Machine, &Machine) {
        (&self.cluster.machines[0], &self.cluster.machines[1])
    }

    pub(crate) fn finish(self) {
        self.cluster.finish();
    }
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The name of the server that leads, as the lease has it.
pub(crate) fn leader(machine: &Machine) -> String {
    machine.until("a leader", |machine| {
        let lease = "get lease -n kube-system kube-controller-manager -o jsonpath={.spec.holderIdentity}";
        let shown = machine.try_kubectl(&lease.split(' ').collect::<Vec<_>>());
        let holder = String::from_utf8_lossy(&shown.stdout).into_owned();
        let name = holder.split_once('_').map(|(name, _)| name.to_owned());
        name.filter(|_| shown.status.success()).ok_or_else(|| said(&shown))
    })
}

/// The addresses that pods find the API at, by the slices and by the older kind.
fn announced(machine: &Machine) -> (BTreeSet<String>, BTreeSet<String>) {
    let words = |text: String| text.split_whitespace().map(str::to_owned).collect();
    let slices =
        "get endpointslices -l kubernetes.io/service-name=kubernetes -o jsonpath={.items[*].endpoints[*].addresses[*]}";
    let endpoints = "get endpoints kubernetes -o jsonpath={.subsets[*].addresses[*].ip}";
    (words(machine.kubectl(slices)), words(machine.kubectl(endpoints)))
}

pub(crate) fn until_announced(machine: &Machine, servers: &[&Machine]) {
    let wanted: BTreeSet<String> = servers.iter().map(|server| server.address.clone()).collect();
    machine.until("the endpoints of the kubernetes service", |machine| {
        let seen = announced(machine);
        (seen == (wanted.clone(), wanted.clone())).then_some(()).ok_or_else(|| format!("{seen:?}"))
    });
}

#[test]
fn a_server_joins_by_the_token_and_by_nothing_else() {
    let Some(world) = World::new() else { return };
    let first = world.server(0, &[]);
    first.kubectl("create configmap kept --from-literal=a=b");
    let refused = |flags: &[&str], complaint: &str| {
        let output = world.try_server(1, flags);
        assert!(!output.status.success() && said(&output).contains(complaint), "{}", said(&output));
    };
    refused(&[], "sealed with its server token, and this server has none");
    let wrong = world.folder.path().join("wrong");
    std::fs::write(&wrong, "0".repeat(64)).unwrap();
    refused(&["--server-token-file", wrong.to_str().unwrap()], "does not open the cluster's keys");
    std::fs::write(&wrong, "secret").unwrap();
    refused(&["--server-token-file", wrong.to_str().unwrap()], "64 hexadecimal digits");
    let token = world.token();
    let flags = ["--server-token-file", token.to_str().unwrap()];
    refused(&[&flags[..], &["--service-cidr", "10.96.0.0/16"]].concat(), "give --service-cidr 10.43.0.0/16");
    refused(&[&flags[..], &["--pod-cidr", "10.96.0.0/16"]].concat(), "give --pod-cidr 10.42.0.0/16");
    assert_eq!(std::fs::metadata(&token).unwrap().len(), 64, "a token and nothing more");
    let second = &world.cluster.machines[1];
    let mut twin = second.inside(env!("CARGO_BIN_EXE_sampan"));
    twin.args(["server", "--detach", "--datastore-endpoint", &world.members.endpoints, "--node-name", &first.name]);
    twin.args(["--node-ip", &second.address]).args(flags).arg("--data-dir").arg(&second.data_dir);
    let twin = run(&mut twin);
    assert!(said(&twin).contains("a server named n0 serves this cluster already"), "{}", said(&twin));

    let second = world.server(1, &flags);
    assert_eq!(second.kubectl("get configmap kept -o jsonpath={.data.a}"), "b");
    // Its own from now on: the file that was brought is not needed again.
    second.stop();
    std::fs::remove_file(&token).unwrap();
    second.up_again();
    assert_eq!(second.kubectl("get configmap kept -o jsonpath={.data.a}"), "b");
    let stored =
        must(first.inside("etcdctl").env("ETCDCTL_API", "3").args(["get", "", "--prefix", "--print-value-only"]));
    assert!(stored.contains("\"sealed\"") && !stored.contains("PRIVATE KEY"), "no key is in etcd in the clear");

    // An etcd with a cluster's objects, but without its keys.
    first.stop();
    second.stop();
    must(first.inside("etcdctl").env("ETCDCTL_API", "3").args(["del", "/sampan.keys"]));
    let third = world.try_server(2, &[]);
    assert!(said(&third).contains("holds a cluster's objects, but not its keys"), "{}", said(&third));
    world.finish();
}

#[test]
fn both_are_the_same_api() {
    let Some(world) = World::both() else { return };
    let (one, two) = world.servers();
    until_announced(one, &[one, two]);
    // The first one's administrator at the second, whose certificate the same authority signed.
    let other = format!("https://{}:6443", two.address);
    assert_eq!(one.kubectl(&format!("get namespace default --server {other} -o name")), "namespace/default\n");
    for index in 0..20 {
        let (writer, reader) = if index % 2 == 0 { (one, two) } else { (two, one) };
        writer.kubectl(&format!("create configmap m{index} --from-literal=by={}", writer.name));
        let read = reader.kubectl(&format!("get configmap m{index} -o jsonpath={{.data.by}}"));
        assert_eq!(read, writer.name, "a write is read at the other server at once");
    }
    token_of_one_is_good_at_the_other(one, two);
    resumes_at_the_other(one, two);
    no_address_is_given_twice(one, two);
    no_quota_is_exceeded(one, two);
    a_custom_kind_is_served_by_both(one, two);
    world.finish();
}

fn token_of_one_is_good_at_the_other(one: &Machine, two: &Machine) {
    one.until("the default account", |one| {
        let found = one.try_kubectl(&["get", "serviceaccount", "default"]);
        found.status.success().then_some(()).ok_or_else(|| said(&found))
    });
    let token = one.kubectl("create token default");
    let kubeconfig = two.data_dir.join("nobody.kubeconfig");
    let admin: Value = json(&two.kubectl("config view --raw -o json"));
    let authority = admin["clusters"][0]["cluster"]["certificate-authority-data"].as_str().unwrap();
    std::fs::write(
        &kubeconfig,
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: a\ncontexts: [{{name: a, context: {{cluster: a, user: a}}}}]\n\
             users: [{{name: a, user: {{token: {}}}}}]\n\
             clusters: [{{name: a, cluster: {{server: 'https://{}:6443', certificate-authority-data: {authority}}}}}]\n",
            token.trim(),
            two.address
        ),
    )
    .unwrap();
    let who = must(two.inside("kubectl").env("KUBECONFIG", &kubeconfig).args(["auth", "whoami", "-o", "json"]));
    assert_eq!(json(&who)["status"]["userInfo"]["username"], "system:serviceaccount:default:default");
}

/// What a watch of a few seconds shows after a revision: names and revisions, in order.
fn watched(machine: &Machine, after: &str, seconds: u32) -> Vec<(String, u64)> {
    let path = format!(
        "/api/v1/namespaces/default/configmaps?watch=1&resourceVersion={after}&timeoutSeconds={seconds}&labelSelector=w=w"
    );
    let lines = machine.kubectl(&format!("get --raw {path}"));
    let event = |line: &str| {
        let meta = &json(line)["object"]["metadata"];
        (meta["name"].as_str().unwrap().to_owned(), meta["resourceVersion"].as_str().unwrap().parse().unwrap())
    };
    lines.lines().map(event).collect()
}

/// A watch that began at one server goes on at the other, while both are written through.
fn resumes_at_the_other(one: &Machine, two: &Machine) {
    const EACH: usize = 30;
    let from = crate::restarts::revision(one);
    let write = |machine: &Machine| {
        for index in 0..EACH {
            let name = format!("w-{}-{index}", machine.name);
            machine.apply(&format!(
                "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: default, labels: {{w: w}}}}\n"
            ));
        }
    };
    let seen = std::thread::scope(|scope| {
        let writers = [one, two].map(|machine| scope.spawn(move || write(machine)));
        let mut seen: Vec<(String, u64)> = Vec::new();
        let (mut after, mut turn) = (from, 0);
        let deadline = Instant::now() + 2 * PATIENCE;
        while seen.len() < 2 * EACH {
            assert!(Instant::now() < deadline, "only {} events", seen.len());
            seen.extend(watched([one, two][turn % 2], &after, 1));
            turn += 1;
            if let Some((_, revision)) = seen.last() {
                after = revision.to_string();
            }
        }
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        assert!(turn > 2, "the watch has moved between the servers");
        seen
    });
    assert!(seen.is_sorted_by_key(|(_, revision)| *revision), "in order: {seen:?}");
    let names: BTreeSet<&String> = seen.iter().map(|(name, _)| name).collect();
    assert_eq!((names.len(), seen.len()), (2 * EACH, 2 * EACH), "each once");
}

fn no_address_is_given_twice(one: &Machine, two: &Machine) {
    const EACH: usize = 60;
    let create = |machine: &Machine| {
        let service = |index: usize| {
            format!(
                "apiVersion: v1\nkind: Service\nmetadata: {{name: s-{}-{index}, namespace: default}}\n\
                 spec: {{type: NodePort, ports: [{{port: 80}}]}}\n",
                machine.name
            )
        };
        machine.apply(&(0..EACH).map(service).collect::<Vec<_>>().join("---\n"));
    };
    std::thread::scope(|scope| {
        [one, two].map(|machine| scope.spawn(move || create(machine))).map(|thread| thread.join().unwrap())
    });
    let given = |path: &str| -> Vec<String> {
        two.kubectl(&format!("get services -o jsonpath={path}")).split_whitespace().map(str::to_owned).collect()
    };
    // And the API's own, which has no port.
    for (path, count) in
        [("{.items[*].spec.clusterIP}", 2 * EACH + 1), ("{.items[*].spec.ports[*].nodePort}", 2 * EACH)]
    {
        let all = given(path);
        let different: BTreeSet<&String> = all.iter().collect();
        assert_eq!((all.len(), different.len()), (count, count), "{path}");
    }
    // One that is asked for at both is given to one.
    let asked = |machine: &Machine| {
        let name = format!("asked-{}", machine.name);
        machine.try_kubectl(&["create", "service", "clusterip", &name, "--clusterip", "10.43.0.77", "--tcp", "80"])
    };
    let answers = std::thread::scope(|scope| {
        [one, two].map(|machine| scope.spawn(move || asked(machine))).map(|thread| thread.join().unwrap())
    });
    let refused: Vec<&Output> = answers.iter().filter(|answer| !answer.status.success()).collect();
    let [refused] = refused[..] else { panic!("{answers:?}") };
    assert!(said(refused).contains("provided IP is already allocated"), "{}", said(refused));
}

/// Four writers at each server, who together ask for far more than is allowed.
fn no_quota_is_exceeded(one: &Machine, two: &Machine) {
    const ALLOWED: usize = 12;
    one.kubectl("create namespace bounded");
    one.kubectl(&format!("create quota few -n bounded --hard=count/secrets={ALLOWED}"));
    let create = |machine: &Machine, writer: usize| {
        for index in 0..6 {
            let name = format!("s-{}-{writer}-{index}", machine.name);
            let created = machine.try_kubectl(&["create", "secret", "generic", &name, "-n", "bounded"]);
            assert!(created.status.success() || said(&created).contains("exceeded quota: few"), "{}", said(&created));
        }
    };
    std::thread::scope(|scope| {
        for writer in 0..4 {
            for machine in [one, two] {
                scope.spawn(move || create(machine, writer));
            }
        }
    });
    let names = one.kubectl("get secrets -n bounded -o name");
    assert_eq!(names.lines().count(), ALLOWED, "{names}");
    // What is freed at one server is free at the other at once.
    let first = names.lines().next().unwrap();
    one.kubectl(&format!("delete -n bounded {first}"));
    two.kubectl("create secret generic in-its-place -n bounded");
    two.until("the status of the quota", |two| {
        let used = two.kubectl("get quota few -n bounded -o jsonpath={.status.used.count/secrets}");
        (used == ALLOWED.to_string()).then_some(()).ok_or(used)
    });
}

/// Who was told by one server that a kind is there finds it at the other.
fn a_custom_kind_is_served_by_both(one: &Machine, two: &Machine) {
    for index in 0..6 {
        let (definer, user) = if index % 2 == 0 { (one, two) } else { (two, one) };
        definer.apply(&format!(
            "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {{name: t{index}s.example.com}}\n\
             spec:\n  group: example.com\n  scope: Cluster\n  names: {{plural: t{index}s, singular: t{index}, kind: T{index}}}\n  \
             versions: [{{name: v1, served: true, storage: true, schema: {{openAPIV3Schema: {{type: object}}}}}}]\n"
        ));
        definer.kubectl(&format!("wait --for=condition=Established crd/t{index}s.example.com"));
        let list = user.kubectl(&format!("get --raw /apis/example.com/v1/t{index}s"));
        assert_eq!(json(&list)["kind"], format!("T{index}List"));
    }
}

const NODE: &str = "apiVersion: v1\nkind: Node\nmetadata: {name: hollow}\n";
const DEPLOYMENT: &str = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: default}\n\
    spec:\n  replicas: 2\n  selector: {matchLabels: {app: web}}\n  template:\n    metadata: {labels: {app: web}}\n    \
    spec: {containers: [{name: c, image: 'example.com/c:1'}]}\n";

/// Pods of the deployment, and how many of them have a node.
fn bound(machine: &Machine) -> (usize, usize) {
    let pods = json(&machine.kubectl("get pods -l app=web -o json"));
    let pods = pods["items"].as_array().unwrap();
    (pods.len(), pods.iter().filter(|pod| pod["spec"]["nodeName"] == "hollow").count())
}

fn until_bound(machine: &Machine, count: usize) {
    machine.until("pods of the deployment on the node", |machine| {
        let seen = bound(machine);
        (seen == (count, count)).then_some(()).ok_or_else(|| format!("{seen:?}"))
    });
}

fn kill_9(machine: &Machine) {
    let status = machine.status();
    for pid in [&status["pid"], &status["server"]["pid"]] {
        kill(Pid::from_raw(pid.as_i64().unwrap().try_into().unwrap()), Signal::SIGKILL).unwrap();
    }
}

#[test]
fn another_leads_when_the_leader_dies() {
    let Some(mut world) = World::both() else { return };
    let (one, two) = world.servers();
    until_announced(two, &[one, two]);
    one.apply(NODE);
    let ready = r#"{"status":{"allocatable":{"cpu":"8","memory":"8Gi","pods":"110"},"capacity":{"cpu":"8","memory":"8Gi","pods":"110"},"conditions":[{"type":"Ready","status":"True","reason":"R","message":"m"}]}}"#;
    one.kubectl_args(&["patch", "node", "hollow", "--subresource=status", "--type=merge", "-p", ready]);
    one.apply(DEPLOYMENT);
    until_bound(one, 2);

    let first = leader(one);
    let (index, dead, alive) = if first == one.name { (0, one, two) } else { (1, two, one) };
    let died = Instant::now();
    kill_9(dead);
    alive.kubectl("scale deployment web --replicas 5");
    until_bound(alive, 5);
    let took = died.elapsed();
    assert!(took < Duration::from_secs(15), "the controllers went on after {took:?}");
    eprintln!("the controllers went on {took:?} after the leader's death");
    assert_eq!(leader(alive), alive.name);
    until_announced(alive, &[alive]);
    eprintln!("the endpoints were without it {:?} after its death", died.elapsed());

    dead.up_again();
    until_announced(alive, &[one, two]);
    assert_eq!(leader(dead), alive.name, "who leads goes on leading");
    // Told to end, the leader hands over at once.
    let left = Instant::now();
    alive.stop();
    dead.kubectl("scale deployment web --replicas 7");
    until_bound(dead, 7);
    eprintln!("handed over within {:?}", left.elapsed());
    until_announced(dead, &[dead]);

    // The etcd of a machine dies as well: the other two go on.
    world.members.kill(1 - index);
    let (one, two) = world.servers();
    let left = if index == 0 { one } else { two };
    left.kubectl("scale deployment web --replicas 9");
    until_bound(left, 9);
    world.finish();
}
