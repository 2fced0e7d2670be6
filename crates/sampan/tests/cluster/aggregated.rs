//! An API server that is somebody else's: its objects go with their namespace, and with their owners.

use crate::harness::{Cluster, Machine, possible, said};
use serde_json::json;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// The same that the API server's own tests put behind it.
const SCRIPT: &str = include_str!("../../../apiserver/tests/served/aggregation/server.py");

/// The server, ended with the test.
struct Notes {
    child: Child,
    port: u16,
}

impl Drop for Notes {
    fn drop(&mut self) {
        self.child.kill().expect("it is ours, and not waited for yet");
        self.child.wait().expect("it was killed");
    }
}

/// Says aloud why not.
fn has_python() -> bool {
    let found = Command::new("python3").arg("--version").stdout(Stdio::null()).status().is_ok();
    if !found {
        eprintln!("SKIPPED: python3 is not installed");
    }
    found
}

fn start(machine: &Machine) -> Notes {
    let folder = machine.data_dir.join("notes");
    std::fs::create_dir(&folder).unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["notes.default.svc".to_owned()]).unwrap();
    std::fs::write(folder.join("tls.pem"), made.cert.pem() + &made.signing_key.serialize_pem()).unwrap();
    std::fs::write(folder.join("server.py"), SCRIPT).unwrap();
    // As such servers find out whom to believe.
    let of_front = "get configmap extension-apiserver-authentication -n kube-system \
                    -o jsonpath={.data.requestheader-client-ca-file}";
    std::fs::write(folder.join("front-proxy-ca.pem"), machine.kubectl(of_front)).unwrap();
    let mut command = machine.inside("python3");
    let mut child = command.arg("server.py").current_dir(folder).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let port = line.trim().parse().unwrap_or_else(|_| panic!("the server said {line:?} in place of its port"));
    Notes { child, port }
}

fn register(machine: &Machine, port: u16) {
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "notes", "namespace": "default"},
        "spec": {"ports": [{"port": 443, "targetPort": port}]}});
    // As people still write them who have a server outside of the cluster: the API server itself looks at slices.
    let endpoints = json!({"apiVersion": "v1", "kind": "Endpoints",
        "metadata": {"name": "notes", "namespace": "default"},
        "subsets": [{"addresses": [{"ip": machine.address}], "ports": [{"port": port}]}]});
    let api_service = json!({"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
        "metadata": {"name": "v1.notes.example.com"},
        "spec": {"group": "notes.example.com", "version": "v1", "groupPriorityMinimum": 1000, "versionPriority": 15,
            "insecureSkipTLSVerify": true, "service": {"namespace": "default", "name": "notes"}}});
    machine.apply(&json!({"apiVersion": "v1", "kind": "List", "items": [service, endpoints, api_service]}).to_string());
    machine.until("the server behind the service", |machine| {
        let said = machine.kubectl("get apiservice v1.notes.example.com -o jsonpath={.status.conditions}");
        if said.contains(r#""status":"True""#) { Ok(()) } else { Err(said) }
    });
}

fn create(machine: &Machine, object: &serde_json::Value) {
    let path = machine.data_dir.join("notes").join("object.json");
    std::fs::write(&path, object.to_string()).unwrap();
    // Such a server documents nothing.
    machine.kubectl(&format!("create --validate=false -f {}", path.display()));
}

fn until_notes(machine: &Machine, what: &str, wanted: &str) {
    machine.until(what, |machine| {
        let names = "jsonpath={range .items[*]}{.metadata.namespace}/{.metadata.name} {end}";
        let output = machine.try_kubectl(&["get", "notes", "-A", "-o", names]);
        if output.status.success() && output.stdout == wanted.as_bytes() { Ok(()) } else { Err(said(&output)) }
    });
}

#[test]
fn objects_of_another_server_go_with_their_namespace_and_their_owner() {
    if !possible() || !has_python() {
        return;
    }
    let cluster = Cluster::machines(1);
    let machine = cluster.first();
    machine.up_server();
    let notes = start(machine);
    register(machine, notes.port);
    let note = |namespace: &str, name: &str| {
        json!({"apiVersion": "notes.example.com/v1", "kind": "Note",
            "metadata": {"name": name, "namespace": namespace}})
    };
    machine.kubectl("create namespace shop");
    create(machine, &note("shop", "first"));
    machine.kubectl("create configmap owner");
    let uid = machine.kubectl("get configmap owner -o jsonpath={.metadata.uid}");
    let mut owned = note("default", "owned");
    owned["metadata"]["ownerReferences"] =
        json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid}]);
    create(machine, &owned);
    create(machine, &note("default", "free"));
    until_notes(machine, "three notes", "shop/first default/owned default/free ");

    machine.kubectl("delete configmap owner");
    until_notes(machine, "the owned note's end", "shop/first default/free ");

    // And back: what a note owns goes with it.
    let uid = machine.kubectl("get note free -o jsonpath={.metadata.uid}");
    create(
        machine,
        &json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "child",
        "namespace": "default", "ownerReferences": [{"apiVersion": "notes.example.com/v1", "kind": "Note",
            "name": "free", "uid": uid}]}}),
    );
    machine.kubectl("delete note free");
    machine.until("the end of what the note owned", |machine| {
        let output = machine.try_kubectl(&["get", "configmap", "child", "--ignore-not-found", "-o", "name"]);
        if output.status.success() && output.stdout.is_empty() { Ok(()) } else { Err(said(&output)) }
    });

    machine.kubectl("delete namespace shop --timeout=60s");
    until_notes(machine, "the namespace's end", "");
    drop(notes);
    cluster.finish();
}
