//! A server on a port of its own, and clients for it.

use api::Registered;
use api::user::User;
use apiserver::admission::{Chain, Plugins, Settings};
use apiserver::audit::{Audit, AuditOptions};
use apiserver::authn::{Authenticators, ISSUER, Keys};
use apiserver::authz::Authorizer;
use apiserver::bootstrap::{Facts, bootstrap};
use apiserver::callout::{Callout, Identity};
use apiserver::fairness::{self, Fairness};
use apiserver::pki::{Credential, Pki, ServerNames, ShownCertificate, kubeconfig};
use apiserver::{Backend, Config, Direct, KubeletAccess, Parts, Server, ServiceRanges};
use bytes::Bytes;
use client::Client;
use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::Value;
use std::process::Command;
use std::sync::Arc;
use std::time::SystemTime;

pub(crate) const KUBECTL: &str = "/usr/bin/kubectl";

pub(crate) type Http = hyper_util::client::legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

pub(crate) struct Cluster {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) pki: Pki,
    pub(crate) client: Client,
    pub(crate) http: Http,
    pub(crate) url: String,
    /// As whom servers behind this one are asked.
    pub(crate) front_proxy: tokio::sync::watch::Sender<Identity>,
    server: Option<Server>,
}

pub(crate) struct Answer {
    pub(crate) code: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.body))
    }
    pub(crate) fn message(&self) -> String {
        self.json()["message"].as_str().unwrap_or_default().to_owned()
    }
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }
    #[track_caller]
    pub(crate) fn expect(self, code: u16) -> Answer {
        assert_eq!(self.code, code, "{}", String::from_utf8_lossy(&self.body));
        self
    }
}

pub(crate) fn now() -> i64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() as i64
}

/// In memory where there is room: how long the disk takes to confirm a write is no part of what is tested here.
fn scratch() -> tempfile::TempDir {
    let memory = std::path::Path::new("/dev/shm");
    let place = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    tempfile::tempdir_in(place).unwrap()
}

/// What the server says goes to standard error, which is shown of a test that fails.
fn log() {
    let all = tracing_subscriber::EnvFilter::new("info,apiserver=debug,client=debug,registry=debug");
    let log = tracing_subscriber::fmt().with_env_filter(all).with_writer(std::io::stderr).with_ansi(false);
    if let Err(before) = log.try_init() {
        tracing::trace!(%before, "another cluster of this test logs already");
    }
}

impl Cluster {
    pub(crate) async fn start() -> Cluster {
        Cluster::audited(&AuditOptions::default()).await
    }

    pub(crate) async fn audited(audit: &AuditOptions) -> Cluster {
        Cluster::serving(audit, api::object::builtin().to_vec(), Plugins::default()).await
    }

    /// Whose table of kinds is as long as it is and one row longer.
    pub(crate) async fn with_kind(row: &'static dyn Registered) -> Cluster {
        Cluster::serving(&AuditOptions::default(), [api::object::builtin(), &[row]].concat(), Plugins::default()).await
    }

    /// Whose administrator has told admission something.
    pub(crate) async fn told(plugins: Plugins) -> Cluster {
        Cluster::serving(&AuditOptions::default(), api::object::builtin().to_vec(), plugins).await
    }

    async fn serving(audit: &AuditOptions, kinds: Vec<&'static dyn Registered>, plugins: Plugins) -> Cluster {
        log();
        let dir = scratch();
        let address: std::net::IpAddr = "127.0.0.1".parse().unwrap();
        let names = ServerNames { addresses: vec![address], ..ServerNames::default() };
        let pki = Pki::open(&dir.path().join("pki"), &names, now()).unwrap();
        let store = store::Embedded::open(dir.path().join("store"), store::Options::default()).unwrap();
        let ranges = ServiceRanges::new(vec!["10.43.0.0/16".parse().unwrap()]);
        let hooks = apiserver::hooks(ranges);
        let options = registry::Options { hooks, kinds, ..registry::Options::default() };
        let registry = registry::Registry::open(Arc::new(store), options).await.unwrap();
        let kubelets = KubeletAccess {
            tls: Arc::new(
                pki.kubelet_client_config(Arc::new(ShownCertificate::new(&pki.kubelet_client).unwrap())).unwrap(),
            ),
        };
        let backend = Backend::new(registry, Some(kubelets), Vec::new());
        let measured = Arc::new(crate::measurements::Fixed(Default::default()));
        assert!(backend.install_measurements(measured).is_ok());
        assert!(backend.install_front(Arc::new(crate::front::Pages)).is_ok());
        let component = User::component("system:apiserver");
        let client = Client::new(Arc::new(Direct::new(backend.clone(), component)));
        let authz = Authorizer::start(&client);
        let keys = Keys::from_pem(&pki.service_account_keys).unwrap();
        let authn = Arc::new(Authenticators::new(ISSUER, keys, &client, Arc::new(now)));
        let callout = Callout::new(&client);
        let settings = Settings { plugins, ..Settings::default() };
        let admission = Arc::new(Chain::new(&client, backend.registry(), &authz, &callout, &settings));
        if let Some(audit) = Audit::open(audit, &callout).unwrap() {
            assert!(backend.install_audit(audit).is_ok());
        }
        let fairness = Fairness::start(&client, fairness::Options::default());
        assert!(backend.install_fairness(fairness).is_ok());
        let (front_proxy, shown) = tokio::sync::watch::channel(pki.front_proxy_identity());
        assert!(backend.install(Parts { authn, authz, admission, callout, front_proxy: Some(shown) }).is_ok());
        let facts = Facts {
            address: "192.0.2.1".parse().unwrap(),
            port: 6443,
            alone: true,
            server: "https://127.0.0.1:6443".to_owned(),
            api_service_ip: "10.43.0.1".parse().unwrap(),
            dns_service_ip: "10.43.0.10".parse().unwrap(),
            server_ca: pki.server_ca.bundle_pem().to_owned(),
            client_ca: pki.client_ca.bundle_pem().to_owned(),
            front_proxy_ca: pki.front_proxy_ca.bundle_pem().to_owned(),
        };
        bootstrap(&client, &facts).await.unwrap();
        let serving = Arc::new(ShownCertificate::new(&pki.apiserver).unwrap());
        let tls = Arc::new(pki.server_config(serving).unwrap());
        let listen = "127.0.0.1:0".parse().unwrap();
        let server = Server::start(Config { listen, tls, backend }).await.unwrap();
        let url = format!("https://{}", server.local_addr());
        let http = http(&pki, Some(&pki.admin));
        Cluster { dir, pki, client, http, url, front_proxy, server: Some(server) }
    }

