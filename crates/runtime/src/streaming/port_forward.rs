//! Connections into a pod: for each of them the client opens a stream for an error's words and one for bytes.
//!
//! The two have the same `requestID`, and name the port. Whatever becomes of the connection, the error stream is ended
//! when no more will come from the pod: clients wait for it.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use spdy::{Incoming, Stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

pub(super) const PROTOCOL: &str = "portforward.k8s.io";
/// Streams that wait for their other half, and how long; then they are reset.
const HALVES_MAX: usize = 256;
const HALF_LIFETIME: Duration = Duration::from_secs(30);
const CHUNK_BYTES: usize = 16 << 10;

/// Forwards into the pod whose network namespace is `network`, until the client leaves.
pub(super) async fn serve(mut incoming: Incoming, sandbox: &str, network: Arc<OwnedFd>) {
    let mut halves: HashMap<String, (Stream, Instant)> = HashMap::new();
    let mut forwards = JoinSet::new();
    loop {
        let stream = tokio::select! {
            stream = incoming.next() => stream,
            Some(ended) = forwards.join_next() => {
                if let Err(error) = ended {
                    tracing::warn!(%error, "forwarding a connection failed");
                }
                continue;
            }
        };
        // Dropping the set ends what is under way.
        let Some(stream) = stream else { return };
        let headers = stream.headers();
        let request = headers.get("requestid").unwrap_or_default().to_owned();
        let Some(half) = Half::of(&stream) else {
            tracing::debug!(headers = ?stream.headers(), "a stream that is no half of a forwarded connection");
            continue;
        };
        let now = Instant::now();
        halves.retain(|_, (_, since)| now.duration_since(*since) < HALF_LIFETIME);
        match halves.remove(&request) {
            Some((other, _))
                if Half::of(&other).is_some_and(|other| other.port == half.port && other.data != half.data) =>
            {
                let (data, error) = if half.data { (stream, other) } else { (other, stream) };
                forwards.spawn(forward(data, error, half.port, sandbox.to_owned(), network.clone()));
            }
            // Neither fits the other: both are reset.
            Some(_) => {}
            None if halves.len() < HALVES_MAX => {
                halves.insert(request, (stream, now));
            }
            None => tracing::debug!("too many halves of forwarded connections"),
        }
    }
}

struct Half {
    data: bool,
    port: u16,
}

impl Half {
    fn of(stream: &Stream) -> Option<Half> {
        let headers = stream.headers();
        let data = match headers.get("streamtype")? {
            "data" => true,
            "error" => false,
            _ => return None,
        };
        Some(Half { data, port: headers.get("port")?.parse().ok().filter(|port| *port > 0)? })
    }
}

async fn forward(data: Stream, mut error: Stream, port: u16, sandbox: String, network: Arc<OwnedFd>) {
    let ended = match connect(network, port).await {
        Ok(connection) => join(data, connection, &mut error).await,
        Err(failure) => {
            let why = reason(&failure);
            let text = format!(
                "error forwarding port {port} to pod {sandbox}, uid : dial tcp4 127.0.0.1:{port}: connect: {why}"
            );
            refuse(data, &mut error, &text).await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(port, %error, "a forwarded connection was cut");
    }
}

/// The kernel's words without the number that Rust puts behind them.
fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::TimedOut => "connection timed out".to_owned(),
        io::ErrorKind::NetworkUnreachable => "network is unreachable".to_owned(),
        _ => error.to_string(),
    }
}

async fn refuse(mut data: Stream, error: &mut Stream, text: &str) -> io::Result<()> {
    error.write_all(text.as_bytes()).await?;
    error.shutdown().await?;
    data.shutdown().await
}

/// Connects inside the pod, by IPv4 and else by IPv6, as `localhost` would.
async fn connect(network: Arc<OwnedFd>, port: u16) -> io::Result<TcpStream> {
    let connect = move || {
        let namespace = PathBuf::from(format!("/proc/self/fd/{}", network.as_raw_fd()));
        kernel::netns::in_netns(&namespace, || {
            let first = std::net::TcpStream::connect(("127.0.0.1", port));
            first.or_else(|error| std::net::TcpStream::connect(("::1", port)).map_err(|_| error))
        })
    };
    let stream = tokio::task::spawn_blocking(connect).await.map_err(io::Error::other)?.map_err(io::Error::other)??;
    stream.set_nonblocking(true)?;
    stream.set_nodelay(true)?;
    TcpStream::from_std(stream)
}

/// Copies both ways, each to its own end.
async fn join(data: Stream, mut connection: TcpStream, error: &mut Stream) -> io::Result<()> {
    let (mut from_client, mut to_client) = data.into_split();
    let (mut from_pod, mut to_pod) = connection.split();
    let down = async {
        let copied = copy(&mut from_pod, &mut to_client).await;
        // Clients close their side when they have read this to its end, and not before.
        error.shutdown().await?;
        copied
    };
    let up = copy(&mut from_client, &mut to_pod);
    // A client that is gone, or resets the stream, is an error and ends both; so does a pod that resets.
    tokio::try_join!(down, up).map(|_| ())
}

async fn copy(reader: &mut (impl AsyncReadExt + Unpin), writer: &mut (impl AsyncWriteExt + Unpin)) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match reader.read(&mut chunk).await? {
            0 => return writer.shutdown().await,
            count => writer.write_all(&chunk[..count]).await?,
        }
    }
}
