//! Logs of all nodes, through kubelets that are a few lines long.

use crate::cluster::Cluster;
use crate::streams::{add_node, serve_kubelet};
use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};

const PATH: &str = "/insight/logs";

fn line(second: u32, text: &str) -> String {
    format!("{}\n", json!({"time": format!("2026-01-01T00:00:{second:02}.000000000Z"), "line": text}))
}

/// A node that answers every search with these lines, behind one that tells how it was asked.
async fn node(cluster: &Cluster, name: &'static str, body: String) {
    let port = serve_kubelet(cluster, move |request| {
        let asked = request.uri().to_string();
        let wrong = asked.contains("grep=%28");
        let told = format!("{}\n{body}", json!({"warning": format!("{name} {asked}")}));
        let mut response =
            Response::new(Full::new(Bytes::from(if wrong { "unclosed group".to_owned() } else { told })));
        if wrong {
            *response.status_mut() = StatusCode::BAD_REQUEST;
        }
        std::future::ready(Ok(response))
    })
    .await;
    add_node(cluster, name, port).await;
}

async fn start() -> Cluster {
    let cluster = Cluster::start().await;
    node(&cluster, "n1", [line(1, "a"), line(3, "c"), line(3, " c2"), line(5, "e")].concat()).await;
    node(&cluster, "n2", [line(2, "b"), "\n".to_owned(), line(4, "d")].concat()).await;
    cluster
}

/// The texts of the lines, and the warnings.
fn read(body: &[u8]) -> (Vec<String>, Vec<String>) {
    let text = std::str::from_utf8(body).unwrap();
    let messages: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |name: &str| messages.iter().filter_map(|message| Some(message[name].as_str()?.to_owned())).collect();
    let (lines, mut warnings): (Vec<String>, Vec<String>) = (of("line"), of("warning"));
    warnings.sort();
    (lines, warnings)
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_of_all_nodes_are_merged_and_a_lost_node_is_named() {
    let cluster = start().await;
    // A port that nobody listens on.
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    add_node(&cluster, "n3", free).await;
    let (lines, warnings) = read(&cluster.get(&format!("{PATH}?level=warn&namespace=a")).await.expect(200).body);
    assert_eq!(lines, ["a", "b", "c", " c2", "d", "e"]);
    assert_eq!(warnings[0], format!("logs of node n3 are missing: {}", refused(free)));
    assert_eq!(warnings[1..], ["n1", "n2"].map(|node| format!("{node} /logs/search?level=warn&namespace=a")));
    let (lines, _) = read(&cluster.get(&format!("{PATH}?node=n2")).await.expect(200).body);
    assert_eq!(lines, ["b", "d"]);
    let (lines, _) = read(&cluster.get(&format!("{PATH}?limit=3&node=n1&node=n2")).await.expect(200).body);
    assert_eq!(lines, ["a", "b", "c"]);
    let wrong = cluster.get(&format!("{PATH}?grep=(")).await.expect(400);
    assert_eq!(wrong.message(), "unclosed group");
    cluster.get(&format!("{PATH}?node=n9")).await.expect(404);
    cluster.get(&format!("{PATH}?tail=2&order=newest")).await.expect(400);
    cluster.shutdown().await;
}

fn refused(port: u16) -> String {
    format!("error dialing backend: dial tcp 127.0.0.1:{port}: connect: connection refused")
}

/// A node that is too busy is named; where there is no other, the whole answer is that.
#[tokio::test(flavor = "multi_thread")]
async fn busy_nodes_are_no_empty_answer() {
    let cluster = start().await;
    let port = serve_kubelet(&cluster, |_| {
        let mut response = Response::new(Full::new(Bytes::from("many searches")));
        *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
        std::future::ready(Ok(response))
    })
    .await;
    add_node(&cluster, "n3", port).await;
    let (lines, warnings) = read(&cluster.get(PATH).await.expect(200).body);
    assert_eq!((lines.len(), warnings[0].as_str()), (6, "logs of node n3 are missing: many searches"));
    let refused = cluster.get(&format!("{PATH}?node=n3")).await.expect(429);
    assert_eq!(refused.message(), "many searches");
    cluster.shutdown().await;
}

/// The nodes answer from the newest on, and the server turns the last lines round.
#[tokio::test(flavor = "multi_thread")]
async fn the_last_lines_come_in_their_order() {
    let cluster = Cluster::start().await;
    node(&cluster, "n1", [line(5, "e"), line(3, "c"), line(1, "a")].concat()).await;
    node(&cluster, "n2", [line(4, "d"), line(2, "b")].concat()).await;
    let (lines, warnings) = read(&cluster.get(&format!("{PATH}?tail=3")).await.expect(200).body);
    assert_eq!(lines, ["c", "d", "e"]);
    assert_eq!(warnings[0], "n1 /logs/search?limit=3&order=newest");
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_namespaces_whose_logs_the_user_may_read_are_asked_for() {
    let cluster = start().await;
    for namespace in ["shop", "bank"] {
        cluster.post("/api/v1/namespaces", json!({"metadata": {"name": namespace}})).await.expect(201);
    }
    let as_ann = [("impersonate-user", "ann"), ("impersonate-group", "system:authenticated")];
    let asked = cluster.send("GET", PATH, &as_ann, "").await.expect(403);
    assert!(asked.message().contains("cannot get resource \"pods/log\""), "{}", asked.message());
    let rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/shop";
    let role = json!({"metadata": {"name": "logs"},
        "rules": [{"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]}]});
    cluster.post(&format!("{rbac}/roles"), role).await.expect(201);
    let binding = json!({"metadata": {"name": "logs"}, "subjects": [{"kind": "User", "name": "ann"}],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "logs"}});
    cluster.post(&format!("{rbac}/rolebindings"), binding).await.expect(201);
    let answer = cluster.send("GET", PATH, &as_ann, "").await.expect(200);
    assert_eq!(read(&answer.body).1, ["n1", "n2"].map(|node| format!("{node} /logs/search?namespace=shop")));
    cluster.send("GET", &format!("{PATH}?namespace=shop&namespace=bank"), &as_ann, "").await.expect(403);
    for smuggled in ["grep%3D.%26namespace=bank&namespace=shop", "Namespace=bank&namespace=shop"] {
        let refused = cluster.send("GET", &format!("{PATH}?{smuggled}"), &as_ann, "").await.expect(400);
        assert!(refused.message().starts_with("unknown parameter"), "{}", refused.message());
    }
    let nobody = [("impersonate-user", "system:anonymous"), ("impersonate-group", "system:unauthenticated")];
    cluster.send("GET", PATH, &nobody, "").await.expect(403);
    cluster.shutdown().await;
}
