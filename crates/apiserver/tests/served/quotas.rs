//! Quotas hold whoever writes, and say what is used.

use crate::cluster::Cluster;
use crate::custom::{definition, establish, until};
use futures::future::join_all;
use serde_json::{Value, json};

const QUOTAS: &str = "/api/v1/namespaces/default/resourcequotas";
const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const PODS: &str = "/api/v1/namespaces/default/pods";
const WIDGETS: &str = "/apis/example.com/v1/namespaces/default/widgets";

async fn quota(cluster: &Cluster, name: &str, hard: Value) {
    cluster.post(QUOTAS, json!({"metadata": {"name": name}, "spec": {"hard": hard}})).await.expect(201);
}

async fn used(cluster: &Cluster, name: &str, expected: Value) {
    let what = format!("used {expected}");
    until(cluster, &format!("{QUOTAS}/{name}"), &what, |_, quota| quota["status"]["used"] == expected).await;
}

/// Which pods cannot be without.
async fn account(cluster: &Cluster) {
    let account = json!({"metadata": {"name": "default"}});
    cluster.post("/api/v1/namespaces/default/serviceaccounts", account).await.expect(201);
}

fn pod(name: &str, cpu: &str) -> Value {
    json!({"metadata": {"name": name}, "spec": {"containers": [
        {"name": "c", "image": "i", "resources": {"requests": {"cpu": cpu}}}]}})
}

async fn count(cluster: &Cluster, path: &str) -> usize {
    cluster.get(path).await.expect(200).json()["items"].as_array().unwrap().len()
}

