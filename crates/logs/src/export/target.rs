//! Where lines are sent: requests, answers, and what they mean.

use super::batch::Page;
use super::{Options, Protocol, loki, otlp};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, header};
use http_body_util::Full;
use jiff::Timestamp;
use prost::Message;
use sender::{Sender, SenderError, retry_after};
use std::io::Write as _;
use std::time::Duration;

/// Why nothing can be sent.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    #[error("the receiver's address {url:?} is no http:// or https:// URL")]
    Url { url: String },
    #[error(transparent)]
    Sender(#[from] SenderError),
}

/// What became of a request.
#[derive(Debug)]
pub(super) enum Outcome {
    /// All but so many lines, for a reason.
    Taken(u64, String),
    Refused(String),
    TooLarge(String),
    /// To be asked again, after the time that the receiver named.
    Later(String, Option<Duration>),
}

pub(super) struct Target {
    sender: Sender,
    uri: http::Uri,
    options: Options,
}

impl Target {
    pub(super) fn new(options: Options) -> Result<Target, TargetError> {
        let uri = uri(&options)?;
        let sender = Sender::new(&uri, options.ca_file.as_deref())?;
        Ok(Target { sender, uri, options })
    }

    pub(super) fn url(&self) -> &http::Uri {
        &self.uri
    }

    /// The request's body, which is the same however often it is sent.
    pub(super) fn body(&self, page: &Page) -> Result<Bytes, String> {
        match self.options.protocol {
            Protocol::Otlp if self.options.gzip => {
                zipped(&otlp::body(&self.options.node, page)).map_err(|error| error.to_string())
            }
            Protocol::Otlp => Ok(otlp::body(&self.options.node, page).into()),
            Protocol::Loki => loki::body(&self.options.node, page).map(Bytes::from).map_err(|error| error.to_string()),
        }
    }

    pub(super) async fn send(&self, body: Bytes) -> Outcome {
        let request = match self.request(body) {
            Ok(request) => request,
            Err(why) => return Outcome::Later(why, None),
        };
        match self.sender.send(request).await {
            Ok((head, text)) => self.outcome(head.status, &head.headers, &text),
            Err(why) => Outcome::Later(why, None),
        }
    }

    fn outcome(&self, code: StatusCode, headers: &HeaderMap, text: &[u8]) -> Outcome {
        if code.is_success() {
            return self.taken(text);
        }
        let why = format!("{code}: {}", self.complaint(text));
        match code {
            StatusCode::PAYLOAD_TOO_LARGE => Outcome::TooLarge(why),
            // Of who asks, not of what is sent: a token that is renewed makes it good.
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Outcome::Later(why, None),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => {
                Outcome::Later(why, retry_after(headers, Timestamp::now()))
            }
            code if code.is_server_error() => Outcome::Later(why, retry_after(headers, Timestamp::now())),
            _ => Outcome::Refused(why),
        }
    }

    fn taken(&self, text: &[u8]) -> Outcome {
        let partial = match self.options.protocol {
            Protocol::Otlp => otlp::ExportLogsServiceResponse::decode(text).ok().and_then(|own| own.partial_success),
            Protocol::Loki => None,
        };
        let partial = partial.unwrap_or_default();
        Outcome::Taken(u64::try_from(partial.rejected_log_records).unwrap_or(0), partial.error_message)
    }

    fn complaint(&self, text: &[u8]) -> String {
        let status = match self.options.protocol {
            Protocol::Otlp => otlp::RpcStatus::decode(text).ok().filter(|status| !status.message.is_empty()),
            Protocol::Loki => None,
        };
        status.map_or_else(|| String::from_utf8_lossy(text).trim().to_owned(), |status| status.message)
    }

    fn request(&self, body: Bytes) -> Result<Request<Full<Bytes>>, String> {
        let mut request = Request::post(self.uri.clone())
            .header(header::CONTENT_TYPE, "application/x-protobuf")
            .header(header::USER_AGENT, concat!("sampan/", env!("CARGO_PKG_VERSION")));
        if self.options.gzip && self.options.protocol == Protocol::Otlp {
            request = request.header(header::CONTENT_ENCODING, "gzip");
        }
        if let Some(file) = &self.options.bearer_token_file {
            request = request.header(header::AUTHORIZATION, sender::bearer(file)?);
        }
        if let Some(file) = &self.options.headers_file {
            for line in sender::read(file)?.lines().filter(|line| !line.trim().is_empty()) {
                let (name, value) = header_of(line).ok_or_else(|| format!("{}: no header", file.display()))?;
                request = request.header(name, value);
            }
        }
        request.body(Full::new(body)).map_err(|error| error.to_string())
    }
}

/// With the protocol's path, unless there is one.
fn uri(options: &Options) -> Result<http::Uri, TargetError> {
    let wrong = || TargetError::Url { url: options.url.clone() };
    let uri = options.url.parse::<http::Uri>().map_err(|_| wrong())?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err(wrong());
    }
    if !matches!(uri.path(), "" | "/") {
        return Ok(uri);
    }
    let path = match options.protocol {
        Protocol::Otlp => "/v1/logs",
        Protocol::Loki => "/loki/api/v1/push",
    };
    format!("{}{path}", options.url.trim_end_matches('/')).parse().map_err(|_| wrong())
}

/// `Name: value`.
fn header_of(line: &str) -> Option<(HeaderName, HeaderValue)> {
    let (name, value) = line.split_once(':')?;
    Some((name.trim().parse().ok()?, value.trim().parse().ok()?))
}

fn zipped(plain: &[u8]) -> std::io::Result<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(plain)?;
    Ok(encoder.finish()?.into())
}
