//! The default roles as a table: who may do what, for each verb.

use super::{Attributes, Authorizer, Decision, memory};
use api::user::User;
use k8s_openapi::api::rbac::v1::RoleBinding;
use serde_json::json;

/// The verbs of a resource, each with its letter.
const VERBS: [(char, &str); 8] = [
    ('g', "get"),
    ('l', "list"),
    ('w', "watch"),
    ('c', "create"),
    ('u', "update"),
    ('p', "patch"),
    ('d', "delete"),
    ('D', "deletecollection"),
];

/// Columns: nobody, a pod's account, node `n1`, and in the namespace `dev` one who may `view`, `edit`, `admin`; the
/// cluster's admin may everything everywhere.
const WHO: [&str; 6] = ["nobody", "account", "node", "view", "edit", "admin"];

/// A node reads pods, services, namespaces, nodes and policies beyond upstream's: its proxy, DNS and pod network ask as it.
/// Group, resource, namespace, name, and the letters of the verbs that each of `WHO` has.
const TABLE: &[(&str, &str, &str, &str, [&str; 6])] = &[
    ("", "pods", "dev", "a", ["", "", "glwcd", "glw", "glwcupdD", "glwcupdD"]),
    ("", "pods", "other", "a", ["", "", "glwcd", "", "", ""]),
    ("", "pods/status", "dev", "a", ["", "", "up", "glw", "glw", "glw"]),
    ("", "pods/log", "dev", "a", ["", "", "", "glw", "glw", "glw"]),
    ("", "pods/exec", "dev", "a", ["", "", "", "", "glwcupdD", "glwcupdD"]),
    ("", "pods/eviction", "dev", "a", ["", "", "c", "", "c", "c"]),
    ("", "secrets", "dev", "a", ["", "", "", "", "glwcupdD", "glwcupdD"]),
    ("", "configmaps", "dev", "a", ["", "", "", "glw", "glwcupdD", "glwcupdD"]),
    ("", "services", "dev", "a", ["", "", "glw", "glw", "glwcupdD", "glwcupdD"]),
    ("", "endpoints", "dev", "a", ["", "", "glw", "glw", "glw", "glw"]),
    ("", "serviceaccounts/token", "dev", "a", ["", "", "", "", "c", "c"]),
    ("", "resourcequotas", "dev", "a", ["", "", "", "glw", "glw", "glw"]),
    ("", "nodes", "", "n1", ["", "", "glwcup", "", "", ""]),
    ("", "nodes/status", "", "n1", ["", "", "up", "", "", ""]),
    ("", "namespaces", "", "dev", ["", "", "glw", "", "", ""]),
    ("", "persistentvolumes", "", "a", ["", "", "", "", "", ""]),
    ("apps", "deployments", "dev", "a", ["", "", "", "glw", "glwcupdD", "glwcupdD"]),
    ("apps", "deployments/scale", "dev", "a", ["", "", "", "glw", "glwcupdD", "glwcupdD"]),
    ("apps", "controllerrevisions", "dev", "a", ["", "", "", "glw", "glw", "glw"]),
    ("batch", "jobs", "dev", "a", ["", "", "", "glw", "glwcupdD", "glwcupdD"]),
    ("networking.k8s.io", "networkpolicies", "dev", "a", ["", "", "glw", "glw", "glwcupdD", "glwcupdD"]),
    ("coordination.k8s.io", "leases", "dev", "a", ["", "", "", "", "glwcupdD", "glwcupdD"]),
    ("coordination.k8s.io", "leases", "kube-node-lease", "n1", ["", "", "gcupd", "", "", ""]),
    ("rbac.authorization.k8s.io", "roles", "dev", "a", ["", "", "", "", "", "glwcupdD"]),
    ("rbac.authorization.k8s.io", "clusterroles", "", "a", ["", "", "", "", "", ""]),
    ("certificates.k8s.io", "certificatesigningrequests", "", "a", ["", "", "glwc", "", "", ""]),
    ("certificates.k8s.io", "clustertrustbundles", "", "a", ["", "glw", "glw", "", "", ""]),
    ("authorization.k8s.io", "selfsubjectaccessreviews", "", "", ["", "c", "c", "c", "c", "c"]),
    ("authorization.k8s.io", "subjectaccessreviews", "", "", ["", "", "c", "", "", ""]),
    ("authorization.k8s.io", "localsubjectaccessreviews", "dev", "", ["", "", "c", "", "", "c"]),
    ("storage.k8s.io", "csinodes", "", "n1", ["", "", "gcupd", "", "", ""]),
];

fn user(name: &str, groups: &[&str]) -> User {
    let groups = groups.iter().chain(&[User::AUTHENTICATED]).map(|group| (*group).to_owned()).collect();
    User { name: name.to_owned(), groups, ..User::default() }
}

fn who(name: &str) -> User {
    match name {
        "nobody" => User::anonymous(),
        "account" => {
            user("system:serviceaccount:dev:default", &["system:serviceaccounts", "system:serviceaccounts:dev"])
        }
        "node" => user("system:node:n1", &[User::NODES]),
        name => user(name, &[]),
    }
}

#[tokio::test]
async fn everybody_may_what_upstream_lets_him() {
    let (client, _memory) = memory::client();
    crate::bootstrap::bootstrap(&client, &crate::bootstrap::test_facts()).await.unwrap();
    for role in ["view", "edit", "admin"] {
        let binding: RoleBinding = serde_json::from_value(json!({
            "metadata": {"name": role, "namespace": "dev"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": role}],
        }))
        .unwrap();
        client.create(&binding).await.unwrap();
    }
    let authorizer = Authorizer::start(&client);
    authorizer.synced().await;
    let root = user("root", &[User::MASTERS]);
    for (group, place, namespace, object, wanted) in TABLE {
        let (resource, subresource) = place.split_once('/').unwrap_or((place, ""));
        let ask = |verb: &'static str| {
            let unnamed = matches!(verb, "list" | "watch" | "create" | "deletecollection") && subresource.is_empty();
            // A node reads its own node by a selector of its name.
            let name = if unnamed && *resource != *"nodes" { "" } else { *object };
            Attributes {
                verb,
                group,
                resource,
                subresource,
                namespace,
                name,
                is_resource: true,
                ..Attributes::default()
            }
        };
        for (name, wanted) in WHO.iter().zip(wanted) {
            let user = who(name);
            let mut has = String::new();
            for (letter, verb) in VERBS {
                match authorizer.authorize(&user, &ask(verb)).await {
                    Decision::Allow => has.push(letter),
                    Decision::Deny(why) => {
                        let begin =
                            format!("User {:?} cannot {verb} resource {place:?} in API group {group:?}", user.name);
                        assert!(why.starts_with(&begin), "{why}");
                    }
                }
            }
            assert_eq!(has, **wanted, "{name} on {place}.{group} in {namespace:?}");
        }
        for (_, verb) in VERBS {
            assert_eq!(authorizer.authorize(&root, &ask(verb)).await, Decision::Allow, "{verb} {place}");
        }
    }
}
