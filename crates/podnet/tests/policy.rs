//! Connections between pods under network policies, in namespaces of the test's own.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails where it stands")]

use api::k8s_openapi::api::core::v1::{Namespace, Pod};
use api::k8s_openapi::api::networking::v1::NetworkPolicy;
use client::testing::Fake;
use client::{Client, DeleteOptions};
use podnet::{AdmittedPod, BaseOptions, ClusterId, PodNetwork, Policies, PolicyOptions, reset};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tokio::time::Instant;

const NODE_IP: Ipv4Addr = Ipv4Addr::new(192, 168, 7, 1);
const DNS_VIP: Ipv4Addr = Ipv4Addr::new(10, 43, 0, 10);
/// Silence for so long is a drop: an answer inside one machine takes microseconds.
const SILENCE: Duration = Duration::from_millis(300);

fn cluster() -> ClusterId {
    ClusterId::new("7e57-0002")
}

fn base_options() -> BaseOptions {
    BaseOptions {
        cluster: cluster(),
        pod_cidr: "10.42.0.0/16".parse().unwrap(),
        service_cidr: "10.43.0.0/16".parse().unwrap(),
        node_ip: NODE_IP,
        own_vips: vec![DNS_VIP],
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

/// Answers the first byte of every connection with the caller's address, until the process ends.
fn serve(address: impl Into<IpAddr>, port: u16) {
    let listener = TcpListener::bind((address.into(), port)).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            std::thread::spawn(|| answer(stream.unwrap()));
        }
    });
}

/// A caller that only wanted to know whether it can connect sends nothing.
fn answer(mut stream: TcpStream) {
    if stream.read_exact(&mut [0]).is_ok() {
        let caller = stream.peer_addr().unwrap().ip().to_string();
        stream.write_all(caller.as_bytes()).unwrap();
    }
}

fn reaches(address: impl Into<IpAddr>, port: u16) -> bool {
    let address = SocketAddr::new(address.into(), port);
    TcpStream::connect_timeout(&address, SILENCE).is_ok()
}

/// The pods of one node, each serving at 80 and 81.
struct Pods {
    client: Client,
    network: PodNetwork,
    folder: PathBuf,
    pods: BTreeMap<&'static str, Ipv4Addr>,
}

