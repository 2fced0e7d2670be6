//! What is called, how it is believed, and what is said of one that does not answer.

use super::*;
use crate::authz::memory;
use http::StatusCode;
use hyper::service::service_fn;
use hyper_util::rt::TokioExecutor;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use serde_json::json;
use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// Says what it was asked; `/teapot` and the like answer with that code.
struct Webhook {
    port: u16,
    connections: Arc<AtomicUsize>,
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let code = parts.uri.path().trim_start_matches('/').parse::<u16>().unwrap_or(200);
    let token = parts.headers.get("authorization").map(|value| value.to_str().unwrap()).unwrap_or_default();
    let answer = format!("{} {} {token}", parts.uri.path_and_query().unwrap(), String::from_utf8_lossy(&body));
    let response = Response::builder().status(StatusCode::from_u16(code).unwrap());
    Ok(response.header("location", "https://127.0.0.1:1/").body(Full::from(answer)).unwrap())
}

/// A webhook that shows this chain.
async fn webhook(chain: Vec<rustls::pki_types::CertificateDer<'static>>, key: &KeyPair) -> Webhook {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = connections.clone();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            counted.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let http = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                if let Err(error) =
                    http.serve_connection(hyper_util::rt::TokioIo::new(stream), service_fn(answer)).await
                {
                    tracing::debug!(%error, "a test's connection ended");
                }
            });
        }
    });
    Webhook { port, connections }
}

struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Authority { issuer: CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap() }
    }

    async fn webhook(&self, names: &[&str]) -> Webhook {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &self.issuer).unwrap();
        webhook(vec![certificate.der().clone()], &key).await
    }

    fn bundle(&self) -> Vec<u8> {
        self.issuer.pem().into_bytes()
    }
}

fn callout() -> Callout {
    Callout::new(&memory::client().0)
}

async fn post(callout: &Callout, target: &Target) -> Result<String, String> {
    let answer = callout.post_json(target, Bytes::from_static(b"{}"), Duration::from_secs(10), 1 << 20).await;
    answer.map(|body| String::from_utf8(body.to_vec()).unwrap()).map_err(|error| error.to_string())
}

