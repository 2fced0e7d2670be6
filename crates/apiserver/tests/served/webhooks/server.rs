//! A webhook server in this process, with a CA of its own.

use base64::Engine;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// Makes the whole answer of the whole review.
pub(crate) type Make = Arc<dyn Fn(&Value) -> Value + Send + Sync>;

/// What a path answers.
#[derive(Clone)]
pub(crate) enum Answer {
    /// An `AdmissionReview` with this `response`, the request's uid put in where it has none.
    Response(Value),
    Raw(u16, String),
    Made(Make),
    /// Nothing, for ever.
    Silence,
}

#[derive(Default)]
struct State {
    answers: HashMap<String, Answer>,
    asked: Vec<(String, Value)>,
    /// Queries of the URLs, by path.
    queries: HashMap<String, String>,
}

#[derive(Clone)]
pub(crate) struct Hooks {
    pub(crate) port: u16,
    pub(crate) ca_bundle: String,
    state: Arc<Mutex<State>>,
}

/// A CA, and a certificate of it for these names: chain and key in PEM.
pub(crate) struct Certificates {
    pub(crate) ca_pem: String,
    pub(crate) certificate_pem: String,
    pub(crate) key_pem: String,
}

pub(crate) fn certificates(names: &[&str]) -> Certificates {
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_pem = ca.self_signed(&ca_key).unwrap().pem();
    let issuer = Issuer::new(ca, ca_key);
    let key = KeyPair::generate().unwrap();
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
    Certificates { ca_pem, certificate_pem: certificate.pem(), key_pem: key.serialize_pem() }
}

pub(crate) fn base64(text: &str) -> String {
    base64::engine::general_purpose::STANDARD.encode(text)
}

impl Hooks {
    pub(crate) async fn start() -> Hooks {
        let made = certificates(&["localhost"]);
        let mut config =
            rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(
                    rustls_pemfile::certs(&mut made.certificate_pem.as_bytes()).collect::<Result<_, _>>().unwrap(),
                    PrivateKeyDer::from(
                        rustls_pemfile::pkcs8_private_keys(&mut made.key_pem.as_bytes()).next().unwrap().unwrap(),
                    ),
                )
                .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let hooks = Hooks { port, ca_bundle: base64(&made.ca_pem), state: Arc::default() };
        let server = hooks.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).unwrap();
                let (acceptor, server) = (acceptor.clone(), server.clone());
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let service = service_fn(move |request| server.clone().answer(request));
                    let http = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                    if let Err(error) = http.serve_connection(TokioIo::new(stream), service).await {
                        tracing::debug!(%error, "a webhook's connection ended");
                    }
                });
            }
        });
        hooks
    }

    async fn answer(self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path().trim_start_matches('/').to_owned();
        let review: Value = serde_json::from_slice(&body.collect().await.unwrap().to_bytes()).unwrap();
        let answer = {
            let mut state = self.state.lock().unwrap();
            state.asked.push((path.clone(), review.clone()));
            state.queries.insert(path.clone(), parts.uri.query().unwrap_or_default().to_owned());
            state.answers.get(&path).cloned().unwrap_or_else(|| Answer::Response(json!({"allowed": true})))
        };
        let (code, text) = match answer {
            Answer::Raw(code, text) => (code, text),
            Answer::Made(make) => (200, make(&review).to_string()),
            Answer::Silence => std::future::pending().await,
            Answer::Response(mut response) => {
                if response.get("uid").is_none() {
                    response["uid"] = review["request"]["uid"].clone();
                }
                let version = &review["apiVersion"];
                (200, json!({"apiVersion": version, "kind": "AdmissionReview", "response": response}).to_string())
            }
        };
        Ok(Response::builder().status(code).body(Full::from(text)).unwrap())
    }

    pub(crate) fn set(&self, path: &str, answer: Answer) {
        self.state.lock().unwrap().answers.insert(path.to_owned(), answer);
    }

    pub(super) fn respond(&self, path: &str, response: Value) {
        self.set(path, Answer::Response(response));
    }

    pub(super) fn refuse(&self, path: &str, status: Value) {
        self.respond(path, json!({"allowed": false, "status": status}));
    }

    pub(crate) fn patch(&self, path: &str, patch: Value) {
        let patch = base64(&patch.to_string());
        self.respond(path, json!({"allowed": true, "patch": patch, "patchType": "JSONPatch"}));
    }

    pub(crate) fn raw(&self, path: &str, code: u16, text: &str) {
        self.set(path, Answer::Raw(code, text.to_owned()));
    }

    pub(crate) fn silence(&self, path: &str) {
        self.set(path, Answer::Silence);
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("https://localhost:{}/{path}", self.port)
    }

    pub(crate) fn client(&self, path: &str) -> Value {
        json!({"url": self.url(path), "caBundle": self.ca_bundle})
    }

    /// The requests that a path was sent since the last look, in order.
    pub(crate) fn take(&self, path: &str) -> Vec<Value> {
        let mut state = self.state.lock().unwrap();
        let (own, others) = std::mem::take(&mut state.asked).into_iter().partition(|(asked, _)| asked == path);
        state.asked = others;
        let own: Vec<(String, Value)> = own;
        own.into_iter().map(|(_, review)| review["request"].clone()).collect()
    }

    /// All paths that were asked since, in order.
    pub(super) fn paths(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().asked).into_iter().map(|(path, _)| path).collect()
    }

    pub(crate) fn query(&self, path: &str) -> String {
        self.state.lock().unwrap().queries[path].clone()
    }

    pub(super) fn forget(&self) {
        self.state.lock().unwrap().asked.clear();
    }
}
