//! Calls to HTTPS servers that objects of users name: webhooks, and API servers behind a service.
//!
//! Invariants: a service is resolved here, to one of its ready endpoints, so that a call needs neither the cluster's DNS
//! nor its service addresses; whoever answers must be believed by the target's own authorities; a redirect is never
//! followed: it could lead anywhere with this server's identity. Bounds: targets with open connections, idle
//! connections of each, time and bytes of an answer.

mod endpoint;
mod error;
mod pool;
mod resolve;
mod tls;

pub(crate) use endpoint::{is_ready, port_name, ready_endpoint};
pub(crate) use error::kernel_words;
pub use error::{CalloutError, Unreached};

use bytes::Bytes;
use client::Client;
use exposition::Series;
use http::{HeaderValue, Method, Request, Response, Uri, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use parking_lot::Mutex;
use pool::Pool;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// A TCP connection and the TLS handshake on it take no longer.
pub(crate) const CONNECT_TIME_MAX: Duration = Duration::from_secs(30);

/// A client's certificate, and the key that it was made for.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Identity {
    pub certificate_pem: String,
    pub key_pem: String,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.certificate_pem)
    }
}

/// Where a server is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Destination {
    /// `https://HOST[:PORT][/PATH]`.
    Url(Uri),
    Service {
        namespace: String,
        name: String,
        /// The service's own.
        port: i32,
        /// Empty or with its slash.
        path: String,
    },
}

impl Destination {
    /// As API objects name a service.
    pub fn service(namespace: &str, name: &str, port: Option<i32>, path: Option<&str>) -> Destination {
        Destination::Service {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            port: port.unwrap_or(443),
            path: path.unwrap_or_default().to_owned(),
        }
    }
}

/// A server, and whom it is to be believed by and as whom it is asked.
#[derive(Clone, Debug)]
pub struct Target {
    pub destination: Destination,
    /// In PEM; empty: the system's authorities.
    pub ca_bundle: Vec<u8>,
    pub identity: Option<Identity>,
    pub bearer_token: Option<String>,
    pub insecure_skip_tls_verify: bool,
}

impl Target {
    pub fn new(destination: Destination, ca_bundle: Vec<u8>) -> Target {
        Target { destination, ca_bundle, identity: None, bearer_token: None, insecure_skip_tls_verify: false }
    }

    /// A URL as an object has it.
    ///
    /// # Errors
    /// For what is no URL of an HTTPS server.
    pub fn of_url(url: &str, ca_bundle: Vec<u8>) -> Result<Target, CalloutError> {
        let bad = |why: String| CalloutError::unusable(url, why);
        let uri: Uri = url.parse().map_err(|error: http::uri::InvalidUri| bad(error.to_string()))?;
        if uri.scheme_str() != Some("https") || uri.authority().is_none() {
            return Err(bad("only https://HOST[:PORT][/PATH] can be called".to_owned()));
        }
        Ok(Target::new(Destination::Url(uri), ca_bundle))
    }

    /// `HOST:PORT`, or a service's as upstream spells it.
    pub(crate) fn authority(&self) -> String {
        match &self.destination {
            Destination::Url(uri) => uri.authority().map_or_else(String::new, |own| own.as_str().to_owned()),
            Destination::Service { namespace, name, port, .. } => format!("{name}.{namespace}.svc:{port}"),
        }
    }

    /// The whole URL, without a query.
    pub fn url(&self) -> String {
        match &self.destination {
            Destination::Url(uri) => uri.to_string(),
            Destination::Service { path, .. } => {
                let slash = if path.starts_with('/') { "" } else { "/" };
                format!("https://{}{slash}{path}", self.authority())
            }
        }
    }
}

pub(crate) type Body = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

/// One for the whole server: clones share the connections.
#[derive(Clone)]
pub struct Callout {
    client: Client,
    pool: Arc<Mutex<Pool>>,
    series: Arc<Series>,
}

impl Callout {
    /// `client` finds services and their endpoints.
    pub fn new(client: &Client) -> Callout {
        Callout { client: client.clone(), pool: Arc::new(Mutex::new(Pool::default())), series: Arc::default() }
    }

