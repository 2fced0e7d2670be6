//! Components in the server's process reach the objects of other servers as those that are stored here.

use super::{DEADLINE, OBJECTS, reason, start};
use crate::cluster::Cluster;
use api::Reason;
use api::resource::{ResourceDef, Scope};
use apiserver::pki::{Pki, ServerNames};
use client::{Aggregated, EventType, Request, Verb, WatchRequest};
use futures::StreamExt;
use serde_json::Value;
use std::time::Instant;

async fn aggregated(cluster: &Cluster) -> Vec<Aggregated> {
    let begun = Instant::now();
    loop {
        match cluster.client.transport().aggregated().await {
            Ok(all) => return all,
            // The APIServices are being read.
            Err(status) => {
                assert!(begun.elapsed() < DEADLINE && status.reason == Reason::ServiceUnavailable, "{status}")
            }
        }
    }
}

async fn names(cluster: &Cluster, def: &'static ResourceDef) -> Vec<String> {
    let request = Request::new(Verb::List, def, "default", "").query("limit", "500");
    let list: Value = serde_json::from_slice(&cluster.client.call(request).await.unwrap()).unwrap();
    let items = list["items"].as_array().unwrap().iter();
    items.map(|own| own["metadata"]["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_identity_is_shown_to_the_servers_behind() {
    let Some((cluster, flunders)) = start().await else { return };
    flunders.take("/");
    let serial = async || {
        cluster.get(OBJECTS).await.expect(200);
        flunders.take(OBJECTS).remove(0).serial
    };
    let before = serial().await;
    assert_eq!(serial().await, before);
    let folder = cluster.dir.path().join("pki");
    apiserver::pki::forget_leaves(&folder).unwrap();
    let made = Pki::open(&folder, &ServerNames::default(), crate::cluster::now()).unwrap();
    cluster.front_proxy.send_replace(made.front_proxy_identity());
    let begun = Instant::now();
    while serial().await == before {
        assert!(begun.elapsed() < DEADLINE, "the old certificate is still shown");
    }
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_lists_and_deletes_what_another_server_has() {
    let Some((cluster, flunders)) = start().await else { return };
    let served = aggregated(&cluster).await;
    let [own] = &served[..] else { panic!("{served:?}") };
    assert_eq!(own.group_version, "wardle.example.com/v1alpha1");
    let [kind] = &own.kinds.as_ref().unwrap()[..] else { panic!("{own:?}") };
    assert_eq!((kind.def.kind, kind.def.plural, kind.def.scope), ("Flunder", "flunders", Scope::Namespaced));
    assert!(kind.verbs.iter().any(|verb| verb == "deletecollection"), "{:?}", kind.verbs);
    flunders.take(OBJECTS);
    assert_eq!(names(&cluster, kind.def).await, ["one", "two"]);
    let [heard] = flunders.take(OBJECTS).try_into().unwrap();
    assert_eq!(
        (heard.uri.as_str(), heard.common_name.as_str()),
        (&*format!("{OBJECTS}?limit=500"), "front-proxy-client")
    );
    assert_eq!(heard.all("x-remote-user"), ["system:apiserver"]);
    let body = r#"{"apiVersion":"v1","kind":"DeleteOptions","propagationPolicy":"Background"}"#;
    let request = Request::new(Verb::DeleteCollection, kind.def, "default", "").body(body);
    cluster.client.call(request).await.unwrap();
    let [heard] = flunders.take(OBJECTS).try_into().unwrap();
    assert_eq!((heard.method.as_str(), &*heard.body), ("DELETE", body.as_bytes()));
    assert_eq!(names(&cluster, kind.def).await, [""; 0]);
    let elsewhere = Request::new(Verb::List, kind.def, "other", "");
    let status = cluster.client.call(elsewhere).await.unwrap_err();
    assert_eq!((status.code, status.message.as_str()), (404, "the flunder server knows no such path"));
    flunders.stop();
    let touched = serde_json::json!({"metadata": {"labels": {"touched": "yes"}}});
    cluster.patch("merge", "/api/v1/namespaces/default/services/wardle", touched).await.expect(200);
    reason(&cluster, "FailedDiscoveryCheck").await;
    let status = cluster.client.call(Request::new(Verb::List, kind.def, "default", "")).await.unwrap_err();
    assert_eq!((status.code, status.message.as_str()), (503, "service unavailable"));
    assert!(aggregated(&cluster).await[0].kinds.is_none(), "what it serves now nobody knows");
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_watches_what_another_server_has() {
    let Some((cluster, flunders)) = start().await else { return };
    let kind = aggregated(&cluster).await[0].kinds.as_ref().unwrap()[0].def;
    let watch = |resource_version: &str| WatchRequest {
        def: kind,
        namespace: "default".to_owned(),
        label_selector: String::new(),
        field_selector: "metadata.name!=x".to_owned(),
        resource_version: resource_version.to_owned(),
    };
    flunders.take(OBJECTS);
    let mut events = cluster.client.transport().watch(watch("")).await.unwrap();
    let mut next = async || {
        let event = tokio::time::timeout(DEADLINE, events.next()).await.expect("an event comes");
        event.map(|event| event.map(|event| (event.kind, serde_json::from_slice::<Value>(&event.object).unwrap())))
    };
    for name in ["one", "two"] {
        let (told, object) = next().await.unwrap().unwrap();
        assert_eq!((told, &object["metadata"]["name"]), (EventType::Added, &name.into()));
    }
    let (told, mark) = next().await.unwrap().unwrap();
    assert_eq!((told, &mark["metadata"]["resourceVersion"]), (EventType::Bookmark, &"7".into()));
    assert_eq!(mark["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
    let heard: Vec<String> = flunders.take(OBJECTS).into_iter().map(|heard| heard.uri).collect();
    let selected = "fieldSelector=metadata.name%21%3Dx";
    assert_eq!(
        heard,
        [
            format!("{OBJECTS}?{selected}&limit=500"),
            format!("{OBJECTS}?{selected}&watch=true&allowWatchBookmarks=true&resourceVersion=7"),
        ]
    );
    flunders.tell("three");
    let (told, object) = next().await.unwrap().unwrap();
    assert_eq!((told, &object["metadata"]["name"]), (EventType::Added, &"three".into()));
    flunders.stop();
    let ended = next().await.unwrap().unwrap_err();
    assert_eq!(ended.reason, Reason::ServiceUnavailable, "{ended}");
    assert!(next().await.is_none(), "it ends with its first error");
    cluster.shutdown().await;
}
