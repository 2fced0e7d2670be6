//! Tokens that are accepted, and all the ways in which they are not; certificates; reviews; impersonation.

use super::claims::Claims;
use super::tokens::TokenError;
use super::*;
use crate::authz::{Attributes, Authorizer, memory};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenReviewSpec};
use k8s_openapi::api::core::v1::{Node, Pod, Secret, ServiceAccount};
use parking_lot::Mutex;
use serde_json::{Value, json};

const NOW: i64 = 1_800_000_000;

fn of<K: serde::de::DeserializeOwned>(value: Value) -> K {
    serde_json::from_value(value).unwrap()
}

fn key() -> String {
    rcgen::KeyPair::generate().unwrap().serialize_pem()
}

/// A cluster with an account, its pod on a node, and a clock that the test moves.
struct Fixture {
    authenticators: Authenticators,
    memory: Arc<memory::Memory>,
    client: Client,
    now: Arc<Mutex<i64>>,
}

async fn fixture(keys: &[String]) -> Fixture {
    let (client, memory) = memory::client();
    let account =
        |name: &str| of::<ServiceAccount>(json!({"metadata": {"name": name, "namespace": "dev", "uid": name}}));
    memory.put(account("builder"));
    memory.put(account("other"));
    memory.put::<Pod>(of(json!({"metadata": {"name": "web", "namespace": "dev", "uid": "pod-1"}, "spec": {
        "serviceAccountName": "builder", "nodeName": "n1", "containers": [], "volumes": [
            {"name": "t", "projected": {"sources": [{"serviceAccountToken": {"path": "t", "audience": "vault"}}]}}]}})));
    memory.put::<Secret>(of(json!({"metadata": {"name": "bound", "namespace": "dev", "uid": "secret-1"}})));
    memory.put::<Node>(of(json!({"metadata": {"name": "n1", "uid": "node-1"}})));
    let now = Arc::new(Mutex::new(NOW));
    let clock = now.clone();
    let keys = Keys::from_pem(keys).unwrap();
    let authenticators = Authenticators::new(ISSUER, keys, &client, Arc::new(move || *clock.lock()));
    Fixture { authenticators, memory, client, now }
}

impl Fixture {
    async fn request(&self, account: &str, spec: Value) -> Result<TokenRequest, Status> {
        let request = of(json!({"metadata": {}, "spec": spec}));
        let tokens = self.authenticators.tokens();
        tokens.request("dev", account, request, self.authenticators.now()).await
    }

    async fn token(&self, spec: Value) -> String {
        let answer = self.request("builder", spec).await.unwrap();
        answer.status.unwrap().token.unwrap()
    }