impl Pods {
    fn netns(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    async fn attach(&mut self, name: &'static str) -> Ipv4Addr {
        let netns = self.netns(name);
        kernel::netns::create(&netns).unwrap();
        kernel::netns::in_netns(&netns, || ip("link set lo up")).unwrap();
        let address = self.network.setup(name, &netns).await.unwrap();
        kernel::netns::in_netns(&netns, || [80, 81].map(|port| serve(address, port))).unwrap();
        self.pods.insert(name, address);
        address
    }

    async fn add(&mut self, namespace: &str, name: &'static str) {
        let address = self.attach(name).await;
        let pod = pod(namespace, name, Some(address));
        self.client.create(&pod).await.unwrap();
    }

    fn pod_reaches(&self, from: &str, to: &str, port: u16) -> bool {
        let address = self.pods[to];
        kernel::netns::in_netns(&self.netns(from), || reaches(address, port)).unwrap()
    }

    fn pod_reaches_address(&self, from: &str, to: impl Into<IpAddr> + Send, port: u16) -> bool {
        kernel::netns::in_netns(&self.netns(from), || reaches(to, port)).unwrap()
    }

    /// The rules follow within milliseconds; the deadline is generous.
    async fn until(&self, what: &str, mut done: impl FnMut(&Pods) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !done(self) {
            assert!(Instant::now() < deadline, "not within 20 s: {what}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// The names of those that reach `to`.
    fn who_reaches(&self, to: &str, port: u16) -> Vec<&'static str> {
        self.pods.keys().copied().filter(|from| self.pod_reaches(from, to, port)).collect()
    }

    async fn policy(&self, name: &str, spec: Value) {
        let policy = json!({"metadata": {"namespace": "shop", "name": name}, "spec": spec});
        self.client.create(&serde_json::from_value::<NetworkPolicy>(policy).unwrap()).await.unwrap();
    }

    async fn no_policy(&self, name: &str) {
        self.client.delete::<NetworkPolicy>("shop", name, &DeleteOptions::default()).await.unwrap();
    }

    /// Waits until the rules have this policy's chain, or not.
    async fn written(&self, comment: &str, wanted: bool) {
        let table = cluster().table("policy");
        self.until(comment, |_| {
            let rules = kernel::nft::query(&["list", "table", "inet", &table]).unwrap();
            rules.contains(&format!("comment \"shop/{comment}\"")) == wanted
        })
        .await;
    }
}

fn pod(namespace: &str, name: &str, address: Option<Ipv4Addr>) -> Pod {
    serde_json::from_value(json!({
        "metadata": {"namespace": namespace, "name": name, "uid": name, "labels": {"app": name}},
        "spec": {"nodeName": "n1", "containers": [{"name": "c", "ports": [{"name": "admin", "containerPort": 81}]}]},
        "status": {"phase": "Running", "podIP": address.map(|address| address.to_string())},
    }))
    .unwrap()
}

fn namespace(name: &str) -> Namespace {
    let labels = json!({"kubernetes.io/metadata.name": name});
    serde_json::from_value(json!({"metadata": {"name": name, "labels": labels}})).unwrap()
}

fn app(name: &str) -> Value {
    json!({"matchLabels": {"app": name}})
}

fn in_namespace(name: &str) -> Value {
    json!({"matchLabels": {"kubernetes.io/metadata.name": name}})
}

fn options() -> PolicyOptions {
    PolicyOptions { cluster: cluster(), node_name: "n1".to_owned(), own_vips: vec![DNS_VIP] }
}

async fn start(client: &Client) -> (podnet::Admission, tokio::task::JoinHandle<()>) {
    let policies = Policies::new(client, options());
    let (mut ready, admission) = (policies.ready(), policies.admission());
    let running = tokio::spawn(policies.run());
    tokio::time::timeout(Duration::from_secs(60), ready.wait_for(|ready| *ready)).await.unwrap().unwrap();
    (admission, running)
}

/// A folder of network namespaces, which go with it even when a test fails.
struct Namespaces(tempfile::TempDir);

impl Drop for Namespaces {
    fn drop(&mut self) {
        for entry in std::fs::read_dir(self.0.path()).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                kernel::netns::remove(&path).unwrap();
            }
        }
    }
}

/// Runs `work` on a node with the pods `db` and `front` in `shop` and `teller` in `bank`; leaves nothing.
fn with_pods(work: impl AsyncFnOnce(&mut Pods) + Send) {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("SKIPPED: needs root");
        return;
    }
    let namespaces = Namespaces(tempfile::tempdir().unwrap());
    let folder = namespaces.0.path();
    let node = folder.join("node");
    kernel::netns::create(&node).unwrap();
    as_node(&node, async || {
        ip("link set lo up");
        ip(&format!("addr add {NODE_IP}/32 dev lo"));
        let network = PodNetwork::open(&folder.join("ips"), &base_options()).await.unwrap();
        network.set_ranges(vec!["10.42.4.0/24".parse().unwrap()]);
        let (_fake, client) = Fake::start();
        for name in ["shop", "bank", "kube-system"] {
            client.create(&namespace(name)).await.unwrap();
        }
        let mut pods = Pods { client, network, folder: folder.to_owned(), pods: BTreeMap::new() };
        for (namespace, name) in [("shop", "db"), ("shop", "front"), ("bank", "teller")] {
            pods.add(namespace, name).await;
        }
        work(&mut pods).await;
        reset(&base_options()).await.unwrap();
        assert_eq!(kernel::nft::query(&["list", "tables"]).unwrap(), "");
    });
}

const ALL: [&str; 3] = ["db", "front", "teller"];

