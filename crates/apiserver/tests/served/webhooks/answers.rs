//! What becomes of answers: refusals, warnings, patches and their order.

use super::server::Hooks;
use super::{Kind, MAPS, PODS, account, configuration, configure, hook, map, only, pod, rule};
use crate::cluster::Cluster;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_the_webhooks_own_and_the_first_in_order_wins() {
    let (cluster, server) = (Cluster::start().await, Hooks::start().await);
    let two = vec![hook(&server, "one", json!({})), hook(&server, "two", json!({}))];
    configure(&cluster, &server, Kind::Validating, "v", two).await;
    server.refuse(
        "two",
        json!({"code": 418, "reason": "Teapot", "message": "no tea",
        "details": {"causes": [{"field": "spec", "message": "empty", "reason": "Dry"}]}}),
    );
    let refused = cluster.post(MAPS, map("a", json!({}))).await.expect(418).json();
    assert_eq!(refused["message"], "admission webhook \"two.test.io\" denied the request: no tea");
    assert_eq!(refused["reason"], "Teapot");
    assert_eq!(refused["details"]["causes"][0]["field"], "spec");
    server.refuse("one", json!({"reason": "Forbidden"}));
    let refused = cluster.post(MAPS, map("a", json!({}))).await.expect(400).json();
    assert_eq!(refused["message"], "admission webhook \"one.test.io\" denied the request: Forbidden");
    cluster.get(&format!("{MAPS}/a")).await.expect(404);
    let scraped = cluster.get("/metrics").await.expect(200);
    let text = String::from_utf8_lossy(&scraped.body).into_owned();
    for line in [
        "apiserver_admission_webhook_rejection_count{error_type=\"no_error\",name=\"two.test.io\",operation=\"CREATE\",\
         type=\"validating\",rejection_code=\"418\"} 2",
        "apiserver_admission_webhook_admission_duration_seconds_count{name=\"one.test.io\",operation=\"CREATE\",\
         type=\"validating\",rejected=\"false\"} 1",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_shows_refusals_and_warnings() {
    let (cluster, server) = (Cluster::start().await, Hooks::start().await);
    configure(&cluster, &server, Kind::Validating, "v", vec![hook(&server, "v", json!({}))]).await;
    server.refuse("v", json!({"code": 403, "reason": "Forbidden", "message": "not on Fridays"}));
    let create = ["create", "configmap", "c", "--from-literal=k=1"];
    let Some((ok, text)) = cluster.kubectl(&create, "").await else { return };
    assert!(!ok);
    assert_eq!(
        text,
        "error: failed to create configmap: admission webhook \"v.test.io\" denied the request: not on Fridays\n"
    );
    let file = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n";
    let (_, text) = cluster.kubectl(&["create", "-f", "-"], file).await.unwrap();
    let says = "Error from server (Forbidden): error when creating \"STDIN\": admission webhook \"v.test.io\" denied the \
                request: not on Fridays\n";
    assert_eq!(text, says);
    server.respond("v", json!({"allowed": true, "warnings": ["k is old", "k is odd"]}));
    let (ok, text) = cluster.kubectl(&create, "").await.unwrap();
    assert!(ok);
    assert_eq!(text, "configmap/c created\nWarning: k is old\nWarning: k is odd\n");
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn patches_are_applied_in_order_and_what_they_leave_is_defaulted() {
    let (cluster, server) = (Cluster::start().await, Hooks::start().await);
    account(&cluster).await;
    let pods = json!({"rules": [rule(&["CREATE"], "", "v1", &["pods"])]});
    // By the configurations' names, not by when they came.
    configure(&cluster, &server, Kind::Mutating, "b", vec![hook(&server, "third", pods.clone())]).await;
    let first = vec![hook(&server, "first", pods.clone()), hook(&server, "second", pods)];
    configure(&cluster, &server, Kind::Mutating, "a", first).await;
    let sidecar = json!({"name": "sidecar", "image": "s:1", "unknown": 1});
    server.patch("first", json!([{"op": "add", "path": "/spec/containers/-", "value": sidecar}]));
    server.patch("second", json!([{"op": "replace", "path": "/spec/containers/1/name", "value": "second"}]));
    server.patch(
        "third",
        json!([{"op": "test", "path": "/spec/containers/1/name", "value": "second"},
        {"op": "add", "path": "/metadata/labels", "value": {"by": "third"}},
        {"op": "add", "path": "/status", "value": {"phase": "Running"}},
        {"op": "add", "path": "/metadata/uid", "value": "mine"}]),
    );
    let created = cluster.post(PODS, pod("p")).await.expect(201).json();
    assert_eq!(server.paths(), ["first", "second", "third"]);
    let container = &created["spec"]["containers"][1];
    assert_eq!((&container["name"], &container["imagePullPolicy"]), (&json!("second"), &json!("IfNotPresent")));
    assert_eq!(container["unknown"], json!(null));
    assert_eq!(created["metadata"]["labels"], json!({"by": "third"}));
    assert_eq!(created["status"]["phase"], "Pending");
    assert_ne!(created["metadata"]["uid"], "mine");
    // What webhooks add is nobody's.
    let managed = created["metadata"]["managedFields"].to_string();
    assert!(managed.contains("f:image") && !managed.contains("f:by"), "{managed}");
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_wants_it_is_asked_again_when_others_changed_the_object() {
    let (cluster, server) = (Cluster::start().await, Hooks::start().await);
    let again = json!({"reinvocationPolicy": "IfNeeded"});
    let all =
        vec![hook(&server, "again", again.clone()), hook(&server, "never", json!({})), hook(&server, "changes", again)];
    configure(&cluster, &server, Kind::Mutating, "m", all).await;
    cluster.post(MAPS, map("a", json!({}))).await.expect(201);
    assert_eq!(server.paths(), ["again", "never", "changes"], "nothing changed");
    server.patch("changes", json!([{"op": "add", "path": "/data/extra", "value": "1"}]));
    let created = cluster.post(MAPS, map("b", json!({}))).await.expect(201).json();
    assert_eq!(created["data"], json!({"k": "v", "extra": "1"}));
    let asked = server.take("again");
    assert_eq!(server.paths(), ["never", "changes"]);
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[0]["object"]["data"]["extra"], json!(null));
    assert_eq!(asked[1]["object"]["data"]["extra"], json!("1"));
    assert_ne!(asked[0]["uid"], asked[1]["uid"]);
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn patches_that_do_not_fit_are_refused() {
    let (cluster, server) = (Cluster::start().await, Hooks::start().await);
    configure(&cluster, &server, Kind::Mutating, "m", vec![hook(&server, "m", json!({}))]).await;
    for (patch, says) in [
        (json!([{"op": "remove", "path": "/data/absent"}]), "Internal error occurred: "),
        (json!([{"op": "replace", "path": "/data", "value": 7}]), "Internal error occurred: json: cannot unmarshal"),
        (
            json!({"op": "add"}),
            "failed calling webhook \"m.test.io\": received undecodable patch in webhook response: ",
        ),
        (
            json!([{"op": "replace", "path": "/metadata/name", "value": "b"}]),
            "the name of the object (b) does not match the name on the URL (a)",
        ),
    ] {
        server.patch("m", patch.clone());
        let refused = cluster.post(MAPS, map("a", json!({}))).await;
        assert!(refused.code >= 400 && refused.message().contains(says), "{patch}: {}", refused.message());
    }
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_review_tells_everything_of_the_request() {
    let (cluster, server) = (Cluster::start().await, Hooks::start().await);
    let all = json!({"rules": [rule(&["*"], "", "v1", &["configmaps"])], "timeoutSeconds": 7});
    configure(&cluster, &server, Kind::Validating, "v", vec![hook(&server, "v", all)]).await;
    cluster.post(&format!("{MAPS}?fieldManager=me&dryRun=All"), map("a", json!({}))).await.expect(201);
    let request = only(&server, "v");
    assert_eq!(server.query("v"), "timeout=7s");
    let (maps, kind) = (
        json!({"group": "", "version": "v1", "resource": "configmaps"}),
        json!({"group": "", "version": "v1", "kind": "ConfigMap"}),
    );
    assert_eq!((&request["resource"], &request["requestResource"]), (&maps, &maps));
    assert_eq!((&request["kind"], &request["requestKind"]), (&kind, &kind));
    assert_eq!((&request["namespace"], &request["name"]), (&json!("default"), &json!("a")));
    assert_eq!((&request["operation"], &request["dryRun"]), (&json!("CREATE"), &json!(true)));
    assert_eq!(request["userInfo"]["username"], "kubernetes-admin");
    assert!(request["userInfo"]["groups"].as_array().unwrap().contains(&json!("system:authenticated")), "{request}");
    assert_eq!(
        request["options"],
        json!({"apiVersion": "meta.k8s.io/v1", "kind": "CreateOptions",
        "fieldManager": "me", "dryRun": ["All"]})
    );
    assert_eq!((&request["object"]["kind"], &request["oldObject"]), (&json!("ConfigMap"), &json!(null)));
    cluster.post(MAPS, map("a", json!({}))).await.expect(201);
    server.forget();
    let (path, change) = (format!("{MAPS}/a"), json!({"data": {"k": "w"}}));
    cluster.patch("merge", &path, change).await.expect(200);
    let request = only(&server, "v");
    assert_eq!((&request["operation"], &request["options"]["kind"]), (&json!("UPDATE"), &json!("PatchOptions")));
    assert_eq!(request["object"]["data"]["k"], "w");
    assert_eq!(request["oldObject"]["data"]["k"], "v");
    let options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0});
    cluster.send("DELETE", &path, &[("content-type", "application/json")], options.to_string()).await.expect(200);
    let request = only(&server, "v");
    assert_eq!((&request["operation"], &request["object"]), (&json!("DELETE"), &json!(null)));
    assert_eq!((&request["options"]["kind"], &request["name"]), (&json!("DeleteOptions"), &json!("a")));
    assert_eq!(request["options"]["gracePeriodSeconds"], 0);
    assert_eq!(request["oldObject"]["data"]["k"], "w");
    for name in ["c", "d"] {
        cluster.post(MAPS, map(name, json!({"all": "1"}))).await.expect(201);
    }
    server.forget();
    cluster.delete(&format!("{MAPS}?labelSelector=all=1")).await.expect(200);
    let mut names: Vec<String> = server.take("v").iter().map(|own| own["name"].as_str().unwrap().to_owned()).collect();
    names.sort();
    assert_eq!(names, ["c", "d"]);
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deletes_are_refused_by_both_sorts() {
    let (cluster, server) = (Cluster::start().await, Hooks::start().await);
    let deletes = json!({"rules": [rule(&["DELETE"], "", "v1", &["configmaps"])]});
    configure(&cluster, &server, Kind::Mutating, "m", vec![hook(&server, "m", deletes.clone())]).await;
    configure(&cluster, &server, Kind::Validating, "v", vec![hook(&server, "v", deletes)]).await;
    cluster.post(MAPS, map("a", json!({}))).await.expect(201);
    let path = format!("{MAPS}/a");
    for who in ["m", "v"] {
        server.refuse(who, json!({"message": "keep it"}));
        let refused = cluster.delete(&path).await.expect(400);
        assert_eq!(refused.message(), format!("admission webhook \"{who}.test.io\" denied the request: keep it"));
        server.respond(who, json!({"allowed": true}));
    }
    server.patch("m", json!([{"op": "add", "path": "/data", "value": {}}]));
    let refused = cluster.delete(&path).await.expect(500).message();
    let says = "Internal error occurred: admission webhook \"m.test.io\" attempted to modify the object, which is not \
                supported for this operation";
    assert_eq!(refused, says);
    server.respond("m", json!({"allowed": true}));
    cluster.delete(&path).await.expect(200);
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_lost_is_judged_again_on_the_fresh_object() {
    let (cluster, server) = (Cluster::start().await, Hooks::start().await);
    configure(&cluster, &server, Kind::Mutating, "m", vec![hook(&server, "m", json!({}))]).await;
    cluster.post(MAPS, map("a", json!({}))).await.expect(201);
    server.forget();
    let path = format!("{MAPS}/a");
    let patches = (0..8).map(|index| cluster.patch("merge", &path, json!({"data": {format!("k{index}"): "x"}})));
    for answer in futures::future::join_all(patches).await {
        answer.expect(200);
    }
    let asked = server.take("m");
    assert!(asked.len() >= 8, "{}", asked.len());
    let stored = cluster.get(&path).await.json();
    assert_eq!(stored["data"].as_object().unwrap().len(), 9);
    let last = asked.iter().filter(|own| own["object"]["data"].as_object().unwrap().len() == 9);
    assert_eq!(last.count(), 1, "the one who came last saw what all others wrote");
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn configurations_are_beyond_webhooks_and_go_with_them() {
    let (cluster, server) = (Cluster::start().await, Hooks::start().await);
    let all = json!({"rules": [rule(&["*"], "*", "*", &["*/*"])]});
    configure(&cluster, &server, Kind::Validating, "v", vec![hook(&server, "v", all)]).await;
    server.refuse("v", json!({"message": "never"}));
    cluster.post(MAPS, map("a", json!({}))).await.expect(400);
    let other = configuration(Kind::Mutating, "other", vec![]);
    cluster.post(&Kind::Mutating.path(), other).await.expect(201);
    cluster.delete(&format!("{}/other", Kind::Mutating.path())).await.expect(200);
    cluster.delete(&format!("{}/v", Kind::Validating.path())).await.expect(200);
    let begun = std::time::Instant::now();
    while cluster.post(MAPS, map("a", json!({}))).await.code != 201 {
        assert!(begun.elapsed() < super::DEADLINE, "the webhook is still asked");
    }
    cluster.shutdown().await;
}
