//! Why a call failed, in the words of upstream's client, which users and their tools know.

use api::Status;
use http::StatusCode;
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
use rustls::CertificateError;
use std::error::Error;
use std::io;

/// How much of an answer that is no `Status` is shown.
const SHOWN_BYTES: usize = 2048;

/// Why a server was not heard.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Unreached {
    /// A service that does not lead anywhere.
    #[error("{0}")]
    Unresolved(String),
    #[error("dial tcp {0}")]
    Dial(String),
    #[error("tls: {0}")]
    Tls(String),
    #[error("context deadline exceeded")]
    Deadline,
    /// The target itself is wrong: its authorities, its identity, its name.
    #[error("{0}")]
    Unusable(String),
    /// The connection broke off, or what came over it is no HTTP.
    #[error("{0}")]
    Http(String),
}

/// Why a call has no result.
#[derive(Debug, thiserror::Error)]
pub enum CalloutError {
    #[error("{method} {url:?}: {why}")]
    Unanswered { method: &'static str, url: String, why: Unreached },
    /// The server answered otherwise than with success.
    #[error("{message}")]
    Refused { code: u16, message: String, retry_after: bool },
    #[error("the answer of {url:?} is larger than {bytes_max} bytes")]
    TooLarge { url: String, bytes_max: usize },
}

impl CalloutError {
    pub(super) fn unusable(url: &str, why: String) -> CalloutError {
        CalloutError::Unanswered { method: "Post", url: url.to_owned(), why: Unreached::Unusable(why) }
    }

    /// Whether time ran out before an answer.
    pub fn is_timeout(&self) -> bool {
        matches!(self, CalloutError::Unanswered { why: Unreached::Deadline, .. })
    }
}

impl Unreached {
    pub(super) fn of_tls(error: &io::Error) -> Unreached {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        Unreached::Tls(match inner {
            Some(rustls::Error::InvalidCertificate(why)) => {
                format!("failed to verify certificate: x509: {}", certificate(why))
            }
            Some(rustls::Error::AlertReceived(alert)) => format!("remote error: {alert:?}"),
            Some(rustls::Error::InvalidMessage(_)) => "first record does not look like a TLS handshake".to_owned(),
            Some(other) => other.to_string(),
            None => return Unreached::Http(kernel_words(error)),
        })
    }
}

fn certificate(why: &CertificateError) -> String {
    match why {
        // Another authority of the same name, or none of ours.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "certificate signed by unknown authority".to_owned()
        }
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => "certificate has expired or is not yet valid".to_owned(),
        CertificateError::NotValidForNameContext { expected, presented } => {
            let names: Vec<&str> = presented.iter().map(|name| presented_name(name)).collect();
            let expected = expected.to_str();
            if names.is_empty() {
                return format!("certificate is not valid for any names, but wanted to match {expected}");
            }
            format!("certificate is valid for {}, not {expected}", names.join(", "))
        }
        other => other.to_string(),
    }
}

/// Out of `DnsName("web")`, as rustls names names.
fn presented_name(text: &str) -> &str {
    let inner = text.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or(text);
    inner.trim_matches('"')
}

pub(super) fn dial(authority: &str, host: &str, error: &io::Error) -> Unreached {
    // What the resolver says has no number of the kernel's.
    if error.raw_os_error().is_none() && error.kind() != io::ErrorKind::TimedOut {
        return Unreached::Dial(format!("lookup {host}: no such host"));
    }
    Unreached::Dial(format!("{authority}: {}", kernel_words(error)))
}

/// The kernel's words as Go has them.
pub(crate) fn kernel_words(error: &io::Error) -> String {
    let words = match error.kind() {
        io::ErrorKind::ConnectionRefused => "connect: connection refused",
        io::ErrorKind::ConnectionReset => "read: connection reset by peer",
        io::ErrorKind::TimedOut => "connect: connection timed out",
        io::ErrorKind::HostUnreachable => "connect: no route to host",
        io::ErrorKind::NetworkUnreachable => "connect: network is unreachable",
        io::ErrorKind::UnexpectedEof => "EOF",
        _ => return error.to_string(),
    };
    words.to_owned()
}

/// Finds our own error below hyper's.
pub(super) fn unreached(error: &(dyn Error + 'static)) -> Unreached {
    let mut cause = Some(error);
    let mut innermost = error;
    while let Some(own) = cause {
        if let Some(own) = own.downcast_ref::<Unreached>() {
            return own.clone();
        }
        if let Some(own) = own.downcast_ref::<hyper::Error>()
            && own.is_incomplete_message()
        {
            return Unreached::Http("EOF".to_owned());
        }
        innermost = own;
        cause = own.source();
    }
    match innermost.downcast_ref::<io::Error>() {
        Some(error) => Unreached::Http(kernel_words(error)),
        None => Unreached::Http(innermost.to_string()),
    }
}

/// An answer that is no success: its own `Status`, or what its code means.
pub(super) fn answered(code: StatusCode, body: &[u8], retry_after: bool) -> CalloutError {
    let own = serde_json::from_slice::<meta::Status>(body).ok();
    let own = own.filter(|own| own.status.as_deref() == Some("Failure"));
    let message = match own {
        Some(status) => Status::from_object(code.as_u16(), status).message,
        None => meaning(code, body),
    };
    CalloutError::Refused { code: code.as_u16(), message, retry_after }
}

fn meaning(code: StatusCode, body: &[u8]) -> String {
    let said = String::from_utf8_lossy(&body[..body.len().min(SHOWN_BYTES)]);
    let said = said.trim();
    match code.as_u16() {
        400 => "the server rejected our request for an unknown reason".to_owned(),
        401 => "the server has asked for the client to provide credentials".to_owned(),
        403 => said.to_owned(),
        404 => "the server could not find the requested resource".to_owned(),
        405 => "the server does not allow this method on the requested resource".to_owned(),
        406 => "the server was unable to respond with a content type that the client supports".to_owned(),
        409 => "the server reported a conflict".to_owned(),
        415 => format!("the server was unable to understand the body of the request: {said}"),
        422 => "the server rejected our request due to an error in our request".to_owned(),
        429 => "the server has received too many requests and has asked us to try again later".to_owned(),
        503 => "the server is currently unable to handle the request".to_owned(),
        504 => "the server was unable to return a response in the time allotted, but may still be processing the \
                request"
            .to_owned(),
        500.. => format!("an error on the server ({said:?}) has prevented the request from succeeding"),
        code => format!("the server responded with the status code {code} but did not return more information"),
    }
}
