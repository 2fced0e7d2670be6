//! An issuer's tokens: which are accepted as whom, and why others are not; keys that change; what files may say.

use super::*;
use crate::authz::memory;
use crate::test_server::{self, TestServer};
use api::user::User;
use parking_lot::Mutex;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant};

const NOW: i64 = 1_800_000_000;

struct Signer {
    id: &'static str,
    pair: EcdsaKeyPair,
}

impl Signer {
    fn new(id: &'static str) -> Signer {
        let key = rcgen::KeyPair::generate().unwrap().serialize_der();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &key, &SystemRandom::new()).unwrap();
        Signer { id, pair }
    }

    fn jwk(&self) -> Value {
        let point = self.pair.public_key().as_ref();
        json!({"kty": "EC", "crv": "P-256", "use": "sig", "kid": self.id,
            "x": URL_SAFE_NO_PAD.encode(&point[1..33]), "y": URL_SAFE_NO_PAD.encode(&point[33..])})
    }

    fn token(&self, claims: &Value) -> String {
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", encode(&json!({"alg": "ES256", "kid": self.id})), encode(claims));
        let signature = self.pair.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// An issuer whose keys the test changes.
async fn issuer(keys: Arc<Mutex<Vec<Value>>>) -> TestServer {
    let url: Arc<Mutex<String>> = Arc::default();
    let own = url.clone();
    let server = test_server::start(Arc::new(move |path, _| match path {
        "/.well-known/openid-configuration" => {
            let issuer = own.lock().clone();
            (200, json!({"issuer": issuer, "jwks_uri": format!("{issuer}/keys")}))
        }
        "/keys" => (200, json!({"keys": *keys.lock()})),
        _ => (404, json!({})),
    }))
    .await;
    server.url.clone_into(&mut url.lock());
    server
}

fn issuers(server: &TestServer, more: &str) -> Result<Issuers, ConfigurationError> {
    let (client, _) = memory::client();
    let authority = server.ca_pem.lines().map(|line| format!("      {line}\n")).collect::<String>();
    let text = format!(
        "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\njwt:\n- issuer:\n    url: {}\n    \
         audiences: [sampan]\n    certificateAuthority: |\n{authority}{more}",
        server.url
    );
    Issuers::of_file(Path::new("/file"), &text, "https://own", &Callout::new(&client))
}

#[tokio::test]
async fn tokens_become_users_by_claims_and_rules() {
    let signer = Signer::new("one");
    let server = issuer(Arc::new(Mutex::new(vec![signer.jwk()]))).await;
    let issuers = issuers(
        &server,
        "  claimMappings:
    username: {expression: \"'oidc:' + claims.sub\"}
    groups: {claim: roles, prefix: 'team:'}
    uid: {claim: uid}
    extra: [{key: acme.io/level, valueExpression: 'string(claims.level)'}]
  claimValidationRules:
  - {claim: hd, requiredValue: acme.io}
  - {expression: claims.level > 1, message: level is too low}
  userValidationRules:
  - {expression: \"!user.username.endsWith('root')\", message: nobody is root}
",
    )
    .unwrap();
    let good = json!({"iss": server.url, "aud": ["x", "sampan"], "exp": NOW + 60, "sub": "ann", "hd": "acme.io",
        "level": 2, "roles": ["red"], "uid": "7"});
    let with = |key: &str, value: Value| {
        let mut claims = good.clone();
        claims[key] = value;
        signer.token(&claims)
    };
    let user = issuers.authenticate(&signer.token(&good), NOW).await.unwrap().unwrap();
    let extra = [("acme.io/level".to_owned(), vec!["2".to_owned()])].into();
    let wanted = User { name: "oidc:ann".to_owned(), uid: "7".to_owned(), groups: vec!["team:red".to_owned()], extra };
    assert_eq!(user, wanted);
    let refused = [
        (with("exp", json!(NOW - 1)), "oidc: verify token: oidc: token is expired (Token Expiry: 1799999999)"),
        (
            with("nbf", json!(NOW + 301)),
            "oidc: verify token: oidc: current time 1800000000 before the nbf (not before) time: 1800000301",
        ),
        (with("aud", json!("other")), r#"oidc: verify token: oidc: expected audience in ["sampan"] got ["other"]"#),
        (with("hd", json!("evil.io")), "oidc: required claim hd value does not match. Got = evil.io, want = acme.io"),
        (
            with("level", json!(1)),
            "oidc: error evaluating claim validation expression: validation expression 'claims.level > 1' failed: level is too low",
        ),
        (
            with("sub", json!("root")),
            "oidc: error evaluating user info validation rule: validation expression '!user.username.endsWith('root')' failed: nobody is root",
        ),
        (
            Signer::new("one").token(&good),
            "oidc: verify token: failed to verify signature: failed to verify id token signature",
        ),
    ];
    for (token, why) in refused {
        assert_eq!(issuers.authenticate(&token, NOW).await.unwrap().unwrap_err(), why);
    }
    let none = signer.token(&json!({"iss": "https://other", "aud": "sampan", "exp": NOW + 60, "sub": "ann"}));
    assert!(issuers.authenticate(&none, NOW).await.is_none(), "another issuer's");
    assert!(issuers.authenticate("no.jwt.here", NOW).await.is_none());
    let unsigned =
        format!("{}.{}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#), URL_SAFE_NO_PAD.encode(good.to_string()));
    assert!(issuers.authenticate(&unsigned, NOW).await.unwrap().unwrap_err().contains("unsupported algorithm"));
}

#[tokio::test]
async fn a_new_key_is_fetched_when_a_token_names_it() {
    let (first, second) = (Signer::new("first"), Signer::new("second"));
    let keys = Arc::new(Mutex::new(vec![first.jwk()]));
    let server = issuer(keys.clone()).await;
    let issuers = issuers(&server, "  claimMappings: {username: {claim: sub, prefix: ''}}\n").unwrap();
    let claims = json!({"iss": server.url, "aud": "sampan", "exp": NOW + 60, "sub": "ann"});
    issuers.authenticate(&first.token(&claims), NOW).await.unwrap().unwrap();
    *keys.lock() = vec![second.jwk()];
    let deadline = Instant::now() + Duration::from_secs(60);
    while issuers.authenticate(&second.token(&claims), NOW).await.unwrap().is_err() {
        assert!(Instant::now() < deadline, "the new key was not fetched");
        tokio::task::yield_now().await;
    }
    let gone = issuers.authenticate(&first.token(&claims), NOW).await.unwrap();
    assert!(gone.is_err(), "a key that the issuer withdrew");
}

#[test]
fn rsa_signatures_are_verified() {
    // RFC 7515, A.2.
    let keys = keys_of(json!({"keys": [{"kty": "RSA", "e": "AQAB", "n": concat!(
        "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-",
        "pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg",
        "665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRW",
        "yuXpoQ")}]}));
    let message = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    let signature = URL_SAFE_NO_PAD.decode(concat!(
        "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1",
        "dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzD",
        "wusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe7",
        "7Rw")).unwrap();
    assert!(keys.verify("RS256", "", message.as_bytes(), &signature));
    assert!(!keys.verify("RS512", "", message.as_bytes(), &signature));
    assert!(!keys.verify("RS256", "", b"another message", &signature));
}

fn keys_of(json: Value) -> keys::KeySet {
    keys::KeySet::parse(json.to_string().as_bytes()).unwrap()
}

#[tokio::test]
async fn a_file_says_in_upstreams_words_what_is_wrong_with_it() {
    let server = issuer(Arc::default()).await;
    let wrong = |more: &str| match issuers(&server, more) {
        Ok(_) => "nothing".to_owned(),
        Err(error) => error.to_string(),
    };
    for (more, why) in [
        ("", "/file: jwt[0].claimMappings.username: Required value: claim or expression is required"),
        (
            "  claimMappings: {username: {claim: sub}}\n",
            "/file: jwt[0].claimMappings.username.prefix: Required value: prefix is required when claim is set. It can \
             be set to an empty string to disable prefixing",
        ),
        (
            "  claimMappings: {username: {claim: sub, prefix: ''}, extra: [{key: kubernetes.io/x, valueExpression: claims.x}]}\n",
            "/file: jwt[0].claimMappings.extra[0].key: Invalid value: \"kubernetes.io/x\": k8s.io, kubernetes.io and their \
             subdomains are reserved for Kubernetes use",
        ),
    ] {
        assert_eq!(wrong(more), why);
    }
    let email = wrong("  claimMappings: {username: {expression: claims.email}}\n");
    assert!(email.contains("claims.email_verified must be used in claimMappings.username.expression"), "{email}");
    assert!(wrong("  claimMapping: {}\n").contains("claimMapping"), "fields that there are not");
}

#[test]
fn nobody_is_let_in_where_the_file_says() {
    let (client, _) = memory::client();
    let of = |anonymous: &str| {
        let text = format!("apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\n{anonymous}");
        Issuers::of_file(Path::new("/file"), &text, "https://own", &Callout::new(&client)).unwrap()
    };
    for (anonymous, health, api) in [
        ("", true, true),
        ("anonymous: {enabled: true}\n", true, true),
        ("anonymous: {enabled: false}\n", false, false),
        ("anonymous: {enabled: true, conditions: [{path: /livez}]}\n", true, false),
    ] {
        let issuers = of(anonymous);
        assert_eq!(
            (issuers.admits_anonymous("/livez"), issuers.admits_anonymous("/api")),
            (health, api),
            "{anonymous}"
        );
    }
}

#[test]
fn flags_name_one_issuer() {
    let (client, _) = memory::client();
    let options = |username: Option<&str>, algs: &[&str]| OidcOptions {
        issuer_url: Some("https://id.acme.io".to_owned()),
        client_id: Some("sampan".to_owned()),
        username_claim: username.map(str::to_owned),
        signing_algs: algs.iter().map(|one| (*one).to_owned()).collect(),
        ..OidcOptions::default()
    };
    let prefix = |options: &OidcOptions| options.entry().unwrap().unwrap().claim_mappings.username.prefix.unwrap();
    assert_eq!(prefix(&options(None, &[])), "https://id.acme.io#");
    assert_eq!(prefix(&options(Some("email"), &[])), "");
    let callout = Callout::new(&client);
    let refused =
        |options: &OidcOptions| Issuers::of_flags(options, "https://own", &callout).err().unwrap().to_string();
    assert!(refused(&options(None, &["HS256"])).starts_with("oidc: unsupported signing alg: \"HS256\""));
    let alone = OidcOptions { client_id: None, ..options(None, &[]) };
    assert!(refused(&alone).contains("must be specified together"));
}
