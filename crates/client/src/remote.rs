//! The transport over TLS: HTTP/2 where the server speaks it, one connection shared by all requests.
//!
//! Invariants: of several servers all are held to the same authority. A request whose server cannot be reached, and a
//! read whose server goes away, are tried at each once; a write that may have reached a server is not sent to another.
//! A server that fails a request and says that it is not ready is left, with the watches that it has: it may have lost
//! its store while others have it.

mod events;
mod handshake;
mod lines;

use crate::config::{Config, ConfigError, Credentials};
use crate::servers::Servers;
use crate::transport::{ForeignRead, PatchType, RawEvents, Request, Transport, Verb, WatchRequest};
use api::{Reason, Status};
use async_trait::async_trait;
use bytes::Bytes;
use events::events;
pub use events::parse as parse_event;
use futures::StreamExt;
use futures::stream::BoxStream;
use handshake::Within;
use http::{Method, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
pub use lines::EventLines;
use std::sync::Arc;
use std::time::Duration;

/// No answer is larger than this: a list of 50,000 pods is 138 MB.
const ANSWER_BYTES_MAX: usize = 1 << 30;
/// A request that is answered once is answered within this.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(60);
/// What every server is told is taken by each within this, or not by that one.
const PUT_TIME_MAX: Duration = Duration::from_secs(5);
/// Whether a server can serve is answered within this, or it cannot.
const READY_TIME_MAX: Duration = Duration::from_secs(5);

/// What the server may send ahead of being read, in one answer and in all.
const STREAM_WINDOW_BYTES: u32 = 2 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 8 << 20;
/// A server's chunk comes in one frame.
const FRAME_BYTES_MAX: u32 = 256 << 10;

/// How soon a server that says nothing counts as gone.
#[derive(Clone, Copy, Debug)]
struct Patience {
    connect: Duration,
    ping_every: Duration,
    pong: Duration,
    /// For the kernel at the other end, of a machine that is gone without a word. `None`: as the system does.
    silence: Option<Duration>,
}

/// Nobody else can be asked.
const OF_ONE: Patience = Patience {
    connect: Duration::from_secs(10),
    ping_every: Duration::from_secs(10),
    pong: Duration::from_secs(10),
    silence: None,
};
/// Another is asked soon: within three seconds when the machine is gone (its kernel is probed when it was silent for
/// one, at no cost to the processes), within ten when only the process hangs.
const OF_SEVERAL: Patience = Patience {
    connect: Duration::from_secs(2),
    ping_every: Duration::from_secs(5),
    pong: Duration::from_secs(5),
    silence: Some(Duration::from_secs(2)),
};
const PROBE_EVERY: Duration = Duration::from_secs(1);

/// The API servers of one cluster.
pub struct Remote {
    http: HttpClient<Within<HttpsConnector<HttpConnector>>, Full<Bytes>>,
    config: Config,
    servers: Arc<Servers>,
}

impl Remote {
    /// At the one address of `config`.
    pub fn new(config: Config) -> Result<Remote, ConfigError> {
        let servers = Arc::new(Servers::new(&config.server, [""; 0]));
        Remote::with(config, servers, OF_ONE)
    }

    /// At whichever of `servers` answers, in place of the address of `config`.
    pub fn of(config: Config, servers: Arc<Servers>) -> Result<Remote, ConfigError> {
        Remote::with(config, servers, OF_SEVERAL)
    }

    fn with(config: Config, servers: Arc<Servers>, patience: Patience) -> Result<Remote, ConfigError> {
        let tls = config.tls()?;
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(patience.connect));
        if let Some(silence) = patience.silence {
            tcp.set_keepalive(Some(PROBE_EVERY));
            tcp.set_keepalive_interval(Some(PROBE_EVERY));
            tcp.set_tcp_user_timeout(Some(silence));
        }
        let builder = hyper_rustls::HttpsConnectorBuilder::new().with_tls_config(tls).https_only();
        let builder = match &config.server_name {
            Some(name) => {
                let name = rustls::pki_types::ServerName::try_from(name.clone())
                    .map_err(|error| ConfigError::Tls(format!("server name {name:?}: {error}")))?;
                builder.with_server_name_resolver(hyper_rustls::FixedServerNameResolver::new(name))
            }
            None => builder,
        };
        let https = Within {
            connector: builder.enable_http1().enable_http2().wrap_connector(tcp),
            time_max: patience.connect + patience.pong,
        };
        let http = HttpClient::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            // A dead peer is noticed even while only watches are open.
            .http2_keep_alive_interval(patience.ping_every)
            .http2_keep_alive_timeout(patience.pong)
            .http2_keep_alive_while_idle(true)
            // What is not read yet may be so much: a list streams at full speed, and one watch cannot hold up the others.
            .http2_initial_stream_window_size(STREAM_WINDOW_BYTES)
            .http2_initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .http2_max_frame_size(FRAME_BYTES_MAX)
            .build(https);
        Ok(Remote { http, config, servers })
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Any path, for what is not a resource (`/version`, `/readyz`, discovery).
    pub async fn get_path(&self, path: &str) -> Result<Bytes, Status> {
        collect(self.send(Method::GET, path, None, Bytes::new()).await?.0).await
    }

    /// As `get_path`, with a query, and a body that is read as it comes.
    pub async fn stream_path<'a>(
        &self,
        path: &str,
        query: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Result<BoxStream<'static, Result<Bytes, Status>>, Status> {
        let path = with_query(path.to_owned(), query);
        let (answer, _) = self.send(Method::GET, &path, None, Bytes::new()).await?;
        let broken = |error| Status::unavailable(format!("the answer broke off: {}", cause(&error)));
        Ok(answer.into_body().into_data_stream().map(move |chunk| chunk.map_err(broken)).boxed())
    }

    /// As `get_path`, with a JSON body to be taken.
    pub async fn post_path(&self, path: &str, body: Bytes) -> Result<Bytes, Status> {
        collect(self.send(Method::POST, path, Some("application/json"), body).await?.0).await
    }

    /// Has every server take over a body of any form: what servers do not tell each other. They are told at once, and
    /// one that takes long is left out; what one of them refused is the answer.
    pub async fn put_everywhere(&self, path: &str, content_type: &str, body: Bytes) -> Result<(), Status> {
        let mut servers = self.servers.list();
        let current = self.servers.current();
        if !servers.contains(&current) {
            servers.push(current);
        }
        let put = async |server: Arc<str>| {
            let request = self.request(&server, Method::PUT, path, Some(content_type), body.clone())?;
            match tokio::time::timeout(PUT_TIME_MAX, self.http.request(request)).await {
                Ok(Ok(answer)) if answer.status().is_success() => Ok(()),
                Ok(Ok(answer)) => Err(failure(answer).await),
                Ok(Err(error)) => Err(unreachable(&server, &error)),
                Err(_) => Err(Status::unavailable(format!("no answer from {server} within {PUT_TIME_MAX:?}"))),
            }
        };
        futures::future::join_all(servers.into_iter().map(put)).await.into_iter().collect()
    }

    /// The answer, and whose it is.
    async fn send(
        &self,
        method: Method,
        path: &str,
        content_type: Option<&str>,
        body: Bytes,
    ) -> Result<(http::Response<Incoming>, Arc<str>), Status> {
        let mut left = self.servers.count();
        loop {
            let server = self.servers.current();
            let request = self.request(&server, method.clone(), path, content_type, body.clone())?;
            let (status, may_repeat) = match self.http.request(request).await {
                Ok(answer) if answer.status().is_success() => return Ok((answer, server)),
                Ok(answer) => {
                    let is_failure = answer.status().is_server_error();
                    let status = failure(answer).await;
                    if !is_failure || self.can_serve(&server).await {
                        return Err(status);
                    }
                    (status, method == Method::GET)
                }
                Err(error) => {
                    self.servers.failed(&server);
                    (unreachable(&server, &error), method == Method::GET || error.is_connect())
                }
            };
            left = left.saturating_sub(1);
            if left == 0 || !may_repeat {
                return Err(status);
            }
            tracing::debug!(%server, %status, "the next server is asked");
        }
    }

    /// Asks a server that failed whether it can serve at all. Where it says no, or nothing, it is left.
    async fn can_serve(&self, server: &str) -> bool {
        // Nobody else can be asked, or somebody is.
        if self.servers.count() == 1 || *self.servers.current() != *server {
            return *self.servers.current() == *server;
        }
        let asked = async {
            let request = self.request(server, Method::GET, "/readyz", None, Bytes::new());
            Some(self.http.request(request.ok()?).await.ok()?.status())
        };
        let answer = tokio::time::timeout(READY_TIME_MAX, asked).await.ok().flatten();
        let can = answer.is_some_and(|status| !status.is_server_error());
        if !can {
            self.servers.unfit(server);
        }
        can
    }

    fn request(
        &self,
        server: &str,
        method: Method,
        path: &str,
        content_type: Option<&str>,
        body: Bytes,
    ) -> Result<http::Request<Full<Bytes>>, Status> {
        let mut request = http::Request::builder()
            .method(method)
            .uri(format!("{server}{path}"))
            .header(header::USER_AGENT, &self.config.user_agent)
            .header(header::ACCEPT, "application/json");
        if let Some(content_type) = content_type {
            request = request.header(header::CONTENT_TYPE, content_type);
        }
        if let Credentials::Token(token) = &self.config.credentials {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request.body(Full::new(body));
        request.map_err(|error| Status::bad_request(format!("cannot make a request to {server}{path}: {error}")))
    }
}

fn unreachable(server: &str, error: &(dyn std::error::Error + 'static)) -> Status {
    Status::unavailable(format!("no answer from {server}: {}", cause(error)))
}

/// The innermost: hyper's own text is only `client error (Connect)`.
fn cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

async fn collect(answer: http::Response<Incoming>) -> Result<Bytes, Status> {
    let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect();
    body.await
        .map(|body| body.to_bytes())
        .map_err(|error| Status::unavailable(format!("the answer broke off: {error}")))
}

async fn failure(answer: http::Response<Incoming>) -> Status {
    let code = answer.status().as_u16();
    match collect(answer).await {
        Ok(body) => match serde_json::from_slice::<meta::Status>(&body) {
            Ok(object) => Status::from_object(code, object),
            Err(_) => {
                let mut status = Status::new(Reason::Unknown, String::from_utf8_lossy(&body).into_owned());
                status.code = code;
                status
            }
        },
        Err(status) => status,
    }
}

/// Percent-encodes what may not stand in a path segment or a query.
fn escape(text: &str, out: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(byte.into());
        } else {
            out.push('%');
            for nibble in [byte >> 4, byte & 15] {
                out.push(
                    char::from_digit(nibble.into(), 16).expect("a nibble is a hexadecimal digit").to_ascii_uppercase(),
                );
            }
        }
    }
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    escape(text, &mut out);
    out
}

