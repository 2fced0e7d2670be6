//! Sends what nodes measure on to a store that takes Prometheus' remote write (version 0.1.0).
//!
//! Bounds: `QUEUE_MAX` samples of nodes wait, and one request of at most `SERIES_MAX` series is under way. Samples that
//! come when the queue is full are not sent, and the log says so. A store that is away or busy is asked again, ever more
//! slowly, for as long as it takes; what it refuses for good is given up.

mod message;

use crate::history::Identity;
use crate::metric::METRICS;
use crate::promql::Labels;
use crate::query::series_labels;
use crate::sample::NodeSample;
use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::Full;
use jiff::Timestamp;
use message::{Label, Sample, TimeSeries, WriteRequest};
use prost::Message;
use sender::{Sender, SenderError, retry_after};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

const QUEUE_MAX: usize = 256;
const SERIES_MAX: usize = 2000;
const RETRY_FIRST: Duration = Duration::from_millis(500);
const RETRY_MOST: Duration = Duration::from_secs(30);

#[derive(Clone, Debug)]
pub struct Options {
    pub url: String,
    /// Read for each request, so that a new token counts at once.
    pub bearer_token_file: Option<PathBuf>,
    /// The authority of the store's certificate, in PEM; needed for `https://`.
    pub ca_file: Option<PathBuf>,
}

/// Why nothing can be sent.
#[derive(Debug, thiserror::Error)]
pub enum RemoteWriteError {
    #[error("the store's address {url:?} is no URL: {source}")]
    Url { url: String, source: http::uri::InvalidUri },
    #[error(transparent)]
    Sender(#[from] SenderError),
}

/// Where samples are put to be sent.
pub(crate) type Queue = mpsc::Sender<Arc<NodeSample>>;

/// Starts sending; ends when the queue's other end is dropped.
pub(crate) fn start(options: Options) -> Result<Queue, RemoteWriteError> {
    let writer = Writer::new(options)?;
    let (queue, mut queued) = mpsc::channel::<Arc<NodeSample>>(QUEUE_MAX);
    tokio::spawn(async move {
        while let Some(sample) = queued.recv().await {
            for request in requests(&sample) {
                writer.send(request).await;
            }
        }
    });
    Ok(queue)
}

struct Writer {
    sender: Sender,
    uri: http::Uri,
    options: Options,
}

/// What became of a request.
enum Outcome {
    Taken,
    Refused(String),
    /// To be asked again, after the time that the store named.
    Later(String, Option<Duration>),
}

impl Writer {
    fn new(options: Options) -> Result<Writer, RemoteWriteError> {
        let uri = options.url.parse::<http::Uri>();
        let uri = uri.map_err(|source| RemoteWriteError::Url { url: options.url.clone(), source })?;
        let sender = Sender::new(&uri, options.ca_file.as_deref())?;
        Ok(Writer { sender, uri, options })
    }

    /// Returns when the store has taken it, or refused it for good.
    async fn send(&self, request: WriteRequest) {
        let plain = request.encode_to_vec();
        let body = match snap::raw::Encoder::new().compress_vec(&plain) {
            Ok(body) => Bytes::from(body),
            Err(error) => return tracing::error!(%error, "what nodes measure could not be compressed"),
        };
        let (mut wait, mut said) = (RETRY_FIRST, false);
        loop {
            let (why, named) = match self.once(body.clone()).await {
                Outcome::Taken => return,
                Outcome::Refused(why) => return tracing::warn!(why, "the store refuses what nodes measure"),
                Outcome::Later(why, named) => (why, named),
            };
            if !std::mem::replace(&mut said, true) {
                tracing::warn!(why, "the store does not take what nodes measure; it is asked again");
            }
            tokio::time::sleep(named.unwrap_or(wait).min(RETRY_MOST)).await;
            wait = (wait * 2).min(RETRY_MOST);
        }
    }

    async fn once(&self, body: Bytes) -> Outcome {
        let request = match self.request(body) {
            Ok(request) => request,
            Err(why) => return Outcome::Later(why, None),
        };
        let (head, text) = match self.sender.send(request).await {
            Ok(answered) => answered,
            Err(why) => return Outcome::Later(why, None),
        };
        let code = head.status;
        if code.is_success() {
            return Outcome::Taken;
        }
        let why = format!("{code}: {}", String::from_utf8_lossy(&text).trim());
        match code.is_server_error() || code == StatusCode::TOO_MANY_REQUESTS {
            true => Outcome::Later(why, retry_after(&head.headers, Timestamp::now())),
            false => Outcome::Refused(why),
        }
    }

    fn request(&self, body: Bytes) -> Result<Request<Full<Bytes>>, String> {
        let mut request = Request::post(self.uri.clone())
            .header(header::CONTENT_TYPE, "application/x-protobuf")
            .header(header::CONTENT_ENCODING, "snappy")
            .header(header::USER_AGENT, concat!("sampan/", env!("CARGO_PKG_VERSION")))
            .header("X-Prometheus-Remote-Write-Version", "0.1.0");
        if let Some(file) = &self.options.bearer_token_file {
            request = request.header(header::AUTHORIZATION, sender::bearer(file)?);
        }
        request.body(Full::new(body)).map_err(|error| error.to_string())
    }
}

/// Every amount of a sample as a series of one point.
fn requests(sample: &NodeSample) -> Vec<WriteRequest> {
    let mut series = Vec::new();
    let mut put = |identity: &Identity, reading: &crate::Reading| {
        for about in &METRICS {
            let (Some(amount), Some(labels)) = (reading.get(about.metric), series_labels(identity, about.metric))
            else {
                continue;
            };
            let samples = vec![Sample { value: about.shown(amount), timestamp: sample.time_ms }];
            series.push(TimeSeries { labels: pairs(&labels), samples });
        }
    };
    put(&Identity::node(&sample.node), &sample.reading);
    for pod in &sample.pods {
        let identity = Identity::pod(&sample.node, pod);
        put(&identity, &pod.reading);
        pod.containers.iter().for_each(|own| put(&identity.container(&own.name), &own.reading));
    }
    let mut requests = Vec::new();
    while !series.is_empty() {
        let rest = series.split_off(series.len().min(SERIES_MAX));
        requests.push(WriteRequest { timeseries: std::mem::replace(&mut series, rest) });
    }
    requests
}

fn pairs(labels: &Labels) -> Vec<Label> {
    labels.iter().map(|(name, value)| Label { name: name.to_owned(), value: value.to_owned() }).collect()
}

#[cfg(test)]
mod tests;
