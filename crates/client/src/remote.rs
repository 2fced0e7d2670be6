//! The transport over TLS: HTTP/2 where the server speaks it, one connection shared by all requests.

use crate::config::{Config, ConfigError, Credentials};
use crate::transport::{EventType, PatchType, RawEvent, RawEvents, Request, Transport, Verb, WatchRequest};
use api::{Reason, Status};
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use http::{Method, header};
use http_body_util::{BodyDataStream, BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
use serde_json::value::RawValue;
use std::time::Duration;

/// No answer is larger than this: a list of 50,000 pods is 138 MB.
const ANSWER_BYTES_MAX: usize = 1 << 30;
/// A request that is answered once is answered within this.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(60);
/// One watch event is no larger than this: objects are at most 3 MiB, and 1.5 MiB in etcd.
const EVENT_BYTES_MAX: usize = 8 << 20;

/// What the server may send ahead of being read, in one answer and in all.
const STREAM_WINDOW_BYTES: u32 = 2 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 8 << 20;
/// A server's chunk comes in one frame.
const FRAME_BYTES_MAX: u32 = 256 << 10;

/// An API server at an address.
pub struct Remote {
    http: HttpClient<HttpsConnector<HttpConnector>, Full<Bytes>>,
    config: Config,
}

impl Remote {
    pub fn new(config: Config) -> Result<Remote, ConfigError> {
        let tls = config.tls()?;
        Remote::with_tls(config, tls)
    }

    fn with_tls(config: Config, tls: rustls::ClientConfig) -> Result<Remote, ConfigError> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(Duration::from_secs(10)));
        let builder = hyper_rustls::HttpsConnectorBuilder::new().with_tls_config(tls).https_only();
        let builder = match &config.server_name {
            Some(name) => {
                let name = rustls::pki_types::ServerName::try_from(name.clone())
                    .map_err(|error| ConfigError::Tls(format!("server name {name:?}: {error}")))?;
                builder.with_server_name_resolver(hyper_rustls::FixedServerNameResolver::new(name))
            }
            None => builder,
        };
        let https = builder.enable_http1().enable_http2().wrap_connector(tcp);
        let http = HttpClient::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            // A dead peer is noticed even while only watches are open.
            .http2_keep_alive_interval(Duration::from_secs(10))
            .http2_keep_alive_timeout(Duration::from_secs(10))
            .http2_keep_alive_while_idle(true)
            // What is not read yet may be so much: a list streams at full speed, and one watch cannot hold up the others.
            .http2_initial_stream_window_size(STREAM_WINDOW_BYTES)
            .http2_initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .http2_max_frame_size(FRAME_BYTES_MAX)
            .build(https);
        Ok(Remote { http, config })
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Any path, for what is not a resource (`/version`, `/readyz`, discovery).
    pub async fn get_path(&self, path: &str) -> Result<Bytes, Status> {
        let answer = self.send(Method::GET, path, None, Bytes::new()).await?;
        collect(answer).await
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        content_type: Option<&str>,
        body: Bytes,
    ) -> Result<http::Response<Incoming>, Status> {
        let mut request = http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.config.server))
            .header(header::USER_AGENT, &self.config.user_agent)
            .header(header::ACCEPT, "application/json");
        if let Some(content_type) = content_type {
            request = request.header(header::CONTENT_TYPE, content_type);
        }
        if let Credentials::Token(token) = &self.config.credentials {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request.body(Full::new(body)).map_err(|error| {
            Status::bad_request(format!("cannot make a request to {}{path}: {error}", self.config.server))
        })?;
        let answer = self.http.request(request).await.map_err(|error| self.unreachable(&error))?;
        if answer.status().is_success() { Ok(answer) } else { Err(failure(answer).await) }
    }

    /// Names the innermost cause: hyper's own text is only `client error (Connect)`.
    fn unreachable(&self, error: &(dyn std::error::Error + 'static)) -> Status {
        let mut cause = error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        Status::unavailable(format!("no answer from {}: {cause}", self.config.server))
    }
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
        let answered = async { collect(self.send(method, &path, content_type, request.body).await?).await };
        tokio::time::timeout(ANSWER_TIME_MAX, answered)
            .await
            .unwrap_or_else(|_| Err(Status::new(Reason::Timeout, format!("no answer within {ANSWER_TIME_MAX:?}"))))
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
        let answer = self.send(Method::GET, &path, None, Bytes::new()).await?;
        Ok(events(answer.into_body()))
    }
}

