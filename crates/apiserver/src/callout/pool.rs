//! Connections that are kept: one HTTP client per origin and trust.
//!
//! Bounds: `CLIENTS_MAX` clients, the one that was asked longest ago gives way; `IDLE_MAX` connections of each, for
//! `IDLE_TIME`. A client that gives way finishes what it has begun.

use super::error::Unreached;
use super::resolve::Origin;
use super::{Body, CONNECT_TIME_MAX, Identity, Target, tls};
use client::Client;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::ClientConfig;
use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

const CLIENTS_MAX: usize = 256;
const IDLE_MAX: usize = 16;
const IDLE_TIME: Duration = Duration::from_secs(90);
/// A dead peer is noticed while requests wait for it.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(15);

pub(super) type Http = hyper_util::client::legacy::Client<Connector, Body>;

/// Who may share a connection.
#[derive(PartialEq, Eq, Hash)]
struct Key {
    origin: Origin,
    ca_bundle: Vec<u8>,
    identity: Option<Identity>,
    unverified: bool,
}

impl Key {
    fn of(target: &Target) -> Option<Key> {
        Some(Key {
            origin: Origin::of(target).ok()?,
            ca_bundle: target.ca_bundle.clone(),
            identity: target.identity.clone(),
            unverified: target.insecure_skip_tls_verify,
        })
    }
}

#[derive(Default)]
pub(super) struct Pool {
    clients: HashMap<Key, (u64, Http)>,
    /// Counts questions: who was asked when.
    clock: u64,
}

impl Pool {
    pub(super) fn get(&mut self, target: &Target) -> Option<Http> {
        self.clock += 1;
        let (asked, known) = self.clients.get_mut(&Key::of(target)?)?;
        *asked = self.clock;
        Some(known.clone())
    }

    /// The client that is kept: the given one, or the one of whoever came first.
    pub(super) fn put(&mut self, target: &Target, made: Http) -> Http {
        let Some(key) = Key::of(target) else { return made };
        if self.clients.len() >= CLIENTS_MAX && !self.clients.contains_key(&key) {
            let oldest = self.clients.values().map(|(asked, _)| *asked).min().unwrap_or_default();
            self.clients.retain(|_, (asked, _)| *asked != oldest);
        }
        self.clock += 1;
        self.clients.entry(key).or_insert((self.clock, made)).1.clone()
    }
}

pub(super) fn client(client: &Client, target: &Target) -> Result<Http, Unreached> {
    let tls = tls::config(target, &[b"h2", b"http/1.1"])?;
    let connector = Connector { client: client.clone(), origin: Origin::of(target)?, tls };
    Ok(hyper_util::client::legacy::Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_max_idle_per_host(IDLE_MAX)
        .pool_idle_timeout(IDLE_TIME)
        .http2_keep_alive_interval(PING_INTERVAL)
        .http2_keep_alive_timeout(PING_TIMEOUT)
        .build(connector))
}

/// Makes connections to one origin, whatever the URL says.
#[derive(Clone)]
pub(super) struct Connector {
    client: Client,
    origin: Origin,
    tls: Arc<ClientConfig>,
}

impl tower_service::Service<Uri> for Connector {
    type Response = Stream;
    type Error = Unreached;
    type Future = BoxFuture<'static, Result<Stream, Unreached>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Unreached>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let Connector { client, origin, tls } = self.clone();
        async move {
            let connected = tokio::time::timeout(CONNECT_TIME_MAX, origin.connect(&client, &tls)).await;
            connected.unwrap_or(Err(Unreached::Deadline)).map(|stream| Stream(TokioIo::new(stream)))
        }
        .boxed()
    }
}

/// A TLS connection as hyper's client takes it.
pub(super) struct Stream(TokioIo<TlsStream<TcpStream>>);

impl Connection for Stream {
    fn connected(&self) -> Connected {
        let speaks_h2 = self.0.inner().get_ref().1.alpn_protocol() == Some(b"h2");
        if speaks_h2 { Connected::new().negotiated_h2() } else { Connected::new() }
    }
}

impl Read for Stream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_read(context, buffer)
    }
}

impl Write for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().0).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_shutdown(context)
    }
}
