//! Who may what, by table, and that the index follows what it was made of.

use super::memory::{self, Memory};
use super::*;
use k8s_openapi::api::core::v1::{PersistentVolume, Pod};
use serde_json::json;
use std::time::{Duration, Instant};

fn user(name: &str, groups: &[&str]) -> User {
    let groups = groups.iter().map(|group| (*group).to_owned()).collect();
    User { name: name.to_owned(), groups, ..User::default() }
}

fn of<K: serde::de::DeserializeOwned>(value: serde_json::Value) -> K {
    serde_json::from_value(value).unwrap()
}

/// A question as tables spell it: `verb [namespace/]resource[/subresource][.group] [name]`, or `get /path`.
fn ask<'a>(verb: &'a str, place: &'a str, name: &'a str) -> Attributes<'a> {
    if place.starts_with('/') {
        return Attributes { verb, path: place, ..Attributes::default() };
    }
    let (namespace, resource) = place.split_once(':').unwrap_or(("", place));
    let (resource, group) = resource.split_once('.').unwrap_or((resource, ""));
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    Attributes {
        verb,
        group,
        version: "v1",
        resource,
        subresource,
        namespace,
        name,
        is_resource: true,
        ..Attributes::default()
    }
}

fn role(name: &str, namespace: Option<&str>, rules: serde_json::Value) -> serde_json::Value {
    json!({"metadata": {"name": name, "namespace": namespace}, "rules": rules})
}

fn binding(name: &str, namespace: Option<&str>, role: [&str; 2], subject: serde_json::Value) -> serde_json::Value {
    json!({
        "metadata": {"name": name, "namespace": namespace},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": role[0], "name": role[1]},
        "subjects": [subject],
    })
}

fn named(kind: &str, name: &str) -> serde_json::Value {
    json!({"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name})
}

fn pod(name: &str, node: &str) -> Pod {
    of(json!({
        "metadata": {"name": name, "namespace": "dev", "uid": name},
        "spec": {
            "nodeName": node, "serviceAccountName": "builder", "imagePullSecrets": [{"name": "pull"}],
            "containers": [{"name": "c", "envFrom": [{"secretRef": {"name": "from"}}], "env": [
                {"name": "A", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "a"}}}]}],
            "volumes": [
                {"name": "s", "secret": {"secretName": "mounted"}},
                {"name": "c", "persistentVolumeClaim": {"claimName": "disk"}},
                {"name": "p", "projected": {"sources": [{"configMap": {"name": "kube-root-ca.crt"}}]}},
            ],
            "resourceClaims": [
                {"name": "d", "resourceClaimName": "direct"}, {"name": "t", "resourceClaimTemplateName": "template"}],
        },
        "status": {"resourceClaimStatuses": [{"name": "t", "resourceClaimName": "made"}],
            "extendedResourceClaimStatus": {"resourceClaimName": "extended", "requestMappings": []}},
    }))
}

