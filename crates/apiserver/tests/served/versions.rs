//! One object in several versions: written in one, read, selected, watched and changed in another.

use crate::cluster::Cluster;
use crate::watches::Lines;
use serde_json::{Value, json};

const CORE: &str = "/api/v1/namespaces/default/events";
const EVENTS: &str = "/apis/events.k8s.io/v1/namespaces/default/events";
const V1: &str = "/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers";
const V2: &str = "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers";

fn event(name: &str) -> Value {
    json!({"metadata": {"name": name}, "eventTime": "2026-01-01T00:00:00.000000Z", "reportingController": "a.b/c",
        "reportingInstance": "c-1", "action": "Bind", "reason": "Bound", "type": "Normal", "note": "said",
        "regarding": {"kind": "Pod", "namespace": "default", "name": "p"}})
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_the_same_in_both_groups() {
    let cluster = Cluster::start().await;
    let mut watch = Lines::of(&cluster, &format!("{CORE}?watch=true"), "application/json").await;
    let mut other =
        Lines::of(&cluster, &format!("{EVENTS}?watch=true&fieldSelector=regarding.name%3Dp"), "application/json").await;
    let created = cluster.post(EVENTS, event("e")).await.expect(201).json();
    assert_eq!(created["apiVersion"], "events.k8s.io/v1");
    let core = cluster.get(&format!("{CORE}/e")).await.expect(200).json();
    assert_eq!((core["message"].as_str(), core["involvedObject"]["name"].as_str()), (Some("said"), Some("p")));
    assert_eq!(core["metadata"], created["metadata"]);
    let seen = watch.next().await.unwrap();
    assert_eq!((seen["type"].as_str(), &seen["object"]), (Some("ADDED"), &core));
    let seen = other.next().await.unwrap();
    assert_eq!((seen["type"].as_str(), &seen["object"]), (Some("ADDED"), &created));

    cluster.patch("merge", &format!("{CORE}/e"), json!({"message": "said again"})).await.expect(200);
    let read = cluster.get(&format!("{EVENTS}/e")).await.expect(200).json();
    assert_eq!(read["note"], "said again");
    let kept = cluster.patch("merge", &format!("{EVENTS}/e"), json!({"note": "and again"})).await.expect(422).message();
    assert!(kept.ends_with("message: Invalid value: \"and again\": field is immutable"), "{kept}");
    let series = json!({"series": {"count": 2, "lastObservedTime": "2026-01-01T00:01:00.000000Z"}});
    cluster.patch("merge", &format!("{EVENTS}/e"), series).await.expect(200);
    let listed = cluster.get(&format!("{CORE}?fieldSelector=involvedObject.name%3Dp")).await.expect(200).json();
    assert_eq!(
        (&listed["items"][0]["message"], &listed["items"][0]["series"]["count"]),
        (&json!("said again"), &json!(2))
    );
    let mut old = event("old");
    old["type"] = json!("Odd");
    old["deprecatedCount"] = json!(1);
    let refused = cluster.post(EVENTS, old.clone()).await.expect(422).message();
    let wanted = "[type: Invalid value: \"\": has invalid value: Odd, count: Invalid value: \"\": needs to be unset]";
    assert!(refused.ends_with(wanted), "{refused}");
    let unknown = cluster.get(&format!("{EVENTS}?fieldSelector=involvedObject.name%3Dp")).await.expect(400);
    assert_eq!(unknown.message(), "field label not supported: involvedObject.name");
    let strict = cluster.post(&format!("{EVENTS}?fieldValidation=Strict"), json!({"message": "x"})).await.expect(400);
    assert!(strict.message().ends_with("strict decoding error: unknown field \"message\""), "{}", strict.message());
    cluster.delete(&format!("{EVENTS}/e")).await.expect(200);
    cluster.get(&format!("{CORE}/e")).await.expect(404);
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_autoscaler_keeps_in_version_1_what_only_version_2_knows() {
    let cluster = Cluster::start().await;
    let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"});
    let memory = json!({"type": "Resource",
        "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": "1Gi"}}});
    let cpu = json!({"type": "Resource",
        "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}});
    let body = json!({"metadata": {"name": "h"},
        "spec": {"scaleTargetRef": target, "maxReplicas": 3, "metrics": [cpu, memory]}});
    cluster.post(V2, body).await.expect(201);
    let mut first = cluster.get(&format!("{V1}/h")).await.expect(200).json();
    assert_eq!(first["spec"]["targetCPUUtilizationPercentage"], 50);
    assert!(first["metadata"]["annotations"]["autoscaling.alpha.kubernetes.io/metrics"].is_string());

    // Written back with another share, by a client that knows version 1 only.
    first["spec"]["targetCPUUtilizationPercentage"] = json!(70);
    cluster.put(&format!("{V1}/h"), first).await.expect(200);
    cluster.patch("strategic-merge", &format!("{V1}/h"), json!({"spec": {"maxReplicas": 4}})).await.expect(200);
    let second = cluster.get(&format!("{V2}/h")).await.expect(200).json();
    assert_eq!(second["spec"]["maxReplicas"], 4);
    assert_eq!(second["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"], 70);
    assert_eq!(second["spec"]["metrics"][1], memory);
    assert_eq!(second["metadata"].get("annotations"), None);

    let refused = cluster.patch("merge", &format!("{V1}/h"), json!({"spec": {"maxReplicas": 0}})).await.expect(422);
    assert!(
        refused.message().starts_with("HorizontalPodAutoscaler.autoscaling \"h\" is invalid: "),
        "{}",
        refused.message()
    );
    let group = cluster.get("/apis/autoscaling").await.expect(200).json();
    let versions: Vec<&str> =
        group["versions"].as_array().unwrap().iter().map(|own| own["version"].as_str().unwrap()).collect();
    assert_eq!((versions, group["preferredVersion"]["version"].as_str()), (vec!["v2", "v1"], Some("v2")));
    let text = [("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")];
    let table = cluster.send("GET", V1, &text, "").await.expect(200).json();
    assert_eq!(table["rows"][0]["cells"][2], "cpu: <unknown>/70%, memory: <unknown>/1Gi");
    cluster.shutdown().await;
}
