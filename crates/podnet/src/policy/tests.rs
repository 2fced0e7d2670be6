//! From objects to script: what is written for a state, and what for a change of it.

use super::facts::SlimPod;
use super::script::Written;
use super::view::{AdmittedPod, View};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// A node `n1` and what its kernel was told.
struct Node {
    view: View,
    written: Written,
}

impl Node {
    fn new() -> Node {
        let mut view = View::new("n1", vec!["10.43.0.10".parse().unwrap()]);
        for name in ["shop", "bank", "kube-system"] {
            let labels = [("kubernetes.io/metadata.name".to_owned(), name.to_owned())];
            view.namespace(name, Some(labels.into()));
        }
        Node { view, written: Written::default() }
    }

    /// `place` is `namespace/name app node address`.
    fn pod(&mut self, place: &str) {
        self.pod_with(place, json!({}));
    }

    fn pod_with(&mut self, place: &str, more: Value) {
        let [key, app, node, address] = place.split(' ').collect::<Vec<_>>()[..] else { panic!("{place}") };
        let (namespace, name) = key.split_once('/').unwrap();
        let mut pod = json!({
            "metadata": {"namespace": namespace, "name": name, "uid": name, "labels": {"app": app}, "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"nodeName": node, "containers": [{"ports": [{"name": "web", "containerPort": 8080}]}]},
            "status": {"podIP": address, "phase": "Running"},
        });
        for (part, fields) in more.as_object().unwrap() {
            for (field, value) in fields.as_object().unwrap() {
                pod[part][field] = value.clone();
            }
        }
        self.view.pod(key.into(), None, Some(serde_json::from_value::<SlimPod>(pod).unwrap().facts));
    }

    fn no_pod(&mut self, key: &str, uid: &str) {
        self.view.pod(key.into(), Some(uid), None);
    }

    fn policy(&mut self, key: &str, spec: Value) {
        let (namespace, name) = key.split_once('/').unwrap();
        let policy = json!({"metadata": {"namespace": namespace, "name": name}, "spec": spec});
        self.view.policy(key.into(), Some(&serde_json::from_value(policy).unwrap()));
    }

    fn script(&mut self) -> String {
        let mut out = String::new();
        let moves = self.view.moves();
        self.written.change("t", self.view.plan(), &moves, &mut out);
        out
    }

    /// The script's lines that have `part`.
    fn lines(&mut self, part: &str) -> Vec<String> {
        self.script().lines().filter(|line| line.contains(part)).map(|line| line.replace("inet t ", "")).collect()
    }
}

fn admitted(name: &str, uid: &str, address: &str) -> AdmittedPod {
    let labels = [("app".to_owned(), "db".to_owned())].into();
    AdmittedPod {
        namespace: "shop".to_owned(),
        name: name.to_owned(),
        uid: uid.to_owned(),
        labels,
        address: address.parse().unwrap(),
    }
}

fn app(name: &str) -> Value {
    json!({"matchLabels": {"app": name}})
}

/// The database takes connections from the front at 5432.
fn db_from_front() -> Value {
    json!({"podSelector": app("db"), "ingress": [{"from": [{"podSelector": app("front")}], "ports": [{"port": 5432}]}]})
}

fn shop() -> Node {
    let mut node = Node::new();
    node.pod("shop/db db n1 10.42.0.2");
    node.pod("shop/front front n2 10.42.4.2");
    node.policy("shop/db", db_from_front());
    node
}

#[test]
fn a_policy_brings_its_sets_chains_and_elements() {
    assert_eq!(
        shop().script(),
        "add set inet t peer_1 { type ipv4_addr; }\n\
         add chain inet t policy_1_ingress { comment \"shop/db\"; }\n\
         add element inet t peer_1 { 10.42.4.2 }\n\
         add rule inet t policy_1_ingress ip saddr @peer_1 tcp dport { 5432 } accept\n\
         add chain inet t pods_1_ingress\n\
         add rule inet t pods_1_ingress jump policy_1_ingress\n\
         add rule inet t pods_1_ingress drop\n\
         add element inet t ingress { 10.42.0.2 : goto pods_1_ingress }\n\
         add element inet t itself { 10.42.0.2 . 10.42.0.2 }\n"
    );
}

#[test]
fn a_policy_that_goes_takes_everything_along() {
    let mut node = shop();
    node.script();
    node.view.policy("shop/db".into(), None);
    assert_eq!(
        node.script(),
        "delete element inet t ingress { 10.42.0.2 : goto pods_1_ingress }\n\
         delete element inet t itself { 10.42.0.2 . 10.42.0.2 }\n\
         flush chain inet t pods_1_ingress\n\
         delete chain inet t pods_1_ingress\n\
         flush chain inet t policy_1_ingress\n\
         delete chain inet t policy_1_ingress\n\
         delete set inet t peer_1\n"
    );
}

#[test]
fn a_changed_rule_rewrites_its_own_chain() {
    let mut node = shop();
    node.script();
    let from = json!([{"podSelector": app("front")}]);
    node.policy("shop/db", json!({"podSelector": app("db"), "ingress": [{"from": from}]}));
    assert_eq!(
        node.script(),
        "flush chain inet t policy_1_ingress\n\
         add rule inet t policy_1_ingress ip saddr @peer_1 accept\n"
    );
    node.policy("shop/db", json!({"podSelector": app("db"), "ingress": [{"from": from}], "policyTypes": ["Ingress"]}));
    assert_eq!(node.script(), "", "the same, with the default spelled out");
}

#[test]
fn a_pods_change_costs_its_own_elements() {
    let mut node = shop();
    node.script();
    node.pod("shop/other other n1 10.42.0.9");
    assert_eq!(node.script(), "", "no rule speaks of it");
    node.pod("shop/front2 front n1 10.42.0.3");
    assert_eq!(node.script(), "add element inet t peer_1 { 10.42.0.3 }\n");
    node.pod_with("shop/front2 front n1 10.42.0.3", json!({"status": {"message": "still here"}}));
    assert_eq!(node.script(), "", "nothing that a rule needs");
    node.pod("shop/front2 front n1 10.42.0.4");
    assert_eq!(node.script(), "delete element inet t peer_1 { 10.42.0.3 }\nadd element inet t peer_1 { 10.42.0.4 }\n");
    node.pod("shop/front2 db n1 10.42.0.4");
    assert_eq!(
        node.lines("10.42.0.4"),
        [
            "delete element peer_1 { 10.42.0.4 }",
            "add element ingress { 10.42.0.4 : goto pods_1_ingress }",
            "add element itself { 10.42.0.4 . 10.42.0.4 }"
        ]
    );
    node.pod_with("shop/front front n2 10.42.4.2", json!({"status": {"phase": "Succeeded"}}));
    assert_eq!(node.script(), "delete element inet t peer_1 { 10.42.4.2 }\n");
}

#[test]
fn terminating_pods_stay_filtered_and_those_on_the_nodes_network_never_are() {
    let mut node = shop();
    node.script();
    node.pod_with("shop/db db n1 10.42.0.2", json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}));
    assert_eq!(node.script(), "");
    node.pod_with("shop/db2 db n1 192.168.7.1", json!({"spec": {"hostNetwork": true}}));
    node.pod_with("shop/front2 front n1 192.168.7.1", json!({"spec": {"hostNetwork": true}}));
    assert_eq!(node.script(), "");
}

