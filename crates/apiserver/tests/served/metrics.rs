//! What scrapers read of requests and watches.

use crate::cluster::Cluster;
use serde_json::json;

async fn metrics(cluster: &Cluster) -> String {
    String::from_utf8(cluster.get("/metrics").await.expect(200).body.to_vec()).unwrap()
}

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";

#[tokio::test(flavor = "multi_thread")]
async fn events_of_watches_are_counted_in_every_form() {
    let cluster = Cluster::start().await;
    let first = cluster.post(MAPS, json!({"metadata": {"name": "one"}})).await.expect(201).json();
    let revision = first["metadata"]["resourceVersion"].as_str().unwrap();
    for name in ["two", "three"] {
        cluster.post(MAPS, json!({"metadata": {"name": name}})).await.expect(201);
    }
    let mut told = 0;
    for (since, accept, wanted) in
        [("", "application/json", 3), ("", TABLE, 3), (revision, "application/json", 2), (revision, TABLE, 2)]
    {
        let path = format!("{MAPS}?watch=true&timeoutSeconds=1&resourceVersion={since}");
        let watched = cluster.send("GET", &path, &[("accept", accept)], "").await.expect(200);
        let lines = String::from_utf8(watched.body.to_vec()).unwrap().lines().count();
        assert_eq!(lines, wanted, "{path} as {accept}");
        told += lines;
    }
    let line = format!("apiserver_watch_events_total{{group=\"\",kind=\"ConfigMap\",version=\"v1\"}} {told}\n");
    let text = metrics(&cluster).await;
    assert!(text.contains(&line), "{line} in {text}");
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_counted_without_their_waits_and_deprecated_ones_by_name() {
    let cluster = Cluster::start().await;
    cluster.get("/api/v1/componentstatuses").await.expect(200);
    let text = metrics(&cluster).await;
    let deprecated = "apiserver_requested_deprecated_apis{group=\"\",removed_release=\"\",\
                      resource=\"componentstatuses\",subresource=\"\",version=\"v1\"} 1\n";
    assert!(text.contains(deprecated), "{text}");
    let own = "group=\"\",resource=\"componentstatuses\",scope=\"cluster\",subresource=\"\",verb=\"LIST\",version=\"v1\"} 1\n";
    for family in [
        "request_duration_seconds_count{component=\"apiserver\",dry_run=\"\"",
        "request_sli_duration_seconds_count{component=\"apiserver\"",
    ] {
        let line = format!("apiserver_{family},{own}");
        assert!(text.contains(&line), "{line} in {text}");
    }
    cluster.shutdown().await;
}
