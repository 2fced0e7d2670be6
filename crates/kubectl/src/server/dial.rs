//! Connections to a server: straight, or through the proxy that the user or the environment names.
//!
//! Invariant: a proxy carries the bytes of a connection and never reads them: it is asked for a tunnel for plain HTTP too.

use super::connection::Connection;
use crate::failure::{Failure, Result};
use futures::FutureExt;
use futures::future::BoxFuture;
use http::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::TokioIo;
use std::net::IpAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::TcpStream;
use tower_service::Service;

const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);
/// What a proxy may be, and where it listens when its URL does not say.
const SCHEMES: [(&str, u16); 4] = [("http", 80), ("https", 443), ("socks5", 1080), ("socks5h", 1080)];

type BoxError = Box<dyn std::error::Error + Send + Sync>;
/// TLS where the proxy itself speaks it.
pub(super) type Wire = MaybeHttpsStream<TokioIo<TcpStream>>;

#[derive(Clone)]
pub(super) struct Dial {
    straight: HttpsConnector<HttpConnector>,
    proxies: Arc<Matcher>,
    /// Whether the user named the proxy; the environment's are not for this machine's own addresses.
    named: bool,
}

impl Dial {
    /// `tls` is of no matter but to a proxy that speaks TLS itself and that the environment names.
    pub(super) fn new(connection: &Connection, tls: &rustls::ClientConfig) -> Result<Dial> {
        let proxy = connection.proxy_url.as_str();
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(connection.tcp_keep_alive);
        tcp.set_connect_timeout(Some(CONNECT_TIME_MAX));
        let tls = if proxy.starts_with("https://") { Connection::anonymous().tls()? } else { tls.clone() };
        let straight = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1();
        let proxies = if proxy.is_empty() { Matcher::from_env() } else { Matcher::builder().all(proxy).build() };
        Ok(Dial { straight: straight.wrap_connector(tcp), proxies: Arc::new(proxies), named: !proxy.is_empty() })
    }

    /// A connection to where `uri` leads, without the server's own TLS.
    pub(super) async fn connect(mut self, uri: Uri) -> Result<Wire, BoxError> {
        self.call(uri).await
    }

    async fn open(mut self, target: Uri) -> Result<Wire, BoxError> {
        let port = target.port_u16().unwrap_or(if target.scheme_str() == Some("http") { 80 } else { 443 });
        let plain = at("http", &target, port)?;
        let proxy = self.proxies.intercept(&target).filter(|_| self.named || !is_local(&target));
        let Some(proxy) = proxy else { return self.straight.call(plain).await };
        let scheme = proxy.uri().scheme_str().unwrap_or_default();
        let usual = SCHEMES.iter().find(|(known, _)| *known == scheme).map_or(80, |(_, port)| *port);
        let address =
            at(if scheme == "https" { scheme } else { "http" }, proxy.uri(), proxy.uri().port_u16().unwrap_or(usual))?;
        if scheme.starts_with("socks5") {
            let mut tunnel = SocksV5::new(address, self.straight);
            if let Some((user, password)) = proxy.raw_auth() {
                tunnel = tunnel.with_auth(user.to_owned(), password.to_owned());
            }
            return Ok(tunnel.call(plain).await?);
        }
        let mut tunnel = Tunnel::new(address, self.straight);
        if let Some(authorization) = proxy.basic_auth() {
            tunnel = tunnel.with_auth(authorization.clone());
        }
        Ok(tunnel.call(plain).await?)
    }
}

impl Service<Uri> for Dial {
    type Response = Wire;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Wire, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.straight.poll_ready(context)
    }

    fn call(&mut self, target: Uri) -> Self::Future {
        self.clone().open(target).boxed()
    }
}

/// Refuses what is no proxy's URL.
pub(crate) fn check_proxy(url: &str, cluster: &str) -> Result<()> {
    let scheme = url.split_once("://").map(|(scheme, _)| scheme).unwrap_or_default();
    if url.is_empty() || SCHEMES[..3].iter().any(|(known, _)| *known == scheme) {
        return Ok(());
    }
    Err(Failure::message(format!(
        "invalid 'proxy-url' {url:?} for cluster {cluster:?}: unsupported scheme {scheme:?}, must be http, https, or socks5"
    )))
}

/// The same host at a port, asked for in another way.
fn at(scheme: &str, uri: &Uri, port: u16) -> Result<Uri, BoxError> {
    let host = uri.host().ok_or("the URL names no host")?;
    Ok(Uri::builder().scheme(scheme).authority(format!("{host}:{port}")).path_and_query("/").build()?)
}