/// Creates, updates, failures and deletions all at once: at no moment is there more than is allowed.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_quota_is_exceeded_however_many_write_at_once() {
    let cluster = Cluster::start().await;
    account(&cluster).await;
    quota(&cluster, "q", json!({"count/configmaps": "5", "requests.cpu": "1", "pods": "6"})).await;
    let one = |writer: usize| {
        let cluster = &cluster;
        async move {
            let (mut created, mut refused) = (0, 0);
            for round in 0..12 {
                // Two writers want each name, and some bodies are wrong.
                let name = format!("m-{}-{round}", writer / 2);
                let bad = (writer + round).is_multiple_of(5);
                let key = if bad { "not a key!" } else { "k" };
                let answer = cluster.post(MAPS, json!({"metadata": {"name": name}, "data": {key: "v"}})).await;
                match answer.code {
                    201 => created += 1,
                    403 => {
                        let text = answer.message();
                        assert!(
                            text.contains("exceeded quota: q, requested: count/configmaps=1, used: count/configmaps="),
                            "{text}"
                        );
                        refused += 1;
                    }
                    409 | 422 => {}
                    other => panic!("{other}: {}", answer.message()),
                }
                assert!(count(cluster, MAPS).await <= 5);
                if answer.code == 201 && round % 3 == 0 {
                    cluster.send("DELETE", &format!("{MAPS}/{name}"), &[], "").await.expect(200);
                }
                let answer = cluster.post(PODS, pod(&format!("p-{writer}-{round}"), "300m")).await;
                assert!([201, 403].contains(&answer.code), "{}", answer.message());
            }
            (created, refused)
        }
    };
    let outcomes = join_all((0..16).map(one)).await;
    assert!(outcomes.iter().map(|(created, _)| created).sum::<usize>() >= 5, "{outcomes:?}");
    assert!(outcomes.iter().map(|(_, refused)| refused).sum::<usize>() > 0, "{outcomes:?}");
    assert_eq!(count(&cluster, PODS).await, 3, "three times 300m are within 1");
    let maps = count(&cluster, MAPS).await;
    used(&cluster, "q", json!({"count/configmaps": maps.to_string(), "requests.cpu": "900m", "pods": "3"})).await;
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_follows_what_is_there_of_every_kind() {
    let cluster = Cluster::start().await;
    let there = count(&cluster, MAPS).await;
    quota(
        &cluster,
        "q",
        json!({"count/widgets.example.com": "1", "configmaps": "100", "services.nodeports": "2",
                                "resourcequotas": "1"}),
    )
    .await;
    let full = |widgets: &str, maps: usize, ports: &str| {
        json!({"count/widgets.example.com": widgets, "configmaps": maps.to_string(), "services.nodeports": ports,
               "resourcequotas": "1"})
    };
    used(&cluster, "q", full("0", there, "0")).await;
    let second = json!({"metadata": {"name": "r"}, "spec": {"hard": {"pods": "1"}}});
    let refused = cluster.post(QUOTAS, second).await.expect(403).message();
    assert_eq!(
        refused,
        "resourcequotas \"r\" is forbidden: exceeded quota: q, requested: resourcequotas=1, used: resourcequotas=1, \
         limited: resourcequotas=1"
    );
    establish(&cluster, definition()).await;
    let widget = |name: &str| json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": name}, "spec": {"size": 1}});
    cluster.post(WIDGETS, widget("a")).await.expect(201);
    assert!(cluster.post(WIDGETS, widget("b")).await.expect(403).message().contains("exceeded quota: q"));
    let service = json!({"metadata": {"name": "s"}, "spec": {"type": "NodePort", "ports": [{"port": 1}]}});
    cluster.post("/api/v1/namespaces/default/services", service).await.expect(201);
    used(&cluster, "q", full("1", there, "1")).await;
    cluster.send("DELETE", &format!("{WIDGETS}/a"), &[], "").await.expect(200);
    cluster.send("DELETE", "/api/v1/namespaces/default/services/s", &[], "").await.expect(200);
    cluster.post(MAPS, json!({"metadata": {"name": "m"}})).await.expect(201);
    used(&cluster, "q", full("0", there + 1, "0")).await;
    cluster.post(WIDGETS, widget("b")).await.expect(201);
    let dry = cluster.post(&format!("{WIDGETS}?dryRun=All"), widget("c")).await.expect(403).message();
    assert!(dry.contains("exceeded quota: q"), "{dry}");
    cluster.send("DELETE", &format!("{QUOTAS}/q"), &[], "").await.expect(200);
    cluster.post(WIDGETS, widget("c")).await.expect(201);
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespaces_standard_warns_of_pods_templates_and_what_is_there() {
    let cluster = Cluster::start().await;
    account(&cluster).await;
    let host = json!({"hostNetwork": true, "containers": [{"name": "c", "image": "i"}]});
    cluster.post(PODS, json!({"metadata": {"name": "old"}, "spec": host})).await.expect(201);
    let patch = |labels: Value| json!({"metadata": {"labels": labels}}).to_string();
    let merge = [("content-type", "application/merge-patch+json")];
    let namespace = "/api/v1/namespaces/default";
    let labels = json!({"pod-security.kubernetes.io/warn": "baseline"});
    cluster.send("PATCH", namespace, &merge, patch(labels)).await.expect(200);
    let warning = "would violate PodSecurity \\\"baseline:latest\\\": host namespaces (hostNetwork=true)";
    let answer = cluster.post(PODS, json!({"metadata": {"name": "new"}, "spec": host})).await.expect(201);
    assert!(answer.header("warning").contains(warning), "{}", answer.header("warning"));
    let template = json!({"metadata": {"labels": {"a": "b"}}, "spec": host});
    let set =
        json!({"metadata": {"name": "d"}, "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": template}});
    let answer = cluster.post("/apis/apps/v1/namespaces/default/deployments", set).await.expect(201);
    assert!(answer.header("warning").contains(warning), "{}", answer.header("warning"));
    let labels = json!({"pod-security.kubernetes.io/enforce": "baseline"});
    let answer = cluster.send("PATCH", namespace, &merge, patch(labels)).await.expect(200);
    let warnings: Vec<&str> = answer.headers.get_all("warning").iter().map(|text| text.to_str().unwrap()).collect();
    let all = warnings.join("\n");
    assert!(
        all.contains("existing pods in namespace \\\"default\\\" violate the new PodSecurity enforce level"),
        "{all}"
    );
    assert!(all.contains("new (and 1 other pod): host namespaces"), "{all}");
    cluster.post(PODS, json!({"metadata": {"name": "newer"}, "spec": host})).await.expect(403);
    cluster.shutdown().await;
}
