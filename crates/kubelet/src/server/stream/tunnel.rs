//! A SPDY connection inside a WebSocket: its bytes go on to the runtime as they are.

use super::channels::{Socket, close};
use bytes::Bytes;
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use spdy::limits::LINGER;
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio_tungstenite::tungstenite::Message;

const CHUNK_BYTES: usize = 32 << 10;

/// Until either side has left, and the other has heard what came before.
pub(super) async fn run(socket: Socket, runtime: TokioIo<Upgraded>) {
    let (sink, stream) = socket.split();
    let (reader, writer) = tokio::io::split(runtime);
    let down = downwards(reader, sink);
    let up = upwards(stream, writer);
    tokio::pin!(down, up);
    let rest = tokio::select! {
        ended = &mut down => {
            if let Err(error) = ended {
                return tracing::debug!(%error, "a tunnel was cut");
            }
            tokio::time::timeout(LINGER, up).await.is_ok()
        }
        () = &mut up => tokio::time::timeout(LINGER, down).await.is_ok(),
    };
    if !rest {
        tracing::debug!("one side of a tunnel did not leave in time");
    }
}

async fn downwards(mut reader: ReadHalf<TokioIo<Upgraded>>, mut sink: SplitSink<Socket, Message>) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match reader.read(&mut chunk).await? {
            0 => return close(&mut sink).await.map_err(io::Error::other),
            count => {
                let message = Message::Binary(Bytes::copy_from_slice(&chunk[..count]));
                sink.send(message).await.map_err(io::Error::other)?;
            }
        }
    }
}

/// Takes the client's bytes to their end, also when the runtime takes them no more.
async fn upwards(mut stream: SplitStream<Socket>, mut writer: WriteHalf<TokioIo<Upgraded>>) {
    let mut broken = false;
    while let Some(Ok(message)) = stream.next().await {
        let bytes = match message {
            Message::Binary(bytes) => bytes,
            Message::Close(_) => break,
            _ => continue,
        };
        if !broken && let Err(error) = writer.write_all(&bytes).await {
            tracing::debug!(%error, "the runtime left a tunnel");
            broken = true;
        }
    }
    if let Err(error) = writer.shutdown().await {
        tracing::debug!(%error, "the runtime had left a tunnel before its end");
    }
}