    async fn shown(&self, header: Option<&str>) -> Result<User, Status> {
        let mut request = http::Request::builder().uri("/api");
        if let Some(header) = header {
            request = request.header("authorization", header);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        self.authenticators.authenticate(&parts, &[]).await
    }

    async fn accepted(&self, token: &str) -> bool {
        match self.shown(Some(&format!("Bearer {token}"))).await {
            Ok(_) => true,
            Err(status) => {
                assert_eq!((status.code, status.message.as_str()), (401, "Unauthorized"));
                false
            }
        }
    }
}

fn audiences(list: &[&str]) -> Value {
    json!({"audiences": list})
}

fn bound(kind: &str, name: &str, uid: &str) -> Value {
    json!({"audiences": [], "boundObjectRef": {"apiVersion": "v1", "kind": kind, "name": name, "uid": uid}})
}

fn payload(token: &str) -> Value {
    let part = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

#[tokio::test]
async fn a_token_stands_for_its_account() {
    let cluster = fixture(&[key()]).await;
    let token = cluster.token(bound("Pod", "web", "pod-1")).await;
    let user = cluster.shown(Some(&format!("Bearer {token}"))).await.unwrap();
    assert_eq!((user.name.as_str(), user.uid.as_str()), ("system:serviceaccount:dev:builder", "builder"));
    assert_eq!(user.groups, ["system:serviceaccounts", "system:serviceaccounts:dev", "system:authenticated"]);
    let extra = |key: &str| user.extra[&format!("authentication.kubernetes.io/{key}")].join(",");
    assert_eq!(
        [extra("pod-name"), extra("pod-uid"), extra("node-name"), extra("node-uid")],
        ["web", "pod-1", "n1", "node-1"]
    );
    let claims = payload(&token);
    assert_eq!(claims["aud"], json!([ISSUER]));
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 3600);
    assert_eq!(claims["kubernetes.io"]["serviceaccount"], json!({"name": "builder", "uid": "builder"}));
}

#[tokio::test]
async fn a_token_ends_with_its_time_and_with_what_it_is_bound_to() {
    let cluster = fixture(&[key()]).await;
    let own = cluster.token(json!({"audiences": []})).await;
    let of_pod = cluster.token(bound("Pod", "web", "pod-1")).await;
    let of_secret = cluster.token(bound("Secret", "bound", "secret-1")).await;
    let of_node = cluster.token(bound("Node", "n1", "")).await;
    for token in [&own, &of_pod, &of_secret, &of_node] {
        assert!(cluster.accepted(token).await);
    }
    *cluster.now.lock() = NOW + 3599;
    assert!(cluster.accepted(&own).await);
    *cluster.now.lock() = NOW + 3600;
    assert!(!cluster.accepted(&own).await, "expired");
    *cluster.now.lock() = NOW;
    cluster.memory.remove::<Secret>("dev", "bound");
    assert!(!cluster.accepted(&of_secret).await);
    cluster.memory.remove::<Node>("", "n1");
    assert!(!cluster.accepted(&of_node).await);
    assert!(cluster.accepted(&of_pod).await, "a pod's token names its node for information only");
    let again = json!({"metadata": {"name": "web", "namespace": "dev", "uid": "pod-2"}, "spec": {"containers": []}});
    cluster.memory.put::<Pod>(of(again));
    let pods = cluster.client.cache::<client::PodView>();
    let mut changes = pods.changes();
    while changes.next().await.new.is_none_or(|pod| &*pod.uid != "pod-2") {}
    assert!(!cluster.accepted(&of_pod).await, "another pod of the same name");
    cluster
        .memory
        .put::<ServiceAccount>(of(json!({"metadata": {"name": "builder", "namespace": "dev", "uid": "new"}})));
    let mut changes = cluster.client.cache::<ServiceAccount>().changes();
    while changes.next().await.new.is_none_or(|account| account.metadata.uid.as_deref() != Some("new")) {}
    assert!(!cluster.accepted(&own).await, "another account of the same name");
}

#[tokio::test]
async fn forged_tokens_are_refused() {
    let (first, second) = (key(), key());
    let cluster = fixture(std::slice::from_ref(&first)).await;
    let token = cluster.token(json!({"audiences": []})).await;
    let parts: Vec<&str> = token.split('.').collect();
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(serde_json::to_vec(value).unwrap());
    let mut claims = payload(&token);
    claims["sub"] = json!("system:serviceaccount:dev:other");
    let changed = encode(&claims);
    let none = encode(&json!({"alg": "none"}));
    let hmac = encode(&json!({"alg": "HS256"}));
    let kid = encode(&json!({"alg": "ES256", "kid": "unknown"}));
    let critical = encode(&json!({"alg": "ES256", "crit": ["b64"], "b64": false}));
    let strange = fixture(std::slice::from_ref(&second)).await.token(json!({"audiences": []})).await;
    let forged = [
        ("other claims", format!("{}.{changed}.{}", parts[0], parts[2])),
        ("alg none", format!("{none}.{}.", parts[1])),
        ("alg none with a signature", format!("{none}.{}.{}", parts[1], parts[2])),
        ("alg HS256", format!("{hmac}.{}.{}", parts[1], parts[2])),
        ("an unknown key", format!("{kid}.{}.{}", parts[1], parts[2])),
        ("a critical extension", format!("{critical}.{}.{}", parts[1], parts[2])),
        ("no signature", format!("{}.{}.", parts[0], parts[1])),
        ("another cluster's", strange.clone()),
        ("too long", format!("{}.{}.{}", parts[0], "A".repeat(20_000), parts[2])),
        ("garbage", "a.b.c".to_owned()),
        ("not a token", "garbage".to_owned()),
    ];
    for (what, token) in &forged {
        assert!(!cluster.accepted(token).await, "{what}");
    }
    assert!(cluster.accepted(&token).await, "the true one still works");
    let both = fixture(&[second, first]).await;
    assert!(both.accepted(&token).await && both.accepted(&strange).await, "old keys verify after a new one signs");
    assert_eq!(payload(&both.token(json!({"audiences": []})).await)["iss"], ISSUER);
}

#[tokio::test]
async fn a_token_is_for_its_audiences_only() {
    let cluster = fixture(&[key()]).await;
    let vault = cluster.token(audiences(&["vault"])).await;
    assert!(!cluster.accepted(&vault).await, "not for the API server");
    let review = async |token: &str, audiences: Option<&[&str]>| {
        let audiences = audiences.map(|list| list.iter().map(|one| (*one).to_owned()).collect());
        cluster.authenticators.review(&TokenReviewSpec { token: token.to_owned(), audiences }).await
    };
    let answer = review(&vault, Some(&["vault", "consul"])).await;
    assert_eq!((answer.authenticated, answer.audiences), (Some(true), Some(vec!["vault".to_owned()])));
    assert_eq!(answer.user.unwrap().username.as_deref(), Some("system:serviceaccount:dev:builder"));
    let answer = review(&vault, None).await;
    assert_eq!(answer.authenticated, Some(false));
    assert!(answer.error.unwrap().contains("invalid for the target audiences"));
    assert_eq!(review("garbage", None).await.error.as_deref(), Some("invalid bearer token"));
}

#[tokio::test]
async fn token_requests_are_validated() {
    let cluster = fixture(&[key()]).await;
    let seconds = |seconds: i64| json!({"audiences": [], "expirationSeconds": seconds});
    let table = [
        ("builder", seconds(599), Some((422, "may not specify a duration less than 10 minutes"))),
        ("builder", seconds((1 << 32) + 1), Some((422, "may not specify a duration larger than 2^32 seconds"))),
        ("builder", seconds(600), None),
        ("nobody", seconds(600), Some((404, "serviceaccounts \"nobody\" not found"))),
        ("builder", bound("Pod", "gone", ""), Some((404, "pods \"gone\" not found"))),
        ("other", bound("Pod", "web", ""), Some((400, "pod running with different serviceaccount name"))),
        ("builder", bound("Pod", "web", "pod-0"), Some((409, "does not match the UID in record"))),
        ("builder", bound("ConfigMap", "a", ""), Some((400, "cannot bind token for serviceaccount"))),
    ];
    for (account, spec, wanted) in table {
        let answer = cluster.request(account, spec.clone()).await;
        match (answer, wanted) {
            (Ok(_), None) => {}
            (Err(status), Some((code, text))) => {
                assert_eq!(status.code, code, "{spec}: {status}");
                assert!(status.message.contains(text), "{spec}: {status}");
            }
            (answer, wanted) => panic!("{spec}: {answer:?} is not {wanted:?}"),
        }
    }
}

#[tokio::test]
async fn a_projected_token_outlives_what_it_says_for_old_clients() {
    let cluster = fixture(&[key()]).await;
    let mut spec = bound("Pod", "web", "pod-1");
    spec["expirationSeconds"] = json!(3607);
    let answer = cluster.request("builder", spec).await.unwrap();
    let status = answer.status.unwrap();
    assert_eq!(status.expiration_timestamp.unwrap().0.as_second(), NOW + 3607);
    let claims: Claims = serde_json::from_value(payload(&status.token.unwrap())).unwrap();
    assert_eq!((claims.exp, claims.bound.warnafter), (NOW + 365 * 24 * 3600, Some(NOW + 3607)));
}

#[tokio::test]
async fn wrong_credentials_are_never_the_anonymous_user() {
    let cluster = fixture(&[key()]).await;
    assert_eq!(cluster.shown(None).await.unwrap(), User::anonymous());
    for header in ["Bearer x", "Bearer abcdef.0123456789abcdef", "Basic YTpi", "Bearer", "Negotiate"] {
        assert_eq!(cluster.shown(Some(header)).await.unwrap_err().code, 401, "{header}");
    }
    let token = crate::bootstrap::create_bootstrap_token(&cluster.client, &Default::default(), NOW).await.unwrap();
    let user = cluster.shown(Some(&format!("Bearer {token}"))).await.unwrap();
    assert_eq!(user.groups, ["system:bootstrappers", "system:authenticated"]);
}

#[tokio::test]
async fn certificates_name_users_and_groups_while_they_hold() {
    let cluster = fixture(&[key()]).await;
    let key = rcgen::KeyPair::generate().unwrap();
    let made = |name: &str, usage: rcgen::ExtendedKeyUsagePurpose| {
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::OrganizationName, "devs");
        if !name.is_empty() {
            params.distinguished_name.push(rcgen::DnType::CommonName, name);
        }
        params.not_before = rcgen::date_time_ymd(2026, 1, 1);
        params.not_after = rcgen::date_time_ymd(2027, 6, 1);
        params.extended_key_usages = vec![usage];
        params.self_signed(&key).unwrap().der().clone()
    };
    let (parts, ()) = http::Request::builder().body(()).unwrap().into_parts();
    let shown = async |leaf: CertificateDer<'static>| cluster.authenticators.authenticate(&parts, &[leaf]).await;
    use rcgen::ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
    let bob = made("bob", ClientAuth);
    let user = shown(bob.clone()).await.unwrap();
    assert_eq!((user.name.as_str(), user.groups.join(",").as_str()), ("bob", "devs,system:authenticated"));
    assert!(user.extra[CREDENTIAL_ID][0].starts_with("X509SHA256="));
    assert_eq!(shown(made("bob", ServerAuth)).await.unwrap_err().code, 401, "a server's certificate");
    assert_eq!(shown(made("", ClientAuth)).await.unwrap_err().code, 401, "nobody's certificate");
    *cluster.now.lock() = NOW + 365 * 24 * 3600;
    assert_eq!(shown(bob).await.unwrap_err().code, 401, "it expired while its connection lived on");
}