#[test]
fn ingress_is_by_labels_namespaces_and_ports() {
    with_pods(async |pods| {
        let (_admission, running) = start(&pods.client).await;
        assert_eq!(pods.who_reaches("db", 80), ALL, "no policy");
        let db = pods.pods["db"];
        let mut before =
            kernel::netns::in_netns(&pods.netns("teller"), || TcpStream::connect((db, 80)).unwrap()).unwrap();

        pods.policy("deny", json!({"podSelector": app("db")})).await;
        pods.written("deny", true).await;
        assert_eq!(pods.who_reaches("db", 80), ["db"], "all but itself");
        assert_eq!(pods.who_reaches("front", 80), ALL, "not selected");
        assert!(pods.pod_reaches("db", "front", 80), "egress is not isolated");
        assert!(reaches(db, 80), "the node reaches its pods");
        let mut heard = String::new();
        before.write_all(b"?").unwrap();
        before.read_to_string(&mut heard).unwrap();
        assert_eq!(heard, pods.pods["teller"].to_string(), "a connection from before goes on");

        pods.policy(
            "labels",
            json!({"podSelector": app("db"), "ingress": [{"from": [{"podSelector": {}}], "ports": [{"port": 80}]}]}),
        )
        .await;
        pods.written("labels", true).await;
        assert_eq!(pods.who_reaches("db", 80), ["db", "front"], "the union of both");
        assert_eq!(pods.who_reaches("db", 81), ["db"], "another port");

        let from = json!([{"namespaceSelector": in_namespace("bank"), "podSelector": app("teller")}]);
        pods.policy("names", json!({"podSelector": {}, "ingress": [{"from": from, "ports": [{"port": "admin"}]}]}))
            .await;
        pods.written("names", true).await;
        assert_eq!(pods.who_reaches("db", 81), ["db", "teller"]);
        assert_eq!(pods.who_reaches("front", 81), ["front", "teller"]);
        assert_eq!(pods.who_reaches("front", 80), ["front"], "isolated now");

        for name in ["deny", "labels", "names"] {
            pods.no_policy(name).await;
        }
        for name in ["deny", "labels", "names"] {
            pods.written(name, false).await;
        }
        assert_eq!(pods.who_reaches("db", 80), ALL);
        assert_eq!(pods.who_reaches("front", 80), ALL);
        running.abort();
    });
}

