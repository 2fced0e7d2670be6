//! The node's HTTPS server: who may ask, logs, and streams passed through.

use crate::life::wait_for;
use crate::support::{TestNode, node};
use bytes::Bytes;
use client::DeleteOptions;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Pod;
use kubelet::Kubelet;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

pub(crate) async fn ask(
    node: &TestNode,
    kubelet: &Kubelet,
    who: Option<(&str, &str)>,
    request: Request<Empty<Bytes>>,
) -> Response<Incoming> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(node.authority.pem.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let builder = builder.with_root_certificates(roots);
    let config = match who {
        None => builder.with_no_client_auth(),
        Some((name, group)) => {
            let (chain, key) = node.authority.sign(name, group);
            let chain = vec![CertificateDer::from_pem_slice(chain.as_bytes()).unwrap()];
            builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap()).unwrap()
        }
    };
    let stream = tokio::net::TcpStream::connect(("127.0.0.1", kubelet.port())).await.unwrap();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let tls = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(tls)).await.unwrap();
    tokio::spawn(connection.with_upgrades());
    sender.send_request(request).await.unwrap()
}

pub(crate) fn get(path: &str) -> Request<Empty<Bytes>> {
    Request::get(path).header("host", "node").body(Empty::new()).unwrap()
}

pub(crate) const SERVER: Option<(&str, &str)> = Some(("kube-apiserver-kubelet-client", ""));

