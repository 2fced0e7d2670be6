//! Requests to one registry: TLS or not, redirects, authorization, retries.
//!
//! Credentials and tokens go to the registry's own origin and to its token server, and never with a redirect to
//! another origin.

use std::time::Duration;

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue, LOCATION, RANGE, USER_AGENT};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use parking_lot::Mutex;
use tokio::time::timeout;

use super::auth::{Challenge, TokenAnswer, TokenRequest, basic, bearer, challenges};
use super::error::chain;
use super::{RegistryError, RegistryOptions, Timing, tls};
use crate::image::{Credentials, reference::Reference};

/// How long a loopback registry may take to refuse TLS. Some servers wait for more instead.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
const REDIRECTS_MAX: usize = 10;
const TOKEN_BYTES_MAX: u64 = 1 << 20;
/// Enough of a refusal's body for its first messages.
const DETAIL_BYTES_MAX: u64 = 4096;
const AGENT: &str = concat!("sampan/", env!("CARGO_PKG_VERSION"));

/// One thing to ask the registry for.
#[derive(Clone, Debug)]
pub(super) struct Exchange {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) accept: Option<&'static str>,
    /// Where in the body to start.
    pub(super) from: Option<u64>,
}

/// The way to one registry for one repository.
pub(super) struct Transport {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    authority: Authority,
    repository: String,
    credentials: Option<Credentials>,
    pub(super) timing: Timing,
    state: Mutex<State>,
}

/// What was learned from the answers so far.
struct State {
    /// `None`: a loopback registry that has not been tried yet.
    scheme: Option<Scheme>,
    authorization: Option<HeaderValue>,
}

impl Transport {
    pub(super) fn new(
        reference: &Reference,
        credentials: Option<&Credentials>,
        options: &RegistryOptions,
        timing: Timing,
    ) -> Result<Transport, RegistryError> {
        let authority: Authority = reference.registry().parse().map_err(|error| RegistryError::Malformed {
            url: reference.registry().to_owned(),
            reason: format!("no host and port: {error}"),
        })?;
        let scheme = match (options.plain_http, is_loopback(authority.host())) {
            (true, _) => Some(Scheme::HTTP),
            (false, true) => None,
            (false, false) => Some(Scheme::HTTPS),
        };
        let authorization = credentials.and_then(|known| bearer(&known.registry_token));
        let client = Client::builder(TokioExecutor::new()).build(tls::connector(options)?);
        Ok(Transport {
            client,
            authority,
            repository: reference.path().to_owned(),
            credentials: credentials.cloned(),
            timing,
            state: Mutex::new(State { scheme, authorization }),
        })
    }

    /// Sends until the answer is a success, within the bounds on tries.
    pub(super) async fn send_retrying(&self, exchange: &Exchange) -> Result<Response<Incoming>, RegistryError> {
        let mut attempt = 1;
        loop {
            match self.send(exchange).await {
                Err(error) if error.may_pass() && attempt < self.timing.attempts => {
                    self.pause(&mut attempt, &error).await
                }
                outcome => return outcome,
            }
        }
    }

    /// As `send_retrying`, with the body.
    pub(super) async fn read_retrying(
        &self,
        exchange: &Exchange,
        bytes_max: u64,
    ) -> Result<(http::response::Parts, Bytes), RegistryError> {
        let mut attempt = 1;
        loop {
            let outcome = async {
                let (parts, body) = self.send(exchange).await?.into_parts();
                Ok((parts, self.read(&exchange.path, body, bytes_max).await?))
            };
            match outcome.await {
                Err(error @ RegistryError::Stalled { .. }) => return Err(error),
                Err(error) if error.may_pass() && attempt < self.timing.attempts => {
                    self.pause(&mut attempt, &error).await
                }
                outcome => return outcome,
            }
        }
    }

    /// Waits before the next try, twice as long each time.
    pub(super) async fn pause(&self, attempt: &mut u32, error: &RegistryError) {
        let wait = self.timing.back_off * 2u32.saturating_pow(*attempt - 1);
        tracing::debug!(%error, attempt = *attempt, ?wait, "registry: trying again");
        tokio::time::sleep(wait).await;
        *attempt += 1;
    }