#[test]
fn pods_with_the_same_policies_share_a_chain_and_policies_a_peer() {
    let mut node = shop();
    node.pod("shop/db2 db n1 10.42.0.3");
    node.policy("shop/all", json!({"podSelector": {}, "ingress": [{"from": [{"podSelector": app("front")}]}], "egress": [{}], "policyTypes": ["Ingress", "Egress"]}));
    node.pod("shop/other other n1 10.42.0.9");
    let script = node.script();
    assert_eq!(script.matches("add set").count(), 1, "{script}");
    let jumps: Vec<&str> = script.lines().filter(|line| line.contains("jump") || line.contains("goto")).collect();
    assert_eq!(
        jumps,
        [
            "add rule inet t pods_3_ingress jump policy_1_ingress",
            "add rule inet t pods_1_ingress jump policy_1_ingress",
            "add rule inet t pods_1_ingress jump policy_2_ingress",
            "add rule inet t pods_2_egress jump policy_1_egress",
            "add element inet t egress { 10.42.0.2 : goto pods_2_egress, 10.42.0.3 : goto pods_2_egress, 10.42.0.9 : goto pods_2_egress }",
            "add element inet t ingress { 10.42.0.2 : goto pods_1_ingress, 10.42.0.3 : goto pods_1_ingress, 10.42.0.9 : goto pods_3_ingress }",
        ]
    );
    node.view.policy("shop/db".into(), None);
    let script = node.script();
    assert!(!script.contains("delete set") && !script.contains("delete chain inet t pods_3"), "still in use: {script}");
    assert!(script.contains("delete chain inet t pods_1_ingress"), "{script}");
}

