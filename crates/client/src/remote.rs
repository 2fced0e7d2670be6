//! The transport over TLS: HTTP/2 where the server speaks it, one connection shared by all requests.

use crate::config::{Config, ConfigError, Credentials};
use crate::transport::{EventType, PatchType, RawEvent, RawEvents, Request, Transport, Verb, WatchRequest};
use api::{Reason, Status};
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use http::{Method, header};
use http_body_util::{BodyExt, Full, Limited};
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
            .http2_adaptive_window(true)
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

/// Cuts a watch's body into events at its newlines.
fn events(body: Incoming) -> RawEvents {
    let state = (body.into_data_stream(), BytesMut::new(), false);
    futures::stream::unfold(state, |(mut body, mut buffer, ended)| async move {
        if ended {
            return None;
        }
        loop {
            if let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
                let line = buffer.split_to(end + 1);
                let event = parse(&line);
                let ended = event.is_err();
                return Some((event, (body, buffer, ended)));
            }
            if buffer.len() > EVENT_BYTES_MAX {
                let error = Status::internal(format!("a watch event is larger than {EVENT_BYTES_MAX} bytes"));
                return Some((Err(error), (body, buffer, true)));
            }
            match body.next().await {
                Some(Ok(chunk)) => buffer.extend_from_slice(&chunk),
                Some(Err(error)) => {
                    let error = Status::unavailable(format!("the watch broke off: {error}"));
                    return Some((Err(error), (body, buffer, true)));
                }
                None => return None,
            }
        }
    })
    .boxed()
}

fn parse(line: &[u8]) -> Result<RawEvent, Status> {
    let frame: Frame<'_> =
        serde_json::from_slice(line).map_err(|error| Status::internal(format!("decoding a watch event: {error}")))?;
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
    Ok(RawEvent { kind, object: Bytes::copy_from_slice(frame.object.get().as_bytes()) })
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
        let error = parse(line).unwrap_err();
        assert_eq!((error.code, error.reason, error.message.as_str()), (410, Reason::Expired, "too old"));
    }
}
