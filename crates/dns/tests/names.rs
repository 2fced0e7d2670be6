//! Questions over real sockets, and what they mean.
#![allow(clippy::unwrap_used)] // Whatever fails in a test's helpers fails the test.

use api::k8s_openapi::api::core::v1::Service;
use api::k8s_openapi::api::discovery::v1::EndpointSlice;
use client::testing::Fake;
use dns::{Dns, Options};
use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RecordType};
use serde_json::json;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

fn service(name: &str, spec: serde_json::Value) -> Service {
    serde_json::from_value(json!({"metadata": {"name": name, "namespace": "default"}, "spec": spec})).unwrap()
}

fn slice(service: &str, endpoints: serde_json::Value) -> EndpointSlice {
    serde_json::from_value(json!({
        "metadata": {"name": format!("{service}-1"), "namespace": "default", "labels": {"kubernetes.io/service-name": service}},
        "addressType": "IPv4", "endpoints": endpoints, "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}]
    }))
    .unwrap()
}

fn question(name: &str, kind: RecordType) -> Message {
    let mut message = Message::query();
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    message
}

async fn ask(server: SocketAddr, name: &str, kind: RecordType) -> Message {
    let question = question(name, kind);
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.send_to(&question.to_vec().unwrap(), server).await.unwrap();
    let mut buffer = [0; 4096];
    let length = tokio::time::timeout(Duration::from_secs(60), socket.recv(&mut buffer)).await.unwrap().unwrap();
    let answer = Message::from_vec(&buffer[..length]).unwrap();
    assert_eq!(answer.metadata.id, question.metadata.id);
    answer
}

/// The answers' data, sorted; `NXDomain` and the like for an error.
async fn check(server: SocketAddr, name: &str, kind: RecordType, expected: &[&str]) {
    let answer = ask(server, name, kind).await;
    let mut got: Vec<String> = answer.answers.iter().map(|record| record.data.to_string()).collect();
    if answer.metadata.response_code != ResponseCode::NoError {
        got.push(format!("{:?}", answer.metadata.response_code));
    }
    got.sort();
    assert_eq!(got, expected, "{name} {kind}");
}

/// A resolver for the rest of the world that answers every question with REFUSED, to be told from our own answers.
async fn other_resolver() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 4096];
        while let Ok((length, peer)) = socket.recv_from(&mut buffer).await {
            let question = Message::from_vec(&buffer[..length]).unwrap();
            let mut answer = question.clone().into_response();
            answer.metadata.response_code = ResponseCode::Refused;
            socket.send_to(&answer.to_vec().unwrap(), peer).await.unwrap();
        }
    });
    address
}

async fn cluster() -> (Fake, SocketAddr) {
    let (fake, client) = Fake::start();
    let ports = json!([{"name": "http", "port": 80, "protocol": "TCP"}]);
    for service in [
        service("web", json!({"clusterIP": "10.43.0.5", "ports": ports})),
        service("db", json!({"clusterIP": "None", "ports": ports})),
        service("many", json!({"clusterIP": "None", "ports": ports})),
        service("out", json!({"type": "ExternalName", "externalName": "example.org"})),
    ] {
        client.create(&service).await.unwrap();
    }
    let db = json!([
        {"addresses": ["10.42.0.7"], "hostname": "db-0", "conditions": {"ready": true}},
        {"addresses": ["10.42.0.8"], "conditions": {"ready": true}},
        {"addresses": ["10.42.0.9"], "conditions": {"ready": false}}
    ]);
    client.create(&slice("db", db)).await.unwrap();
    let many: Vec<_> =
        (0..100).map(|n| json!({"addresses": [format!("10.42.1.{n}")], "conditions": {"ready": true}})).collect();
    client.create(&slice("many", json!(many))).await.unwrap();
    let options = Options {
        domain: "cluster.local".to_owned(),
        listen: vec!["127.0.0.1:0".parse().unwrap()],
        upstreams: vec![other_resolver().await],
    };
    let dns = Dns::bind(&client, options).await.unwrap();
    let address = dns.local_addresses()[0];
    tokio::spawn(dns.run());
    (fake, address)
}

#[tokio::test]
async fn names_mean_what_the_specification_says() {
    let (_fake, server) = cluster().await;
    use RecordType::{A, AAAA, CNAME, PTR, SRV, TXT};
    for (name, kind, expected) in [
        ("web.default.svc.cluster.local.", A, &["10.43.0.5"][..]),
        ("WEB.Default.svc.cluster.local.", A, &["10.43.0.5"]),
        ("web.default.svc.cluster.local.", AAAA, &[]),
        ("db.default.svc.cluster.local.", A, &["10.42.0.7", "10.42.0.8"]),
        ("db-0.db.default.svc.cluster.local.", A, &["10.42.0.7"]),
        ("10-42-0-8.db.default.svc.cluster.local.", A, &["10.42.0.8"]),
        ("_http._tcp.web.default.svc.cluster.local.", SRV, &["0 100 80 web.default.svc.cluster.local."]),
        (
            "_http._tcp.db.default.svc.cluster.local.",
            SRV,
            &["0 50 8080 10-42-0-8.db.default.svc.cluster.local.", "0 50 8080 db-0.db.default.svc.cluster.local."],
        ),
        ("_no._tcp.web.default.svc.cluster.local.", SRV, &["NXDomain"]),
        ("10-42-3-4.default.pod.cluster.local.", A, &["10.42.3.4"]),
        ("out.default.svc.cluster.local.", CNAME, &["example.org."]),
        ("5.0.43.10.in-addr.arpa.", PTR, &["web.default.svc.cluster.local."]),
        ("dns-version.cluster.local.", TXT, &["1.1.0"]),
        ("gone.default.svc.cluster.local.", A, &["NXDomain"]),
        ("web.nowhere.svc.cluster.local.", A, &["NXDomain"]),
        ("default.svc.cluster.local.", A, &[]),
        ("example.org.", A, &["Refused"]),
        ("9.9.9.9.in-addr.arpa.", PTR, &["Refused"]),
    ] {
        check(server, name, kind, expected).await;
    }
}

#[tokio::test]
async fn what_does_not_fit_a_datagram_comes_over_tcp() {
    let (_fake, server) = cluster().await;
    let name = "many.default.svc.cluster.local.";
    let short = ask(server, name, RecordType::A).await;
    assert!(short.metadata.truncation && short.answers.len() < 100 && !short.answers.is_empty());
    let mut stream = TcpStream::connect(server).await.unwrap();
    let question = question(name, RecordType::A).to_vec().unwrap();
    stream.write_all(&u16::try_from(question.len()).unwrap().to_be_bytes()).await.unwrap();
    stream.write_all(&question).await.unwrap();
    let mut answer = vec![0; usize::from(stream.read_u16().await.unwrap())];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(Message::from_vec(&answer).unwrap().answers.len(), 100);
}

#[tokio::test]
async fn a_question_that_is_none_gets_an_error() {
    let (_fake, server) = cluster().await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.send_to(&[0x12, 0x34, 0xff], server).await.unwrap();
    let mut buffer = [0; 512];
    let length = tokio::time::timeout(Duration::from_secs(60), socket.recv(&mut buffer)).await.unwrap().unwrap();
    let answer = Message::from_vec(&buffer[..length]).unwrap();
    assert_eq!((answer.metadata.id, answer.metadata.response_code), (0x1234, ResponseCode::FormErr));
}
