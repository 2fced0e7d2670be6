//! An API server at an address, over HTTP/2 (or 1.1) and TLS.

use super::{Answer, Ask, Server, whole};
use crate::failure::{Failure, Result};
use api::{Reason, Status};
use async_trait::async_trait;
use bytes::Bytes;
use client::{Config, Credentials};
use futures::{StreamExt, TryStreamExt};
use http::header;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_rustls::{FixedServerNameResolver, HttpsConnector};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
use std::time::Duration;

const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);
/// A peer that vanished is noticed even while only a watch or a followed log is open.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

pub(crate) struct Https {
    http: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    server: String,
    user_agent: String,
    authorization: Option<String>,
}

impl Https {
    pub(crate) fn new(config: &Config) -> Result<Https> {
        let message = |error: &dyn std::fmt::Display| Failure::message(error.to_string());
        let tls = config.tls().map_err(|error| message(&error))?;
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT_TIME_MAX));
        let builder = hyper_rustls::HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http();
        let builder = match &config.server_name {
            Some(name) => {
                let name = rustls::pki_types::ServerName::try_from(name.clone()).map_err(|error| message(&error))?;
                builder.with_server_name_resolver(FixedServerNameResolver::new(name))
            }
            None => builder,
        };
        let http = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .http2_keep_alive_interval(KEEP_ALIVE)
            .http2_keep_alive_timeout(KEEP_ALIVE)
            .http2_adaptive_window(true)
            .build(builder.enable_http1().enable_http2().wrap_connector(tcp));
        let authorization = match &config.credentials {
            Credentials::Token(token) => Some(format!("Bearer {token}")),
            _ => None,
        };
        Ok(Https { http, server: config.server.clone(), user_agent: config.user_agent.clone(), authorization })
    }
}

#[async_trait]
impl Server for Https {
    async fn ask(&self, ask: Ask) -> Result<Answer> {
        let mut request = http::Request::builder()
            .method(ask.method)
            .uri(format!("{}{}", self.server, ask.path))
            .header(header::USER_AGENT, &self.user_agent)
            .header(header::ACCEPT, ask.accept);
        if !ask.body.is_empty() {
            request = request.header(header::CONTENT_TYPE, ask.content_type);
        }
        if let Some(authorization) = &self.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        let request = request.body(Full::new(ask.body));
        let request = request.map_err(|error| Failure::message(format!("{}{}: {error}", self.server, ask.path)))?;
        let answer = self.http.request(request).await.map_err(|error| unreachable(&self.server, &error))?;
        let warnings = answer.headers().get_all(header::WARNING).iter();
        let warnings = warnings.filter_map(|value| warning(value.to_str().ok()?)).collect();
        let code = answer.status();
        let body = chunks(answer.into_body(), self.server.clone());
        if code.is_success() {
            return Ok(Answer { warnings, body });
        }
        Err(refusal(code.as_u16(), &whole(body).await?).into())
    }
}

fn chunks(body: Incoming, server: String) -> super::Chunks {
    body.into_data_stream().map_err(move |error| unreachable(&server, &error)).boxed()
}

/// The innermost cause says what happened: hyper's own text is only `client error (Connect)`.
pub(super) fn unreachable(server: &str, error: &(dyn std::error::Error + 'static)) -> Failure {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let refused =
        cause.downcast_ref::<std::io::Error>().is_some_and(|io| io.kind() == std::io::ErrorKind::ConnectionRefused);
    Failure::Unreachable { server: server.to_owned(), refused, cause: cause.to_string() }
}

/// A `Status` where the body is one, else the body's text.
pub(super) fn refusal(code: u16, body: &[u8]) -> Status {
    if let Ok(object) = serde_json::from_slice::<meta::Status>(body) {
        return Status::from_object(code, object);
    }
    let mut status = Status::new(Reason::Unknown, String::from_utf8_lossy(body).trim_end().to_owned());
    status.code = code;
    status
}

/// The text of `299 - "text"`.
fn warning(header: &str) -> Option<String> {
    let quoted = header.strip_prefix("299 ")?.split_once(' ')?.1.strip_prefix('"')?;
    let text = &quoted[..quoted.rfind('"')?];
    Some(text.replace("\\\"", "\"").replace("\\\\", "\\"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_is_its_text() {
        assert_eq!(warning(r#"299 - "unknown field \"spec.x\"""#).as_deref(), Some(r#"unknown field "spec.x""#));
        assert_eq!(warning("199 - \"other\""), None);
    }

    #[test]
    fn a_refusal_without_a_status_is_its_text() {
        let status = refusal(502, b"bad gateway\n");
        assert_eq!((status.code, status.message.as_str()), (502, "bad gateway"));
    }
}
