//! The node's HTTPS server: logs, exec, attach, port-forward, metrics.
//!
//! Invariants: nobody without a certificate of the cluster's authority or a token that the API server knows is answered
//! (401), and only whom the API server lets is served (403); streams end when either side goes.

mod auth;
mod logs;
mod metrics;
mod reply;
mod route;
mod search;
mod stream;
mod usage;

use crate::certificates::Identity;
use crate::context::Context;
use crate::router::Pods;
use ::logs::Watcher;
use http::{Method, Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use reply::{Body, text};
use route::Route;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::server::WebPkiClientVerifier;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;

/// Connections at one time; more wait to be accepted.
const CONNECTIONS_MAX: usize = 1024;
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);

/// Why the server cannot begin.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServerError {
    #[error("reading the client certificate authority: {0}")]
    Authority(String),
    #[error("setting up TLS: {0}")]
    Tls(#[from] rustls::Error),
    #[error("watching log directories: {0}")]
    Watcher(#[source] std::io::Error),
}

pub(crate) struct Server {
    pub(crate) context: Arc<Context>,
    pub(crate) pods: Pods,
    watcher: Arc<Watcher>,
    /// `None` where no logs are archived.
    searches: Option<::logs::Service>,
    door: auth::Door,
}

impl Server {
    pub(crate) fn new(context: Arc<Context>, pods: Pods) -> Result<Server, ServerError> {
        let door = auth::Door::new(context.client.clone(), context.node_name.clone());
        let watcher = Arc::new(Watcher::start().map_err(ServerError::Watcher)?);
        let archive = context.archive.clone();
        let searches = archive.map(|archive| ::logs::Service::new(archive, watcher.clone(), &context.node_name));
        Ok(Server { context, pods, watcher, searches, door })
    }

    /// Serves until `stop` changes.
    pub(crate) async fn run(self, listener: TcpListener, acceptor: TlsAcceptor, mut stop: watch::Receiver<bool>) {
        let server = Arc::new(self);
        let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        loop {
            let permit = tokio::select! {
                permit = connections.clone().acquire_owned() => permit,
                _ = stop.changed() => return,
            };
            let Ok(permit) = permit else { return };
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = stop.changed() => return,
            };
            let stream = match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of descriptors: others will be closed.
                    tracing::warn!(%error, "a connection was not accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let (server, acceptor, mut stop) = (server.clone(), acceptor.clone(), stop.clone());
            tokio::spawn(async move {
                tokio::select! {
                    () = Box::pin(server.connection(stream, acceptor)) => {}
                    _ = stop.changed() => {}
                }
                drop(permit);
            });
        }
    }

    async fn connection(self: Arc<Self>, stream: TcpStream, acceptor: TlsAcceptor) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection stays with Nagle's delay");
        }
        let tls = match tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await {
            Ok(Ok(tls)) => tls,
            Ok(Err(error)) => return tracing::debug!(%error, "a TLS handshake failed"),
            Err(_) => return tracing::debug!("a TLS handshake took too long"),
        };
        let certificate = tls.get_ref().1.peer_certificates().and_then(|chain| chain.first()).cloned();
        let certified = certificate.as_ref().and_then(auth::Caller::of_certificate);
        let service = service_fn(move |request| {
            let (server, certified) = (self.clone(), certified.clone());
            async move { Ok::<_, Infallible>(Box::pin(server.answer(request, certified)).await) }
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIMEOUT)
            .serve_connection(TokioIo::new(tls), service)
            .with_upgrades();
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection ended in the middle");
        }
    }

    async fn answer(&self, request: Request<Incoming>, certified: Option<auth::Caller>) -> Response<Body> {
        let (method, path) = (request.method(), request.uri().path());
        if let Err(refusal) = self.door.admit(certified.as_ref(), method, path, request.headers()).await {
            return text(refusal.code(), refusal.message());
        }
        let Some(route) = Route::parse(request.uri().path()) else {
            return text(404, "404 page not found");
        };
        let only_get = !matches!(route, Route::Exec { .. } | Route::Attach { .. } | Route::PortForward { .. });
        if only_get && request.method() != Method::GET {
            return text(405, "Method Not Allowed");
        }
        match route {
            Route::Healthz => text(200, "ok"),
            Route::Pods => self.list_pods().await,
            Route::Metrics => metrics::answer(self).await,
            Route::Probes => metrics::probes(self),
            Route::Search => search::answer(self, request.uri().query().unwrap_or_default()),
            Route::Usage(page) => usage::answer(self, page),
            Route::Logs { namespace, pod, container } => {
                let query = request.uri().query().unwrap_or_default();
                logs::answer(self, &namespace, &pod, &container, query).await
            }
            Route::Exec { namespace, pod, container } => {
                stream::exec(self, request, &namespace, &pod, &container).await
            }
            Route::Attach { namespace, pod, container } => {
                stream::attach(self, request, &namespace, &pod, &container).await
            }
            Route::PortForward { namespace, pod } => stream::port_forward(self, request, &namespace, &pod).await,
        }
    }

    async fn list_pods(&self) -> Response<Body> {
        let pods = self.pods.all().await.into_iter().map(|known| {
            let mut pod = (*known.pod).clone();
            pod.status = known.view.borrow().status.clone().or(pod.status);
            pod
        });
        let list = k8s_openapi::List::<k8s_openapi::api::core::v1::Pod> { items: pods.collect(), ..Default::default() };
        reply::json(&list)
    }
}

/// TLS that asks for a client certificate, and presents `identity`.
pub(crate) fn acceptor(client_ca_pem: &str, identity: Arc<Identity>) -> Result<TlsAcceptor, ServerError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(client_ca_pem.as_bytes()) {
        roots.add(certificate.map_err(|error| ServerError::Authority(error.to_string()))?)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        // Who shows none hears 401, not a broken handshake.
        .allow_unauthenticated()
        .build()
        .map_err(|error| ServerError::Authority(error.to_string()))?;
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(identity);
    // Upgrades need HTTP/1.1.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
