//! A scripted HTTP server: answers are bytes, so that they can be as wrong as the test wants.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::build::Image;

/// What was asked.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// What is sent, and what happens to the connection then.
pub(crate) struct Answer {
    bytes: Vec<u8>,
    hang: bool,
}

impl Answer {
    pub(crate) fn new(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        Answer::declaring(body.len(), status, headers, body)
    }

    /// With a length that the body need not have.
    pub(crate) fn declaring(length: usize, status: u16, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut head = format!("HTTP/1.1 {status} Status\r\ncontent-length: {length}\r\nconnection: close\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        Answer { bytes: [head.as_bytes(), body].concat(), hang: false }
    }

    pub(crate) fn ok(body: &[u8]) -> Answer {
        Answer::new(200, &[], body)
    }

    pub(crate) fn not_found() -> Answer {
        Answer::new(404, &[], b"{\"errors\":[{\"code\":\"MANIFEST_UNKNOWN\",\"message\":\"manifest unknown\"}]}")
    }

    /// Sends nothing, and keeps the connection.
    pub(crate) fn silence() -> Answer {
        Answer { bytes: Vec::new(), hang: true }
    }

    /// Keeps the connection after the bytes.
    pub(crate) fn then_hang(self) -> Answer {
        Answer { hang: true, ..self }
    }
}

type Script = dyn Fn(&Request) -> Answer + Send + Sync;

/// The server; it ends when dropped.
pub(crate) struct Server {
    pub(crate) address: String,
    pub(crate) requests: Arc<Mutex<Vec<Request>>>,
    _tasks: JoinSet<()>,
}

impl Server {
    pub(crate) async fn start(script: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::new(script), Arc::clone(&requests)));
        Server { address, requests, _tasks: tasks }
    }

    /// A registry that has this image as `app:1`, except where the script says otherwise.
    pub(crate) async fn with_image(
        image: Image,
        script: impl Fn(&Request) -> Option<Answer> + Send + Sync + 'static,
    ) -> Server {
        Server::start(move |request| script(request).unwrap_or_else(|| honest(&image, request))).await
    }

    pub(crate) fn name(&self) -> String {
        format!("{}/app:1", self.address)
    }

    /// How many requests had this in their path.
    pub(crate) fn count(&self, part: &str) -> usize {
        self.requests.lock().unwrap().iter().filter(|request| request.path.contains(part)).count()
    }
}

pub(crate) fn honest(image: &Image, request: &Request) -> Answer {
    let headers = [("docker-content-digest", image.manifest_digest.as_str())];
    let asked = request.path.rsplit('/').next().unwrap();
    if request.path.contains("/manifests/") {
        if asked != "1" && asked != image.manifest_digest {
            return Answer::not_found();
        }
        let body: &[u8] = if request.method == "HEAD" { b"" } else { &image.manifest };
        return Answer::declaring(image.manifest.len(), 200, &headers, body);
    }
    match image.blobs.get(asked) {
        None => Answer::not_found(),
        Some(blob) => ranged(request, blob),
    }
}

fn ranged(request: &Request, blob: &[u8]) -> Answer {
    let from = request.header("range").and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
    match from {
        Some(from) => Answer::new(206, &[], &blob[from..]),
        None => Answer::ok(blob),
    }
}

async fn accept(listener: TcpListener, script: Arc<Script>, requests: Arc<Mutex<Vec<Request>>>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(serve(stream, Arc::clone(&script), Arc::clone(&requests)));
    }
}

async fn serve(mut stream: TcpStream, script: Arc<Script>, requests: Arc<Mutex<Vec<Request>>>) {
    let Some(request) = read_request(&mut stream).await else { return };
    requests.lock().unwrap().push(request.clone());
    let answer = script(&request);
    if stream.write_all(&answer.bytes).await.is_err() {
        return;
    }
    if answer.hang {
        std::future::pending::<()>().await;
    }
    // A client that gave up is no fault of the server's.
    if let Err(error) = stream.shutdown().await {
        eprintln!("shutdown: {error}");
    }
}

/// `None` for what is no HTTP, such as a TLS handshake: closes like a server that knows no TLS.
async fn read_request(stream: &mut TcpStream) -> Option<Request> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
        if head[0] == 0x16 || head.len() > 16 << 10 {
            return None;
        }
    }
    let head = String::from_utf8(head).ok()?;
    let mut lines = head.lines();
    let mut first = lines.next()?.split(' ');
    let (method, path) = (first.next()?.to_owned(), first.next()?.to_owned());
    let header = |line: &str| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned()));
    Some(Request { method, path, headers: lines.filter_map(header).collect() })
}