#[tokio::test]
async fn calls_share_a_connection_and_tell_their_time() {
    let callout = callout();
    let authority = Authority::new();
    let webhook = authority.webhook(&["localhost", "127.0.0.1"]).await;
    let mut target = Target::of_url(&format!("https://127.0.0.1:{}/check", webhook.port), authority.bundle()).unwrap();
    for _ in 0..3 {
        assert_eq!(post(&callout, &target).await.unwrap(), "/check?timeout=10s {} ");
    }
    target.bearer_token = Some("secret".to_owned());
    assert_eq!(post(&callout.clone(), &target).await.unwrap(), "/check?timeout=10s {} Bearer secret");
    assert_eq!(webhook.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn who_answers_must_be_believed() {
    let callout = callout();
    let (authority, other) = (Authority::new(), Authority::new());
    let webhook = authority.webhook(&["localhost"]).await;
    let check = async |host: &str, bundle: Vec<u8>, insecure: bool| {
        let mut target = Target::of_url(&format!("https://{host}:{}/", webhook.port), bundle).unwrap();
        target.insecure_skip_tls_verify = insecure;
        let said = post(&callout, &target).await.unwrap_or_else(|error| error);
        said.replace(&webhook.port.to_string(), "PORT")
    };
    let prefix = |host: &str| format!("Post \"https://{host}:PORT/?timeout=10s\": ");
    let x509 = "tls: failed to verify certificate: x509: ";
    assert_eq!(check("localhost", authority.bundle(), false).await, "/?timeout=10s {} ");
    assert_eq!(
        check("localhost", other.bundle(), false).await,
        format!("{}{x509}certificate signed by unknown authority", prefix("localhost"))
    );
    assert_eq!(
        check("127.0.0.1", authority.bundle(), false).await,
        format!("{}{x509}certificate is valid for localhost, not 127.0.0.1", prefix("127.0.0.1"))
    );
    assert_eq!(
        check("localhost", b"nonsense".to_vec(), false).await,
        format!("{}unable to load root certificates: unable to parse bytes as PEM block", prefix("localhost"))
    );
    assert_eq!(check("127.0.0.1", other.bundle(), true).await, "/?timeout=10s {} ");
}

#[tokio::test]
async fn one_certificate_may_be_both_servers_and_authority() {
    let callout = callout();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = params.self_signed(&key).unwrap();
    let webhook = webhook(vec![certificate.der().clone()], &key).await;
    let bundle = certificate.pem().into_bytes();
    let target = Target::of_url(&format!("https://localhost:{}/", webhook.port), bundle.clone()).unwrap();
    assert_eq!(post(&callout, &target).await.unwrap(), "/?timeout=10s {} ");
    let target = Target::of_url(&format!("https://127.0.0.1:{}/", webhook.port), bundle).unwrap();
    assert!(post(&callout, &target).await.unwrap_err().contains("valid for localhost, not 127.0.0.1"));
}

#[tokio::test]
async fn what_is_no_success_is_said_in_upstreams_words() {
    let callout = callout();
    let authority = Authority::new();
    let webhook = authority.webhook(&["localhost"]).await;
    for (code, wanted) in [
        (302, "the server responded with the status code 302 but did not return more information"),
        (404, "the server could not find the requested resource"),
        (500, "an error on the server (\"/500?timeout=10s {}\") has prevented the request from succeeding"),
        (503, "the server is currently unable to handle the request"),
    ] {
        let url = format!("https://localhost:{}/{code}", webhook.port);
        let target = Target::of_url(&url, authority.bundle()).unwrap();
        assert_eq!(post(&callout, &target).await.unwrap_err(), wanted);
    }
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let url = format!("https://127.0.0.1:{free}/");
    let refused = post(&callout, &Target::of_url(&url, authority.bundle()).unwrap()).await.unwrap_err();
    let wanted = format!("Post \"{url}?timeout=10s\": dial tcp 127.0.0.1:{free}: connect: connection refused");
    assert_eq!(refused, wanted);
    let target = Target::new(Destination::service("default", "none", None, Some("/x")), authority.bundle());
    let wanted = "Post \"https://none.default.svc:443/x?timeout=10s\": service \"none\" not found";
    assert_eq!(post(&callout, &target).await.unwrap_err(), wanted);
}

#[tokio::test]
async fn a_service_leads_to_what_is_ready_behind_it() {
    let (client, memory) = memory::client();
    let callout = Callout::new(&client);
    let authority = Authority::new();
    let webhook = authority.webhook(&["web.default.svc"]).await;
    let of = |value: serde_json::Value| serde_json::from_value::<Service>(value).unwrap();
    memory.put::<Service>(of(json!({"metadata": {"name": "web", "namespace": "default"},
        "spec": {"ports": [{"name": "http", "port": 80}, {"name": "https", "port": 443}]}})));
    let slice = |ready: bool| -> EndpointSlice {
        let value = json!({"metadata": {"name": "web-1", "namespace": "default"}, "addressType": "IPv4",
            "ports": [{"name": "https", "port": webhook.port}],
            "endpoints": [{"addresses": ["127.0.0.1"], "conditions": {"ready": ready}}]});
        serde_json::from_value(value).unwrap()
    };
    memory.put(slice(false));
    let target = |port| Target::new(Destination::service("default", "web", port, Some("/x")), authority.bundle());
    let prefix = |port: u16| format!("Post \"https://web.default.svc:{port}/x?timeout=10s\": ");
    let none = post(&callout, &target(None)).await.unwrap_err();
    assert_eq!(none, format!("{}no endpoints available for service \"web\"", prefix(443)));
    memory.put(slice(true));
    assert_eq!(post(&callout, &target(None)).await.unwrap(), "/x?timeout=10s {} ");
    let none = post(&callout, &target(Some(80))).await.unwrap_err();
    assert_eq!(none, format!("{}no endpoints available for service \"web\"", prefix(80)));
    let none = post(&callout, &target(Some(81))).await.unwrap_err();
    assert_eq!(none, format!("{}no service port 81 found for service \"web\"", prefix(81)));
    // A name from elsewhere is asked there, and still must show that it is the service.
    memory.put::<Service>(of(json!({"metadata": {"name": "web", "namespace": "default"},
        "spec": {"type": "ExternalName", "externalName": "localhost"}})));
    assert_eq!(post(&callout, &target(Some(webhook.port.into()))).await.unwrap(), "/x?timeout=10s {} ");
}

#[tokio::test]
async fn answers_are_bounded_in_time_and_size() {
    let callout = callout();
    let authority = Authority::new();
    let webhook = authority.webhook(&["localhost"]).await;
    let url = format!("https://localhost:{}/", webhook.port);
    let target = Target::of_url(&url, authority.bundle()).unwrap();
    let body = Bytes::from_static(b"{}");
    let large = callout.post_json(&target, body.clone(), Duration::from_secs(10), 4).await.unwrap_err();
    assert!(matches!(large, CalloutError::TooLarge { bytes_max: 4, .. }));
    // Takes connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://127.0.0.1:{}/", silent.local_addr().unwrap().port());
    let target = Target::of_url(&url, authority.bundle()).unwrap();
    let late = callout.post_json(&target, body, Duration::from_millis(50), 4).await.unwrap_err();
    assert!(late.is_timeout());
    assert_eq!(late.to_string(), format!("Post \"{url}?timeout=50ms\": context deadline exceeded"));
}

#[test]
fn durations_read_as_go_prints_them() {
    for (millis, text) in [(10_000, "10s"), (500, "500ms"), (90_000, "1m30s"), (3_600_000, "1h0m0s"), (1_500, "1.5s")] {
        assert_eq!(go_duration(Duration::from_millis(millis)), text);
    }
}