#[tokio::test]
async fn discovery_documents_verify_our_tokens() {
    let cluster = fixture(&[key(), key()]).await;
    let keys = cluster.authenticators.jwks();
    assert_eq!(keys.keys.len(), 2);
    let token = cluster.token(json!({"audiences": []})).await;
    let header: Value =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap()).unwrap();
    let key = keys.keys.iter().find(|key| header["kid"] == key.kid.as_str()).unwrap();
    let point = [vec![4], URL_SAFE_NO_PAD.decode(&key.x).unwrap(), URL_SAFE_NO_PAD.decode(&key.y).unwrap()].concat();
    let (message, signature) = token.rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    ring::signature::UnparsedPublicKey::new(&ring::signature::ECDSA_P256_SHA256_FIXED, point)
        .verify(message.as_bytes(), &signature)
        .unwrap();
    let document = serde_json::to_value(cluster.authenticators.openid_configuration("https://192.0.2.1:6443")).unwrap();
    assert_eq!(document["jwks_uri"], "https://192.0.2.1:6443/openid/v1/jwks");
    assert_eq!(document["issuer"], ISSUER);
}

#[tokio::test]
async fn a_refusal_says_why_to_the_log_and_reviews_only() {
    let cluster = fixture(&[key()]).await;
    let token = cluster.token(json!({"audiences": []})).await;
    let tokens = cluster.authenticators.tokens();
    let refused = |now: i64| {
        let (token, audiences) = (token.clone(), tokens.audiences.clone());
        async move { tokens.accept(&token, &audiences, now).await.map(drop).unwrap_err() }
    };
    assert_eq!(refused(NOW + 3600).await, TokenError::Expired);
    assert_eq!(refused(NOW - 61).await, TokenError::NotYet);
}