    /// Sends once, or twice where the registry asks who is there.
    pub(super) async fn send(&self, exchange: &Exchange) -> Result<Response<Incoming>, RegistryError> {
        let (uri, response) = self.follow(exchange).await?;
        if response.status() != StatusCode::UNAUTHORIZED || uri.authority() != Some(&self.authority) {
            return self.succeeded(&exchange.method, &uri, response).await;
        }
        let offered = challenges(response.headers());
        let refused = self.succeeded(&exchange.method, &uri, response).await;
        let Some(authorization) = self.answer(&offered, uri.scheme()).await? else { return refused };
        self.state.lock().authorization = Some(authorization);
        let (uri, response) = self.follow(exchange).await?;
        self.succeeded(&exchange.method, &uri, response).await
    }

    /// Follows redirects to the first answer that is none.
    async fn follow(&self, exchange: &Exchange) -> Result<(Uri, Response<Incoming>), RegistryError> {
        let (mut uri, mut response) = self.first(exchange).await?;
        for _ in 0..REDIRECTS_MAX {
            let Some(next) = redirect(&uri, &response)? else { return Ok((uri, response)) };
            response = self.once(exchange, &next).await?;
            uri = next;
        }
        Err(RegistryError::Redirect { url: uri.to_string(), reason: format!("more than {REDIRECTS_MAX} in a row") })
    }

    /// A loopback registry is tried with TLS first, and without where it does not speak that.
    async fn first(&self, exchange: &Exchange) -> Result<(Uri, Response<Incoming>), RegistryError> {
        let known = self.state.lock().scheme.clone();
        if let Some(scheme) = known {
            let uri = self.uri(scheme, &exchange.path)?;
            return Ok((uri.clone(), self.once(exchange, &uri).await?));
        }
        let secure = self.uri(Scheme::HTTPS, &exchange.path)?;
        let request = self.request(exchange, &secure);
        let answered = timeout(self.timing.answer.min(PROBE_TIMEOUT), self.client.request(request)).await;
        let (uri, response) = match answered {
            Ok(Ok(response)) => (secure, response),
            Ok(Err(error)) if speaks_tls(&error) => return Err(unreachable(&exchange.method, &secure, &error)),
            Ok(Err(_)) | Err(_) => {
                let plain = self.uri(Scheme::HTTP, &exchange.path)?;
                (plain.clone(), self.once(exchange, &plain).await?)
            }
        };
        self.state.lock().scheme = uri.scheme().cloned();
        Ok((uri, response))
    }

    async fn once(&self, exchange: &Exchange, uri: &Uri) -> Result<Response<Incoming>, RegistryError> {
        let request = self.request(exchange, uri);
        self.perform(request).await
    }

    async fn perform(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, RegistryError> {
        let (method, uri) = (request.method().clone(), request.uri().clone());
        match timeout(self.timing.answer, self.client.request(request)).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(unreachable(&method, &uri, &error)),
            Err(_) => Err(RegistryError::Silent { method, url: uri.to_string(), after: self.timing.answer }),
        }
    }