fn is_local(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    async fn listener() -> (TcpListener, u16) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        (listener, port)
    }

    /// Greets whoever connects.
    async fn server() -> (u16, tokio::task::JoinHandle<()>) {
        let (listener, port) = listener().await;
        let greet = async move { listener.accept().await.unwrap().0.write_all(b"hello").await.unwrap() };
        (port, tokio::spawn(greet))
    }

    /// Reads up to an end, then carries to `port`.
    async fn http_proxy(listener: TcpListener, port: u16) -> String {
        let mut client = listener.accept().await.unwrap().0;
        let mut asked = Vec::new();
        while !asked.ends_with(b"\r\n\r\n") {
            asked.push(client.read_u8().await.unwrap());
        }
        let mut server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        tokio::io::copy_bidirectional(&mut client, &mut server).await.unwrap();
        String::from_utf8(asked).unwrap()
    }

    /// As RFC 1928 has it, with a name and a password (RFC 1929); answers them and the name that was asked for.
    async fn socks_proxy(listener: TcpListener, port: u16) -> String {
        async fn counted(client: &mut TcpStream) -> String {
            let mut text = vec![0; client.read_u8().await.unwrap().into()];
            client.read_exact(&mut text).await.unwrap();
            String::from_utf8(text).unwrap()
        }
        let mut client = listener.accept().await.unwrap().0;
        assert_eq!(client.read_u8().await.unwrap(), 5);
        assert!(counted(&mut client).await.contains('\u{2}'), "it offers to say who it is");
        client.write_all(&[5, 2]).await.unwrap();
        assert_eq!(client.read_u8().await.unwrap(), 1);
        let (user, password) = (counted(&mut client).await, counted(&mut client).await);
        client.write_all(&[1, 0]).await.unwrap();
        let mut head = [0; 4];
        client.read_exact(&mut head).await.unwrap();
        assert_eq!(head, [5, 1, 0, 3], "a name is looked up by the proxy");
        let host = counted(&mut client).await;
        let asked = client.read_u16().await.unwrap();
        let mut server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        client.write_all(&[5, 0, 0, 1, 127, 0, 0, 1, 0, 0]).await.unwrap();
        tokio::io::copy_bidirectional(&mut client, &mut server).await.unwrap();
        format!("{user} {password} {host} {asked}")
    }

    async fn through(proxy_url: String, target: &str) -> String {
        let mut connection = Connection::anonymous();
        connection.proxy_url = proxy_url;
        let dial = Dial::new(&connection, &connection.tls().unwrap()).unwrap();
        let mut heard = String::new();
        let wire = dial.connect(target.parse().unwrap()).await.unwrap();
        TokioIo::new(wire).read_to_string(&mut heard).await.unwrap();
        heard
    }

    #[tokio::test]
    async fn an_http_proxy_is_asked_for_a_tunnel() {
        let ((port, serving), (listener, proxy)) = (server().await, listener().await);
        let carrying = tokio::spawn(http_proxy(listener, port));
        // Even for what is on this machine: the user named the proxy.
        let heard = through(format!("http://me:p%40ss@127.0.0.1:{proxy}"), &format!("https://127.0.0.1:{port}")).await;
        assert_eq!(heard, "hello");
        let asked = carrying.await.unwrap();
        assert!(asked.starts_with(&format!("CONNECT 127.0.0.1:{port} HTTP/1.1\r\n")), "{asked}");
        assert!(asked.contains("\r\nProxy-Authorization: Basic bWU6cEBzcw==\r\n"), "{asked}");
        serving.await.unwrap();
    }

    #[tokio::test]
    async fn a_socks_proxy_looks_names_up_itself() {
        let ((port, serving), (listener, proxy)) = (server().await, listener().await);
        let carrying = tokio::spawn(socks_proxy(listener, port));
        let heard = through(format!("socks5://me:secret@127.0.0.1:{proxy}"), "http://nowhere.invalid").await;
        assert_eq!(heard, "hello");
        assert_eq!(carrying.await.unwrap(), "me secret nowhere.invalid 80");
        serving.await.unwrap();
    }

    #[test]
    fn only_known_schemes_are_proxies() {
        for good in ["", "http://x", "https://x:1", "socks5://x:1"] {
            assert!(check_proxy(good, "c").is_ok(), "{good}");
        }
        let refused = check_proxy("ftp://x", "c").unwrap_err().report();
        let text = "unsupported scheme \"ftp\", must be http, https, or socks5";
        assert_eq!(refused, format!("error: invalid 'proxy-url' \"ftp://x\" for cluster \"c\": {text}"));
    }
}