fn with_query<'a>(mut path: String, query: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    for (index, (name, value)) in query.enumerate() {
        path.push(if index == 0 { '?' } else { '&' });
        path.push_str(name);
        path.push('=');
        escape(value, &mut path);
    }
    path
}

fn path_of(request: &Request) -> String {
    let namespace = Some(escaped(&request.namespace)).filter(|namespace| !namespace.is_empty());
    let name = Some(escaped(&request.name)).filter(|name| !name.is_empty());
    let path = request.def.path(namespace.as_deref(), name.as_deref(), request.subresource.map(|sub| sub.name()));
    with_query(path, request.query.iter().map(|(name, value)| (*name, value.as_str())))
}

#[async_trait]
impl Transport for Remote {
    async fn call(&self, request: Request) -> Result<Bytes, Status> {
        let (method, content_type) = match request.verb {
            Verb::Get | Verb::List => (Method::GET, None),
            Verb::Create => (Method::POST, Some("application/json")),
            Verb::Update => (Method::PUT, Some("application/json")),
            Verb::Patch(kind) => (Method::PATCH, Some(PatchType::content_type(kind))),
            Verb::Delete | Verb::DeleteCollection => (Method::DELETE, Some("application/json")),
        };
        let path = path_of(&request);
        let content_type = content_type.filter(|_| !request.body.is_empty());
        let answered = async { collect(self.send(method, &path, content_type, request.body).await?.0).await };
        if let Ok(answer) = tokio::time::timeout(ANSWER_TIME_MAX, answered).await {
            return answer;
        }
        let server = self.servers.current();
        if self.can_serve(&server).await {
            tracing::debug!(%server, "a server that took long can serve");
        }
        Err(Status::new(Reason::Timeout, format!("no answer within {ANSWER_TIME_MAX:?}")))
    }

