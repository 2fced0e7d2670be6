//! Logs and upgraded streams through a kubelet that is a few lines long.

use crate::cluster::{Cluster, now};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::json;
use std::convert::Infallible;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

const PODS: &str = "/api/v1/namespaces/default/pods";

/// Answers logs with its own path, and upgrades with an echo.
async fn kubelet(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().to_string();
    if path.contains("waiting") {
        let mut refusal = Response::new(Full::new(Bytes::from("container \"waiting\" is waiting to start")));
        *refusal.status_mut() = StatusCode::BAD_REQUEST;
        return Ok(refusal);
    }
    if !request.headers().contains_key("upgrade") {
        return Ok(Response::new(Full::new(Bytes::from(path))));
    }
    tokio::spawn(async move {
        let mut stream = TokioIo::new(hyper::upgrade::on(request).await.unwrap());
        stream.write_all(path.as_bytes()).await.unwrap();
        let mut word = [0; 4];
        stream.read_exact(&mut word).await.unwrap();
        stream.write_all(&word).await.unwrap();
        stream.shutdown().await.unwrap();
    });
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response.headers_mut().insert("connection", "Upgrade".parse().unwrap());
    response.headers_mut().insert("upgrade", "SPDY/3.1".parse().unwrap());
    Ok(response)
}

/// Serves what `kubelet` answers, and tells the port.
pub(crate) async fn serve_kubelet<F, R>(cluster: &Cluster, kubelet: F) -> u16
where
    F: Fn(Request<Incoming>) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Result<Response<Full<Bytes>>, Infallible>> + Send + 'static,
{
    let serving = cluster.pki.issue_kubelet_serving("n1", &["127.0.0.1".parse().unwrap()], now()).unwrap();
    let (chain, key) = serving.tls().unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (acceptor, kubelet) = (acceptor.clone(), kubelet.clone());
            tokio::spawn(async move {
                let stream = acceptor.accept(stream).await.unwrap();
                let http = hyper::server::conn::http1::Builder::new();
                let connection = http.serve_connection(TokioIo::new(stream), service_fn(kubelet));
                connection.with_upgrades().await.unwrap();
            });
        }
    });
    port
}

/// A node with a kubelet, and a pod with containers `a` and `waiting` on it.
pub(crate) async fn start() -> Cluster {
    let cluster = Cluster::start().await;
    add_pod(&cluster).await;
    cluster
}

pub(crate) async fn add_node(cluster: &Cluster, name: &str, port: u16) {
    cluster.post("/api/v1/nodes", json!({"metadata": {"name": name}})).await.expect(201);
    let status = json!({"status": {"addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": port}}}});
    cluster.patch("merge", &format!("/api/v1/nodes/{name}/status"), status).await.expect(200);
}

pub(crate) async fn add_pod(cluster: &Cluster) {
    let port = serve_kubelet(cluster, kubelet).await;
    add_node(cluster, "n1", port).await;
    let accounts = "/api/v1/namespaces/default/serviceaccounts";
    cluster.post(accounts, json!({"metadata": {"name": "default"}})).await.expect(201);
    let container = |name: &str| json!({"name": name, "image": "i"});
    let pod = json!({"metadata": {"name": "p"},
        "spec": {"nodeName": "n1", "containers": [container("a"), container("waiting")]}});
    cluster.post(PODS, pod).await.expect(201);
}

/// A connection of its own, as the administrator, for requests that upgrade it.
pub(crate) async fn connect(cluster: &Cluster) -> TlsStream<TcpStream> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(cluster.pki.server_ca.certificates()[0].clone()).unwrap();
    let (chain, key) = cluster.pki.admin.tls().unwrap();
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .unwrap();
    let address = cluster.url.trim_start_matches("https://").to_owned();
    let tcp = TcpStream::connect(&address).await.unwrap();
    let name = "127.0.0.1".try_into().unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, tcp).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_come_from_the_node() {
    let cluster = start().await;
    let path = format!("{PODS}/p/log?container=a&follow=true&tailLines=3&timestamps=1&nonsense=2");
    let text = String::from_utf8(cluster.get(&path).await.expect(200).body.to_vec()).unwrap();
    assert_eq!(text, "/containerLogs/default/p/a?follow=true&tailLines=3&timestamps=1");
    let which = cluster.get(&format!("{PODS}/p/log")).await.expect(400);
    assert_eq!(which.message(), "a container name must be specified for pod p, choose one of: [a waiting]");
    let waiting = cluster.get(&format!("{PODS}/p/log?container=waiting")).await.expect(400);
    assert_eq!(waiting.message(), "container \"waiting\" is waiting to start");
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_is_spliced_to_the_node() {
    let cluster = start().await;
    let path = format!("{PODS}/p/exec?container=a&command=sh&command=-c&stdin=true&stdout=true");
    let refused = cluster.post(&path, json!({})).await.expect(400);
    assert_eq!(refused.message(), "Upgrade request required");
    let text = echo(&cluster, &path).await;
    assert_eq!(text, "/exec/default/p/a?input=1&output=1&command=sh&command=-cping");
    cluster.shutdown().await;
}

/// Upgrades, says `ping`, and returns what was heard until the end.
pub(crate) async fn echo(cluster: &Cluster, path: &str) -> String {
    let tls = connect(cluster).await;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(tls)).await.unwrap();
    tokio::spawn(connection.with_upgrades());
    let request = Request::post(path)
        .header("host", cluster.url.trim_start_matches("https://"))
        .header("connection", "Upgrade")
        .header("upgrade", "SPDY/3.1")
        .body(Full::<Bytes>::default())
        .unwrap();
    let mut response = sender.send_request(request).await.unwrap();
    assert_eq!(response.status(), 101);
    assert_eq!(response.headers()["upgrade"], "SPDY/3.1");
    let mut stream = TokioIo::new(hyper::upgrade::on(&mut response).await.unwrap());
    stream.write_all(b"ping").await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    drop(stream);
    let rest = response.into_body().collect().await.map(|body| body.to_bytes());
    assert!(rest.is_ok_and(|bytes| bytes.is_empty()));
    text
}

/// A WebSocket begins with GET and does what POST does.
#[tokio::test(flavor = "multi_thread")]
async fn who_may_only_get_runs_no_commands() {
    let cluster = start().await;
    let role = json!({"metadata": {"name": "looks"},
        "rules": [{"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["get"]}]});
    cluster.post("/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles", role).await.expect(201);
    let binding = json!({"metadata": {"name": "looks"}, "subjects": [{"kind": "User", "name": "alice"}],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "looks"}});
    cluster.post("/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings", binding).await.expect(201);
    let path = format!("{PODS}/p/exec?container=a&command=sh&stdout=true");
    let asked = cluster.send("GET", &path, &[("impersonate-user", "alice")], "").await.expect(403);
    let why = "User \"alice\" cannot create resource \"pods/exec\" in API group \"\" in the namespace \"default\"";
    assert_eq!(asked.message(), format!("pods \"p\" is forbidden: {why}"));
    cluster.shutdown().await;
}