#[test]
fn rules_combine_whom_and_which_ports() {
    let cidr = |cidr: &str, except: &[&str]| json!({"ipBlock": {"cidr": cidr, "except": except}});
    let table = [
        (json!({}), vec!["accept"]),
        (json!({"from": [], "ports": []}), vec!["accept"]),
        (json!({"ports": [{"protocol": "UDP"}]}), vec!["meta l4proto udp accept"]),
        (json!({"ports": [{"port": 80}, {"port": 90, "endPort": 99}]}), vec!["tcp dport { 80, 90-99 } accept"]),
        (
            json!({"ports": [{"port": 80}, {"port": 53, "protocol": "UDP"}]}),
            vec!["tcp dport { 80 } accept", "udp dport { 53 } accept"],
        ),
        (json!({"ports": [{"port": "web"}]}), vec!["ip daddr . tcp dport @port_1 accept"]),
        (json!({"from": [cidr("10.0.0.0/8", &["10.128.0.0/9"])]}), vec!["ip saddr { 10.0.0.0/9 } accept"]),
        (
            json!({"from": [cidr("0.0.0.0/0", &[])], "ports": [{"port": 1}]}),
            vec!["meta nfproto ipv4 tcp dport { 1 } accept"],
        ),
        (json!({"from": [cidr("fd00::/8", &[])]}), vec![]),
        (
            json!({"from": [{"podSelector": {}}, cidr("10.0.0.0/8", &[])], "ports": [{"port": 1}, {"protocol": "SCTP"}]}),
            vec![
                "ip saddr @peer_1 tcp dport { 1 } accept",
                "ip saddr @peer_1 meta l4proto sctp accept",
                "ip saddr { 10.0.0.0/8 } tcp dport { 1 } accept",
                "ip saddr { 10.0.0.0/8 } meta l4proto sctp accept",
            ],
        ),
    ];
    for (rule, wanted) in table {
        let mut node = Node::new();
        node.pod("shop/db db n1 10.42.0.2");
        node.policy("shop/p", json!({"podSelector": {}, "ingress": [rule]}));
        let rules = node.lines("rule inet t policy_1_ingress ");
        let rules: Vec<&str> =
            rules.iter().filter_map(|line| line.strip_prefix("add rule policy_1_ingress ")).collect();
        assert_eq!(rules, wanted, "{rule}");
    }
}

