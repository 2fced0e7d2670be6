//! A webhook that is somebody else's program: Python's own HTTP server behind a Service, and real kubectl.

use super::server::{base64, certificates};
use super::{DEADLINE, MAPS, map};
use crate::cluster::Cluster;
use crate::programs::{Client, Program};
use serde_json::json;
use std::net::UdpSocket;
use std::process::Stdio;
use std::time::Instant;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

const SCRIPT: &str = include_str!("webhook.py");

/// An address of this machine that endpoints may have, which loopback addresses are not; none without a network.
fn own_address() -> Option<String> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    // Sends nothing: it only chooses a source address.
    socket.connect("192.0.2.1:9").ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback()).then(|| address.to_string())
}

/// The program, and the port that it listens on.
async fn start(program: &Program, names: &[&str]) -> Option<(Child, u16, String)> {
    let made = certificates(names);
    program.file("webhook.py", SCRIPT);
    program.file("tls.pem", format!("{}{}", made.certificate_pem, made.key_pem));
    let folder = program.command(&[]).as_std().get_current_dir().unwrap().to_owned();
    let mut command = Command::new("python3");
    command.arg("webhook.py").current_dir(folder).stdout(Stdio::piped()).kill_on_drop(true);
    let Ok(mut child) = command.spawn() else {
        eprintln!("SKIPPED: python3 is not installed");
        return None;
    };
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).await.unwrap();
    let port = line.trim().parse().unwrap_or_else(|_| panic!("the webhook said {line:?} in place of its port"));
    Some((child, port, made.ca_pem))
}

fn manifests(address: &str, port: u16, ca_bundle: &str) -> String {
    let hook = |name: &str, path: &str| {
        format!(
            "- name: {name}.test.io\n  admissionReviewVersions: [v1]\n  sideEffects: None\n  \
             rules: [{{operations: [CREATE], apiGroups: [''], apiVersions: [v1], resources: [configmaps]}}]\n  \
             clientConfig: {{caBundle: {ca_bundle}, service: {{namespace: default, name: hook, path: {path}}}}}\n"
        )
    };
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: hook}}\nspec: {{ports: [{{port: 443, name: https}}]}}\n---\n\
         apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
         metadata: {{name: hook-1, labels: {{kubernetes.io/service-name: hook}}}}\naddressType: IPv4\n\
         ports: [{{name: https, port: {port}}}]\nendpoints: [{{addresses: [{address}]}}]\n---\n\
         apiVersion: admissionregistration.k8s.io/v1\nkind: MutatingWebhookConfiguration\nmetadata: {{name: m}}\n\
         webhooks:\n{}---\n\
         apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingWebhookConfiguration\nmetadata: {{name: v}}\n\
         webhooks:\n{}",
        hook("m", "/mutate"),
        hook("v", "/validate")
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_python_webhook_behind_a_service_judges_what_kubectl_does() {
    let Some(address) = own_address() else {
        eprintln!("SKIPPED: this machine has no address but loopback");
        return;
    };
    let cluster = Cluster::start().await;
    let Some(kubectl) = Program::of(&cluster, Client::Kubectl132) else { return };
    let Some((mut child, port, ca_pem)) = start(&kubectl, &["hook.default.svc"]).await else { return };
    kubectl.file("all.yaml", manifests(&address, port, &base64(&ca_pem)));
    kubectl.ok("apply -f all.yaml").await;
    let begun = Instant::now();
    while cluster.post(&format!("{MAPS}?dryRun=All"), map("bad-marker", json!({}))).await.code == 201 {
        assert!(begun.elapsed() < DEADLINE, "the webhook is not asked");
    }
    let said = kubectl.run(&["create", "configmap", "good", "--from-literal=k=v"]).await;
    assert!(said.ok, "{}", said.err);
    assert_eq!(said.err, "Warning: good is stamped\n");
    let stamp = kubectl.ok("get configmap good -o jsonpath={.data.stamp}").await;
    assert_eq!(stamp, "python");
    kubectl.file("bad.yaml", map("bad", json!({})).to_string());
    let says = "Warning: bad is stamped\nError from server (Forbidden): error when creating \"bad.yaml\": admission webhook \"v.test.io\" denied \
                the request: bad names are not welcome\n";
    let said = kubectl.run(&["create", "-f", "bad.yaml"]).await;
    assert_eq!((said.ok, said.err.as_str()), (false, says));
    kubectl.ok("delete mutatingwebhookconfiguration m").await;
    kubectl.ok("delete validatingwebhookconfiguration v").await;
    child.kill().await.unwrap();
    cluster.shutdown().await;
}
