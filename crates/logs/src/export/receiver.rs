//! A receiver for tests: a real HTTP server that decodes what it gets, and answers as it is told to.

use super::{loki, otlp};
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use prost::Message;
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Read as _};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;

/// How one request is answered.
#[derive(Clone, Copy)]
pub(super) enum Reply {
    Takes,
    Code(u16),
    /// With the seconds after which to come again.
    Later(u16, u32),
    /// Takes it in the end.
    Slow(Duration),
    /// Takes it, and breaks the connection instead of saying so.
    Breaks,
    /// Takes all but so many.
    AllBut(i64),
}

#[derive(Default)]
struct State {
    replies: Mutex<VecDeque<Reply>>,
    otherwise: Mutex<Option<Reply>>,
    lines_max: Mutex<Option<usize>>,
    /// Of each container of a pod, what it wrote, in the order in which it came.
    lines: Mutex<BTreeMap<String, Vec<Vec<u8>>>>,
    /// Of each request: its path, its headers, its size, and when it came.
    requests: Mutex<Vec<(String, HeaderMap, usize, std::time::Instant)>>,
    came: Notify,
}

pub(super) struct Receiver {
    state: Arc<State>,
    pub(super) url: String,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Receiver {
    pub(super) async fn start(tls: Option<TlsAcceptor>) -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://localhost:{}", listener.local_addr().unwrap().port());
        let state = Arc::new(State::default());
        let own = state.clone();
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (state, tls) = (own.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        Some(tls) => match tls.accept(stream).await {
                            Ok(stream) => serve(stream, state).await,
                            Err(error) => eprintln!("no TLS: {error}"),
                        },
                        None => serve(stream, state).await,
                    }
                });
            }
        });
        Receiver { state, url, task }
    }

    pub(super) fn will(&self, replies: &[Reply]) {
        self.state.replies.lock().extend(replies);
    }

    /// What it does when it has nothing else to do.
    pub(super) fn always(&self, reply: Reply) {
        *self.state.otherwise.lock() = Some(reply);
    }

    /// More in a request are too many.
    pub(super) fn takes_at_once(&self, lines: usize) {
        *self.state.lines_max.lock() = Some(lines);
    }

    pub(super) fn requests(&self) -> Vec<(String, HeaderMap, usize, std::time::Instant)> {
        self.state.requests.lock().clone()
    }

    pub(super) fn lines(&self) -> BTreeMap<String, Vec<Vec<u8>>> {
        self.state.lines.lock().clone()
    }

    /// Waits until what came is as it should be.
    pub(super) async fn until(&self, is: impl Fn(&BTreeMap<String, Vec<Vec<u8>>>, usize) -> bool) {
        loop {
            let came = self.state.came.notified();
            let requests = self.state.requests.lock().len();
            if is(&self.state.lines.lock(), requests) {
                return;
            }
            let came = tokio::time::timeout(Duration::from_secs(60), came).await;
            let counts = || -> Vec<(String, usize)> {
                self.state.lines.lock().iter().map(|(container, lines)| (container.clone(), lines.len())).collect()
            };
            assert!(came.is_ok(), "nothing more came after {requests} requests: {:?}", counts());
        }
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, state: Arc<State>) {
    let service = service_fn(|request| answer(request, state.clone()));
    if let Err(error) = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await
    {
        eprintln!("a connection ended: {error}");
    }
}

async fn answer(request: Request<Incoming>, state: Arc<State>) -> io::Result<Response<Full<Bytes>>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let lines = match head.uri.path() {
        "/v1/logs" if head.headers.get("content-encoding").is_some_and(|value| value == "gzip") => {
            let mut plain = Vec::new();
            flate2::read::GzDecoder::new(&*body).read_to_end(&mut plain)?;
            of_otlp(&plain)
        }
        "/v1/logs" => of_otlp(&body),
        "/loki/api/v1/push" => of_loki(&body),
        other => panic!("what is {other}?"),
    };
    let entry = (head.uri.path().to_owned(), head.headers, lines.len(), std::time::Instant::now());
    state.requests.lock().push(entry);
    let reply = state.replies.lock().pop_front().or(*state.otherwise.lock()).unwrap_or(Reply::Takes);
    let code = match reply {
        Reply::Code(code) | Reply::Later(code, _) => code,
        _ if state.lines_max.lock().is_some_and(|most| lines.len() > most) => 413,
        _ => 200,
    };
    if let Reply::Slow(time) = reply {
        // The receiver's slowness is what is tried here.
        tokio::time::sleep(time).await;
    }
    if code == 200 {
        let mut all = state.lines.lock();
        lines.into_iter().for_each(|(container, line)| all.entry(container).or_default().push(line));
    }
    state.came.notify_waiters();
    let mut answer = Response::builder().status(code);
    let mut said = Vec::new();
    match reply {
        Reply::Breaks => return Err(io::Error::other("broken off")),
        Reply::Later(_, seconds) => answer = answer.header("retry-after", seconds),
        Reply::AllBut(rejected_log_records) => {
            let partial = otlp::PartialSuccess { rejected_log_records, error_message: "too old".into() };
            said = otlp::ExportLogsServiceResponse { partial_success: Some(partial) }.encode_to_vec();
        }
        _ => {}
    }
    answer.body(said.into()).map_err(io::Error::other)
}

fn of_otlp(body: &[u8]) -> Vec<(String, Vec<u8>)> {
    let request = otlp::ExportLogsServiceRequest::decode(body).unwrap();
    let mut lines = Vec::new();
    for own in request.resource_logs {
        let attributes = own.resource.unwrap().attributes;
        let of = |key: &str| match attributes.iter().find(|own| own.key == key).and_then(|own| own.value.clone()?.value)
        {
            Some(otlp::Value::Text(text)) => text,
            other => panic!("{key}: {other:?}"),
        };
        let container = format!("{}/{}", of("k8s.pod.name"), of("k8s.container.name"));
        for record in own.scope_logs.into_iter().flat_map(|scope| scope.log_records) {
            let text = match record.body.unwrap().value.unwrap() {
                otlp::Value::Text(text) => text.into_bytes(),
                otlp::Value::Bytes(bytes) => bytes,
                other => panic!("{other:?}"),
            };
            lines.push((container.clone(), text));
        }
    }
    lines
}

fn of_loki(body: &[u8]) -> Vec<(String, Vec<u8>)> {
    let plain = snap::raw::Decoder::new().decompress_vec(body).unwrap();
    let request = loki::PushRequest::decode(plain.as_slice()).unwrap();
    let mut lines = Vec::new();
    for stream in request.streams {
        let of = |key: &str| {
            let (_, rest) = stream.labels.split_once(&format!("{key}=\"")).unwrap();
            rest.split('"').next().unwrap().to_owned()
        };
        let container = format!("{}/{}", of("pod"), of("container"));
        lines.extend(stream.entries.into_iter().map(|entry| (container.clone(), entry.line.into_bytes())));
    }
    lines
}
