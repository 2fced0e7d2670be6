//! The listener: TLS, HTTP/1.1 and HTTP/2, and an orderly end.
//!
//! Bounds: connections, streams per connection, header bytes and time, body bytes (in the stack).

use crate::backend::Backend;
use crate::front;
use crate::stack::Peer;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Connections at once; further clients wait in the kernel's queue. 5,000 nodes have two each.
const CONNECTIONS_MAX: usize = 20_000;
const STREAMS_MAX: u32 = 1_000;
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
const HEADER_TIMEOUT: Duration = Duration::from_secs(32);
const HEADER_BYTES_MAX: u32 = 64 << 10;
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(30);
/// What a client may send ahead of being read: one body fits.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 4 << 20;
const SEND_BUFFER_BYTES: usize = 256 << 10;
/// How long requests under way may take when the server ends.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);
/// A pause after a failed accept, which is nearly always a lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

pub struct Config {
    pub listen: SocketAddr,
    /// With ALPN `h2` and `http/1.1`; client certificates optional.
    pub tls: Arc<rustls::ServerConfig>,
    pub backend: Arc<Backend>,
}

#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    #[error("listening on {address}: {source}")]
    Listen { address: SocketAddr, source: std::io::Error },
}

/// A running server.
pub struct Server {
    local_addr: SocketAddr,
    stopping: CancellationToken,
    backend: Arc<Backend>,
    tasks: TaskTracker,
}

impl Server {
    pub async fn start(config: Config) -> Result<Server, ServerError> {
        let listen = |source| ServerError::Listen { address: config.listen, source };
        let listener = TcpListener::bind(config.listen).await.map_err(listen)?;
        let local_addr = listener.local_addr().map_err(listen)?;
        let stopping = CancellationToken::new();
        let tasks = TaskTracker::new();
        let door = Door {
            acceptor: TlsAcceptor::from(config.tls),
            backend: config.backend.clone(),
            http: Arc::new(http_builder()),
            stopping: stopping.clone(),
            tasks: tasks.clone(),
        };
        tasks.spawn(door.accept(listener));
        Ok(Server { local_addr, stopping, backend: config.backend, tasks })
    }

    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Takes no more connections, ends watches, lets requests under way finish, and returns when all is over.
    pub async fn shutdown(self) {
        self.stopping.cancel();
        self.backend.stopping.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        if let Some(audit) = self.backend.audit() {
            audit.end().await;
        }
    }
}

fn http_builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT).keep_alive(true);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEADER_BYTES_MAX)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(SEND_BUFFER_BYTES)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    builder
}

/// What every connection needs.
#[derive(Clone)]
struct Door {
    acceptor: TlsAcceptor,
    backend: Arc<Backend>,
    http: Arc<Builder<TokioExecutor>>,
    stopping: CancellationToken,
    tasks: TaskTracker,
}

impl Door {
    async fn accept(self, listener: TcpListener) {
        let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        loop {
            let accepted = tokio::select! {
                () = self.stopping.cancelled() => return,
                accepted = next(&listener, &permits) => accepted,
            };
            match accepted {
                Ok((stream, address, permit)) => {
                    self.tasks.spawn(self.clone().connection(stream, address.ip(), permit));
                }
                Err(error) => {
                    tracing::warn!(%error, "accepting a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    async fn connection(self, stream: TcpStream, address: IpAddr, _permit: OwnedSemaphorePermit) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "setting TCP_NODELAY");
        }
        let handshake = tokio::time::timeout(HANDSHAKE_TIMEOUT, self.acceptor.accept(stream));
        let stream = tokio::select! {
            () = self.stopping.cancelled() => return,
            handshake = handshake => match handshake {
                Ok(Ok(stream)) => stream,
                Ok(Err(error)) => return tracing::debug!(%error, "TLS handshake"),
                Err(_) => return tracing::debug!("TLS handshake timed out"),
            },
        };
        let certificates = stream.get_ref().1.peer_certificates().unwrap_or_default();
        let certificates = certificates.iter().map(|certificate| certificate.clone().into_owned()).collect();
        let peer = Arc::new(Peer { certificates, address });
        let backend = self.backend.clone();
        let service = service_fn(move |request| {
            let (backend, peer) = (backend.clone(), peer.clone());
            async move { Ok::<_, Infallible>(Box::pin(front::serve(backend, peer, request)).await) }
        });
        let connection = self.http.serve_connection_with_upgrades(TokioIo::new(stream), service);
        tokio::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.stopping.cancelled() => {
                connection.as_mut().graceful_shutdown();
                match tokio::time::timeout(DRAIN_TIMEOUT, connection.as_mut()).await {
                    Ok(ended) => ended,
                    Err(_) => return tracing::warn!("a connection did not end in time and was cut"),
                }
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection ended");
        }
    }
}

async fn next(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> std::io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let permit = permits.clone().acquire_owned().await.map_err(std::io::Error::other)?;
    let (stream, address) = listener.accept().await?;
    Ok((stream, address, permit))
}
