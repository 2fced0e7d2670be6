//! Who may ask the node: tokens and names that the API server decides about.

use crate::server::{ask, body, get};
use crate::support::{TestNode, node};
use api::{Kind, Status};
use async_trait::async_trait;
use bytes::Bytes;
use client::{Client, RawEvents, Request, Transport, WatchRequest};
use http_body_util::Empty;
use k8s_openapi::api::authentication::v1::TokenReview;
use k8s_openapi::api::authorization::v1::SubjectAccessReview;
use kubelet::Kubelet;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// An API server that answers reviews: `scraper-token` is a ServiceAccount's, which may get `nodes/metrics`.
struct Reviewing {
    inner: Arc<dyn Transport>,
    tokens: AtomicUsize,
    accesses: AtomicUsize,
    down: AtomicBool,
}

impl Reviewing {
    fn review(&self, request: &Request) -> Option<Value> {
        let mut object: Value = serde_json::from_slice(&request.body).ok()?;
        let kind = request.def.kind;
        if kind == TokenReview::DEF.kind {
            self.tokens.fetch_add(1, Ordering::SeqCst);
            let known = object["spec"]["token"] == "scraper-token";
            let user = json!({"username": "system:serviceaccount:a:scraper", "groups": ["system:serviceaccounts"]});
            object["status"] = json!({"authenticated": known, "user": if known { user } else { json!({}) }});
        } else if kind == SubjectAccessReview::DEF.kind {
            self.accesses.fetch_add(1, Ordering::SeqCst);
            let (spec, asked) = (&object["spec"], &object["spec"]["resourceAttributes"]);
            let may = spec["user"] == "system:serviceaccount:a:scraper"
                && spec["groups"] == json!(["system:serviceaccounts"])
                && *asked
                    == json!({"verb": "get", "version": "v1", "resource": "nodes", "subresource": "metrics", "name": "n1"});
            object["status"] = json!({"allowed": may});
        } else {
            return None;
        }
        Some(object)
    }
}

#[async_trait]
impl Transport for Reviewing {
    async fn call(&self, request: Request) -> Result<Bytes, Status> {
        match self.review(&request) {
            Some(_) if self.down.load(Ordering::SeqCst) => Err(Status::unavailable("down")),
            Some(object) => Ok(object.to_string().into()),
            None => self.inner.call(request).await,
        }
    }

    async fn watch(&self, request: WatchRequest) -> Result<RawEvents, Status> {
        self.inner.watch(request).await
    }
}

async fn with_token(node: &TestNode, kubelet: &Kubelet, path: &str, token: &str) -> (u16, String) {
    let request = http::Request::get(path).header("host", "node").header("authorization", format!("Bearer {token}"));
    let response = ask(node, kubelet, None, request.body(Empty::new()).unwrap()).await;
    (response.status().as_u16(), body(response).await)
}

#[tokio::test]
async fn tokens_are_asked_about_and_remembered() {
    let Some(node) = node("door") else { return };
    let api = Arc::new(Reviewing {
        inner: node.client.transport().clone(),
        tokens: AtomicUsize::new(0),
        accesses: AtomicUsize::new(0),
        down: AtomicBool::new(false),
    });
    let kubelet = node.start_with(Client::new(api.clone())).await;
    for _ in 0..3 {
        let (code, text) = with_token(&node, &kubelet, "/metrics", "scraper-token").await;
        assert!(code == 200 && text.contains("kubelet_running_pods"), "{code} {text}");
    }
    assert_eq!((api.tokens.load(Ordering::SeqCst), api.accesses.load(Ordering::SeqCst)), (1, 1));
    let refused = with_token(&node, &kubelet, "/pods", "scraper-token").await;
    let user = "system:serviceaccount:a:scraper";
    let words = format!("Forbidden (user={user}, verb=get, resource=nodes, subresource(s)=[pods proxy])");
    assert_eq!(refused, (403, words));
    assert_eq!(api.accesses.load(Ordering::SeqCst), 3, "the finer subresource, then the older one");
    assert_eq!(with_token(&node, &kubelet, "/metrics", "nobodys").await, (401, "Unauthorized".to_owned()));
    assert_eq!(ask(&node, &kubelet, None, get("/metrics")).await.status(), 401);
    // A certificate's name is asked about like a token's.
    let other = ask(&node, &kubelet, Some(("alice", "dev")), get("/metrics")).await;
    assert_eq!((other.status().as_u16(), body(other).await.contains("user=alice")), (403, true));

    // What is known stays known while the API server is away; what is not is refused.
    api.down.store(true, Ordering::SeqCst);
    assert_eq!(with_token(&node, &kubelet, "/metrics", "scraper-token").await.0, 200);
    assert_eq!(with_token(&node, &kubelet, "/metrics", "another").await.0, 401);
    let unknown = ask(&node, &kubelet, Some(("bob", "dev")), get("/metrics")).await;
    assert_eq!(unknown.status(), 500);
    assert_eq!(ask(&node, &kubelet, Some(("root", "system:masters")), get("/metrics")).await.status(), 200);
    kubelet.shutdown().await;
}