#[test]
fn egress_is_by_peers_addresses_and_dns() {
    with_pods(async |pods| {
        let (_admission, running) = start(&pods.client).await;
        serve(DNS_VIP, 53);
        serve(NODE_IP, 6443);
        assert!(pods.pod_reaches_address("front", DNS_VIP, 53) && pods.pod_reaches_address("front", NODE_IP, 6443));

        pods.policy("none", json!({"podSelector": app("front"), "policyTypes": ["Egress"]})).await;
        pods.written("none", true).await;
        assert!(!pods.pod_reaches("front", "db", 80) && !pods.pod_reaches_address("front", DNS_VIP, 53));
        assert!(!pods.pod_reaches_address("front", NODE_IP, 6443), "nor the node");
        assert!(pods.pod_reaches("front", "front", 80), "itself");
        assert_eq!(pods.who_reaches("front", 80), ALL, "ingress is not isolated: answers leave");
        assert!(pods.pod_reaches("db", "teller", 80), "not selected");

        let dns = json!({"namespaceSelector": in_namespace("kube-system"), "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}}});
        let rules = json!([{"to": [dns], "ports": [{"port": 53}]}, {"to": [{"podSelector": app("db")}]}]);
        pods.policy("some", json!({"podSelector": app("front"), "policyTypes": ["Egress"], "egress": rules})).await;
        pods.written("some", true).await;
        assert!(pods.pod_reaches_address("front", DNS_VIP, 53), "as if DNS were pods");
        assert!(pods.pod_reaches("front", "db", 80) && pods.pod_reaches("front", "db", 81));
        assert!(!pods.pod_reaches("front", "teller", 80) && !pods.pod_reaches_address("front", NODE_IP, 6443));

        let teller = format!("{}/32", pods.pods["teller"]);
        let blocks = json!([
            {"to": [{"ipBlock": {"cidr": "10.42.0.0/16", "except": [teller]}}]},
            {"to": [{"ipBlock": {"cidr": format!("{NODE_IP}/32")}}], "ports": [{"port": 6000, "endPort": 7000}]},
        ]);
        pods.policy("blocks", json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": blocks})).await;
        pods.written("blocks", true).await;
        assert!(pods.pod_reaches("db", "front", 80) && !pods.pod_reaches("db", "teller", 80), "an exception");
        assert!(pods.pod_reaches_address("db", NODE_IP, 6443) && !pods.pod_reaches_address("db", DNS_VIP, 53));

        pods.policy("closed", json!({"podSelector": app("db"), "ingress": []})).await;
        pods.written("closed", true).await;
        assert!(!pods.pod_reaches("front", "db", 80), "both sides must agree");
        running.abort();
    });
}

#[test]
fn services_are_judged_by_their_endpoints() {
    with_pods(async |pods| {
        let (_admission, running) = start(&pods.client).await;
        let (db, service) = (pods.pods["db"], Ipv4Addr::new(10, 43, 0, 5));
        let rules = format!(
            "table ip {} {{
               chain to {{ type nat hook prerouting priority -100; ip daddr {service} tcp dport 8000 dnat to {db}:80; }}
               chain back {{ type nat hook postrouting priority 90; ip saddr {db} ip daddr {db} snat to {NODE_IP}; }}
             }}",
            cluster().table("services")
        );
        kernel::nft::apply(&rules).unwrap();
        let to = |name: &str, port: u16| json!([{"to": [{"podSelector": app(name)}], "ports": [{"port": port}]}]);
        let spec =
            |name: &str, egress: Value| json!({"podSelector": app(name), "policyTypes": ["Egress"], "egress": egress});
        pods.policy("front", spec("front", to("db", 80))).await;
        pods.written("front", true).await;
        assert!(pods.pod_reaches_address("front", service, 8000), "the endpoint's port counts");
        assert!(pods.pod_reaches_address("db", service, 8000));
        pods.policy("db", json!({"podSelector": app("db"), "policyTypes": ["Ingress", "Egress"]})).await;
        pods.written("db", true).await;
        assert!(!pods.pod_reaches_address("front", service, 8000));
        assert!(pods.pod_reaches_address("db", service, 8000), "itself, through its own service");
        running.abort();
    });
}

#[test]
fn the_kernel_takes_every_form_of_rule() {
    with_pods(async |pods| {
        let (_admission, running) = start(&pods.client).await;
        let cidr = |cidr: &str, except: &[&str]| json!({"ipBlock": {"cidr": cidr, "except": except}});
        let range = |first: u16, last: u16| json!({"port": first, "endPort": last, "protocol": "UDP"});
        let name = "a-name-of-two-hundred-and-fifty-three-bytes.".repeat(6)[..253].to_owned();
        let rules = json!([
            {"from": [cidr("0.0.0.0/0", &[])], "ports": [{"port": 0}, {"protocol": "SCTP"}]},
            {"from": [cidr("0.0.0.0/0", &["0.0.0.0/32", "255.255.255.255/32"])], "ports": [range(0, 65534)]},
            {"from": [cidr("255.255.255.255/32", &[]), cidr("0.0.0.0/32", &[])], "ports": [range(1, 65535), {"port": "a", "protocol": "SCTP"}]},
            {"from": [cidr("0.0.0.0/1", &[]), cidr("128.0.0.0/2", &[])], "ports": [range(0, 65535), {"port": "admin"}]},
            {"from": [cidr("fd00::/8", &[])]},
            {},
        ]);
        pods.policy(&name, json!({"podSelector": {}, "ingress": rules, "egress": []})).await;
        pods.written(&name[..115], true).await;
        running.abort();
    });
}

/// The node's end of a pod's pair.
fn node_end() -> String {
    let text = std::fs::read_to_string("/proc/thread-self/net/dev").unwrap();
    let mut names = text.lines().filter_map(|line| Some(line.split_once(':')?.0.trim().to_owned()));
    names.find(|name| name.starts_with("sp")).unwrap()
}

#[test]
fn ipv6_is_no_way_around() {
    with_pods(async |pods| {
        ip(&format!("-6 addr add fd00::1/64 dev {} nodad", node_end()));
        serve(std::net::Ipv6Addr::UNSPECIFIED, 90);
        let to = "fd00::1".parse::<IpAddr>().unwrap();
        for name in ALL {
            kernel::netns::in_netns(&pods.netns(name), || ip("-6 addr add fd00::2/64 dev eth0 nodad")).unwrap();
        }
        assert_eq!(ALL.iter().filter(|name| pods.pod_reaches_address(name, to, 90)).count(), 1, "the pod on that pair");
        let (_admission, running) = start(&pods.client).await;
        assert_eq!(ALL.iter().filter(|name| pods.pod_reaches_address(name, to, 90)).count(), 0);
        running.abort();
    });
}

#[test]
fn an_admitted_pod_starts_isolated_and_rules_outlive_the_process() {
    with_pods(async |pods| {
        let (admission, running) = start(&pods.client).await;
        pods.policy("deny", json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]})).await;
        pods.written("deny", true).await;
        let address = pods.attach("late").await;
        let labels = [("app".to_owned(), "late".to_owned())].into();
        let (namespace, name) = ("shop".to_owned(), "late".to_owned());
        let late = AdmittedPod { namespace, uid: name.clone(), name, labels, address };
        admission.admit(late.clone()).await.unwrap();
        assert!(
            !pods.pod_reaches("teller", "late", 80) && !pods.pod_reaches("late", "teller", 80),
            "unknown to the API"
        );
        pods.client.create(&pod("shop", "late", None)).await.unwrap();
        running.abort();
        assert!(running.await.is_err_and(|ended| ended.is_cancelled()));
        assert!(!pods.pod_reaches("teller", "late", 80), "without the process");
        assert!(admission.admit(late).await.is_err(), "nobody writes rules");

        let (_admission, running) = start(&pods.client).await;
        assert_eq!(pods.who_reaches("db", 80), ["db"], "from the objects alone");
        running.abort();
    });
}

