//! helm 4 with a chart of its own: definitions, custom objects, hooks; installed, upgraded, rolled back, taken away.

use crate::cluster::Cluster;
use crate::programs::{Client, Program};
use serde_json::Value;

const CHART: &[(&str, &str)] = &[
    ("chart/Chart.yaml", include_str!("chart/Chart.yaml")),
    ("chart/values.yaml", include_str!("chart/values.yaml")),
    ("chart/crds/lamps.yaml", include_str!("chart/crds/lamps.yaml")),
    ("chart/templates/lamp.yaml", include_str!("chart/templates/lamp.yaml")),
    ("chart/templates/objects.yaml", include_str!("chart/templates/objects.yaml")),
    ("chart/templates/hooks.yaml", include_str!("chart/templates/hooks.yaml")),
];
const MAPS: &str = "/api/v1/namespaces/rooms/configmaps";
const LAMP: &str = "/apis/helm.example.com/v1/namespaces/rooms/lamps/hall";

async fn helm(cluster: &Cluster) -> Option<Program> {
    let helm = Program::of(cluster, Client::Helm)?;
    for (path, text) in CHART {
        helm.file(path, text);
    }
    Some(helm)
}

/// The colour that the release's objects have, and the revision that they say.
async fn state(cluster: &Cluster) -> (String, String, i64) {
    let map = cluster.get(&format!("{MAPS}/hall")).await.expect(200).json();
    let lamp = cluster.get(LAMP).await.expect(200).json();
    let text = |field: &str| map["data"][field].as_str().unwrap().to_owned();
    (text("color"), text("revision"), lamp["spec"]["watts"].as_i64().unwrap())
}

async fn hook(cluster: &Cluster, name: &str) -> Option<String> {
    let answer = cluster.get(&format!("{MAPS}/hall-{name}")).await;
    (answer.code == 200).then(|| answer.json()["data"]["revision"].as_str().unwrap().to_owned())
}

fn status(text: &str) -> (i64, String) {
    let release: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    (release["version"].as_i64().unwrap(), release["info"]["status"].as_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_lives_and_goes() {
    let cluster = Cluster::start().await;
    let Some(helm) = helm(&cluster).await else { return };
    let install = "install hall chart -n rooms --create-namespace --wait --timeout 60s -o json";
    assert_eq!(status(&helm.ok(install).await), (1, "deployed".to_owned()));
    assert_eq!(state(&cluster).await, ("white".to_owned(), "1".to_owned(), 5));
    assert_eq!(hook(&cluster, "pre-install").await.as_deref(), Some("1"));
    assert_eq!(hook(&cluster, "post-install").await.as_deref(), Some("1"));
    assert_eq!(hook(&cluster, "pre-upgrade").await, None, "its time has not come");

    helm.ok("upgrade hall chart -n rooms --set color=red,watts=9 --wait --timeout 60s").await;
    assert_eq!(state(&cluster).await, ("red".to_owned(), "2".to_owned(), 9));
    assert_eq!(hook(&cluster, "pre-upgrade").await.as_deref(), Some("2"));
    let known = cluster.get(&format!("{MAPS}/hall")).await.expect(200).json();
    assert_eq!(known["data"]["known"], "yes", "helm finds the defined kind in discovery");

    helm.ok("rollback hall 1 -n rooms --wait --timeout 60s").await;
    assert_eq!(state(&cluster).await, ("white".to_owned(), "1".to_owned(), 5));
    assert_eq!(hook(&cluster, "pre-rollback").await.as_deref(), Some("1"));
    let history: Value = serde_json::from_str(&helm.ok("history hall -n rooms -o json").await).unwrap();
    let history: Vec<_> = history.as_array().unwrap().iter().map(|own| own["status"].as_str().unwrap()).collect();
    assert_eq!(history, ["superseded", "superseded", "deployed"]);

    let list: Value = serde_json::from_str(&helm.ok("list -A -o json").await).unwrap();
    let listed = (&list[0]["name"], &list[0]["namespace"], &list[0]["revision"], &list[0]["chart"]);
    assert_eq!(listed, (&"hall".into(), &"rooms".into(), &"3".into(), &"lamps-0.1.0".into()));
    assert_eq!(status(&helm.ok("status hall -n rooms -o json").await), (3, "deployed".to_owned()));
    let manifest = helm.ok("get manifest hall -n rooms").await;
    assert!(manifest.contains("kind: Lamp") && manifest.contains("color: white"), "{manifest}");
    let hooks = helm.ok("get hooks hall -n rooms").await;
    assert!(hooks.contains("helm.sh/hook: pre-delete"), "{hooks}");

    helm.ok("uninstall hall -n rooms --wait --timeout 60s").await;
    for path in [&format!("{MAPS}/hall"), LAMP, "/api/v1/namespaces/rooms/services/hall"] {
        cluster.get(path).await.expect(404);
    }
    let last = hook(&cluster, "pre-delete").await;
    assert_eq!(last.as_deref(), Some("1"), "as it was rendered for what was rolled back to");
    let left = cluster.get("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/lamps.helm.example.com").await;
    left.expect(200);
    assert_eq!(helm.ok("list -A -q").await, "");
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_refuses_fails_the_release() {
    let cluster = Cluster::start().await;
    let Some(helm) = helm(&cluster).await else { return };
    helm.run(&["install", "hall", "chart", "-n", "rooms", "--create-namespace"]).await.expect_ok();
    let rendered = helm.ok("template hall chart -n rooms --dry-run=server --set watts=7").await;
    assert!(rendered.contains("watts: 7"), "{rendered}");
    let wrong = ["upgrade", "hall", "chart", "-n", "rooms", "--set", "watts=500"];
    let says = "spec.watts in body should be less than or equal to 100";
    helm.run(&wrong).await.expect_failure(says);
    assert_eq!(state(&cluster).await.2, 5);
    let atomic = [&wrong[..], &["--rollback-on-failure", "--timeout=30s"]].concat();
    helm.run(&atomic).await.expect_failure(says);
    assert_eq!(status(&helm.ok("status hall -n rooms -o json").await).1, "deployed", "rolled back");
    helm.run(&["upgrade", "hall", "chart", "-n", "rooms", "--set", "broken=true"])
        .await
        .expect_failure("broken by its values");
    // Somebody else's object is not taken over.
    cluster.post(MAPS, serde_json::json!({"metadata": {"name": "porch"}})).await.expect(201);
    let taken = ["install", "porch", "chart", "-n", "rooms"];
    helm.run(&taken).await.expect_failure("exists and cannot be imported into the current release");
    cluster.shutdown().await;
}
