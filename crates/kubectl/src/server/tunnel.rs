//! SPDY inside a WebSocket: how ports are forwarded through a server that speaks no SPDY itself.

use super::connection::Connection;
use super::socket::{self, Socket};
use crate::failure::{Failure, Result};
use bytes::{Buf, Bytes};
use futures::{Sink, Stream};
use spdy::Session;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;
use tokio_tungstenite::tungstenite::Message;

const PROTOCOL: &str = "SPDY/3.1+portforward.k8s.io";

/// A connection of many streams to a pod's ports.
pub(crate) struct Tunnel {
    pub(crate) session: Session,
    /// Resolves when the connection has ended.
    pub(crate) ended: oneshot::Receiver<()>,
}

/// `path` is the pod's `portforward`.
pub(crate) async fn open(connection: &Connection, path: &str) -> Result<Tunnel> {
    let (socket, protocol) = socket::open(connection, path, PROTOCOL).await?;
    if protocol != PROTOCOL {
        return Err(Failure::message(format!("the server forwards no ports over {PROTOCOL}")));
    }
    let (_end, ended) = oneshot::channel();
    Ok(Tunnel { session: Session::client(Bytestream { socket, rest: Bytes::new(), _end }), ended })
}

/// A WebSocket's messages as bytes without borders.
struct Bytestream {
    socket: Socket,
    /// Of the last message, what nobody has read yet.
    rest: Bytes,
    /// Dropped with the connection.
    _end: oneshot::Sender<()>,
}

fn broken(error: tokio_tungstenite::tungstenite::Error) -> io::Error {
    io::Error::other(error)
}

impl AsyncRead for Bytestream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.rest.is_empty() {
            match ready!(Pin::new(&mut self.socket).poll_next(context)) {
                Some(Ok(Message::Binary(bytes))) => self.rest = bytes,
                Some(Ok(Message::Close(_))) | None => return Poll::Ready(Ok(())),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Poll::Ready(Err(broken(error))),
            }
        }
        let count = self.rest.len().min(buffer.remaining());
        buffer.put_slice(&self.rest[..count]);
        self.rest.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Bytestream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(Pin::new(&mut self.socket).poll_ready(context)).map_err(broken)?;
        let message = Message::Binary(Bytes::copy_from_slice(bytes));
        Pin::new(&mut self.socket).start_send(message).map_err(broken)?;
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context).map_err(broken)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_close(context).map_err(broken)
    }
}

#[cfg(test)]
mod tests {
    use super::super::socket::Wire;
    use super::*;
    use client::{Config, Credentials};
    use spdy::Headers;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};

    /// Takes one tunnel, sends one stream's bytes back behind its port, and leaves.
    async fn echo(stream: TcpStream) {
        #[expect(clippy::result_large_err, reason = "the library's own signature")]
        let choose = |request: &Request, mut response: Response| {
            let offered = request.headers().get("sec-websocket-protocol").unwrap().clone();
            response.headers_mut().insert("sec-websocket-protocol", offered);
            Ok(response)
        };
        let wire: Box<dyn Wire> = Box::new(stream);
        let socket = tokio_tungstenite::accept_hdr_async(wire, choose).await.unwrap();
        let (_end, _) = oneshot::channel();
        let mut incoming = Session::server(Bytestream { socket, rest: Bytes::new(), _end });
        let stream = incoming.next().await.unwrap();
        let port = stream.headers().get("port").unwrap().to_owned();
        let (mut reader, mut writer) = stream.into_split();
        let mut heard = Vec::new();
        reader.read_to_end(&mut heard).await.unwrap();
        writer.write_all(format!("{port}:").as_bytes()).await.unwrap();
        writer.write_all(&heard).await.unwrap();
        writer.shutdown().await.unwrap();
    }

    #[tokio::test]
    async fn a_stream_goes_both_ways_and_ends_half_by_half() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = format!("http://{}", listener.local_addr().unwrap());
        let serving = tokio::spawn(async move { echo(listener.accept().await.unwrap().0).await });
        let connection = Connection::new(Config {
            server,
            ca_pem: String::new(),
            server_name: None,
            credentials: Credentials::Anonymous,
            namespace: String::new(),
            user_agent: String::new(),
        });
        let Tunnel { session, ended } = open(&connection, "/portforward").await.unwrap();
        let stream = session.open(Headers::of(&[("streamType", "data"), ("port", "80")])).await.unwrap();
        let (mut reader, mut writer) = stream.into_split();
        let sent = vec![b'x'; 100_000];
        writer.write_all(&sent).await.unwrap();
        writer.shutdown().await.unwrap();
        let mut back = Vec::new();
        reader.read_to_end(&mut back).await.unwrap();
        assert_eq!((back.len(), &back[..4]), (100_003, &b"80:x"[..]));
        serving.await.unwrap();
        drop((reader, writer, session));
        // The sender goes with the connection.
        assert!(ended.await.is_err());
    }
}
