//! `proxy` of nodes, pods and services: everything a client says reaches the backend, but who it is.

use crate::cluster::Cluster;
use crate::streams;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::net::{IpAddr, UdpSocket};
use tokio::net::TcpListener;

const SERVICES: &str = "/api/v1/namespaces/default/services";
const PODS: &str = "/api/v1/namespaces/default/pods";

/// Says what it heard; `/page` is a page, `/moved` leads elsewhere on itself.
async fn backend(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let host = parts.headers["host"].to_str().unwrap().to_owned();
    let response = Response::builder();
    let response = match parts.uri.path() {
        "/page" => {
            response.header("content-type", "text/html; charset=utf-8").body(Full::from("<a href=\"/rewriteme\">x</a>"))
        }
        "/moved" => response.status(302).header("location", format!("http://{host}/there?a=b")).body(Full::default()),
        _ => {
            let body = body.collect().await.unwrap().to_bytes();
            let headers: serde_json::Map<String, Value> =
                parts.headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().into())).collect();
            let heard = json!({"method": parts.method.as_str(), "uri": parts.uri.to_string(), "headers": headers,
                "body": String::from_utf8_lossy(&body)});
            response
                .status(StatusCode::ACCEPTED)
                .header("x-own", "kept")
                .header("access-control-allow-origin", "*")
                .header("connection", "x-hop")
                .header("x-hop", "1")
                .body(Full::from(heard.to_string()))
        }
    };
    Ok(response.unwrap())
}

/// An address of this machine that leads out of it, as pods have; `None` where it has none.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    // Nothing is sent: the kernel only looks for a route.
    socket.connect("192.0.2.1:9").ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback() && !address.is_unspecified()).then_some(address)
}

async fn serve(address: IpAddr) -> u16 {
    let listener = TcpListener::bind((address, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let http = hyper::server::conn::http1::Builder::new();
            tokio::spawn(http.serve_connection(TokioIo::new(stream), service_fn(backend)));
        }
    });
    port
}

