//! Webhooks in the chain: when they are asked, what their answers mean, and what happens when they cannot be.

use super::super::configuration::chain_of_file;
use super::super::{Attributes, AuthorizationOptions, Authorizer, memory};
use crate::callout::Callout;
use crate::test_server;
use api::user::User;
use serde_json::json;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

#[tokio::test]
async fn a_webhook_decides_in_its_place_of_the_chain() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    let server = test_server::start(Arc::new(move |path, review| {
        counted.fetch_add(1, Ordering::SeqCst);
        assert_eq!((path, review["kind"].as_str()), ("/ask", Some("SubjectAccessReview")));
        let status = match review["spec"]["user"].as_str().unwrap() {
            "ann" => json!({"allowed": true, "reason": "ann may"}),
            "eve" => json!({"allowed": false, "denied": true, "reason": "eve may nothing"}),
            "broken" => return (503, json!({})),
            _ => json!({"allowed": false, "reason": "who is that?"}),
        };
        (200, json!({"status": status}))
    }))
    .await;
    let folder = tempfile::tempdir().unwrap();
    let (client, _memory) = memory::client();
    let (authorizer, callout) = (Authorizer::start(&client), Callout::new(&client));
    authorizer.synced().await;
    let file = |policy: &str| {
        format!(
            "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthorizationConfiguration\nauthorizers:\n- {{type: Node, name: n}}\n\
             - type: Webhook\n  name: w\n  webhook:\n    timeout: 3s\n    subjectAccessReviewVersion: v1\n    \
             matchConditionSubjectAccessReviewVersion: v1\n    failurePolicy: {policy}\n    connectionInfo: {{type: \
             KubeConfigFile, kubeConfigFile: '{}'}}\n    matchConditions: [{{expression: has(request.resourceAttributes)}}]\n\
             - {{type: RBAC, name: r}}\n",
            server.kubeconfig(folder.path()).display()
        )
    };
    authorizer.configure(chain_of_file(Path::new("/f"), &file("NoOpinion"), &callout).unwrap());
    let user = |name: &str| User { name: name.to_owned(), ..User::default() };
    let pods =
        Attributes { verb: "list", resource: "pods", namespace: "dev", is_resource: true, ..Attributes::default() };
    let health = Attributes { verb: "get", path: "/x", ..Attributes::default() };
    let said = |name: &'static str, asked: Attributes<'static>| {
        let authorizer = authorizer.clone();
        async move { authorizer.require(&user(name), &asked).await.map_err(|status| (status.code, status.message)) }
    };
    let sentence = |name: &str, why: &str| {
        let at = "in API group \"\" in the namespace \"dev\"";
        Err((403, format!("pods is forbidden: User {name:?} cannot list resource \"pods\" {at}: {why}")))
    };
    assert_eq!(said("ann", pods).await, Ok(()));
    assert_eq!(said("ann", pods).await, Ok(()));
    assert_eq!(asked.load(Ordering::SeqCst), 1, "the second answer was remembered");
    assert_eq!(said("eve", pods).await, sentence("eve", "eve may nothing"));
    assert_eq!(said("bob", pods).await, sentence("bob", "who is that?"));
    assert_eq!(asked.load(Ordering::SeqCst), 3);
    assert_eq!(said("ann", health).await.unwrap_err().0, 403, "paths are none of its questions");
    assert_eq!(asked.load(Ordering::SeqCst), 3);
    let mut counted = String::new();
    callout.series().write(super::CONDITIONS, &mut counted).unwrap();
    for (name, count) in [("exclusions_total", 1), ("evaluation_seconds_count", 5)] {
        let name = format!("apiserver_authorization_match_condition_{name}");
        let line = format!("{name}{{name=\"w\",type=\"Webhook\"}} {count}");
        assert!(counted.lines().any(|own| own == line), "{line} in {counted}");
    }
    assert!(!counted.contains("evaluation_errors_total"), "{counted}");
    let (code, message) = said("broken", pods).await.unwrap_err();
    assert_eq!(code, 500);
    assert!(message.contains("the server is currently unable to handle the request"), "{message}");
    let status = authorizer.review_access(&user("eve"), None, None).await;
    assert!(!status.allowed, "a question about nothing");
    let masters = User { groups: vec![User::MASTERS.to_owned()], ..user("eve") };
    assert!(authorizer.require(&masters, &pods).await.is_ok(), "masters are asked about by nobody");
    authorizer.configure(chain_of_file(Path::new("/f"), &file("Deny"), &callout).unwrap());
    assert_eq!(said("broken", pods).await.unwrap_err().0, 500);
}

#[test]
fn flags_and_files_are_refused_in_upstreams_words() {
    let (client, _) = memory::client();
    let callout = Callout::new(&client);
    let flags = |modes: &[&str]| {
        let modes = modes.iter().map(|mode| (*mode).to_owned()).collect();
        let options = AuthorizationOptions { modes, ..AuthorizationOptions::default() };
        options.chain(&callout).err().map(|error| error.to_string())
    };
    assert_eq!(flags(&["Node", "RBAC", "AlwaysDeny"]), None);
    assert_eq!(flags(&["Nope"]).unwrap(), "authorization-mode \"Nope\" is not a valid mode");
    assert!(flags(&["RBAC", "RBAC"]).unwrap().ends_with("has mode specified more than once"));
    assert_eq!(flags(&["Webhook"]).unwrap(), "authorization-mode Webhook's authorization config file not passed");
    let file = |authorizers: &str| {
        let head = "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthorizationConfiguration\n";
        chain_of_file(Path::new("/f"), &format!("{head}authorizers: {authorizers}\n"), &callout)
            .err()
            .unwrap()
            .to_string()
    };
    assert_eq!(file("[]"), "/f: authorizers: Required value: at least one authorization mode must be defined");
    let wrong = file("[{type: Webhook, name: w, webhook: {}}]");
    for part in [
        "authorizers[0].timeout: Required value",
        "authorizers[0].failurePolicy: Required value",
        "authorizers[0].subjectAccessReviewVersion: Required value",
        "authorizers[0].connectionInfo.type: Required value",
    ] {
        assert!(wrong.contains(part), "{wrong}");
    }
    assert!(file("[{type: RBAC, name: r}, {type: RBAC, name: s}]").contains("authorizers[1].type: Duplicate value"));
}
