//! Two pods on one node, in namespaces of the test's own: they reach each other, and nothing is left behind.
#![allow(clippy::unwrap_used)] // Whatever fails in a test's helpers fails the test.

use podnet::{BaseOptions, ClusterId, PodNetwork, reset};
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;

fn options() -> BaseOptions {
    BaseOptions {
        cluster: ClusterId::new("7e57-0001"),
        pod_cidr: "10.42.0.0/16".parse().unwrap(),
        service_cidr: "10.43.0.0/16".parse().unwrap(),
        node_ip: "192.168.7.1".parse().unwrap(),
        own_vips: vec!["10.43.0.10".parse().unwrap()],
        mtu: 1500,
    }
}

fn as_node(node: &Path, work: impl AsyncFnOnce() + Send) {
    kernel::netns::in_netns(node, || {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work());
    })
    .unwrap();
}

fn ip(arguments: &str) {
    assert!(Command::new("ip").args(arguments.split(' ')).status().unwrap().success(), "ip {arguments}");
}

fn interfaces() -> Vec<String> {
    let text = std::fs::read_to_string("/proc/thread-self/net/dev").unwrap();
    text.lines().skip(2).filter_map(|line| Some(line.split_once(':')?.0.trim().to_owned())).collect()
}

#[test]
fn pods_reach_each_other_and_leave_nothing() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("SKIPPED: needs root");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let [node, a, b] = ["node", "a", "b"].map(|name| folder.path().join(name));
    for namespace in [&node, &a, &b] {
        kernel::netns::create(namespace).unwrap();
    }
    as_node(&node, async || {
        ip("link set lo up");
        ip("addr add 192.168.7.1/32 dev lo");
        let network = PodNetwork::open(&folder.path().join("ips"), &options()).await.unwrap();
        assert!(!*network.ready().borrow());
        assert!(network.setup("sandbox-a", &a).await.is_err(), "no range yet");
        network.set_ranges(vec!["10.42.4.0/24".parse().unwrap()]);
        let first = network.setup("sandbox-a", &a).await.unwrap();
        assert_eq!(network.setup("sandbox-a", &a).await.unwrap(), first, "idempotent");
        let second = network.setup("sandbox-b", &b).await.unwrap();
        assert_ne!(first, second);

        let listener = kernel::netns::in_netns(&b, || TcpListener::bind((second, 80)).unwrap()).unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, peer) = listener.accept().unwrap();
            stream.write_all(peer.ip().to_string().as_bytes()).unwrap();
        });
        let mut heard = String::new();
        let mut stream = kernel::netns::in_netns(&a, || TcpStream::connect((second, 80)).unwrap()).unwrap();
        stream.read_to_string(&mut heard).unwrap();
        server.join().unwrap();
        assert_eq!(heard, first.to_string(), "the caller's own address arrives");

        drop(network);
        let network = PodNetwork::open(&folder.path().join("ips"), &options()).await.unwrap();
        network.reconcile(&BTreeSet::from(["sandbox-b".to_owned()])).await.unwrap();
        assert_eq!(interfaces().len(), 2, "lo and b's");
        network.teardown("sandbox-b").await.unwrap();
        network.teardown("sandbox-b").await.unwrap();
        reset(&options()).await.unwrap();
        reset(&options()).await.unwrap();
        assert_eq!(interfaces(), ["lo"]);
        let left = Command::new("ip").args(["route", "show", "proto", "83"]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&left.stdout), "");
        let addresses = Command::new("ip").args(["-o", "address", "show"]).output().unwrap();
        assert!(!String::from_utf8_lossy(&addresses.stdout).contains("10.43.0.10"));
        assert_eq!(kernel::nft::query(&["list", "tables"]).unwrap(), "");
    });
    for namespace in [&node, &a, &b] {
        kernel::netns::remove(namespace).unwrap();
    }
}
