//! OwnerReferencesPermissionEnforcement: who may say whose an object is.

use super::with;
use crate::cluster::{Answer, Cluster};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const ROLES: &str = "/apis/rbac.authorization.k8s.io/v1/namespaces/default";
const DEADLINE: Duration = Duration::from_secs(60);

async fn as_ann(cluster: &Cluster, method: &str, path: &str, body: Value) -> Answer {
    let content_type = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
    let headers = [("impersonate-user", "ann"), ("content-type", content_type)];
    cluster.send(method, path, &headers, body.to_string()).await
}

/// Gives ann a role with these rules, and waits until the last of them holds.
async fn allow(cluster: &Cluster, name: &str, rules: Value) {
    let last = rules.as_array().unwrap().last().unwrap().clone();
    let role = json!({"metadata": {"name": name}, "rules": rules});
    cluster.post(&format!("{ROLES}/roles"), role).await.expect(201);
    let binding = json!({"metadata": {"name": name}, "subjects": [{"kind": "User", "name": "ann"}],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name}});
    cluster.post(&format!("{ROLES}/rolebindings"), binding).await.expect(201);
    let (resource, subresource) = {
        let whole = last["resources"][0].as_str().unwrap();
        whole.split_once('/').unwrap_or((whole, ""))
    };
    let review = json!({"spec": {"user": "ann", "resourceAttributes": {"verb": last["verbs"][0], "resource": resource,
        "subresource": subresource, "group": last["apiGroups"][0], "namespace": "default"}}});
    let begun = Instant::now();
    loop {
        let path = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
        let answer = cluster.post(path, review.clone()).await.expect(201).json();
        if answer["status"]["allowed"] == true {
            return;
        }
        assert!(begun.elapsed() < DEADLINE, "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn owners_are_named_by_who_may() {
    let cluster = with(&["OwnerReferencesPermissionEnforcement"], "").await;
    let maps = json!([{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["create", "patch", "get"]}]);
    allow(&cluster, "maps", maps).await;
    let owner = |kind: &str, blocks: bool| {
        json!({"ownerReferences": [{"apiVersion": "apps/v1", "kind": kind, "name": "d", "uid": "u",
            "blockOwnerDeletion": blocks}]})
    };
    let map = |name: &str, mut meta: Value| {
        meta["name"] = json!(name);
        json!({"metadata": meta})
    };
    // Whoever makes an object may give it an owner.
    as_ann(&cluster, "POST", MAPS, map("owned", owner("Deployment", false))).await.expect(201);
    as_ann(&cluster, "POST", MAPS, map("free", json!({}))).await.expect(201);
    as_ann(&cluster, "PATCH", &format!("{MAPS}/owned"), json!({"data": {"a": "b"}})).await.expect(200);
    let name_owner = json!({"metadata": owner("Deployment", false)});
    let refused = as_ann(&cluster, "PATCH", &format!("{MAPS}/free"), name_owner.clone()).await.expect(403).message();
    assert_eq!(
        refused,
        "configmaps \"free\" is forbidden: cannot set an ownerRef on a resource you can't delete: , <nil>"
    );
    allow(&cluster, "delete", json!([{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["delete"]}])).await;
    as_ann(&cluster, "PATCH", &format!("{MAPS}/free"), name_owner).await.expect(200);
    let blocks = map("blocking", owner("Deployment", true));
    let refused = as_ann(&cluster, "POST", MAPS, blocks.clone()).await.expect(403).message();
    assert_eq!(
        refused,
        "configmaps \"blocking\" is forbidden: cannot set blockOwnerDeletion if an ownerReference refers to a resource \
         you can't set finalizers on: , <nil>"
    );
    let finalizers = json!([{"apiGroups": ["apps"], "resources": ["deployments/finalizers"], "verbs": ["update"]}]);
    allow(&cluster, "finalizers", finalizers).await;
    as_ann(&cluster, "POST", MAPS, blocks).await.expect(201);
    let refused = as_ann(&cluster, "POST", MAPS, map("odd", owner("Nothing", true))).await.expect(403).message();
    assert_eq!(
        refused,
        "configmaps \"odd\" is forbidden: cannot set blockOwnerDeletion in this case because cannot find RESTMapping for \
         APIVersion apps/v1 Kind Nothing: no matches for kind \"Nothing\" in version \"apps/v1\""
    );
    cluster.shutdown().await;
}