    /// What those who ask count of it.
    pub(crate) fn series(&self) -> &Arc<Series> {
        &self.series
    }

    /// What finds services and their endpoints.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Sends JSON and returns what a success answers. The server is told the time that it has, in the query, as
    /// upstream tells it.
    ///
    /// # Errors
    /// `CalloutError`'s text is what upstream's client says, method and URL included.
    pub async fn post_json(
        &self,
        target: &Target,
        body: Bytes,
        timeout: Duration,
        answer_bytes_max: usize,
    ) -> Result<Bytes, CalloutError> {
        let url = format!("{}?timeout={}", target.url(), go_duration(timeout));
        let failed = |why: Unreached| CalloutError::Unanswered { method: "Post", url: url.clone(), why };
        let request = Request::builder()
            .method(Method::POST)
            .uri(&url)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "application/json, */*")
            .header(header::USER_AGENT, concat!("sampan/", env!("CARGO_PKG_VERSION")))
            .body(boxed(Full::new(body)));
        let mut request = request.map_err(|error| failed(Unreached::Unusable(error.to_string())))?;
        if let Some(token) = &target.bearer_token {
            let value = HeaderValue::try_from(format!("Bearer {token}"));
            let value = value.map_err(|error| failed(Unreached::Unusable(error.to_string())))?;
            request.headers_mut().insert(header::AUTHORIZATION, value);
        }
        let answered = async {
            let response = self.send(target, request).await.map_err(failed)?;
            let code = response.status();
            let retry_after = response.headers().get(header::RETRY_AFTER).is_some();
            let body = Limited::new(response.into_body(), answer_bytes_max).collect().await;
            let body = body.map_err(|error| match error.downcast::<LengthLimitError>() {
                Ok(_) => CalloutError::TooLarge { url: url.clone(), bytes_max: answer_bytes_max },
                Err(error) => failed(error::unreached(error.as_ref())),
            })?;
            let body = body.to_bytes();
            if code.is_success() { Ok(body) } else { Err(error::answered(code, &body, retry_after)) }
        };
        let answered = tokio::time::timeout(timeout, answered).await;
        answered.unwrap_or_else(|_| Err(failed(Unreached::Deadline)))
    }

    /// Sends a request as it is, on a connection that others use too; its URI must begin with the target's.
    pub(crate) async fn send(&self, target: &Target, request: Request<Body>) -> Result<Response<Incoming>, Unreached> {
        // Not in the match itself: the lock would be held through its arms.
        let known = self.pool.lock().get(target);
        let client = match known {
            Some(known) => known,
            None => {
                let made = pool::client(&self.client, target)?;
                self.pool.lock().put(target, made)
            }
        };
        client.request(request).await.map_err(|error| error::unreached(&error))
    }

    /// A connection of its own that speaks HTTP/1.1, for requests that upgrade it.
    pub(crate) async fn connect(&self, target: &Target) -> Result<TlsStream<TcpStream>, Unreached> {
        let origin = resolve::Origin::of(target)?;
        let tls = tls::config(target, &[b"http/1.1"])?;
        tokio::time::timeout(CONNECT_TIME_MAX, origin.connect(&self.client, &tls))
            .await
            .unwrap_or_else(|_| Err(Unreached::Deadline))
    }
}

/// Any body as a request's here.
pub(crate) fn boxed<B>(body: B) -> Body
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    body.map_err(Into::into).boxed_unsync()
}

/// `10s`, `1m30s`, `500ms`: a duration as Go prints it.
fn go_duration(duration: Duration) -> String {
    let millis = duration.subsec_millis();
    let (minutes, seconds) = (duration.as_secs() / 60, duration.as_secs() % 60);
    match (minutes, seconds, millis) {
        (0, 0, millis) => format!("{millis}ms"),
        (0, seconds, 0) => format!("{seconds}s"),
        (minutes, seconds, 0) if minutes < 60 => format!("{minutes}m{seconds}s"),
        (minutes, seconds, 0) => format!("{}h{}m{seconds}s", minutes / 60, minutes % 60),
        _ => format!("{}s", duration.as_secs_f64()),
    }
}

#[cfg(test)]
mod tests;
