//! An API server at an address, over HTTP/2 (or 1.1) and TLS.

use super::connection::Connection;
use super::dial::Dial;
use super::{Answer, Ask, Server, whole};
use crate::failure::{Failure, Result};
use api::{Reason, Status};
use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_rustls::{FixedServerNameResolver, HttpsConnector};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
use std::time::Duration;
use tokio::time::Instant;

/// A peer that vanished is noticed even while only a watch or a followed log is open.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// The verbosity from which requests are told of.
const TOLD_FROM: u8 = 6;

pub(crate) struct Https {
    http: Client<HttpsConnector<Dial>, Full<Bytes>>,
    server: String,
    user_agent: String,
    identity: Vec<(HeaderName, HeaderValue)>,
    time_max: Option<Duration>,
    verbosity: u8,
}

impl Https {
    pub(crate) fn new(connection: &Connection) -> Result<Https> {
        let message = |error: &dyn std::fmt::Display| Failure::message(error.to_string());
        let (config, tls) = (&connection.config, connection.tls()?);
        let dial = Dial::new(connection, &tls)?;
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
            .build(builder.enable_http1().enable_http2().wrap_connector(dial));
        Ok(Https {
            http,
            server: config.server.clone(),
            user_agent: config.user_agent.clone(),
            identity: connection.identity()?,
            time_max: connection.request_timeout,
            verbosity: connection.verbosity,
        })
    }

    /// Sends a request on to `uri` as it is, with the user's identity, and answers whatever the server says.
    pub(crate) async fn forward(
        &self,
        method: Method,
        uri: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<http::Response<Incoming>> {
        let mut request = http::Request::new(Full::new(body));
        *request.uri_mut() =
            uri.parse().map_err(|error: http::uri::InvalidUri| Failure::message(format!("{uri}: {error}")))?;
        *request.method_mut() = method;
        *request.headers_mut() = headers;
        for (name, value) in &self.identity {
            request.headers_mut().insert(name, value.clone());
        }
        self.http.request(request).await.map_err(|error| unreachable(&self.server, &error))
    }

    fn request(&self, ask: Ask) -> Result<http::Request<Full<Bytes>>> {
        let mut request = http::Request::builder()
            .method(ask.method)
            .uri(format!("{}{}", self.server, ask.path))
            .header(header::USER_AGENT, &self.user_agent)
            .header(header::ACCEPT, ask.accept);
        if !ask.body.is_empty() {
            request = request.header(header::CONTENT_TYPE, ask.content_type);
        }
        for (name, value) in &self.identity {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(ask.body));
        request.map_err(|error| Failure::message(format!("{}{}: {error}", self.server, ask.path)))
    }
}

#[async_trait]
impl Server for Https {
    async fn ask(&self, ask: Ask) -> Result<Answer> {
        let told = (self.verbosity >= TOLD_FROM).then(|| format!("{} {}{}", ask.method, self.server, ask.path));
        let began = Instant::now();
        let deadline = self.time_max.map(|limit| began + limit);
        let answer = self.http.request(self.request(ask)?);
        let answer = within(deadline, &self.server, answer).await?;
        let answer = answer.map_err(|error| unreachable(&self.server, &error))?;
        if let Some(told) = told {
            eprintln!("{told} {} in {} milliseconds", answer.status(), began.elapsed().as_millis());
        }
        let warnings = answer.headers().get_all(header::WARNING).iter();
        let warnings = warnings.filter_map(|value| warning(value.to_str().ok()?)).collect();
        let code = answer.status();
        let body = chunks(answer.into_body(), self.server.clone(), deadline);
        if code.is_success() {
            return Ok(Answer { warnings, body });
        }
        Err(refusal(code.as_u16(), &whole(body).await?).into())
    }
}

fn chunks(body: Incoming, server: String, deadline: Option<Instant>) -> super::Chunks {
    let Some(deadline) = deadline else {
        return body.into_data_stream().map_err(move |error| unreachable(&server, &error)).boxed();
    };
    let state = (body.into_data_stream(), server, false);
    futures::stream::unfold(state, move |(mut body, server, ended)| async move {
        if ended {
            return None;
        }
        match within(Some(deadline), &server, body.next()).await {
            Ok(Some(Ok(chunk))) => Some((Ok(chunk), (body, server, false))),
            Ok(Some(Err(error))) => Some((Err(unreachable(&server, &error)), (body, server, true))),
            Ok(None) => None,
            Err(failure) => Some((Err(failure), (body, server, true))),
        }
    })
    .boxed()
}

/// A request that takes longer than it may says so.
async fn within<T>(deadline: Option<Instant>, server: &str, work: impl Future<Output = T>) -> Result<T> {
    crate::follow::within(deadline, work).await.ok_or_else(|| Failure::Unreachable {
        server: server.to_owned(),
        refused: false,
        cause: "net/http: request canceled (Client.Timeout exceeded while awaiting headers)".to_owned(),
    })
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