    fn request(&self, exchange: &Exchange, uri: &Uri) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(Bytes::new()));
        *request.method_mut() = exchange.method.clone();
        *request.uri_mut() = uri.clone();
        let headers = request.headers_mut();
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        if let Some(accept) = exchange.accept {
            headers.insert(ACCEPT, HeaderValue::from_static(accept));
        }
        if let Some(from) = exchange.from {
            let range = HeaderValue::try_from(format!("bytes={from}-")).expect("digits are a legal header value");
            headers.insert(RANGE, range);
        }
        let state = self.state.lock();
        let own_origin = uri.authority() == Some(&self.authority)
            && (state.scheme.is_none() || uri.scheme() == state.scheme.as_ref());
        if let Some(authorization) = state.authorization.as_ref().filter(|_| own_origin) {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        request
    }

    fn uri(&self, scheme: Scheme, path: &str) -> Result<Uri, RegistryError> {
        let malformed = |reason: String| RegistryError::Malformed { url: format!("{}{path}", self.authority), reason };
        let path: PathAndQuery = path.parse().map_err(|error| malformed(format!("{error}")))?;
        let uri = Uri::builder().scheme(scheme).authority(self.authority.clone()).path_and_query(path).build();
        uri.map_err(|error| malformed(format!("{error}")))
    }

    /// A success as it is, and everything else as the error that it means.
    async fn succeeded(
        &self,
        method: &Method,
        uri: &Uri,
        response: Response<Incoming>,
    ) -> Result<Response<Incoming>, RegistryError> {
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let url = public(uri);
        let detail = self.detail(response).await;
        Err(match status {
            StatusCode::NOT_FOUND => RegistryError::NotFound { url },
            StatusCode::UNAUTHORIZED if self.credentials.is_none() && detail.is_empty() => {
                RegistryError::Denied("authorization failed: no basic auth credentials".to_owned())
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                RegistryError::Denied(format!("authorization failed: {status}{detail}"))
            }
            _ => RegistryError::Status { method: method.clone(), url, status, detail },
        })
    }

    /// The header that answers one of the challenges; `None` if there is nothing to show.
    async fn answer(
        &self,
        offered: &[Challenge],
        scheme: Option<&Scheme>,
    ) -> Result<Option<HeaderValue>, RegistryError> {
        let credentials = self.credentials.as_ref();
        let bearer = offered.iter().find(|challenge| challenge.scheme == "bearer");
        if let Some(request) = bearer.and_then(|challenge| challenge.token_request(&self.repository, credentials)) {
            return self.token(request, scheme).await.map(Some);
        }
        Ok(credentials.filter(|_| offered.iter().any(|challenge| challenge.scheme == "basic")).and_then(basic))
    }

    async fn token(&self, wanted: TokenRequest, scheme: Option<&Scheme>) -> Result<HeaderValue, RegistryError> {
        let malformed = |reason: String| RegistryError::Malformed { url: wanted.url.clone(), reason };
        let uri: Uri = wanted.url.parse().map_err(|error| malformed(format!("realm: {error}")))?;
        if scheme == Some(&Scheme::HTTPS) && uri.scheme() != Some(&Scheme::HTTPS) {
            return Err(malformed("a registry with TLS must have a token server with TLS".to_owned()));
        }
        let mut request = Request::new(Full::new(Bytes::new()));
        *request.uri_mut() = uri.clone();
        request.headers_mut().insert(USER_AGENT, HeaderValue::from_static(AGENT));
        if let Some(authorization) = wanted.authorization.clone() {
            request.headers_mut().insert(AUTHORIZATION, authorization);
        }
        if let Some(form) = wanted.form.clone() {
            *request.method_mut() = Method::POST;
            let form_type = HeaderValue::from_static("application/x-www-form-urlencoded");
            request.headers_mut().insert(CONTENT_TYPE, form_type);
            *request.body_mut() = Full::new(Bytes::from(form));
        }
        let method = request.method().clone();
        let response = self.perform(request).await?;
        let response = self.succeeded(&method, &uri, response).await?;
        let body = self.read(uri.path(), response.into_body(), TOKEN_BYTES_MAX).await?;
        // The answer is not quoted: it may hold a token.
        let answer: TokenAnswer =
            serde_json::from_slice(&body).map_err(|_| malformed("the token server's answer is no token".to_owned()))?;
        answer.authorization().ok_or_else(|| malformed("the token server's answer has no token".to_owned()))
    }

    /// Reads a body that must be small.
    async fn read(&self, what: &str, mut body: Incoming, bytes_max: u64) -> Result<Bytes, RegistryError> {
        let declared = hyper::body::Body::size_hint(&body).lower();
        let mut all = Vec::new();
        loop {
            let frame = timeout(self.timing.silence, body.frame())
                .await
                .map_err(|_| RegistryError::Stalled { what: what.to_owned(), after: self.timing.silence })?;
            let Some(frame) = frame else { return Ok(Bytes::from(all)) };
            let frame = frame.map_err(|error| RegistryError::Truncated {
                what: what.to_owned(),
                received: all.len() as u64,
                expected: declared,
                reason: chain(&error),
            })?;
            if let Ok(data) = frame.into_data() {
                if (all.len() + data.len()) as u64 > bytes_max {
                    return Err(RegistryError::TooLarge { what: what.to_owned(), bytes_max });
                }
                all.extend_from_slice(&data);
            }
        }
    }

    /// The messages in a refusal's body, such as `: denied: requested access is denied`.
    async fn detail(&self, response: Response<Incoming>) -> String {
        let Ok(body) = self.read("error", response.into_body(), DETAIL_BYTES_MAX).await else { return String::new() };
        let errors = serde_json::from_slice::<ErrorBody>(&body).map(|body| body.errors).unwrap_or_default();
        let text: String = errors
            .iter()
            .map(|error| format!(": {}: {}", error.code.to_lowercase().replace('_', " "), error.message))
            .collect();
        text.chars().filter(|c| !c.is_control()).collect()
    }
}

