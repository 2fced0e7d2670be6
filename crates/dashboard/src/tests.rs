//! Logins, sessions and pages over a handler that stands for the API server.

use super::*;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header, request};
use std::sync::atomic::{AtomicI64, Ordering};

/// Knows every credential but those that are crossed out.
#[derive(Default)]
struct Porter {
    revoked: parking_lot::Mutex<Vec<String>>,
}

#[async_trait]
impl Door for Porter {
    type Credential = String;

    fn token(&self, text: &str) -> String {
        format!("token {text}")
    }

    async fn whose(&self, credential: &String) -> Option<User> {
        let known = !credential.ends_with("wrong") && !self.revoked.lock().contains(credential);
        known.then(|| User { name: credential.clone(), groups: vec!["group".to_owned()], ..User::default() })
    }
}

struct Site {
    dashboard: Dashboard<String>,
    porter: Porter,
    now: Arc<AtomicI64>,
}

/// What a browser keeps.
#[derive(Clone)]
struct Browser {
    cookie: String,
    key: String,
}

fn parts(method: Method, path: &str, headers: &[(&str, &str)]) -> request::Parts {
    let mut builder = Request::builder().method(method).uri(format!("https://sampan:6443{path}"));
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(()).unwrap().into_parts().0
}

impl Site {
    fn new() -> Site {
        let now = Arc::new(AtomicI64::new(1_000_000));
        let clock = now.clone();
        let dashboard = Dashboard::new(Arc::new(move || clock.load(Ordering::Relaxed)));
        Site { dashboard, porter: Porter::default(), now }
    }

    fn wait(&self, seconds: i64) {
        self.now.fetch_add(seconds, Ordering::Relaxed);
    }

    async fn send(&self, parts: request::Parts, body: &str, shown: Option<&str>) -> Response<Bytes> {
        let shown = shown.map(str::to_owned);
        self.dashboard.answer(&parts, Bytes::from(body.to_owned()), shown, &self.porter).await
    }

    async fn log_in(&self, body: &str, shown: Option<&str>) -> Result<Browser, StatusCode> {
        let response = self.send(parts(Method::POST, "/dashboard/session", &[]), body, shown).await;
        if response.status() != StatusCode::CREATED {
            return Err(response.status());
        }
        let cookie = response.headers()[header::SET_COOKIE].to_str().unwrap();
        for wanted in ["Secure", "HttpOnly", "SameSite=Strict", "Path=/dashboard"] {
            assert!(cookie.split("; ").any(|one| one == wanted), "{wanted} in {cookie}");
        }
        let opened: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
        let cookie = cookie.split(';').next().unwrap().to_owned();
        Ok(Browser { cookie, key: opened["key"].as_str().unwrap().to_owned() })
    }

