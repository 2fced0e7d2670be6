//! An API server behind the API server, in this process: it serves flunders, and remembers who asked how.

use crate::webhooks::server::{base64, certificates};
use bytes::Bytes;
use futures::stream::{self, StreamExt};
use http::{HeaderMap, Method, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::broadcast;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

type Body = http_body_util::combinators::UnsyncBoxBody<Bytes, Infallible>;

/// What was heard of one request.
#[derive(Clone, Debug)]
pub(super) struct Heard {
    pub(super) method: Method,
    pub(super) uri: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// The subject of the certificate that the connection's client showed.
    pub(super) common_name: String,
    /// Of that certificate.
    pub(super) serial: String,
}

impl Heard {
    pub(super) fn all(&self, name: &str) -> Vec<&str> {
        self.headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
    }
}

#[derive(Clone)]
pub(super) struct Flunders {
    pub(super) address: SocketAddr,
    pub(super) ca_bundle: String,
    tls: Arc<rustls::ServerConfig>,
    heard: Arc<Mutex<Vec<Heard>>>,
    events: broadcast::Sender<Value>,
    running: Arc<Mutex<CancellationToken>>,
    objects: Arc<Mutex<Vec<String>>>,
}

fn resource(name: &str) -> Value {
    json!({"name": name, "singularName": "flunder", "namespaced": true, "kind": "Flunder",
        "shortNames": ["fl"], "verbs": ["create", "delete", "deletecollection", "get", "list", "watch"]})
}

pub(super) fn flunder(name: &str) -> Value {
    json!({"apiVersion": "wardle.example.com/v1alpha1", "kind": "Flunder",
        "metadata": {"name": name, "namespace": "default", "resourceVersion": "7", "uid": name}})
}

/// Its OpenAPI v2, which speaks of more than its group version.
fn document() -> Value {
    let of = |name: &str| json!({"schema": {"$ref": format!("#/definitions/{name}")}});
    json!({"swagger": "2.0", "info": {"title": "flunders", "version": "1"},
        "paths": {"/version": {"get": {}}, "/apis/wardle.example.com/v1alpha1/namespaces/{namespace}/flunders": {
            "get": {"operationId": "listFlunders", "responses": {"200": of("com.example.wardle.Flunder")}}}},
        "definitions": {
            "com.example.wardle.Flunder": {"type": "object", "description": "What is flundered.", "properties": {
                "apiVersion": {"type": "string"}, "kind": {"type": "string"},
                "metadata": {"$ref": "#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"}},
                "x-kubernetes-group-version-kind": [
                    {"group": "wardle.example.com", "version": "v1alpha1", "kind": "Flunder"}]},
            "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta": {"type": "object", "description": "Of another age."},
            "com.example.wardle.Unused": {"type": "object"}}})
}

fn full(text: impl Into<Bytes>) -> Body {
    Full::new(text.into()).boxed_unsync()
}

/// The common name and serial number of the certificate that was shown.
fn shown(certificates: Option<&[CertificateDer<'_>]>) -> (String, String) {
    let Some(leaf) = certificates.and_then(<[_]>::first) else { return Default::default() };
    let (_, parsed) = x509_parser::parse_x509_certificate(leaf).unwrap();
    let name = parsed.subject().iter_common_name().next().unwrap().as_str().unwrap().to_owned();
    (name, parsed.raw_serial_as_string())
}

impl Flunders {
    /// Believes clients of the authority alone, and whoever shows no certificate is nobody.
    pub(super) async fn start(ip: IpAddr, client_ca: &CertificateDer<'static>) -> Flunders {
        let made = certificates(&["wardle.default.svc"]);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = rustls::RootCertStore::empty();
        roots.add(client_ca.clone()).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
        let verifier = verifier.allow_unauthenticated().build().unwrap();
        let mut tls = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(
                rustls_pemfile::certs(&mut made.certificate_pem.as_bytes()).collect::<Result<_, _>>().unwrap(),
                PrivateKeyDer::from(
                    rustls_pemfile::pkcs8_private_keys(&mut made.key_pem.as_bytes()).next().unwrap().unwrap(),
                ),
            )
            .unwrap();
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let listener = TcpListener::bind((ip, 0)).await.unwrap();
        let flunders = Flunders {
            address: listener.local_addr().unwrap(),
            ca_bundle: base64(&made.ca_pem),
            tls: Arc::new(tls),
            heard: Arc::default(),
            events: broadcast::Sender::new(16),
            running: Arc::default(),
            objects: Arc::new(Mutex::new(["one", "two"].map(str::to_owned).into())),
        };
        flunders.serve(listener);
        flunders
    }

    fn serve(&self, listener: TcpListener) {
        let (own, ending) = (self.clone(), self.running.lock().unwrap().clone());
        tokio::spawn(async move {
            while let Some(Ok((stream, _))) = ending.run_until_cancelled(listener.accept()).await {
                let (own, ending) = (own.clone(), ending.clone());
                tokio::spawn(async move {
                    let Ok(stream) = TlsAcceptor::from(own.tls.clone()).accept(stream).await else { return };
                    let name = shown(stream.get_ref().1.peer_certificates());
                    let service = service_fn(move |request| own.clone().answer(request, name.clone()));
                    let http = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                    let connection = http.serve_connection_with_upgrades(TokioIo::new(stream), service);
                    if let Some(Err(error)) = ending.run_until_cancelled(connection).await {
                        tracing::debug!(%error, "a flunder server's connection ended");
                    }
                });
            }
        });
    }

    /// All connections break, and no more are taken.
    pub(super) fn stop(&self) {
        self.running.lock().unwrap().cancel();
    }

    /// At the same address.
    pub(super) async fn restart(&self) {
        *self.running.lock().unwrap() = CancellationToken::new();
        self.serve(TcpListener::bind(self.address).await.unwrap());
    }

    /// Tells all who watch of a flunder.
    pub(super) fn tell(&self, name: &str) {
        self.events.send(json!({"type": "ADDED", "object": flunder(name)})).unwrap();
    }

    /// Requests to this path since the last look.
    pub(super) fn take(&self, path: &str) -> Vec<Heard> {
        let mut heard = self.heard.lock().unwrap();
        let (own, others) = std::mem::take(&mut *heard).into_iter().partition(|one| one.uri.starts_with(path));
        *heard = others;
        own
    }

    async fn answer(
        self,
        mut request: Request<Incoming>,
        (common_name, serial): (String, String),
    ) -> Result<Response<Body>, Infallible> {
        let upgrade = request.headers().contains_key("upgrade").then(|| hyper::upgrade::on(&mut request));
        let (parts, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let uri = parts.uri.path_and_query().unwrap().to_string();
        let (method, headers) = (parts.method, parts.headers);
        let parts_tag = headers.get("if-none-match").map(|tag| tag.to_str().unwrap().to_owned()).unwrap_or_default();
        self.heard.lock().unwrap().push(Heard {
            method: method.clone(),
            uri: uri.clone(),
            headers,
            body: body.clone(),
            common_name,
            serial,
        });
        let json = |code: u16, value: Value| {
            Response::builder().status(code).header("content-type", "application/json").body(full(value.to_string()))
        };
        let objects = "/apis/wardle.example.com/v1alpha1/namespaces/default/flunders";
        let response = match uri.split('?').next().unwrap() {
            "/apis/wardle.example.com/v1alpha1" => json(
                200,
                json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "wardle.example.com/v1alpha1",
                    "resources": [resource("flunders")]}),
            ),
            "/openapi/v2" if parts_tag == "\"ONE\"" => Response::builder().status(304).body(full("")),
            "/openapi/v2" => Response::builder()
                .header("content-type", "application/json")
                .header("etag", "\"ONE\"")
                .body(full(document().to_string())),
            "/openapi/v3" => json(
                200,
                json!({"paths": {"apis/wardle.example.com/v1alpha1":
                    {"serverRelativeURL": "/openapi/v3/apis/wardle.example.com/v1alpha1?hash=ABC"}}}),
            ),
            "/openapi/v3/apis/wardle.example.com/v1alpha1" => json(200, json!({"openapi": "3.0.0"})),
            path if path == objects && uri.contains("watch=") => {
                let events = stream::unfold(self.events.subscribe(), |mut events| async move {
                    let event = events.recv().await.ok()?;
                    Some((Ok(Frame::data(Bytes::from(format!("{event}\n")))), events))
                });
                // The headers come with the first event otherwise.
                let first = stream::once(async { Ok(Frame::data(Bytes::from_static(b"\n"))) });
                Response::builder()
                    .header("content-type", "application/json")
                    .body(StreamBody::new(first.chain(events)).boxed_unsync())
            }
            path if path == objects && method == Method::POST => {
                Response::builder().status(201).header("content-type", "application/json").body(full(body))
            }
            path if path == objects => {
                let mut all = self.objects.lock().unwrap();
                if method == Method::DELETE {
                    all.clear();
                }
                let items: Vec<Value> = all.iter().map(|name| flunder(name)).collect();
                json(
                    200,
                    json!({"apiVersion": "wardle.example.com/v1alpha1", "kind": "FlunderList",
                        "metadata": {"resourceVersion": "7"}, "items": items}),
                )
            }
            path if path.ends_with("/moved") => {
                Response::builder().status(302).header("location", "https://127.0.0.1:1/").body(full(""))
            }
            path if path.ends_with("/echo") => {
                let upgrade = upgrade.unwrap();
                tokio::spawn(async move {
                    let mut stream = TokioIo::new(upgrade.await.unwrap());
                    let mut buffer = [0; 64];
                    while let Ok(read @ 1..) = stream.read(&mut buffer).await {
                        stream.write_all(&buffer[..read].to_ascii_uppercase()).await.unwrap();
                    }
                });
                Response::builder().status(101).header("connection", "upgrade").header("upgrade", "echo").body(full(""))
            }
            path if path.starts_with(objects) => json(200, flunder(path.rsplit('/').next().unwrap())),
            _ => json(
                404,
                json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404,
                "message": "the flunder server knows no such path"}),
            ),
        };
        Ok(response.unwrap())
    }
}