#[test]
fn a_pod_sends_with_its_own_address_only() {
    with_pods(async |pods| {
        let (_admission, running) = start(&pods.client).await;
        let receiver = kernel::netns::in_netns(&pods.netns("db"), || UdpSocket::bind("0.0.0.0:99").unwrap()).unwrap();
        receiver.set_read_timeout(Some(SILENCE)).unwrap();
        let db = pods.pods["db"];
        let heard = |from: Ipv4Addr| {
            kernel::netns::in_netns(&pods.netns("front"), || {
                UdpSocket::bind((from, 0)).unwrap().send_to(b"x", (db, 99)).unwrap();
            })
            .unwrap();
            receiver.recv_from(&mut [0; 1]).is_ok()
        };
        assert!(heard(pods.pods["front"]));
        let stolen = Ipv4Addr::new(10, 42, 4, 200);
        kernel::netns::in_netns(&pods.netns("front"), || ip(&format!("addr add {stolen}/32 dev eth0"))).unwrap();
        assert!(!heard(stolen), "an address that is not the pod's");
        running.abort();
    });
}

#[test]
fn refused_rules_are_written_anew() {
    with_pods(async |pods| {
        let (_admission, running) = start(&pods.client).await;
        // Someone flushed the tables: the next difference fails, and the whole is written.
        kernel::nft::apply("flush ruleset\n").unwrap();
        pods.policy("deny", json!({"podSelector": app("db")})).await;
        pods.until("rules again", |pods| !pods.pod_reaches("front", "db", 80)).await;
        assert_eq!(pods.who_reaches("db", 80), ["db"]);
        running.abort();
    });
}