    async fn link(&self, shown: Option<&str>) -> Result<String, StatusCode> {
        let response = self.send(parts(Method::POST, "/dashboard/link", &[]), r#"{"namespace":"shop"}"#, shown).await;
        if response.status() != StatusCode::CREATED {
            return Err(response.status());
        }
        let link: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
        Ok(format!(r#"{{"code":{}}}"#, link["code"]))
    }

    /// With which credential, and as what, a request goes on to the API.
    fn enter(&self, mut parts: request::Parts) -> Result<(String, request::Parts), StatusCode> {
        match self.dashboard.enter(&mut parts) {
            Entered::OnBehalf(credential) => Ok((credential, parts)),
            Entered::Refused(response) => Err(response.status()),
            Entered::Own => panic!("{} is the API's", parts.uri),
        }
    }
}

impl Browser {
    fn asks(&self, path: &str, more: &[(&str, &str)]) -> request::Parts {
        let own = [("cookie", self.cookie.as_str()), ("x-sampan-key", self.key.as_str())];
        parts(Method::GET, path, &[&own[..], more].concat())
    }
}

const PODS: &str = "/dashboard/server/api/v1/pods?watch=1";

#[tokio::test]
async fn a_link_logs_in_once_and_soon() {
    let site = Site::new();
    assert_eq!(site.link(None).await, Err(StatusCode::UNAUTHORIZED), "nobody gets no link");
    assert_eq!(site.link(Some("wrong")).await, Err(StatusCode::UNAUTHORIZED));
    let code = site.link(Some("anna's certificate")).await.unwrap();
    let browser = site.log_in(&code, None).await.unwrap();
    assert_eq!(site.log_in(&code, None).await.err(), Some(StatusCode::UNAUTHORIZED), "a second time");
    let (credential, passed) = site.enter(browser.asks(PODS, &[])).unwrap();
    assert_eq!(credential, "anna's certificate");
    assert_eq!(passed.uri.path_and_query().unwrap(), "/api/v1/pods?watch=1");
    let who = site.send(browser.asks("/dashboard/session", &[]), "", None).await;
    assert_eq!(&who.body()[..], br#"{"user":"anna's certificate","groups":["group"],"namespace":"shop"}"#);
    let late = site.link(Some("anna's certificate")).await.unwrap();
    site.wait(121);
    assert_eq!(site.log_in(&late, None).await.err(), Some(StatusCode::UNAUTHORIZED), "too late");
}

#[tokio::test]
async fn tokens_and_certificates_log_in() {
    let site = Site::new();
    let by_token = site.log_in(r#"{"token":" abc\n"}"#, Some("certificate")).await.unwrap();
    assert_eq!(site.enter(by_token.asks(PODS, &[])).unwrap().0, "token abc", "what was typed wins");
    let by_certificate = site.log_in("{}", Some("certificate")).await.unwrap();
    assert_eq!(site.enter(by_certificate.asks(PODS, &[])).unwrap().0, "certificate");
    for (body, shown, code) in [
        ("{}", None, StatusCode::UNAUTHORIZED),
        (r#"{"token":"wrong"}"#, None, StatusCode::UNAUTHORIZED),
        (r#"{"code":"guess"}"#, None, StatusCode::UNAUTHORIZED),
        (r#"{"code":"a","token":"b"}"#, None, StatusCode::BAD_REQUEST),
        (r#"{"password":"b"}"#, None, StatusCode::BAD_REQUEST),
        ("{", None, StatusCode::BAD_REQUEST),
    ] {
        assert_eq!(site.log_in(body, shown).await.err(), Some(code), "{body}");
    }
}

#[tokio::test]
async fn only_the_own_pages_with_both_secrets_pass() {
    let site = Site::new();
    let browser = site.log_in(r#"{"token":"abc"}"#, None).await.unwrap();
    let other = site.log_in(r#"{"token":"other"}"#, None).await.unwrap();
    let cookie = [("cookie", browser.cookie.as_str())];
    let key = [("x-sampan-key", browser.key.as_str())];
    let foreign_key = [("x-sampan-key", other.key.as_str())];
    let none: [(&str, &str); 0] = [];
    let table: [(&str, Vec<(&str, &str)>, StatusCode); 9] = [
        ("nothing", none.to_vec(), StatusCode::UNAUTHORIZED),
        ("a cookie alone, as another port of this host gets it", cookie.to_vec(), StatusCode::UNAUTHORIZED),
        ("a key alone", key.to_vec(), StatusCode::UNAUTHORIZED),
        ("another session's key", [cookie, foreign_key].concat(), StatusCode::UNAUTHORIZED),
        ("a forged cookie", [[("cookie", "__Secure-sampan-session=x")], key].concat(), StatusCode::UNAUTHORIZED),
        ("another site", [cookie, key, [("origin", "https://evil.example")]].concat(), StatusCode::FORBIDDEN),
        ("another port", [cookie, key, [("origin", "https://sampan:30443")]].concat(), StatusCode::FORBIDDEN),
        ("a same-site page", [cookie, key, [("sec-fetch-site", "same-site")]].concat(), StatusCode::FORBIDDEN),
        ("a WebSocket of no page", [cookie, key, [("upgrade", "websocket")]].concat(), StatusCode::FORBIDDEN),
    ];
    for (what, headers, code) in table {
        assert_eq!(site.enter(parts(Method::GET, PODS, &headers)).err(), Some(code), "{what}");
    }
    let own = browser.asks(PODS, &[("origin", "https://sampan:6443"), ("sec-fetch-site", "same-origin")]);
    assert_eq!(site.enter(own).unwrap().0, "token abc");
    let login = parts(Method::POST, "/dashboard/session", &[("origin", "https://evil.example")]);
    assert_eq!(site.send(login, r#"{"token":"abc"}"#, None).await.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn nothing_of_the_session_or_the_browser_reaches_the_api() {
    let site = Site::new();
    let browser = site.log_in(r#"{"token":"abc"}"#, None).await.unwrap();
    let protocols = format!("v5.channel.k8s.io, key.sampan.{}, base64url.bearer.authorization.k8s.io.eA", browser.key);
    let own = [
        ("cookie", "theme=dark"),
        ("cookie", browser.cookie.as_str()),
        ("sec-websocket-protocol", protocols.as_str()),
        ("authorization", "Bearer smuggled"),
        ("origin", "https://sampan:6443"),
        ("upgrade", "websocket"),
        ("impersonate-user", "bob"),
    ];
    let (_, passed) = site.enter(parts(Method::GET, "/dashboard/server/api/v1/x/y/z/exec?command=sh", &own)).unwrap();
    let mut left: Vec<String> = passed.headers.iter().map(|(k, v)| format!("{k}: {}", v.to_str().unwrap())).collect();
    left.sort();
    // Whom the user acts as is the API's to judge.
    assert_eq!(left, ["impersonate-user: bob", "sec-websocket-protocol: v5.channel.k8s.io", "upgrade: websocket"]);
}

#[tokio::test]
async fn proxied_pages_do_not_come_from_the_dashboards_origin() {
    let site = Site::new();
    let browser = site.log_in(r#"{"token":"abc"}"#, None).await.unwrap();
    let table = [
        ("api/v1/namespaces/a/pods/b/proxy/index.html", false),
        ("api/v1/namespaces/a/pods/b/%70roxy", false),
        ("api/v1/nodes/n/proxy/", false),
        ("api//v1/namespaces/a/services/b/proxy", false),
        ("apis/any.example/v1/namespaces/a/things/b/proxy/x", false),
        ("api/v1/namespaces/proxy/pods", true),
        ("apis/apps/v1/namespaces/proxy/deployments/a/status", true),
        ("apis/apps/v1/namespaces/a/deployments/proxy", true),
        ("api/v1/namespaces/a/configmaps/proxy", true),
        ("api/v1/namespaces/a/pods/proxy/log", true),
        ("api/v1/nodes/proxy", true),
        ("api/v1/namespaces/a/pods/b/log", true),
    ];
    for (path, passes) in table {
        let entered = site.enter(browser.asks(&format!("/dashboard/server/{path}"), &[]));
        assert_eq!(entered.is_ok(), passes, "{path}");
    }
}

#[tokio::test]
async fn a_session_ends_with_its_credential_by_logout_and_in_time() {
    let site = Site::new();
    let browser = site.log_in(r#"{"token":"abc"}"#, None).await.unwrap();
    site.porter.revoked.lock().push("token abc".to_owned());
    let who = site.send(browser.asks("/dashboard/session", &[]), "", None).await;
    assert_eq!(who.status(), StatusCode::UNAUTHORIZED);
    let browser = site.log_in(r#"{"token":"other"}"#, None).await.unwrap();
    let mut logout = browser.asks("/dashboard/session", &[]);
    logout.method = Method::DELETE;
    let response = site.send(logout, "", None).await;
    assert!(response.headers()[header::SET_COOKIE].to_str().unwrap().contains("Max-Age=0"));
    assert_eq!(site.enter(browser.asks(PODS, &[])).err(), Some(StatusCode::UNAUTHORIZED));
}

#[tokio::test]
async fn a_session_that_nobody_uses_ends_whatever_its_page_asks() {
    let site = Site::new();
    let uses = async |browser: &Browser, headers: &[(&str, &str)]| {
        let mut parts = browser.asks("/dashboard/session/use", headers);
        parts.method = Method::POST;
        site.send(parts, "", None).await.status()
    };
    let browser = site.log_in(r#"{"token":"abc"}"#, None).await.unwrap();
    let unused = site.log_in(r#"{"token":"abc"}"#, None).await.unwrap();
    let guessing = Browser { key: browser.key.clone(), ..unused.clone() };
    for _ in 0..3 {
        site.wait(45 * 60);
        assert_eq!(uses(&browser, &[]).await, StatusCode::OK);
        assert_eq!(uses(&browser, &[("origin", "https://evil.example")]).await, StatusCode::FORBIDDEN);
        assert_eq!(uses(&guessing, &[]).await, StatusCode::UNAUTHORIZED, "a cookie without its key is no use of it");
        // An open page watches, and asks who it is, without anybody before it.
        let alive = site.enter(unused.asks(PODS, &[])).is_ok();
        let told = site.send(unused.asks("/dashboard/session", &[]), "", None).await.status();
        assert_eq!(alive, told == StatusCode::OK);
    }
    assert!(site.enter(browser.asks(PODS, &[])).is_ok(), "used within the hour");
    assert_eq!(site.enter(unused.asks(PODS, &[])).err(), Some(StatusCode::UNAUTHORIZED), "idle");
    assert_eq!(uses(&unused, &[]).await, StatusCode::UNAUTHORIZED, "and over");
}

#[tokio::test]
async fn a_login_ends_the_session_that_it_replaces() {
    let site = Site::new();
    let former = site.log_in(r#"{"token":"abc"}"#, None).await.unwrap();
    let mut login = former.asks("/dashboard/session", &[]);
    login.method = Method::POST;
    assert_eq!(site.send(login.clone(), r#"{"token":"wrong"}"#, None).await.status(), StatusCode::UNAUTHORIZED);
    assert!(site.enter(former.asks(PODS, &[])).is_ok(), "a login that failed replaces none");
    let response = site.send(login, r#"{"token":"other"}"#, None).await;
    assert_eq!(response.status(), StatusCode::CREATED);
    let who = response.extensions().get::<User>().map(|user| user.name.as_str());
    assert_eq!(who, Some("token other"), "who it was is told");
    assert_eq!(site.enter(former.asks(PODS, &[])).err(), Some(StatusCode::UNAUTHORIZED));
}

#[tokio::test]
async fn pages_are_kept_to_themselves() {
    let site = Site::new();
    let get = async |path: &str, headers: &[(&str, &str)]| site.send(parts(Method::GET, path, headers), "", None).await;
    let policy = |headers: &HeaderMap| headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned();
    assert_eq!(get("/dashboard", &[]).await.headers()[header::LOCATION], "/dashboard/");
    for path in ["/dashboard/", "/dashboard/pods/a/b"] {
        let page = get(path, &[]).await;
        assert_eq!(page.status(), StatusCode::OK, "{path}");
        assert_eq!(page.headers()[header::X_FRAME_OPTIONS], "DENY");
        let policy = policy(page.headers());
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        assert!(page.body().starts_with(b"<!doctype html>"), "{path}");
    }
    let gone = get("/dashboard/assets/index-0000.js", &[]).await;
    assert_eq!(gone.status(), StatusCode::NOT_FOUND, "a file of another build is not the page");
    assert_eq!(policy(gone.headers()), "default-src 'none'; sandbox; frame-ancestors 'none'");
    let posted = site.send(parts(Method::POST, "/dashboard/", &[]), "", None).await;
    assert_eq!(posted.status(), StatusCode::METHOD_NOT_ALLOWED);
}

/// Tests of what the UI's build made are none without it.
fn built_in(test: &str) -> bool {
    if !assets::built_in() {
        eprintln!("SKIPPED: {test}: this build has no UI (`make ui` needs npm)");
    }
    assets::built_in()
}

#[tokio::test]
async fn the_page_is_told_its_nonce_and_brings_nothing_from_elsewhere() {
    if !built_in("the_page_is_told_its_nonce_and_brings_nothing_from_elsewhere") {
        return;
    }
    let page = Site::new().send(parts(Method::GET, "/dashboard/pods/a/b", &[]), "", None).await;
    let policy = page.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
    let nonce = policy.split("'nonce-").nth(1).unwrap().split('\'').next().unwrap();
    let text = std::str::from_utf8(page.body()).unwrap();
    assert!(text.contains(nonce) && !text.contains("__NONCE__"), "the page is told its nonce");
    assert!(!text.contains("http://") && !text.contains("https://"), "nothing from elsewhere: {text}");
}

#[tokio::test]
async fn files_are_compressed_and_kept() {
    if !built_in("files_are_compressed_and_kept") {
        return;
    }
    let site = Site::new();
    let script = assets::paths().find(|path| path.ends_with(".js")).unwrap();
    let get = async |headers: &[(&str, &str)]| {
        site.send(parts(Method::GET, &format!("/dashboard/{script}"), headers), "", None).await
    };
    let packed = get(&[("accept-encoding", "br;q=1.0, gzip;q=0.8")]).await;
    let plain = get(&[("accept-encoding", "gzip;q=0")]).await;
    assert_eq!(packed.headers()[header::CONTENT_ENCODING], "gzip");
    assert_eq!(packed.headers()[header::CONTENT_TYPE], "text/javascript; charset=utf-8");
    assert!(packed.headers()[header::CACHE_CONTROL].to_str().unwrap().contains("immutable"));
    assert!(!plain.headers().contains_key(header::CONTENT_ENCODING) && plain.body().len() > packed.body().len());
    let etag = packed.headers()[header::ETAG].to_str().unwrap();
    assert_eq!(get(&[("if-none-match", etag)]).await.status(), StatusCode::NOT_MODIFIED);
}

/// What a browser loads before anything is seen: the page's own scripts and those that it preloads.
#[tokio::test]
async fn the_first_load_is_small() {
    const SCRIPT_BYTES_MAX: usize = 60_000;
    if !built_in("the_first_load_is_small") {
        return;
    }
    let site = Site::new();
    let page = site.send(parts(Method::GET, "/dashboard/", &[]), "", None).await;
    let text = std::str::from_utf8(page.body()).unwrap().to_owned();
    let mut bytes = 0;
    for path in text.split('"').filter(|one| one.starts_with("/dashboard/assets/") && one.ends_with(".js")) {
        let file = site.send(parts(Method::GET, path, &[("accept-encoding", "gzip")]), "", None).await;
        assert_eq!(file.status(), StatusCode::OK, "{path}");
        bytes += file.body().len();
    }
    assert!(
        (1..SCRIPT_BYTES_MAX).contains(&bytes),
        "{bytes} bytes of compressed script, want at most {SCRIPT_BYTES_MAX}"
    );
}