#[derive(serde::Deserialize)]
struct Frame<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(borrow)]
    object: &'a RawValue,
}

/// A watch's body, cut into events at its newlines.
struct Lines {
    body: BodyDataStream<Incoming>,
    /// What came last and is not given out yet.
    chunk: Bytes,
    /// The beginning of a line that goes on in `chunk`.
    begun: BytesMut,
    ended: bool,
}

impl Lines {
    async fn next(&mut self) -> Option<Result<RawEvent, Status>> {
        if self.ended {
            return None;
        }
        let event = self.line().await?.and_then(parse);
        self.ended = event.is_err();
        Some(event)
    }

    /// The next line, its newline included; a part of its chunk, unless it came in several.
    async fn line(&mut self) -> Option<Result<Bytes, Status>> {
        loop {
            if let Some(end) = memchr::memchr(b'\n', &self.chunk) {
                let line = self.chunk.split_to(end + 1);
                if self.begun.is_empty() {
                    return Some(Ok(line));
                }
                self.begun.extend_from_slice(&line);
                return Some(Ok(self.begun.split().freeze()));
            }
            self.begun.extend_from_slice(&self.chunk);
            self.chunk.clear();
            if self.begun.len() > EVENT_BYTES_MAX {
                return Some(Err(Status::internal(format!("a watch event is larger than {EVENT_BYTES_MAX} bytes"))));
            }
            match self.body.next().await? {
                Ok(chunk) => self.chunk = chunk,
                Err(error) => return Some(Err(Status::unavailable(format!("the watch broke off: {error}")))),
            }
        }
    }
}

fn events(body: Incoming) -> RawEvents {
    let lines = Lines { body: body.into_data_stream(), chunk: Bytes::new(), begun: BytesMut::new(), ended: false };
    futures::stream::unfold(lines, |mut lines| async move { lines.next().await.map(|event| (event, lines)) }).boxed()
}

/// How servers write the events that are many, upstream's too: then the object is a part of the line as it stands.
const PLAIN: [(&[u8], EventType); 3] = [
    (br#"{"type":"ADDED","object":"#, EventType::Added),
    (br#"{"type":"MODIFIED","object":"#, EventType::Modified),
    (br#"{"type":"DELETED","object":"#, EventType::Deleted),
];

fn parse(line: Bytes) -> Result<RawEvent, Status> {
    for (head, kind) in PLAIN {
        if line.starts_with(head) && line.ends_with(b"}}\n") {
            return Ok(RawEvent { kind, object: line.slice(head.len()..line.len() - 2) });
        }
    }
    let frame: Frame<'_> =
        serde_json::from_slice(&line).map_err(|error| Status::internal(format!("decoding a watch event: {error}")))?;
    let kind = match frame.kind {
        "ADDED" => EventType::Added,
        "MODIFIED" => EventType::Modified,
        "DELETED" => EventType::Deleted,
        "BOOKMARK" => EventType::Bookmark,
        "ERROR" => {
            let status: meta::Status = serde_json::from_str(frame.object.get())
                .map_err(|error| Status::internal(format!("decoding a watch's error: {error}")))?;
            return Err(Status::from_object(500, status));
        }
        other => return Err(Status::internal(format!("an unknown watch event type {other:?}"))),
    };
    Ok(RawEvent { kind, object: line.slice_ref(frame.object.get().as_bytes()) })
}

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

    #[test]
    fn an_error_event_is_its_status() {
        let line = br#"{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired","message":"too old"}}"#;
        let error = parse(Bytes::from_static(line)).unwrap_err();
        assert_eq!((error.code, error.reason, error.message.as_str()), (410, Reason::Expired, "too old"));
    }
    #[test]
    fn an_event_is_its_object_however_the_line_is_written() {
        for line in [
            "{\"type\":\"MODIFIED\",\"object\":{\"a\":{}}}\n",
            "{\"type\":\"MODIFIED\",\"object\":{\"a\":{}}}\r\n",
            "{\"object\": {\"a\":{}}, \"type\": \"MODIFIED\"}\n",
        ] {
            let event = parse(Bytes::copy_from_slice(line.as_bytes())).unwrap();
            assert_eq!((event.kind, &event.object[..]), (EventType::Modified, &b"{\"a\":{}}"[..]), "{line}");
        }
        assert_eq!(parse(Bytes::from_static(b"{\"type\":\"MODIFIED\"}\n")).unwrap_err().code, 500);
    }
}