/// Ann, who may what the rules of her role say.
async fn ann(rules: Value) -> (Arc<Authorizer>, User) {
    let (client, memory) = memory::client();
    memory.put::<k8s_openapi::api::rbac::v1::ClusterRole>(of(json!({"metadata": {"name": "as"}, "rules": rules})));
    memory.put::<k8s_openapi::api::rbac::v1::ClusterRoleBinding>(of(json!({"metadata": {"name": "b"},
        "roleRef": {"apiGroup": "", "kind": "ClusterRole", "name": "as"},
        "subjects": [{"kind": "User", "name": "ann"},
            {"kind": "ServiceAccount", "namespace": "dev", "name": "agent"}]})));
    let authorizer = Authorizer::start(&client);
    authorizer.synced().await;
    (authorizer, User { name: "ann".to_owned(), ..User::default() })
}

fn rule(group: &str, resource: &str, names: &[&str], verbs: &[&str]) -> Value {
    let mut rule = json!({"apiGroups": [group], "resources": [resource], "verbs": verbs});
    if !names.is_empty() {
        rule["resourceNames"] = json!(names);
    }
    rule
}

/// Whom `user` acts as to list the pods of `dev`, and by which verb.
async fn acts_as(
    authorizer: &Authorizer,
    user: &User,
    headers: &[(&'static str, &str)],
) -> Result<Option<Assumed>, Status> {
    let headers = headers.iter().map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap()));
    let asked =
        Attributes { verb: "list", resource: "pods", namespace: "dev", is_resource: true, ..Default::default() };
    authorizer.impersonated(user, &headers.collect(), &asked).await
}

