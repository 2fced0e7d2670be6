//! Connections into pods: `port-forward` over each of its protocols, and the `proxy` subresources.

use super::{Client, WEB, with_each_client_on};
use crate::harness::{Machine, on_each_runtime, said};
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Stdio};

on_each_runtime! {
fn pods_are_reached_through_the_api(runtime) {
    with_each_client_on(runtime, |client| {
        start(client);
        for client in [client, &client.over_spdy()] {
            bytes_flow_both_ways(client);
            a_port_where_nobody_listens_is_told(client);
            pods_on_the_nodes_network_are_reached(client);
        }
        raw_paths(client);
        a_local_proxy(client);
        // In this order, so that no pod takes another's place while the cluster ends.
        client.ok("delete deployment web --cascade=foreground");
        client.ok("delete pods,services --all");
    });
}
}

/// Servers that send back what they hear, one of them on the node's own network; and the example behind a service. With
/// a second of grace a pod is there until its server is gone: the next client's has the same port of the node.
fn start(client: &Client<'_>) {
    let echo = |name: &str, port: u16, host: bool| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  hostNetwork: {host}\n  \
             terminationGracePeriodSeconds: 1\n  containers:\n  - name: a\n    image: user-center:v1.0\n    \
             command: [busybox, nc, -ll, -p, '{port}', -e, busybox, cat]\n"
        )
    };
    client.file("echo.yaml", &format!("{}---\n{}", echo("echo", 9000, false), echo("host", 9100, true)));
    client.file("web.yaml", WEB);
    client.ok("apply -f echo.yaml -f web.yaml");
    client.ok("expose deployment web --port=80 --target-port=8080");
    client.ok("wait --for=condition=Ready pod --all --timeout=180s");
}

/// A running `kubectl port-forward`, or `kubectl proxy`, and where it listens.
struct Forward<'m> {
    machine: &'m Machine,
    child: Child,
    port: u16,
}

impl<'m> Forward<'m> {
    fn start(client: &Client<'m>, arguments: &[&str]) -> Forward<'m> {
        let mut child = client.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let (_, rest) = line.split_once("127.0.0.1:").unwrap_or_else(|| panic!("{line:?} {:?}", stderr(&mut child)));
        let port = rest.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap();
        Forward { machine: client.machine, child, port }
    }

    /// What comes back for what is said.
    fn talk(&self, said: Vec<u8>) -> Vec<u8> {
        let mut command = self.machine.inside("busybox");
        command.args(["nc", "127.0.0.1", &self.port.to_string()]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        // One who is refused hangs up before it has heard all.
        let writing = std::thread::spawn(move || input.write_all(&said).is_ok());
        let output = child.wait_with_output().unwrap();
        writing.join().unwrap();
        output.stdout
    }

    /// Ends it, and answers what it complained about.
    fn end(mut self) -> String {
        stderr(&mut self.child)
    }
}

fn stderr(child: &mut Child) -> String {
    // It may have ended by itself.
    if let Err(error) = child.kill() {
        eprintln!("ending a client: {error}");
    }
    child.wait().unwrap();
    let mut text = String::new();
    child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    text
}

fn bytes_flow_both_ways(client: &Client<'_>) {
    let forward = Forward::start(client, &["port-forward", "pod/echo", ":9000"]);
    std::thread::scope(|scope| {
        let talks: Vec<_> = (0..6_u8)
            .map(|at| {
                let said: Vec<u8> = (0..300_000_u32).map(|byte| (byte.wrapping_mul(31) >> 3) as u8 ^ at).collect();
                let forward = &forward;
                scope.spawn(move || assert!(forward.talk(said.clone()) == said, "connection {at}"))
            })
            .collect();
        talks.into_iter().for_each(|talk| talk.join().unwrap());
    });
    assert_eq!(forward.talk(b"once more\n".to_vec()), b"once more\n");
    assert_eq!(forward.end(), "");
}

fn a_port_where_nobody_listens_is_told(client: &Client<'_>) {
    let forward = Forward::start(client, &["port-forward", "pod/echo", ":81"]);
    assert_eq!(forward.talk(b"anybody?\n".to_vec()), b"");
    let complaint = forward.end();
    assert!(
        complaint.contains("error forwarding port 81 to pod ") && complaint.contains("connection refused"),
        "{complaint}"
    );
}

fn pods_on_the_nodes_network_are_reached(client: &Client<'_>) {
    let forward = Forward::start(client, &["port-forward", "pod/host", ":9100"]);
    let heard = forward.talk(b"hello\n".to_vec());
    assert_eq!((String::from_utf8_lossy(&heard).as_ref(), forward.end().as_str()), ("hello\n", ""));
}

/// What the example says of itself at `/`.
fn is_the_example(text: &str) -> bool {
    text.contains("v1.0")
}

fn raw_paths(client: &Client<'_>) {
    let namespace = client.ok("config view --minify -o jsonpath={..namespace}");
    let base = format!("/api/v1/namespaces/{namespace}");
    let pod = client.ok("get pods -l app=web -o jsonpath={.items[0].metadata.name}");
    let paths = [format!("pods/{pod}:8080"), format!("pods/http:{pod}:8080"), "services/web:80".to_owned()];
    for path in paths {
        let heard = client.ok_args(&["get", "--raw", &format!("{base}/{path}/proxy/")]);
        assert!(is_the_example(&heard), "{path}: {heard}");
    }
    let node = client.ok("get --raw /api/v1/nodes/n0/proxy/metrics");
    assert!(node.contains("kubelet_running_pods"), "{node}");
    let stats = client.ok("get --raw /api/v1/nodes/n0/proxy/stats/summary");
    let stats: serde_json::Value = serde_json::from_str(&stats).unwrap();
    assert_eq!(stats["node"]["nodeName"], "n0", "{stats}");
    let nobody = client.fails(1, &format!("get --raw {base}/pods/echo:81/proxy/"));
    assert!(
        nobody.contains("error trying to reach service: dial tcp") && nobody.contains("connection refused"),
        "{nobody}"
    );
}

fn a_local_proxy(client: &Client<'_>) {
    let namespace = client.ok("config view --minify -o jsonpath={..namespace}");
    let proxy = Forward::start(client, &["proxy", "--port=0"]);
    let url = format!("http://127.0.0.1:{}/api/v1/namespaces/{namespace}/services/web:80/proxy/", proxy.port);
    let output = client.machine.inside("curl").args(["-sS", &url]).output().unwrap();
    assert!(is_the_example(&String::from_utf8_lossy(&output.stdout)), "{}", said(&output));
    assert_eq!(proxy.end(), "");
}
