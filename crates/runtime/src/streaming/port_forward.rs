//! Connections into a pod over a WebSocket: `v4.channel.k8s.io`.
//!
//! Port number i has channel 2i for bytes and 2i+1 for an error's words; both begin with the port, two bytes with the
//! low one first.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;

use super::server::Socket;

/// Bytes read from a connection at once.
const CHUNK_BYTES: usize = 16 << 10;
/// Messages that wait for the client.
const OUTBOUND_MAX: usize = 16;

/// Forwards `ports` of the pod whose network namespace is `network`, until the client leaves.
pub(super) async fn serve(socket: Socket, network: &OwnedFd, ports: &[u16]) {
    let namespace = PathBuf::from(format!("/proc/self/fd/{}", network.as_raw_fd()));
    let (mut sink, mut stream) = socket.split();
    let (outbound, mut messages) = mpsc::channel::<Message>(OUTBOUND_MAX);
    let writer = tokio::spawn(async move {
        while let Some(message) = messages.recv().await {
            if let Err(error) = sink.send(message).await {
                return tracing::debug!(%error, "client left");
            }
        }
    });
    let mut writers: HashMap<u8, OwnedWriteHalf> = HashMap::new();
    for (at, port) in ports.iter().enumerate().take(127) {
        let data = 2 * at as u8;
        if let Some(half) = open(namespace.clone(), *port, data, &outbound).await {
            writers.insert(data, half);
        }
    }
    while let Some(Ok(message)) = stream.next().await {
        let Message::Binary(content) = message else {
            if message.is_close() {
                break;
            }
            continue;
        };
        let Some((channel, bytes)) = content.split_first() else { continue };
        if let Some(half) = writers.get_mut(channel)
            && let Err(error) = half.write_all(bytes).await
        {
            tracing::debug!(%error, "the pod closed a forwarded connection");
            writers.remove(channel);
        }
    }
    drop((writers, outbound));
    if let Err(error) = writer.await {
        tracing::debug!(%error, "forwarding ended");
    }
}

/// Connects one port; answers what takes the client's bytes. A failure is told on the error channel.
async fn open(namespace: PathBuf, port: u16, data: u8, outbound: &mpsc::Sender<Message>) -> Option<OwnedWriteHalf> {
    for channel in [data, data + 1] {
        tell(outbound, channel, &port.to_le_bytes()).await?;
    }
    match connect(namespace, port).await {
        Ok(stream) => {
            let (reader, writer) = stream.into_split();
            tokio::spawn(copy(reader, data, outbound.clone()));
            Some(writer)
        }
        Err(error) => {
            let text = format!("error forwarding port {port} to pod: {error}");
            tell(outbound, data + 1, text.as_bytes()).await?;
            None
        }
    }
}

/// Connects inside the pod, by IPv4 and else by IPv6, as `localhost` would.
async fn connect(namespace: PathBuf, port: u16) -> io::Result<TcpStream> {
    let connect = move || {
        kernel::netns::in_netns(&namespace, || {
            let first = std::net::TcpStream::connect(("127.0.0.1", port));
            first.or_else(|error| std::net::TcpStream::connect(("::1", port)).map_err(|_| error))
        })
    };
    let stream = tokio::task::spawn_blocking(connect).await.map_err(io::Error::other)?.map_err(io::Error::other)??;
    stream.set_nonblocking(true)?;
    TcpStream::from_std(stream)
}

async fn copy(mut reader: OwnedReadHalf, channel: u8, outbound: mpsc::Sender<Message>) {
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match reader.read(&mut chunk).await {
            Ok(count) if count > 0 => {
                if tell(&outbound, channel, &chunk[..count]).await.is_none() {
                    return;
                }
            }
            _ => return,
        }
    }
}

/// `None` when the client is gone.
async fn tell(outbound: &mpsc::Sender<Message>, channel: u8, bytes: &[u8]) -> Option<()> {
    let mut content = Vec::with_capacity(bytes.len() + 1);
    content.push(channel);
    content.extend_from_slice(bytes);
    outbound.send(Message::Binary(Bytes::from(content))).await.ok()
}