#[test]
fn a_named_port_is_each_pods_own_number() {
    let mut node = Node::new();
    node.pod("shop/a db n1 10.42.0.2");
    node.pod_with(
        "shop/b db n2 10.42.4.2",
        json!({"spec": {"containers": [{"ports": [{"name": "web", "containerPort": 81}]}]}}),
    );
    node.pod_with(
        "shop/c db n2 10.42.4.3",
        json!({"spec": {"containers": [{"ports": [{"name": "web", "protocol": "UDP", "containerPort": 82}]}]}}),
    );
    node.policy(
        "shop/p",
        json!({"podSelector": {}, "egress": [{"ports": [{"port": "web"}]}], "policyTypes": ["Egress"]}),
    );
    let script = node.script();
    assert!(script.contains("add set inet t port_1 { type ipv4_addr . inet_service; }\n"), "{script}");
    assert!(script.contains("add element inet t port_1 { 10.42.0.2 . 8080, 10.42.4.2 . 81 }\n"), "{script}");
    assert!(script.contains("add rule inet t policy_1_egress ip daddr . tcp dport @port_1 accept\n"), "{script}");
}

#[test]
fn namespaces_are_chosen_by_their_labels() {
    let mut node = Node::new();
    node.pod("shop/db db n1 10.42.0.2");
    node.pod("bank/teller teller n2 10.42.4.2");
    node.pod("bank/guard guard n2 10.42.4.3");
    let rich = json!({"matchLabels": {"rich": "yes"}});
    node.policy(
        "shop/p",
        json!({"podSelector": {}, "ingress": [{"from": [{"namespaceSelector": rich, "podSelector": app("teller")}]}]}),
    );
    assert_eq!(node.lines("element inet t peer"), Vec::<String>::new());
    node.view.namespace("bank", Some([("rich".to_owned(), "yes".to_owned())].into()));
    assert_eq!(node.script(), "add element inet t peer_1 { 10.42.4.2 }\n");
    node.view.namespace("bank", Some([("rich".to_owned(), "no".to_owned())].into()));
    assert_eq!(node.script(), "delete element inet t peer_1 { 10.42.4.2 }\n");
}

#[test]
fn who_may_reach_the_dns_pods_may_reach_the_nodes_own() {
    let system = json!({"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}});
    let dns = json!({"matchLabels": {"k8s-app": "kube-dns"}});
    let (udp, tcp) = ("ip daddr 10.43.0.10 udp dport 53 accept", "ip daddr 10.43.0.10 tcp dport 53 accept");
    let to = |peer: Value, ports: Value| json!({"to": [peer], "ports": ports});
    let table = [
        (to(json!({"namespaceSelector": system, "podSelector": dns}), json!([])), vec![udp, tcp]),
        (to(json!({"namespaceSelector": {}}), json!([{"port": 53, "protocol": "UDP"}])), vec![udp]),
        (to(json!({"namespaceSelector": {}}), json!([{"port": "dns-tcp"}])), vec![tcp]),
        (to(json!({"namespaceSelector": {}}), json!([{"port": 80}])), vec![]),
        (to(json!({"namespaceSelector": system, "podSelector": app("web")}), json!([])), vec![]),
        (to(json!({"podSelector": {}}), json!([])), vec![]),
    ];
    for (rule, wanted) in table {
        let mut node = Node::new();
        node.pod("shop/db db n1 10.42.0.2");
        node.policy("shop/p", json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [rule]}));
        let rules = node.lines("10.43.0.10");
        let rules: Vec<&str> = rules.iter().filter_map(|line| line.strip_prefix("add rule policy_1_egress ")).collect();
        assert_eq!(rules, wanted, "{rule}");
    }
}

#[test]
fn policies_elsewhere_cost_nothing_here() {
    let mut node = shop();
    node.pod("bank/db db n2 10.42.4.9");
    node.policy("bank/db", db_from_front());
    node.script();
    node.policy("bank/more", json!({"podSelector": {}}));
    assert_eq!(node.script(), "");
    node.pod("bank/db2 db n1 10.42.0.7");
    assert_eq!(node.lines("add chain inet t policy").len(), 2);
    node.pod("bank/db2 db n1 ");
    assert_eq!(node.lines("delete chain inet t policy").len(), 2);
}

