//! Webhooks that are not there, do not answer, or answer nonsense.

use super::server::{Hooks, base64};
use super::{Kind, MAPS, configure, hook, map};
use crate::cluster::Cluster;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// The refusal of a write because of a webhook that is not heard.
async fn failure(cluster: &Cluster) -> String {
    cluster.post(MAPS, map("a", json!({}))).await.expect(500).message()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_heard_is_told_in_upstreams_words() {
    let (cluster, server) = (Cluster::start().await, Hooks::start().await);
    configure(&cluster, &server, Kind::Validating, "v", vec![hook(&server, "v", json!({}))]).await;
    let prefix = "Internal error occurred: failed calling webhook \"v.test.io\": ";
    for (code, text, says) in [
        (
            500,
            "broken",
            "failed to call webhook: an error on the server (\"broken\") has prevented the request from succeeding",
        ),
        (404, "", "failed to call webhook: the server could not find the requested resource"),
        (200, "{}", "received invalid webhook response: webhook response was absent"),
        (200, "<html>", "failed to call webhook: couldn't get version/kind; json parse error: "),
    ] {
        server.raw("v", code, text);
        let message = failure(&cluster).await;
        assert!(message.starts_with(&format!("{prefix}{says}")), "{message}");
    }
    server.respond("v", json!({"uid": "other", "allowed": true}));
    let message = failure(&cluster).await;
    assert!(message.contains("received invalid webhook response: expected response.uid="), "{message}");
    server.patch("v", json!([]));
    let says = "received invalid webhook response: validating webhook may not return response.patch";
    assert_eq!(failure(&cluster).await, format!("{prefix}{says}"));
    let text = String::from_utf8(cluster.get("/metrics").await.body.to_vec()).unwrap();
    let line = "rejection_count{error_type=\"calling_webhook_error\",name=\"v.test.io\",operation=\"CREATE\",\
                type=\"validating\",rejection_code=\"500\"} 1";
    assert!(text.contains(line), "{text}");
    cluster.shutdown().await;
}

/// One webhook whose client configuration, or anything else, is this; the refusal of a write.
async fn refused(more: Value) -> String {
    let (cluster, server) = (Cluster::start().await, Hooks::start().await);
    configure(&cluster, &server, Kind::Mutating, "m", vec![hook(&server, "m", more)]).await;
    let message = failure(&cluster).await;
    cluster.shutdown().await;
    message
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_there_or_not_believed_refuses() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let ca = base64(&super::server::certificates(&["localhost"]).ca_pem);
    let message = refused(json!({"clientConfig": {"url": format!("https://{closed}/x"), "caBundle": ca}})).await;
    let says = format!(
        "Internal error occurred: failed calling webhook \"m.test.io\": failed to call webhook: Post \
         \"https://{closed}/x?timeout=10s\": dial tcp {closed}: connect: connection refused"
    );
    assert_eq!(message, says);
    let server = Hooks::start().await;
    let message = refused(json!({"clientConfig": {"url": server.url("x"), "caBundle": ca}})).await;
    assert!(message.contains("x509: certificate signed by unknown authority"), "{message}");
    let service = json!({"namespace": "default", "name": "absent", "path": "/x"});
    let message = refused(json!({"clientConfig": {"service": service, "caBundle": ca}})).await;
    let says = "Post \"https://absent.default.svc:443/x?timeout=10s\": service \"absent\" not found";
    assert!(message.ends_with(says), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_may_be_ignored_and_is_counted() {
    let (cluster, server) = (Cluster::start().await, Hooks::start().await);
    let ignored = json!({"failurePolicy": "Ignore"});
    configure(&cluster, &server, Kind::Mutating, "m", vec![hook(&server, "m", ignored.clone())]).await;
    configure(&cluster, &server, Kind::Validating, "v", vec![hook(&server, "v", ignored)]).await;
    server.raw("m", 500, "");
    server.raw("v", 500, "");
    cluster.post(MAPS, map("a", json!({}))).await.expect(201);
    let text = String::from_utf8(cluster.get("/metrics").await.body.to_vec()).unwrap();
    for line in ["{name=\"m.test.io\",type=\"admit\"} 1", "{name=\"v.test.io\",type=\"validating\"} 1"] {
        let line = format!("apiserver_admission_webhook_fail_open_count{line}");
        assert!(text.contains(&line), "{line} in {text}");
    }
    // A refusal is no failure.
    server.refuse("v", json!({"message": "no"}));
    cluster.post(MAPS, map("b", json!({}))).await.expect(400);
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_silent_is_waited_for_no_longer_than_it_says() {
    let (cluster, server) = (Cluster::start().await, Hooks::start().await);
    let short = json!({"timeoutSeconds": 1});
    configure(&cluster, &server, Kind::Validating, "v", vec![hook(&server, "v", short)]).await;
    server.silence("v");
    let begun = Instant::now();
    let message = failure(&cluster).await;
    assert!((Duration::from_secs(1)..Duration::from_secs(10)).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    let url = server.url("v");
    let says = format!("failed to call webhook: Post \"{url}?timeout=1s\": context deadline exceeded");
    assert!(message.ends_with(&says), "{message}");
    cluster.shutdown().await;
}