#[tokio::test]
async fn impersonation_needs_the_right_to_every_part() {
    let rules = json!([
        rule("", "users", &["bob"], &["impersonate"]),
        rule("", "groups", &["devs"], &["impersonate"]),
        rule("authentication.k8s.io", "userextras/scopes", &["some"], &["impersonate"]),
    ]);
    let (authorizer, ann) = ann(rules).await;
    assert_eq!(acts_as(&authorizer, &ann, &[]).await.unwrap(), None);
    let bob = [("impersonate-user", "bob"), ("impersonate-group", "devs"), ("impersonate-extra-scopes", "some")];
    let Assumed { user: bob, constraint } = acts_as(&authorizer, &ann, &bob).await.unwrap().unwrap();
    assert_eq!((bob.name.as_str(), bob.groups.join(",").as_str()), ("bob", "devs,system:authenticated"));
    assert_eq!((&bob.extra["scopes"], constraint), (&vec!["some".to_owned()], ""));
    let refused = [
        &[("impersonate-user", "root")][..],
        &[("impersonate-user", "bob"), ("impersonate-group", "system:masters")],
        &[("impersonate-user", "bob"), ("impersonate-extra-scopes", "all")],
        &[("impersonate-user", "bob"), ("impersonate-uid", "1")],
        &[("impersonate-user", "system:serviceaccount:dev:builder")],
        &[("impersonate-user", "system:node:n1")],
    ];
    for headers in refused {
        assert_eq!(acts_as(&authorizer, &ann, headers).await.unwrap_err().code, 403, "{headers:?}");
    }
    let nameless = acts_as(&authorizer, &ann, &[("impersonate-group", "devs")]).await.unwrap_err();
    assert_eq!(nameless.code, 400, "groups without a user");
}

