//! Packets through the rules, in a network namespace of the test's own; endpoints are addresses on its loopback.
#![allow(clippy::unwrap_used)] // Whatever fails in a test's helpers fails the test.

use api::k8s_openapi::api::core::v1::Service;
use api::k8s_openapi::api::discovery::v1::EndpointSlice;
use client::testing::Fake;
use proxy::{Options, Proxy};
use std::collections::BTreeSet;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

fn as_node(node: &Path, work: impl AsyncFnOnce() + Send) {
    kernel::netns::in_netns(node, || {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work());
    })
    .unwrap();
}

fn ip(arguments: &str) {
    assert!(Command::new("ip").args(arguments.split(' ')).status().unwrap().success(), "ip {arguments}");
}

/// Answers every connection with its own address, until the process ends.
fn serve(address: &str) {
    let listener = TcpListener::bind(address).unwrap();
    let name = address.to_owned();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            stream.unwrap().write_all(name.as_bytes()).unwrap();
        }
    });
}

fn ask(address: &str) -> std::io::Result<String> {
    let address: SocketAddr = address.parse().unwrap();
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(2))?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn service() -> Service {
    serde_json::from_value(serde_json::json!({
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"type": "NodePort", "clusterIP": "10.43.0.5", "clusterIPs": ["10.43.0.5"],
                 "ports": [{"name": "http", "port": 80, "nodePort": 30080, "protocol": "TCP"}]}
    }))
    .unwrap()
}

fn slice(addresses: &[&str]) -> EndpointSlice {
    let endpoints: Vec<_> = addresses
        .iter()
        .map(|address| serde_json::json!({"addresses": [address], "nodeName": "n1", "conditions": {"ready": true}}))
        .collect();
    serde_json::from_value(serde_json::json!({
        "metadata": {"name": "web-1", "namespace": "default", "labels": {"kubernetes.io/service-name": "web"}},
        "addressType": "IPv4", "endpoints": endpoints, "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}]
    }))
    .unwrap()
}

/// Asks until the answer satisfies; the deadline is generous, the usual time is milliseconds.
async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    while !done() {
        assert!(tokio::time::Instant::now() < deadline, "not within 20 s: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[test]
fn connections_reach_the_endpoints_and_unserved_addresses_refuse() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("SKIPPED: needs root");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let node = folder.path().join("node");
    kernel::netns::create(&node).unwrap();
    as_node(&node, async || {
        for command in [
            "link set lo up",
            "addr add 10.42.0.2/32 dev lo",
            "addr add 10.42.0.3/32 dev lo",
            "addr add 192.168.7.1/32 dev lo",
        ] {
            ip(command);
        }
        ip("route add 10.43.0.0/16 dev lo src 192.168.7.1");
        serve("10.42.0.2:8080");
        serve("10.42.0.3:8080");
        let (_fake, client) = Fake::start();
        client.create(&service()).await.unwrap();
        let mut endpoints = client.create(&slice(&["10.42.0.2", "10.42.0.3"])).await.unwrap();
        let options = Options {
            node_name: "n1".to_owned(),
            node_ip: "192.168.7.1".parse().unwrap(),
            service_cidr: "10.43.0.0/16".parse().unwrap(),
            table: "sampan_test_services".to_owned(),
            own_vips: Vec::new(),
        };
        let proxy = Proxy::new(&client, options);
        let mut ready = proxy.ready();
        let mut running = tokio::spawn(proxy.run());
        tokio::time::timeout(Duration::from_secs(60), ready.wait_for(|ready| *ready)).await.unwrap().unwrap();

        for front in ["10.43.0.5:80", "192.168.7.1:30080"] {
            let heard: BTreeSet<String> = (0..40).map(|_| ask(front).unwrap()).collect();
            assert_eq!(heard.len(), 2, "{front} spreads over both: {heard:?}");
        }
        for unserved in ["10.43.0.5:81", "10.43.9.9:80"] {
            assert_eq!(ask(unserved).unwrap_err().kind(), ErrorKind::ConnectionRefused, "{unserved}");
        }

        endpoints.endpoints = slice(&["10.42.0.3"]).endpoints;
        let endpoints = client.update(&endpoints).await.unwrap();
        let used = until("only the remaining endpoint is used", || {
            // 2^-40 is the chance that both are in use and one of them answers every time.
            (0..40).all(|_| ask("10.43.0.5:80").is_ok_and(|answer| answer == "10.42.0.3:8080"))
        });
        tokio::select! {
            () = used => {}
            ended = &mut running => panic!("the proxy ended: {ended:?}"),
        }

        let (namespace, name) = ("default", endpoints.metadata.name.as_deref().unwrap());
        client.delete::<EndpointSlice>(namespace, name, &client::DeleteOptions::default()).await.unwrap();
        until("no endpoint: refused", || {
            ask("10.43.0.5:80").is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
        })
        .await;
        running.abort();
    });
    kernel::netns::remove(&node).unwrap();
}