/// A pod and a service with an endpoint at `address`.
async fn pod_and_service(cluster: &Cluster, address: IpAddr, port: u16) {
    let accounts = "/api/v1/namespaces/default/serviceaccounts";
    cluster.post(accounts, json!({"metadata": {"name": "default"}})).await.expect(201);
    let pod = json!({"metadata": {"name": "web"},
        "spec": {"containers": [{"name": "a", "image": "i", "ports": [{"containerPort": port}]}]}});
    cluster.post(PODS, pod).await.expect(201);
    let status = json!({"status": {"podIP": address.to_string(), "podIPs": [{"ip": address.to_string()}]}});
    cluster.patch("merge", &format!("{PODS}/web/status"), status).await.expect(200);
    let service = json!({"metadata": {"name": "web"}, "spec": {"ports": [{"name": "http", "port": 80}, {"name": "other", "port": 81}]}});
    cluster.post(SERVICES, service).await.expect(201);
    let slice = json!({"metadata": {"name": "web-1", "labels": {"kubernetes.io/service-name": "web"}},
        "addressType": "IPv4", "ports": [{"name": "http", "port": port, "protocol": "TCP"}],
        "endpoints": [{"addresses": [address.to_string()], "conditions": {"ready": true}}]});
    cluster.post("/apis/discovery.k8s.io/v1/namespaces/default/endpointslices", slice).await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_reaches_pods_and_services_whole() {
    let Some(address) = own_address() else { return eprintln!("SKIPPED: this machine has no address of its own") };
    let cluster = Cluster::start().await;
    let port = serve(address).await;
    pod_and_service(&cluster, address, port).await;
    for base in [
        format!("{PODS}/web"),
        format!("{PODS}/web:{port}"),
        format!("{SERVICES}/web:http"),
        format!("{SERVICES}/http:web:80"),
    ] {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
            let headers = [
                ("x-asked", "1"),
                ("impersonate-user", "alice"),
                ("impersonate-group", "system:masters"),
                ("cookie", "a=b"),
            ];
            let path = format!("{base}/proxy/a//b%2Fc/?q=1&q=%20&watch=true");
            let answer = cluster.send(method, &path, &headers, "the body").await.expect(202);
            let heard = answer.json();
            assert_eq!(
                (heard["method"].as_str(), heard["uri"].as_str()),
                (Some(method), Some("/a//b%2Fc/?q=1&q=%20&watch=true")),
                "{base}"
            );
            assert_eq!((&heard["headers"]["x-asked"], &heard["headers"]["cookie"]), (&json!("1"), &json!("a=b")));
            assert_eq!(heard["headers"]["host"], format!("{address}:{port}"));
            assert_eq!(heard["headers"]["x-forwarded-uri"], path.split('?').next().unwrap());
            for secret in ["authorization", "impersonate-user", "impersonate-group"] {
                assert_eq!(heard["headers"][secret], Value::Null);
            }
            assert_eq!(heard["body"], "the body", "{method} {base}");
            let named = ["x-own", "access-control-allow-origin", "x-hop"].map(|name| answer.header(name));
            assert_eq!(named, ["kept", "", ""]);
        }
        let head = cluster.send("HEAD", &format!("{base}/proxy/x"), &[], "").await;
        assert_eq!((head.code, head.body.len()), (202, 0));
        // Bodies flow: one that is larger than any object passes.
        let large = "x".repeat(5 << 20);
        let heard = cluster.send("POST", &format!("{base}/proxy/large"), &[], large.clone()).await.expect(202);
        assert!(heard.json()["body"] == large);
    }
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn links_and_redirects_lead_through_the_proxy() {
    let Some(address) = own_address() else { return eprintln!("SKIPPED: this machine has no address of its own") };
    let cluster = Cluster::start().await;
    let port = serve(address).await;
    pod_and_service(&cluster, address, port).await;
    let base = format!("{PODS}/web:{port}/proxy");
    let page = cluster.get(&format!("{base}/page")).await.expect(200);
    assert_eq!(page.body, format!("<a href=\"{base}/rewriteme\">x</a>"));
    let moved = cluster.get(&format!("{base}/moved")).await.expect(302);
    assert_eq!(moved.header("location"), format!("{base}/there?a=b"));
    let bare = cluster.get(&format!("{base}?q=1")).await.expect(301);
    assert_eq!(bare.header("location"), format!("{base}/?q=1"));
    assert_eq!(cluster.post(&base, json!({})).await.expect(202).json()["uri"], "/", "only who reads is led on");
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_reached_is_said_in_upstreams_words() {
    let Some(address) = own_address() else { return eprintln!("SKIPPED: this machine has no address of its own") };
    let cluster = Cluster::start().await;
    pod_and_service(&cluster, address, 1).await;
    let refused = format!("error trying to reach service: dial tcp {address}:1: connect: connection refused");
    let loopback = json!({"status": {"podIP": "127.0.0.1"}});
    for (path, code, message) in [
        (format!("{PODS}/web/proxy/"), 503, refused.clone()),
        (format!("{SERVICES}/web:http/proxy/"), 503, refused),
        (format!("{SERVICES}/web:82/proxy/"), 503, "no service port 82 found for service \"web\"".into()),
        (format!("{SERVICES}/web:other/proxy/"), 503, "no endpoints available for service \"web:other\"".into()),
        (format!("{SERVICES}/none/proxy/"), 404, "services \"none\" not found".into()),
        (format!("{PODS}/ftp:web:1/proxy/"), 400, "invalid pod request \"ftp:web:1\"".into()),
        (format!("{PODS}/none/proxy/"), 404, "pods \"none\" not found".into()),
    ] {
        assert_eq!(cluster.get(&path).await.expect(code).message(), message, "{path}");
    }
    cluster.patch("merge", &format!("{PODS}/web/status"), loopback).await.expect(200);
    assert_eq!(cluster.get(&format!("{PODS}/web/proxy/")).await.expect(400).message(), "address not allowed");
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_nodes_own_api_is_reached_as_the_server() {
    let cluster = streams::start().await;
    let port =
        cluster.get("/api/v1/nodes/n1").await.json()["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"].clone();
    for name in ["n1".to_owned(), format!("n1:{port}")] {
        let answer = cluster.get(&format!("/api/v1/nodes/{name}/proxy/stats/summary?only=1")).await.expect(200);
        assert_eq!(answer.body, "/stats/summary?only=1");
    }
    // Another port of a node is any server: one that would lead back into this machine is refused.
    assert_eq!(cluster.get("/api/v1/nodes/n1:22/proxy/").await.expect(400).message(), "address not allowed");
    assert_eq!(cluster.get("/api/v1/nodes/n2/proxy/").await.expect(404).message(), "nodes \"n2\" not found");
    cluster.shutdown().await;
}