#[tokio::test]
async fn constrained_impersonation_is_bounded_by_what_is_done() {
    let on = |mode: &str| format!("impersonate-on:{mode}:list");
    let authentication = "authentication.k8s.io";
    let rules = json!([
        rule(
            "",
            "pods",
            &[],
            &[&on("user-info"), &on("serviceaccount"), &on("arbitrary-node"), &on("associated-node")]
        ),
        rule(authentication, "users", &["bob"], &["impersonate:user-info"]),
        rule(authentication, "groups", &["*"], &["impersonate:user-info"]),
        rule(authentication, "userextras/acme.io/team", &[], &["impersonate:user-info"]),
        rule(authentication, "serviceaccounts", &["builder"], &["impersonate:serviceaccount"]),
        rule(authentication, "nodes", &["n1"], &["impersonate:arbitrary-node"]),
    ]);
    let (authorizer, ann) = ann(rules).await;
    let user = |name: &'static str| vec![("impersonate-user", name)];
    let bob_with = |more: &[(&'static str, &'static str)]| [&user("bob")[..], more].concat();
    let table = [
        (user("bob"), Ok(("impersonate:user-info", "system:authenticated"))),
        (
            user("system:serviceaccount:dev:builder"),
            Ok((
                "impersonate:serviceaccount",
                "system:serviceaccounts,system:serviceaccounts:dev,system:authenticated",
            )),
        ),
        (user("system:node:n1"), Ok(("impersonate:arbitrary-node", "system:nodes,system:authenticated"))),
        (
            bob_with(&[("impersonate-extra-acme.io%2fteam", "red")]),
            Ok(("impersonate:user-info", "system:authenticated")),
        ),
        (
            ["a", "b", "c", "d"].iter().fold(user("bob"), |mut all, group| {
                all.push(("impersonate-group", group));
                all
            }),
            Ok(("impersonate:user-info", "a,b,c,d,system:authenticated")),
        ),
        (
            bob_with(&[("impersonate-group", "a")]),
            Err("groups.authentication.k8s.io \"a\" is forbidden: User \"ann\" \
            cannot impersonate:user-info resource \"groups\" in API group \"authentication.k8s.io\" at the cluster scope"),
        ),
        (
            bob_with(&[("impersonate-group", "system:masters")]),
            Err("groups.authentication.k8s.io \"system:masters\" is \
            forbidden: User \"ann\" cannot impersonate:user-info resource \"groups\" in API group \
            \"authentication.k8s.io\" at the cluster scope: impersonating the system:masters group is not allowed"),
        ),
        (
            bob_with(&[("impersonate-extra-team", "red")]),
            Err("userextras.authentication.k8s.io is forbidden: User \"ann\" \
            cannot impersonate:user-info resource \"userextras\" in API group \"authentication.k8s.io\" at the cluster \
            scope: impersonating an invalid key in extra is not allowed: extra.key: Invalid value: \"team\": must be a \
            domain-prefixed path (such as \"acme.io/foo\")"),
        ),
        (
            user("eve"),
            Err("users.authentication.k8s.io \"eve\" is forbidden: User \"ann\" cannot impersonate:user-info \
            resource \"users\" in API group \"authentication.k8s.io\" at the cluster scope"),
        ),
        (
            user("system:node:n2"),
            Err("nodes.authentication.k8s.io \"n2\" is forbidden: User \"ann\" cannot \
            impersonate:arbitrary-node resource \"nodes\" in API group \"authentication.k8s.io\" at the cluster scope"),
        ),
    ];
    for (headers, wanted) in table {
        let acted = acts_as(&authorizer, &ann, &headers).await.map(Option::unwrap);
        let acted = acted.map(|Assumed { user, constraint }| (constraint, user.groups.join(",")));
        let wanted = wanted.map(|(constraint, groups)| (constraint, groups.to_owned())).map_err(str::to_owned);
        assert_eq!(acted.map_err(|status| status.message), wanted, "{headers:?}");
    }
    // The same right does not reach to another verb.
    let asked =
        Attributes { verb: "delete", resource: "pods", namespace: "dev", is_resource: true, ..Default::default() };
    let headers = [(http::HeaderName::from_static("impersonate-user"), "bob".parse().unwrap())].into_iter().collect();
    let refused = authorizer.impersonated(&ann, &headers, &asked).await.unwrap_err();
    assert!(
        refused.message.contains("cannot impersonate-on:user-info:delete resource \"pods\""),
        "{}",
        refused.message
    );
}

#[tokio::test]
async fn a_pods_account_acts_as_the_node_it_runs_on() {
    let rules = json!([
        rule("", "pods", &[], &["impersonate-on:associated-node:list"]),
        rule("authentication.k8s.io", "nodes", &[], &["impersonate:associated-node"]),
    ]);
    let (authorizer, _) = ann(rules).await;
    let extra = [("authentication.kubernetes.io/node-name".to_owned(), vec!["n1".to_owned()])].into();
    let agent = User { name: "system:serviceaccount:dev:agent".to_owned(), extra, ..User::default() };
    let node = acts_as(&authorizer, &agent, &[("impersonate-user", "system:node:n1")]).await.unwrap().unwrap();
    assert_eq!((node.user.name.as_str(), node.constraint), ("system:node:n1", "impersonate:associated-node"));
    assert_eq!(node.user.groups, ["system:nodes", "system:authenticated"]);
    let other = acts_as(&authorizer, &agent, &[("impersonate-user", "system:node:n2")]).await.unwrap_err();
    assert_eq!(other.code, 403, "another node");
}