#[test]
fn an_admitted_pod_is_isolated_until_it_is_gone() {
    let isolate = ["add element ingress { 10.42.0.5 : goto pods_1_ingress }"];
    let release = ["delete element ingress { 10.42.0.5 : goto pods_1_ingress }"];
    let mut node = shop();
    node.script();
    node.view.admit(admitted("db2", "db2", "10.42.0.5"));
    assert_eq!(node.lines("t ingress"), isolate);
    node.pod("shop/db2 db n1 ");
    assert_eq!(node.script(), "", "the API has no address yet");
    node.pod("shop/db2 db n1 10.42.0.5");
    assert_eq!(node.script(), "", "the API has caught up");
    node.no_pod("shop/db2", "db2");
    assert_eq!(node.lines("t ingress"), release);

    node.view.admit(admitted("db2", "second", "10.42.0.5"));
    assert_eq!(node.lines("t ingress"), isolate);
    node.no_pod("shop/db2", "first");
    assert_eq!(node.script(), "", "the news is of an earlier pod of that name");
    node.no_pod("shop/db2", "second");
    assert_eq!(node.lines("t ingress"), release, "the API never knew its address");

    node.view.admit(admitted("db2", "third", "10.42.0.5"));
    node.script();
    node.view.admit(admitted("db3", "db3", "10.42.0.5"));
    assert_eq!(node.script(), "", "the same element, now another pod's");
    assert_eq!(node.view.pods_known(), 3, "nothing is kept of the one before");
}

#[test]
fn a_restarted_sandboxs_new_address_counts_at_once() {
    let mut node = shop();
    node.script();
    node.view.admit(admitted("db", "db", "10.42.0.8"));
    assert_eq!(
        node.lines("t ingress"),
        [
            "delete element ingress { 10.42.0.2 : goto pods_1_ingress }",
            "add element ingress { 10.42.0.8 : goto pods_1_ingress }"
        ]
    );
}

#[test]
fn an_address_is_its_youngest_pods() {
    let mut node = shop();
    node.script();
    let young = json!({"metadata": {"creationTimestamp": "2026-01-02T00:00:00Z"}});
    node.pod_with("shop/other other n1 10.42.0.2", young);
    assert_eq!(node.lines("delete element inet t ingress").len(), 1, "the database has lost its address");
    node.pod_with(
        "shop/other other n1 10.42.0.2",
        json!({"metadata": {"creationTimestamp": "2026-01-02T00:00:00Z", "deletionTimestamp": "2026-01-03T00:00:00Z"}}),
    );
    assert_eq!(node.lines("add element inet t ingress").len(), 1, "the other is going");
    node.no_pod("shop/other", "other");
    assert_eq!(node.script(), "");
}

#[test]
fn starting_over_writes_everything_again() {
    let mut node = shop();
    let first = node.script();
    node.view.start_over();
    node.written = Written::default();
    assert_eq!(node.script(), first);
}

#[test]
fn a_thousand_pods_with_fifty_policies_are_milliseconds() {
    let mut node = Node::new();
    for index in 0..1000 {
        node.pod(&format!("shop/p{index} app{} n1 10.42.{}.{}", index % 50, index / 250, index % 250));
    }
    for index in 0..50 {
        let from = json!([{"podSelector": app(&format!("app{}", (index + 1) % 50))}, {"namespaceSelector": {}, "podSelector": app("db")}]);
        node.policy(
            &format!("shop/policy{index}"),
            json!({"podSelector": app(&format!("app{index}")), "ingress": [{"from": from}]}),
        );
    }
    let began = Instant::now();
    let script = node.script();
    let whole = began.elapsed();
    assert_eq!(script.matches(": goto ").count(), 1000);
    assert_eq!(script.matches("add set").count(), 51, "one per app, one of databases anywhere");
    let began = Instant::now();
    node.pod("shop/p3 app4 n1 10.42.0.3");
    assert_eq!(node.script().lines().count(), 4, "two sets, and the map twice");
    let one = began.elapsed();
    eprintln!("all: {whole:?}, one pod: {one:?}");
    // Unoptimised and beside other work; optimised it is a tenth of a second.
    assert!(whole < Duration::from_secs(20) && one < whole / 2, "all: {whole:?}, one pod: {one:?}");
}
