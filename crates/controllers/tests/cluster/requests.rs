//! Requests for certificates: a node gets its own without anybody's help, others wait.

use crate::Cluster;
use api::Subresource;
use api::k8s_openapi::api::certificates::v1::{CertificateSigningRequest, CertificateSigningRequestStatus};
use api::k8s_openapi::api::core::v1::Node;
use controllers::Signer;
use serde_json::json;
use std::time::Duration;

/// Approves a serving certificate for a node that has an address, and what a join token asks for; cannot sign `bad`.
pub(crate) struct NodesOnly;

impl Signer for NodesOnly {
    fn approves(&self, request: &CertificateSigningRequest, node: Option<&Node>) -> Option<String> {
        let has_address = |node: &Node| node.status.as_ref().is_some_and(|status| status.addresses.is_some());
        match request.spec.signer_name.as_str() {
            "kubernetes.io/kubelet-serving" => node.filter(|node| has_address(node)).map(|_| "its own".to_owned()),
            "kubernetes.io/kube-apiserver-client-kubelet" => Some("a join token".to_owned()),
            "example.com/theirs" => Some("never asked".to_owned()),
            _ => None,
        }
    }

    fn sign(&self, request: &CertificateSigningRequest) -> Result<Vec<u8>, String> {
        let name = request.metadata.name.as_deref().unwrap_or_default();
        if name == "bad" { Err("the usages are not permitted".to_owned()) } else { Ok(name.as_bytes().to_vec()) }
    }
}

async fn request(cluster: &Cluster, name: &str, signer: &str) {
    cluster
        .create::<CertificateSigningRequest>(
            json!({"metadata": {"name": name}, "spec": {"request": "", "signerName": signer,
            "username": "system:node:n1", "groups": ["system:nodes"]}}),
        )
        .await;
}

fn status(cluster: &Cluster, name: &str) -> CertificateSigningRequestStatus {
    cluster.get::<CertificateSigningRequest>("", name).unwrap().status.unwrap_or_default()
}

fn conditions(cluster: &Cluster, name: &str) -> Vec<(String, String)> {
    let all = status(cluster, name).conditions.unwrap_or_default();
    all.into_iter().map(|condition| (condition.type_, condition.reason.unwrap())).collect()
}

fn issued(cluster: &Cluster, name: &str) -> Option<String> {
    status(cluster, name).certificate.map(|pem| String::from_utf8(pem.0).unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_node_is_given_its_certificates() {
    let cluster = Cluster::start();
    request(&cluster, "client", "kubernetes.io/kube-apiserver-client-kubelet").await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(issued(&cluster, "client").as_deref(), Some("client"), "a starting node does not wait");
    assert_eq!(conditions(&cluster, "client"), [("Approved".to_owned(), "AutoApproved".to_owned())]);
    request(&cluster, "serving", "kubernetes.io/kubelet-serving").await;
    cluster.settle().await;
    assert_eq!(issued(&cluster, "serving"), None, "the node has not registered");
    cluster.create::<Node>(json!({"metadata": {"name": "n1"}})).await;
    cluster.settle().await;
    assert_eq!(issued(&cluster, "serving"), None, "nor told its addresses");
    let addresses = json!({"status": {"addresses": [{"type": "InternalIP", "address": "10.0.0.1"}]}});
    cluster.merge::<Node>("", "n1", Some(Subresource::Status), addresses).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(issued(&cluster, "serving").as_deref(), Some("serving"));
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_not_a_nodes_waits_for_a_human() {
    let cluster = Cluster::start_lagging();
    request(&cluster, "user", "kubernetes.io/kube-apiserver-client").await;
    request(&cluster, "theirs", "example.com/theirs").await;
    cluster.settle().await;
    assert!(conditions(&cluster, "user").is_empty() && conditions(&cluster, "theirs").is_empty());
    let approved = json!({"status": {"conditions": [{"type": "Approved", "status": "True", "reason": "ByMe"}]}});
    for name in ["user", "theirs"] {
        cluster.merge::<CertificateSigningRequest>("", name, Some(Subresource::Approval), approved.clone()).await;
    }
    cluster.settle().await;
    assert_eq!(issued(&cluster, "user").as_deref(), Some("user"));
    assert_eq!(issued(&cluster, "theirs"), None, "another signer's");
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_signed_fails_with_the_reason_and_is_not_tried_again() {
    let cluster = Cluster::start();
    request(&cluster, "bad", "kubernetes.io/kube-apiserver-client-kubelet").await;
    cluster.settle().await;
    let expected = [("Approved", "AutoApproved"), ("Failed", "SignerValidationFailure")];
    assert_eq!(conditions(&cluster, "bad"), expected.map(|(type_, reason)| (type_.to_owned(), reason.to_owned())));
    assert_eq!(issued(&cluster, "bad"), None);
    assert_eq!(cluster.fake.calls("update certificatesigningrequests/status"), 1);
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn old_requests_are_cleared_away() {
    let cluster = Cluster::start();
    request(&cluster, "issued", "kubernetes.io/kube-apiserver-client-kubelet").await;
    request(&cluster, "pending", "kubernetes.io/kube-apiserver-client").await;
    let left = |cluster: &Cluster| crate::names(&cluster.fake.all::<CertificateSigningRequest>());
    tokio::time::sleep(Duration::from_secs(59 * 60)).await;
    assert_eq!(left(&cluster), ["issued", "pending"]);
    tokio::time::sleep(Duration::from_secs(2 * 60)).await;
    assert_eq!(left(&cluster), ["pending"]);
    tokio::time::sleep(Duration::from_secs(24 * 3600)).await;
    assert!(left(&cluster).is_empty());
    cluster.stop().await;
}