/// The body of a refusal, as the distribution specification has it.
#[derive(serde::Deserialize)]
struct ErrorBody {
    #[serde(default)]
    errors: Vec<ErrorItem>,
}

#[derive(serde::Deserialize)]
struct ErrorItem {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

/// The next address, if the answer is a redirect.
fn redirect(uri: &Uri, response: &Response<Incoming>) -> Result<Option<Uri>, RegistryError> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let refuse = |reason: &str| RegistryError::Redirect { url: public(uri), reason: reason.to_owned() };
    let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
    let next = join(uri, location.ok_or_else(|| refuse("no location"))?).ok_or_else(|| refuse("malformed location"))?;
    match (uri.scheme_str(), next.scheme_str()) {
        (Some("https"), Some("https")) | (Some("http"), Some("http" | "https")) => Ok(Some(next)),
        _ => Err(refuse("from TLS to a connection without")),
    }
}

fn join(base: &Uri, location: &str) -> Option<Uri> {
    let location = location.split('#').next().unwrap_or_default();
    if location.contains("://") {
        return location.parse().ok().filter(|uri: &Uri| uri.authority().is_some());
    }
    let origin = format!("{}://{}", base.scheme_str()?, base.authority()?);
    if location.starts_with("//") {
        return format!("{}:{location}", base.scheme_str()?).parse().ok();
    }
    if location.starts_with('/') {
        return format!("{origin}{location}").parse().ok();
    }
    let directory = base.path().rsplit_once('/').map_or("", |(directory, _)| directory);
    format!("{origin}{directory}/{location}").parse().ok()
}

/// An address for messages: queries of redirects hold signatures.
fn public(uri: &Uri) -> String {
    uri.to_string().split('?').next().unwrap_or_default().to_owned()
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Whether the other side answered the handshake in TLS, so that going on without would hide the real reason.
fn speaks_tls(error: &hyper_util::client::legacy::Error) -> bool {
    matches!(tls_error(error), Some(rustls::Error::InvalidCertificate(_) | rustls::Error::AlertReceived(_)))
}

/// The TLS error somewhere below: `io::Error::source` passes over what an `io::Error` itself wraps.
fn tls_error<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a rustls::Error> {
    let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    error
        .downcast_ref()
        .or_else(|| wrapped.and_then(|wrapped| tls_error(wrapped)))
        .or_else(|| error.source().and_then(tls_error))
}

fn unreachable(method: &Method, uri: &Uri, error: &hyper_util::client::legacy::Error) -> RegistryError {
    // A refused connection will be refused again in a quarter of a second; a broken one may not be.
    RegistryError::Unreachable {
        method: method.clone(),
        url: public(uri),
        reason: chain(error),
        retry: !error.is_connect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joins_locations() {
        let base: Uri = "https://r.example:5000/v2/a/blobs/x?y".parse().unwrap();
        let check = |location: &str, expected: &str| assert_eq!(join(&base, location).unwrap().to_string(), expected);
        check("https://cdn.example/b?sig=1#frag", "https://cdn.example/b?sig=1");
        check("/other", "https://r.example:5000/other");
        check("//cdn/other", "https://cdn/other");
        check("y?z", "https://r.example:5000/v2/a/blobs/y?z");
        assert_eq!(join(&base, "http://"), None);
    }

    #[test]
    fn knows_loopback() {
        for host in ["localhost", "127.0.0.1", "127.9.9.9", "[::1]"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["localhost.example", "128.0.0.1", "registry"] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