    pub(crate) async fn shutdown(mut self) {
        if let Some(server) = self.server.take() {
            server.shutdown().await;
        }
    }

    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        let response = self.open(&self.http, method, path, headers, body).await;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer { code: parts.status.as_u16(), headers: parts.headers, body }
    }

    /// The answer before its body.
    pub(crate) async fn open(
        &self,
        http: &Http,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> http::Response<Incoming> {
        let mut request = Request::builder().method(Method::from_bytes(method.as_bytes()).unwrap());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.uri(format!("{}{path}", self.url)).body(Full::new(body.into())).unwrap();
        http.request(request).await.unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], "").await
    }
    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.send("POST", path, &[("content-type", "application/json")], body.to_string()).await
    }
    pub(crate) async fn put(&self, path: &str, body: Value) -> Answer {
        self.send("PUT", path, &[("content-type", "application/json")], body.to_string()).await
    }
    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, &[], "").await
    }
    /// `kind` is `json`, `merge` or `strategic-merge`.
    pub(crate) async fn patch(&self, kind: &str, path: &str, body: Value) -> Answer {
        let content_type = format!("application/{kind}-patch+json");
        self.send("PATCH", path, &[("content-type", &content_type)], body.to_string()).await
    }

    /// Server-side apply by a manager; `query` is what else the request asks.
    pub(crate) async fn apply(&self, manager: &str, query: &str, path: &str, intent: Value) -> Answer {
        let path = format!("{path}?fieldManager={manager}{query}");
        self.send("PATCH", &path, &[("content-type", "application/apply-patch+yaml")], intent.to_string()).await
    }

    /// The administrator's configuration of a client, as a file.
    pub(crate) fn kubeconfig(&self) -> std::path::PathBuf {
        let path = self.dir.path().join("kubeconfig");
        if !path.exists() {
            let ca = self.pki.server_ca.bundle_pem();
            let admin = &self.pki.admin;
            std::fs::write(&path, kubeconfig(&self.url, ca, admin.certificate_pem(), admin.key_pem())).unwrap();
        }
        path
    }

    /// kubectl as the administrator; `None` where it is not installed.
    pub(crate) async fn kubectl(&self, arguments: &[&str], input: &str) -> Option<(bool, String)> {
        self.run(KUBECTL, arguments, input).await
    }

    /// As `kubectl`, with the program of this path.
    pub(crate) async fn run(&self, program: &str, arguments: &[&str], input: &str) -> Option<(bool, String)> {
        if !std::path::Path::new(program).exists() {
            eprintln!("SKIPPED: {program} is not installed");
            return None;
        }
        let config = self.kubeconfig();
        let file = self.dir.path().join(format!("input-{}", input.len()));
        std::fs::write(&file, input).unwrap();
        let mut command = Command::new(program);
        command.arg("--kubeconfig").arg(&config).arg("--cache-dir").arg(self.dir.path().join("cache"));
        command.args(arguments).stdin(std::fs::File::open(&file).unwrap());
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let text = [output.stdout, output.stderr].concat();
        Some((output.status.success(), String::from_utf8(text).unwrap()))
    }
}

pub(crate) fn http(pki: &Pki, credential: Option<&Credential>) -> Http {
    let connector = connector(pki, credential);
    hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new()).build(connector)
}

/// To the server, for clients whose bodies are not whole at once.
pub(crate) fn connector(pki: &Pki, credential: Option<&Credential>) -> HttpsConnector<HttpConnector> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in pki.server_ca.certificates() {
        roots.add(certificate.clone()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let config = match credential {
        Some(credential) => {
            let (chain, key) = credential.tls().unwrap();
            builder.with_client_auth_cert(chain, key).unwrap()
        }
        None => builder.with_no_client_auth(),
    };
    // A body goes out at once, not after the server's delayed acknowledgement of the header.
    let mut plain = HttpConnector::new();
    plain.set_nodelay(true);
    plain.enforce_http(false);
    let builder = hyper_rustls::HttpsConnectorBuilder::new().with_tls_config(config).https_only();
    builder.enable_all_versions().wrap_connector(plain)
}
