//! What is served, as clients find out.

use crate::cluster::Cluster;
use serde_json::Value;

fn find<'a>(list: &'a Value, key: &str, name: &str) -> &'a Value {
    let found = list.as_array().unwrap().iter().find(|item| item[key] == name);
    found.unwrap_or_else(|| panic!("{name} is not in {list}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_and_resources_are_listed() {
    let cluster = Cluster::start().await;
    assert_eq!(cluster.get("/api").await.expect(200).json()["versions"][0], "v1");
    let groups = cluster.get("/apis").await.expect(200).json();
    let apps = find(&groups["groups"], "name", "apps");
    assert_eq!(apps["preferredVersion"]["groupVersion"], "apps/v1");
    assert_eq!(cluster.get("/apis/apps").await.expect(200).json()["kind"], "APIGroup");
    let resources = cluster.get("/apis/apps/v1").await.expect(200).json();
    let deployments = find(&resources["resources"], "name", "deployments");
    assert_eq!(deployments["shortNames"][0], "deploy");
    let scale = find(&resources["resources"], "name", "deployments/scale");
    assert_eq!((scale["group"].as_str(), scale["kind"].as_str()), (Some("autoscaling"), Some("Scale")));
    cluster.get("/apis/nothing.example").await.expect(404);
    cluster.get("/apis/apps/v9").await.expect(404);
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn aggregated_discovery_and_openapi_have_tags() {
    let cluster = Cluster::start().await;
    let accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    let all = cluster.send("GET", "/apis", &[("accept", accept)], "").await.expect(200);
    assert_eq!(all.header("content-type"), accept);
    let tag = all.header("etag").to_owned();
    let apps = all.json()["items"].as_array().unwrap().iter().find(|item| item["metadata"]["name"] == "apps").cloned();
    let version = &apps.unwrap()["versions"][0];
    let deployments = find(&version["resources"], "resource", "deployments");
    assert_eq!(deployments["responseKind"]["kind"], "Deployment");
    let known = cluster.send("GET", "/apis", &[("accept", accept), ("if-none-match", &tag)], "").await.expect(304);
    assert!(known.body.is_empty());

    let index = cluster.get("/openapi/v3").await.expect(200).json();
    let url = index["paths"]["apis/apps/v1"]["serverRelativeURL"].as_str().unwrap().to_owned();
    let document = cluster.get(&url).await.expect(200);
    assert!(document.header("cache-control").contains("immutable"));
    assert!(document.json()["components"]["schemas"]["io.k8s.api.apps.v1.Deployment"].is_object());
    cluster.get("/openapi/v3/apis/apps/v1?hash=OLD").await.expect(301);
    cluster.get("/openapi/v3/apis/none/v1").await.expect(404);
    assert_eq!(cluster.get("/openapi/v2").await.expect(200).json()["swagger"], "2.0");
    let asked = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
    let protobuf = cluster.send("GET", "/openapi/v2", &[("accept", asked)], "").await.expect(200);
    assert_eq!(protobuf.header("content-type"), "application/com.github.proto-openapi.spec.v2.v1.0+protobuf");
    // The document's first field: `swagger`, number 1, a text of three characters.
    assert!(protobuf.body.starts_with(b"\x0a\x032.0"));
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn health_is_told_check_by_check() {
    let cluster = Cluster::start().await;
    for endpoint in ["/healthz", "/livez", "/readyz", "/readyz/store"] {
        assert_eq!(cluster.get(endpoint).await.expect(200).body, "ok", "{endpoint}");
    }
    let verbose = cluster.get("/readyz?verbose&exclude=store").await.expect(200);
    let text = String::from_utf8(verbose.body.to_vec()).unwrap();
    assert!(text.contains("[+]ping ok\n[+]store excluded: ok\n"), "{text}");
    assert!(text.ends_with("readyz check passed\n"), "{text}");
    cluster.get("/readyz/nothing").await.expect(404);
    assert_eq!(cluster.get("/version").await.expect(200).json()["gitVersion"], "v1.37.0+sampan");
    let metrics = String::from_utf8(cluster.get("/metrics").await.expect(200).body.to_vec()).unwrap();
    assert!(metrics.contains("apiserver_request_total{code=\"200\""), "{metrics}");
    assert!(cluster.get("/openid/v1/jwks").await.expect(200).json()["keys"][0]["kid"].is_string());
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn documented_paths_that_are_no_resources_are_served() {
    let cluster = Cluster::start().await;
    let document = cluster.get("/openapi/v2").await.expect(200).json();
    let index = cluster.get("/openapi/v3").await.expect(200).json();
    let mut documented = 0;
    for path in document["paths"].as_object().unwrap().keys().filter(|path| path.ends_with('/')) {
        cluster.get(path).await.expect(200);
        let url = index["paths"][path.trim_matches('/')]["serverRelativeURL"].as_str();
        let own = cluster.get(url.unwrap_or_else(|| panic!("{path} is not in the index"))).await.expect(200).json();
        assert!(own["paths"][path]["get"]["operationId"].is_string(), "{path}");
        documented += 1;
    }
    assert!(documented > 40, "{documented}");
    let nodes = cluster.get("/api/v1").await.expect(200).json();
    let proxy = nodes["resources"].as_array().unwrap().iter().find(|own| own["name"] == "nodes/proxy").unwrap();
    assert_eq!(proxy["kind"], "NodeProxyOptions");
    cluster.shutdown().await;
}
