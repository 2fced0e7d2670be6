//! An API server that is somebody else's program: Python's own HTTP server behind a Service, and real kubectl.

use super::{DEADLINE, endpoints, own_address, service};
use crate::cluster::Cluster;
use crate::programs::{Client, Program};
use crate::webhooks::server::{base64, certificates};
use serde_json::{Value, json};
use std::process::Stdio;
use std::time::Instant;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

const SCRIPT: &str = include_str!("server.py");

/// The program, the port that it listens on, and whom it is believed by.
async fn start(program: &Program, authentication: &Value) -> Option<(Child, u16, String)> {
    let made = certificates(&["notes.default.svc"]);
    program.file("server.py", SCRIPT);
    program.file("tls.pem", format!("{}{}", made.certificate_pem, made.key_pem));
    program.file("front-proxy-ca.pem", authentication["requestheader-client-ca-file"].as_str().unwrap());
    let folder = program.command(&[]).as_std().get_current_dir().unwrap().to_owned();
    let mut command = Command::new("python3");
    command.arg("server.py").current_dir(folder).stdout(Stdio::piped()).kill_on_drop(true);
    let Ok(mut child) = command.spawn() else {
        eprintln!("SKIPPED: python3 is not installed");
        return None;
    };
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).await.unwrap();
    let port = line.trim().parse().unwrap_or_else(|_| panic!("the server said {line:?} in place of its port"));
    Some((child, port, made.ca_pem))
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_keeps_notes_in_a_python_server() {
    let Some(address) = own_address() else { return };
    let cluster = Cluster::start().await;
    let Some(kubectl) = Program::of(&cluster, Client::Kubectl132) else { return };
    // As such servers find out whom to believe.
    let map = "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication";
    let authentication = cluster.get(map).await.expect(200).json()["data"].clone();
    assert_eq!(authentication["requestheader-allowed-names"], r#"["front-proxy-client"]"#);
    assert_eq!(authentication["requestheader-username-headers"], r#"["X-Remote-User"]"#);
    let Some((mut child, port, ca_pem)) = start(&kubectl, &authentication).await else { return };
    let api_service = json!({"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
        "metadata": {"name": "v1.notes.example.com"},
        "spec": {"group": "notes.example.com", "version": "v1", "groupPriorityMinimum": 1000, "versionPriority": 15,
            "caBundle": base64(&ca_pem), "service": {"namespace": "default", "name": "notes"}}});
    let all = json!({"apiVersion": "v1", "kind": "List",
        "items": [service("notes"), endpoints("notes", address, port), api_service]});
    kubectl.file("all.json", all.to_string());
    kubectl.ok("apply -f all.json").await;
    kubectl.ok("wait --for=condition=Available --timeout=20s apiservice/v1.notes.example.com").await;
    kubectl.file("note.yaml", "apiVersion: notes.example.com/v1\nkind: Note\nmetadata: {name: first}\ntext: hello\n");
    assert_eq!(kubectl.ok("create -f note.yaml --validate=false").await, "note.notes.example.com/first created\n");
    kubectl.run(&["create", "-f", "note.yaml", "--validate=false"]).await.expect_failure("AlreadyExists");
    assert_eq!(kubectl.ok("get note first -o jsonpath={.text}/{.author}").await, "hello/kubernetes-admin");
    let mut watch = kubectl.start(&["get", "notes", "--watch-only", "-o", "name"]);
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    // The watch begins at some time: notes are made until it tells of one.
    let begun = Instant::now();
    let told = async { lines.next_line().await.unwrap() };
    tokio::pin!(told);
    let mut made = 0;
    let told = loop {
        let text = format!("apiVersion: notes.example.com/v1\nkind: Note\nmetadata: {{name: more-{made}}}\n");
        kubectl.file("more.yaml", text);
        made += 1;
        tokio::select! {
            told = &mut told => break told.unwrap(),
            _ = kubectl.ok("create -f more.yaml --validate=false") => {}
        }
        assert!(begun.elapsed() < DEADLINE, "the watch tells of nothing");
    };
    assert!(told.starts_with("note.notes.example.com/more-"), "{told}");
    watch.kill().await.unwrap();
    kubectl.ok("delete note first").await;
    kubectl.run(&["get", "note", "first"]).await.expect_failure("NotFound");
    child.kill().await.unwrap();
    cluster.shutdown().await;
}