    async fn watch(&self, request: WatchRequest) -> Result<RawEvents, Status> {
        let mut query = vec![("watch", "true"), ("allowWatchBookmarks", "true")];
        if request.resource_version.is_empty() {
            query.push(("sendInitialEvents", "true"));
            query.push(("resourceVersionMatch", "NotOlderThan"));
        } else {
            query.push(("resourceVersion", &request.resource_version));
        }
        for (name, value) in [("labelSelector", &request.label_selector), ("fieldSelector", &request.field_selector)] {
            if !value.is_empty() {
                query.push((name, value));
            }
        }
        let namespace = Some(request.namespace.as_str()).filter(|namespace| !namespace.is_empty());
        let path = with_query(request.def.path(namespace, None, None), query.into_iter());
        // Before the server is asked, so that its end is not missed.
        let left = self.servers.left();
        let (answer, server) = self.send(Method::GET, &path, None, Bytes::new()).await?;
        Ok(events(answer.into_body(), self.servers.clone(), server, left))
    }

    async fn read_foreign(&self, read: ForeignRead) -> Result<Option<Bytes>, Status> {
        match self.get_path(&foreign_path(&read)).await {
            // The path's group is not there: a server that has it names what it does not find.
            Err(status) if status.reason == Reason::NotFound && status.details.is_none() => Ok(None),
            answer => answer.map(Some),
        }
    }
}

/// The path of what another server serves.
fn foreign_path(read: &ForeignRead) -> String {
    let mut path = String::new();
    for segment in read.segments() {
        path.push('/');
        escape(segment, &mut path);
    }
    with_query(path, read.query.iter().map(|(name, value)| (*name, value.as_str())))
}

#[cfg(test)]
mod several_servers_tests;

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::Pod;

    #[test]
    fn paths_are_escaped() {
        let request =
            Request::new(Verb::List, &<Pod as api::Kind>::DEF, "a/b", "").query("labelSelector", "a in (b, c)");
        assert_eq!(path_of(&request), "/api/v1/namespaces/a%2Fb/pods?labelSelector=a%20in%20%28b%2C%20c%29");
    }
}
