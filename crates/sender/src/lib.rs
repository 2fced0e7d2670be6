//! Posts to a receiver outside of the cluster, over http or https: what nodes measure, and what containers write.
//!
//! Bounds: `ANSWER_TIME_MAX` for an answer, `ANSWER_BYTES_MAX` of it. What an answer means is the protocol's business.

use bytes::Bytes;
use http::response::Parts;
use http::{HeaderMap, Request, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use jiff::Timestamp;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);
/// Of an answer, which only says why something was refused.
const ANSWER_BYTES_MAX: usize = 16 << 10;

/// Why nothing can be sent.
#[derive(Debug, thiserror::Error)]
pub enum SenderError {
    #[error("reading the authority of the receiver's certificate: {0}")]
    Authority(String),
    #[error("https:// needs the authority of the receiver's certificate")]
    NoAuthority,
    #[error("setting up TLS: {0}")]
    Tls(#[from] rustls::Error),
}

pub struct Sender {
    http: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

impl Sender {
    /// For requests to `uri`, whose certificate must come from the authority in `ca_file`, in PEM.
    pub fn new(uri: &http::Uri, ca_file: Option<&Path>) -> Result<Sender, SenderError> {
        let mut roots = RootCertStore::empty();
        match ca_file {
            Some(file) => {
                let authority = |error: &dyn std::fmt::Display| SenderError::Authority(error.to_string());
                let found = CertificateDer::pem_file_iter(file).map_err(|error| authority(&error))?;
                for certificate in found {
                    roots.add(certificate.map_err(|error| authority(&error))?)?;
                }
            }
            None if uri.scheme_str() == Some("https") => return Err(SenderError::NoAuthority),
            None => {}
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let https = hyper_rustls::HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http();
        let http = Client::builder(TokioExecutor::new()).build(https.enable_http1().enable_http2().build());
        Ok(Sender { http })
    }

    /// The answer's head, and as much of its body as came. `Err` says why there is none.
    pub async fn send(&self, request: Request<Full<Bytes>>) -> Result<(Parts, Bytes), String> {
        let exchange = async {
            let answer = self.http.request(request).await.map_err(|error| cause(&error))?;
            let (head, body) = answer.into_parts();
            // A connection that breaks here has told what counts.
            let text = Limited::new(body, ANSWER_BYTES_MAX).collect().await.map(|body| body.to_bytes());
            Ok((head, text.unwrap_or_default()))
        };
        let answered = tokio::time::timeout(ANSWER_TIME_MAX, exchange).await;
        answered.unwrap_or_else(|_| Err("no answer in time".to_owned()))
    }
}

/// The value of `Authorization` for a token in a file, which is read for each request so that a new one counts at once.
pub fn bearer(file: &Path) -> Result<String, String> {
    Ok(format!("Bearer {}", read(file)?.trim()))
}

/// The whole of a file of the request's options.
pub fn read(file: &Path) -> Result<String, String> {
    std::fs::read_to_string(file).map_err(|error| format!("reading {}: {error}", file.display()))
}

/// When a receiver wants to be asked again, in seconds or as a date; `None` for what is neither.
pub fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    // A date that has passed is now.
    Some(Duration::try_from(at.duration_since(now)).unwrap_or_default())
}

/// The innermost: hyper's own text says little.
fn cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn receivers_name_seconds_or_dates() {
        let now: Timestamp = "2026-11-23T21:00:00Z".parse().unwrap();
        for (text, wanted) in [
            ("7", Some(7)),
            (" 0 ", Some(0)),
            ("Mon, 23 Nov 2026 21:01:30 GMT", Some(90)),
            ("Mon, 23 Nov 2026 20:59:00 GMT", Some(0)),
            ("soon", None),
            ("-3", None),
        ] {
            let headers = HeaderMap::from_iter([(header::RETRY_AFTER, HeaderValue::from_static(text))]);
            assert_eq!(retry_after(&headers, now), wanted.map(Duration::from_secs), "{text:?}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }
}