pub(crate) async fn body(response: Response<Incoming>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

#[tokio::test]
async fn only_the_api_server_is_answered() {
    let Some(node) = node("auth") else { return };
    let kubelet = node.start().await;
    let check = async |who: Option<(&str, &str)>, wanted: StatusCode| {
        assert_eq!(ask(&node, &kubelet, who, get("/healthz")).await.status(), wanted, "{who:?}");
    };
    check(None, StatusCode::UNAUTHORIZED).await;
    check(Some(("system:node:n2", "system:nodes")), StatusCode::FORBIDDEN).await;
    check(Some(("admin", "system:masters")), StatusCode::OK).await;
    check(SERVER, StatusCode::OK).await;
    assert_eq!(ask(&node, &kubelet, SERVER, get("/nonsense")).await.status(), StatusCode::NOT_FOUND);
    let metrics = body(ask(&node, &kubelet, SERVER, get("/metrics")).await).await;
    assert!(metrics.contains("kubelet_running_pods 0\n"), "{metrics}");
    kubelet.shutdown().await;
}

#[tokio::test]
async fn logs_are_served_and_followed() {
    let Some(node) = node("logs") else { return };
    let kubelet = node.start().await;
    let pod = node.create("{metadata: {name: web}, spec: {containers: [{name: a, image: 'busybox:1'}]}}").await;
    node.until_ready("web").await;
    let uid = pod.metadata.uid.unwrap();
    let log = node.data.path().join(format!("kubelet/pod-logs/default_web_{uid}/a/0.log"));
    std::fs::write(&log, "2026-01-01T00:00:00Z stdout F one\n2026-01-01T00:00:01Z stdout F two\n").unwrap();
    let logs = async |query: &str| {
        body(ask(&node, &kubelet, SERVER, get(&format!("/containerLogs/default/web/{query}"))).await).await
    };
    assert_eq!(logs("a").await, "one\ntwo\n");
    assert_eq!(logs("a?tailLines=1&timestamps=true").await, "2026-01-01T00:00:01Z two\n");
    assert_eq!(logs("none").await, "container \"none\" not found in pod \"web\"");
    assert_eq!(logs("a?previous=true").await, "previous terminated container \"a\" in pod \"web\" not found");

    let mut followed = ask(&node, &kubelet, SERVER, get("/containerLogs/default/web/a?follow=true&tailLines=1")).await;
    let mut next = async || followed.frame().await.map(|frame| frame.unwrap().into_data().unwrap());
    assert_eq!(next().await.unwrap(), "two\n");
    let mut file = std::fs::OpenOptions::new().append(true).open(&log).unwrap();
    std::io::Write::write_all(&mut file, b"2026-01-01T00:00:02Z stdout F three\n").unwrap();
    assert_eq!(next().await.unwrap(), "three\n");
    node.runtime.exit("a", 0, "");
    assert_eq!(next().await, None, "the container ended");
    kubelet.shutdown().await;
}

#[tokio::test]
async fn logs_are_searched_when_their_pod_is_gone() {
    let Some(node) = node("search") else { return };
    let kubelet = node.start().await;
    let yaml = "{metadata: {name: web, labels: {app: web}}, spec: {containers: [{name: a, image: 'busybox:1'}]}}";
    let pod = node.create(yaml).await;
    node.until_ready("web").await;
    let uid = pod.metadata.uid.unwrap();
    let log = node.data.path().join(format!("kubelet/pod-logs/default_web_{uid}/a/0.log"));
    std::fs::write(&log, "2026-01-01T00:00:00Z stdout F one\n2026-01-01T00:00:01Z stderr F ERROR two\n").unwrap();
    let search = async |kubelet: &Kubelet, query: &str| {
        body(ask(&node, kubelet, SERVER, get(&format!("/logs/search?{query}"))).await).await
    };
    let two = format!(
        concat!(
            r#"{{"time":"2026-01-01T00:00:01.000000000Z","node":"n1","namespace":"default","pod":"web","uid":"{}","#,
            r#""container":"a","stream":"stderr","level":"error","line":"ERROR two"}}"#,
            "\n"
        ),
        uid
    );
    assert_eq!(search(&kubelet, "labelSelector=app%3Dweb&level=warn").await, two);
    let zero = DeleteOptions { grace_seconds: Some(0), ..DeleteOptions::default() };
    node.client.delete::<Pod>("default", "web", &zero).await.unwrap();
    node.until_gone("web").await;
    wait_for("the logs to be handed over", || !log.exists()).await;
    assert_eq!(search(&kubelet, "labelSelector=app%3Dweb&level=warn").await, two);
    assert_eq!(search(&kubelet, "labelSelector=app%3Ddb").await, "");
    assert_eq!(search(&kubelet, "labelSelector=%21%21").await.split(':').next(), Some("invalid labelSelector"));
    assert_eq!(search(&kubelet, "colour=red").await, "unknown parameter \"colour\"");
    kubelet.shutdown().await;
    let kubelet = node.start().await;
    assert_eq!(search(&kubelet, "grep=tw%5Bo%5D").await, two, "after a restart");
    kubelet.shutdown().await;
}

#[tokio::test]
async fn streams_are_passed_through_whatever_they_speak() {
    let Some(node) = node("stream") else { return };
    let kubelet = node.start().await;
    node.create("{metadata: {name: web}, spec: {containers: [{name: a, image: 'busybox:1'}]}}").await;
    node.until_ready("web").await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    *node.runtime.stream_url.lock().unwrap() = format!("http://{}/exec/token", listener.local_addr().unwrap());
    let streaming = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        stream
            .write_all(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: SPDY/3.1\r\nConnection: Upgrade\r\n\r\n")
            .await
            .unwrap();
        let mut said = [0; 4];
        stream.read_exact(&mut said).await.unwrap();
        stream.write_all(b"pong").await.unwrap();
        (String::from_utf8(head).unwrap(), said)
    });
    let request = Request::post("/exec/default/web/a?command=sh&output=1")
        .header("host", "node")
        .header("upgrade", "SPDY/3.1")
        .header("connection", "Upgrade")
        .header("x-stream-protocol-version", "v4.channel.k8s.io")
        .body(Empty::new())
        .unwrap();
    let response = ask(&node, &kubelet, SERVER, request).await;
    assert_eq!(
        (response.status(), response.headers()["upgrade"].as_bytes()),
        (StatusCode::SWITCHING_PROTOCOLS, &b"SPDY/3.1"[..])
    );
    let mut stream = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
    stream.write_all(b"ping").await.unwrap();
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"pong");
    let (head, said) = streaming.await.unwrap();
    assert!(
        head.starts_with("POST /exec/token HTTP/1.1\r\n")
            && head.contains("x-stream-protocol-version: v4.channel.k8s.io")
    );
    assert_eq!(&said, b"ping");
    let plain = ask(&node, &kubelet, SERVER, get("/exec/default/web/a?command=sh&output=1")).await;
    assert_eq!(plain.status(), StatusCode::BAD_REQUEST);
    let none = Request::post("/exec/default/none/a?command=sh&output=1")
        .header("host", "n")
        .header("upgrade", "x")
        .body(Empty::new())
        .unwrap();
    assert_eq!(ask(&node, &kubelet, SERVER, none).await.status(), StatusCode::NOT_FOUND);
    kubelet.shutdown().await;
}