async fn cluster() -> (Arc<Authorizer>, Arc<memory::Memory>) {
    let (client, memory) = memory::client();
    let view = json!([{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}]);
    let logs = json!([{"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]}]);
    let urls = json!([{"nonResourceURLs": ["/healthz", "/metrics/*"], "verbs": ["get"]}]);
    let one = json!([{"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["one"], "verbs": ["get", "list", "update"]}]);
    memory.put::<rbac::ClusterRole>(of(role("viewer", None, view)));
    let mut part = role("logs", None, logs);
    part["metadata"]["labels"] = json!({"part": "true"});
    memory.put::<rbac::ClusterRole>(of(part));
    memory.put::<rbac::ClusterRole>(of(role("health", None, urls)));
    let mut whole = role("whole", None, json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]));
    whole["aggregationRule"] = json!({"clusterRoleSelectors": [{"matchLabels": {"part": "true"}}]});
    memory.put::<rbac::ClusterRole>(of(whole));
    memory.put::<rbac::Role>(of(role("one", Some("dev"), one)));
    memory.put::<rbac::ClusterRoleBinding>(of(binding(
        "h",
        None,
        ["ClusterRole", "health"],
        named("Group", "system:unauthenticated"),
    )));
    memory.put::<rbac::ClusterRoleBinding>(of(binding("v", None, ["ClusterRole", "viewer"], named("User", "vera"))));
    memory.put::<rbac::RoleBinding>(of(binding("d", Some("dev"), ["ClusterRole", "viewer"], named("Group", "devs"))));
    memory.put::<rbac::RoleBinding>(of(binding("w", Some("dev"), ["ClusterRole", "whole"], named("User", "walt"))));
    memory.put::<rbac::RoleBinding>(of(binding("m", Some("dev"), ["Role", "gone"], named("User", "mia"))));
    let account = json!({"kind": "ServiceAccount", "name": "builder"});
    memory.put::<rbac::RoleBinding>(of(binding("b", Some("dev"), ["Role", "one"], account)));
    memory.put(pod("web", "n1"));
    let authorizer = Authorizer::start(&client);
    authorizer.synced().await;
    (authorizer, memory)
}

#[tokio::test]
async fn decides_by_roles_and_bindings() {
    let (authorizer, _memory) = cluster().await;
    let admin = user("root", &["system:masters", "system:authenticated"]);
    let nobody = User::anonymous();
    let vera = user("vera", &["system:authenticated"]);
    let dev = user("dan", &["devs", "system:authenticated"]);
    let walt = user("walt", &[]);
    let builder = user("system:serviceaccount:dev:builder", &["system:serviceaccounts"]);
    let table: &[(&User, &str, &str, &str, bool)] = &[
        (&admin, "delete", "nodes", "n1", true),
        (&admin, "get", "/anything", "", true),
        (&nobody, "get", "/healthz", "", true),
        (&nobody, "get", "/metrics/slis", "", true),
        (&nobody, "get", "/metrics", "", false),
        (&nobody, "post", "/healthz", "", false),
        (&nobody, "get", "dev:pods", "web", false),
        (&vera, "list", "pods", "", true),
        (&vera, "list", "dev:pods", "", true),
        (&vera, "watch", "dev:pods", "", false),
        (&vera, "get", "dev:pods/log", "web", false),
        (&dev, "list", "dev:pods", "", true),
        (&dev, "list", "pods", "", false),
        (&dev, "list", "prod:pods", "", false),
        (&walt, "get", "dev:pods/log", "web", true),
        (&walt, "get", "dev:pods", "web", false),
        (&builder, "get", "dev:configmaps", "one", true),
        (&builder, "update", "dev:configmaps", "one", true),
        (&builder, "get", "dev:configmaps", "two", false),
        (&builder, "list", "dev:configmaps", "", false),
        (&builder, "get", "prod:configmaps", "one", false),
    ];
    for (user, verb, place, name, allowed) in table {
        let decision = authorizer.authorize(user, &ask(verb, place, name)).await;
        assert_eq!(decision == Decision::Allow, *allowed, "{} {verb} {place} {name}: {decision:?}", user.name);
    }
    let by_selector = Attributes { field_selector: "metadata.name=one", ..ask("list", "dev:configmaps", "") };
    assert_eq!(
        authorizer.authorize(&builder, &by_selector).await,
        Decision::Allow,
        "a list of one name is about that name"
    );
}

#[tokio::test]
async fn refuses_in_upstreams_words() {
    let (authorizer, _memory) = cluster().await;
    let table = [
        (
            "bob",
            ask("list", "dev:pods", ""),
            r#"pods is forbidden: User "bob" cannot list resource "pods" in API group "" in the namespace "dev""#,
        ),
        (
            "bob",
            ask("get", "nodes", "n1"),
            r#"nodes "n1" is forbidden: User "bob" cannot get resource "nodes" in API group "" at the cluster scope"#,
        ),
        (
            "bob",
            ask("create", "dev:pods/exec", "web"),
            r#"pods "web" is forbidden: User "bob" cannot create resource "pods/exec" in API group "" in the namespace "dev""#,
        ),
        (
            "bob",
            ask("patch", "dev:deployments.apps", "a"),
            r#"deployments.apps "a" is forbidden: User "bob" cannot patch resource "deployments" in API group "apps" in the namespace "dev""#,
        ),
        ("bob", ask("get", "/metrics", ""), r#"forbidden: User "bob" cannot get path "/metrics""#),
        (
            "mia",
            ask("list", "dev:pods", ""),
            r#"pods is forbidden: User "mia" cannot list resource "pods" in API group "" in the namespace "dev": RBAC: role.rbac.authorization.k8s.io "gone" not found"#,
        ),
    ];
    for (name, attributes, text) in table {
        let status = authorizer.require(&user(name, &[]), &attributes).await.unwrap_err();
        assert_eq!((status.code, status.message.as_str()), (403, text));
    }
}

#[tokio::test]
async fn nodes_see_what_their_pods_refer_to() {
    let (authorizer, memory) = cluster().await;
    let node = |name: &str| user(&format!("system:node:{name}"), &["system:nodes", "system:authenticated"]);
    let (own, other) = (node("n1"), node("n2"));
    let impostor = user("system:node:n1", &["system:authenticated"]);
    let table: &[(&User, &str, &str, &str, bool)] = &[
        (&own, "get", "dev:secrets", "mounted", true),
        (&own, "watch", "dev:secrets", "mounted", true),
        (&own, "get", "dev:secrets", "from", true),
        (&own, "get", "dev:secrets", "pull", true),
        (&own, "get", "dev:secrets", "other", false),
        (&own, "list", "dev:secrets", "", false),
        (&own, "update", "dev:secrets", "mounted", false),
        (&own, "get", "prod:secrets", "mounted", false),
        (&own, "get", "dev:configmaps", "settings", true),
        (&own, "get", "dev:configmaps", "kube-root-ca.crt", true),
        (&own, "get", "dev:persistentvolumeclaims", "disk", true),
        (&own, "create", "dev:serviceaccounts/token", "builder", true),
        (&own, "create", "dev:serviceaccounts/token", "default", false),
        (&own, "get", "dev:pods", "web", true),
        (&own, "patch", "dev:pods/status", "web", true),
        (&own, "get", "nodes", "n1", true),
        (&own, "get", "nodes", "n2", false),
        (&own, "list", "nodes", "", false),
        (&own, "update", "kube-node-lease:leases.coordination.k8s.io", "n1", true),
        (&own, "update", "kube-node-lease:leases.coordination.k8s.io", "n2", false),
        (&own, "update", "dev:leases.coordination.k8s.io", "n1", false),
        (&own, "create", "certificatesigningrequests.certificates.k8s.io", "", true),
        (&own, "list", "services", "", true),
        (&own, "delete", "dev:services", "a", false),
        (&other, "get", "dev:secrets", "mounted", false),
        (&other, "get", "dev:pods", "web", false),
        (&impostor, "get", "dev:secrets", "mounted", false),
    ];
    for (user, verb, place, name, allowed) in table {
        let decision = authorizer.authorize(user, &ask(verb, place, name)).await;
        assert_eq!(decision == Decision::Allow, *allowed, "{} {verb} {place} {name}: {decision:?}", user.name);
    }
    // field selector, allowed
    let selectors = [
        ("spec.nodeName=n1", true),
        ("spec.nodeName==n1,status.phase!=Failed", true),
        ("spec.nodeName!=n1", false),
        ("spec.nodeName=n2", false),
        ("", false),
        // An escaped comma is part of a value: this asks for pods of every node.
        (r"status.phase!=x\,spec.nodeName=n1", false),
    ];
    for (field_selector, allowed) in selectors {
        let decision = authorizer.authorize(&own, &Attributes { field_selector, ..ask("list", "pods", "") }).await;
        assert_eq!(decision == Decision::Allow, allowed, "{field_selector:?}: {decision:?}");
    }
    nodes_come_by_volumes_and_what_names_them(&authorizer, &memory, &own, &other).await;
    memory.remove::<Pod>("dev", "web");
    let asked = ask("get", "dev:secrets", "mounted");
    until(|| !authorizer.allows(&own, &asked)).await;
    assert_eq!(authorizer.nodes.read().edges(), 0, "nothing is kept of a pod that is gone");
}

/// Leaves nothing behind.
async fn nodes_come_by_volumes_and_what_names_them(authorizer: &Authorizer, memory: &Memory, own: &User, other: &User) {
    let secret = json!({"name": "mount", "namespace": "vault"});
    let volume = |claim: &str| -> PersistentVolume {
        of(json!({"metadata": {"name": "pv"}, "spec": {"claimRef": {"namespace": "dev", "name": claim},
            "csi": {"driver": "d", "volumeHandle": "v", "nodePublishSecretRef": secret}}}))
    };
    memory.put(volume("disk"));
    memory.put::<VolumeAttachment>(of(json!({"metadata": {"name": "va"},
        "spec": {"attacher": "d", "nodeName": "n1", "source": {"persistentVolumeName": "pv"}}})));
    memory.put::<ResourceSlice>(of(json!({"metadata": {"name": "slice"},
        "spec": {"driver": "d", "nodeName": "n1", "pool": {"name": "p", "generation": 1, "resourceSliceCount": 1}}})));
    memory.put::<PodCertificateRequest>(of(json!({"metadata": {"name": "pcr", "namespace": "dev"}, "spec": {
        "signerName": "a/b", "podName": "web", "podUID": "u", "serviceAccountName": "builder",
        "serviceAccountUID": "u", "nodeName": "n1", "nodeUID": "u", "stubPKCS10Request": ""}})));
    until(|| authorizer.nodes.read().edges() >= 13).await;
    let table: &[(&User, &str, &str, &str, bool)] = &[
        (own, "get", "persistentvolumes", "pv", true),
        (own, "list", "persistentvolumes", "", false),
        (own, "update", "persistentvolumes", "pv", false),
        (own, "get", "persistentvolumes", "other", false),
        (other, "get", "persistentvolumes", "pv", false),
        (own, "get", "vault:secrets", "mount", true),
        (other, "get", "vault:secrets", "mount", false),
        (own, "get", "dev:secrets", "mount", false),
        (own, "get", "volumeattachments.storage.k8s.io", "va", true),
        (own, "delete", "volumeattachments.storage.k8s.io", "va", false),
        (other, "get", "volumeattachments.storage.k8s.io", "va", false),
        (own, "get", "dev:resourceclaims.resource.k8s.io", "direct", true),
        (own, "get", "dev:resourceclaims.resource.k8s.io", "made", true),
        (own, "get", "dev:resourceclaims.resource.k8s.io", "extended", true),
        (own, "get", "dev:resourceclaims.resource.k8s.io", "template", false),
        (own, "update", "dev:resourceclaims/status.resource.k8s.io", "direct", false),
        (other, "get", "dev:resourceclaims.resource.k8s.io", "direct", false),
        (own, "create", "resourceslices.resource.k8s.io", "", true),
        (own, "update", "resourceslices.resource.k8s.io", "slice", true),
        (other, "delete", "resourceslices.resource.k8s.io", "slice", false),
        (own, "list", "resourceslices.resource.k8s.io", "", false),
        (own, "create", "dev:podcertificaterequests.certificates.k8s.io", "", true),
        (own, "get", "dev:podcertificaterequests.certificates.k8s.io", "pcr", true),
        (other, "get", "dev:podcertificaterequests.certificates.k8s.io", "pcr", false),
        (own, "list", "podcertificaterequests.certificates.k8s.io", "", false),
        (own, "update", "dev:podcertificaterequests/status.certificates.k8s.io", "pcr", false),
    ];
    for (user, verb, place, name, allowed) in table {
        let decision = authorizer.authorize(user, &ask(verb, place, name)).await;
        assert_eq!(decision == Decision::Allow, *allowed, "{} {verb} {place} {name}: {decision:?}", user.name);
    }
    for place in ["resourceslices.resource.k8s.io", "podcertificaterequests.certificates.k8s.io"] {
        let own_only = Attributes { field_selector: "spec.nodeName=n1", ..ask("watch", place, "") };
        assert_eq!(authorizer.authorize(own, &own_only).await, Decision::Allow, "{place}");
    }
    // Another claim has it now.
    memory.put(volume("elsewhere"));
    until(|| !authorizer.allows(own, &ask("get", "persistentvolumes", "pv"))).await;
    assert!(!authorizer.allows(own, &ask("get", "vault:secrets", "mount")));
    memory.remove::<PersistentVolume>("", "pv");
    memory.remove::<VolumeAttachment>("", "va");
    memory.remove::<ResourceSlice>("", "slice");
    memory.remove::<PodCertificateRequest>("dev", "pcr");
    let gone = ask("get", "dev:podcertificaterequests.certificates.k8s.io", "pcr");
    until(|| !authorizer.allows(own, &gone)).await;
    until(|| !authorizer.allows(own, &ask("get", "volumeattachments.storage.k8s.io", "va"))).await;
    until(|| !authorizer.allows(own, &ask("get", "resourceslices.resource.k8s.io", "slice"))).await;
}

/// Waits for what a follower does; a deadline, not a duration.
async fn until(condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < deadline, "what was waited for did not happen");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn follows_changes_of_roles_and_bindings() {
    let (authorizer, memory) = cluster().await;
    let dan = user("dan", &["devs"]);
    let (read, write) = (ask("list", "dev:pods", ""), ask("delete", "dev:pods", "web"));
    assert!(authorizer.allows(&dan, &read) && !authorizer.allows(&dan, &write));
    let rules = json!([{"apiGroups": [""], "resources": ["pods"], "verbs": ["delete"]}]);
    memory.put::<rbac::ClusterRole>(of(role("viewer", None, rules)));
    until(|| authorizer.allows(&dan, &write) && !authorizer.allows(&dan, &read)).await;
    memory.remove::<rbac::RoleBinding>("dev", "d");
    until(|| !authorizer.allows(&dan, &write)).await;
    memory.put::<rbac::ClusterRoleBinding>(of(binding("n", None, ["ClusterRole", "viewer"], named("User", "dan"))));
    until(|| authorizer.allows(&dan, &ask("delete", "prod:pods", "web"))).await;
    let mia = user("mia", &[]);
    let rules = json!([{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}]);
    memory.put::<rbac::Role>(of(role("gone", Some("dev"), rules)));
    until(|| authorizer.allows(&mia, &ask("get", "dev:secrets", "a"))).await;
}

#[tokio::test]
async fn grants_only_what_is_held() {
    let (authorizer, _memory) = cluster().await;
    let rule = |verbs: &[&str], resources: &[&str]| -> rbac::PolicyRule {
        of(json!({"apiGroups": [""], "resources": resources, "verbs": verbs}))
    };
    let vera = user("vera", &["devs", "system:authenticated"]);
    assert_eq!(authorizer.confirm_no_escalation(&vera, "dev", &[rule(&["get", "list"], &["pods"])]), Ok(()));
    let refused = authorizer
        .confirm_no_escalation(&vera, "dev", &[rule(&["get", "delete", "patch"], &["pods", "secrets"])])
        .unwrap_err();
    assert_eq!(
        refused,
        "user \"vera\" (groups=[\"devs\" \"system:authenticated\"]) is attempting to grant RBAC permissions not \
         currently held:\n{APIGroups:[\"\"], Resources:[\"pods\"], Verbs:[\"delete\" \"patch\"]}\n\
         {APIGroups:[\"\"], Resources:[\"secrets\"], Verbs:[\"get\" \"delete\" \"patch\"]}"
    );
    let builder = user("system:serviceaccount:dev:builder", &[]);
    let all_maps = authorizer.confirm_no_escalation(&builder, "dev", &[rule(&["get"], &["configmaps"])]);
    assert!(all_maps.is_err(), "a right to one name is no right to all");
    let masters = user("root", &["system:masters"]);
    assert_eq!(authorizer.confirm_no_escalation(&masters, "dev", &[rule(&["*"], &["*"])]), Ok(()));
}

#[tokio::test]
async fn reviews_list_rules_and_answer_questions() {
    let (authorizer, _memory) = cluster().await;
    let rules = authorizer.review_rules(&User::anonymous(), "dev");
    assert_eq!(rules.resource_rules, []);
    let [urls] = rules.non_resource_rules.as_slice() else { panic!("{rules:?}") };
    assert_eq!(urls.non_resource_urls.as_deref().unwrap(), ["/healthz", "/metrics/*"]);
    let dan = user("dan", &["devs"]);
    let [pods] = authorizer.review_rules(&dan, "dev").resource_rules.try_into().unwrap();
    assert_eq!(
        (pods.resources.unwrap(), pods.verbs),
        (vec!["pods".to_owned()], vec!["get".to_owned(), "list".to_owned()])
    );
    for (namespace, allowed) in [("dev", true), ("prod", false)] {
        let asked = of(json!({"namespace": namespace, "resource": "pods", "verb": "list"}));
        assert_eq!(authorizer.review_access(&dan, Some(&asked), None).await.allowed, allowed);
    }
}

#[tokio::test]
async fn default_roles_are_as_wide_as_their_names() {
    let (client, _memory) = memory::client();
    let facts = crate::bootstrap::test_facts();
    crate::bootstrap::bootstrap(&client, &facts).await.unwrap();
    let rules = json!({"kind": "ClusterRole", "apiGroup": "rbac.authorization.k8s.io"});
    for (name, role) in [("ann", "admin"), ("eve", "edit"), ("vic", "view")] {
        let mut role_ref = rules.clone();
        role_ref["name"] = json!(role);
        let object: rbac::RoleBinding = of(json!({"metadata": {"name": name, "namespace": "dev"}, "roleRef": role_ref,
            "subjects": [named("User", name)]}));
        client.create(&object).await.unwrap();
    }
    let authorizer = Authorizer::start(&client);
    authorizer.synced().await;
    let who = |name: &str| match name {
        "nobody" => User::anonymous(),
        name => user(name, &["system:authenticated"]),
    };
    let table: &[(&str, &str, &str, bool)] = &[
        ("nobody", "get", "/healthz", true),
        ("nobody", "get", "/version", true),
        ("nobody", "get", "/api", false),
        ("nobody", "list", "dev:pods", false),
        ("nobody", "get", "kube-public:configmaps", false),
        ("vic", "get", "/apis/apps/v1", true),
        ("vic", "get", "/metrics", false),
        ("vic", "create", "selfsubjectaccessreviews.authorization.k8s.io", true),
        ("vic", "list", "dev:pods", true),
        ("vic", "list", "dev:secrets", false),
        ("vic", "create", "dev:pods", false),
        ("eve", "list", "dev:pods", true),
        ("eve", "create", "dev:pods", true),
        ("eve", "create", "dev:pods/exec", true),
        ("eve", "get", "dev:secrets", true),
        ("eve", "create", "dev:roles.rbac.authorization.k8s.io", false),
        ("eve", "list", "prod:pods", false),
        ("ann", "create", "dev:roles.rbac.authorization.k8s.io", true),
        ("ann", "create", "dev:pods", true),
        ("ann", "get", "dev:pods/log", true),
        ("ann", "update", "dev:resourcequotas", false),
    ];
    for (name, verb, place, allowed) in table {
        let decision = authorizer.authorize(&who(name), &ask(verb, place, "")).await;
        assert_eq!(decision == Decision::Allow, *allowed, "{name} {verb} {place}: {decision:?}");
    }
}
