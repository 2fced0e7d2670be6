//! A WebSocket whose messages begin with the number of a channel: one byte, or a digit before base64.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use spdy::limits::LINGER;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

pub(super) type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// As upstream's. Some clients send a file as one message.
const MESSAGE_BYTES_MAX: usize = 32 << 20;
const BUFFER_BYTES: usize = 16 << 10;
/// Messages that wait for the client.
const OUTBOUND_MAX: usize = 16;
/// How long a client may take to answer a ping; one that never does waits this long for its first output.
const LISTEN_TIMEOUT: Duration = Duration::from_millis(250);

pub(super) async fn socket(io: TokioIo<Upgraded>) -> Socket {
    let config = WebSocketConfig::default()
        .read_buffer_size(BUFFER_BYTES)
        .write_buffer_size(0)
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX));
    WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await
}

/// Says goodbye. A close without a code reads as an abnormal end: `kubectl` then fails although nothing did.
pub(super) async fn close(sink: &mut SplitSink<Socket, Message>) -> Result<(), Error> {
    sink.send(Message::Close(Some(CloseFrame { code: CloseCode::Normal, reason: Default::default() }))).await
}

pub(super) struct Channels {
    socket: Socket,
    text: bool,
    /// What the client said while it was awaited.
    first: Option<Message>,
}

impl Channels {
    pub(super) fn new(socket: Socket, text: bool) -> Channels {
        Channels { socket, text, first: None }
    }

    /// Waits until the client listens. Older `kubectl`s throw away what arrives before it has its streams, and a
    /// command's first words can be that fast: an answered ping, or a word of the client's own, says that it reads.
    pub(super) async fn heard(mut self) -> Channels {
        let answer = async {
            self.socket.send(Message::Ping(Bytes::new())).await.ok()?;
            self.socket.next().await?.ok()
        };
        match tokio::time::timeout(LISTEN_TIMEOUT, answer).await {
            Ok(Some(Message::Pong(_))) => {}
            // An end is found again by whoever reads next.
            Ok(message) => self.first = message,
            Err(_) => tracing::debug!("a client does not answer pings"),
        }
        self
    }

    /// Runs both directions. When `output` and all that it sent is done, the client is told goodbye and heard out, so
    /// that no reset overtakes the last words; when `input` returns first, the client has left.
    pub(super) async fn run<O: Future<Output = ()>, I: Future<Output = ()>>(
        self,
        output: impl FnOnce(Outbound) -> O,
        input: impl FnOnce(Inbound) -> I,
    ) {
        let (mut sink, stream) = self.socket.split();
        let (sender, mut messages) = mpsc::channel::<Message>(OUTBOUND_MAX);
        let writing = async {
            while let Some(message) = messages.recv().await {
                sink.send(message).await?;
            }
            close(&mut sink).await
        };
        let output = output(Outbound { sender, text: self.text });
        let input = input(Inbound { stream, text: self.text, first: self.first });
        tokio::pin!(input);
        tokio::select! {
            (written, ()) = async { tokio::join!(writing, output) } => {
                if let Err(error) = written {
                    return tracing::debug!(%error, "a client left before the end was told");
                }
                if tokio::time::timeout(LINGER, input).await.is_err() {
                    tracing::debug!("a client did not leave in time");
                }
            }
            () = &mut input => tracing::debug!("a client left"),
        }
    }
}

/// Towards the client.
#[derive(Clone)]
pub(super) struct Outbound {
    sender: mpsc::Sender<Message>,
    text: bool,
}

impl Outbound {
    /// `None` when the client is gone.
    pub(super) async fn send(&self, channel: u8, bytes: &[u8]) -> Option<()> {
        self.sender.send(encode(self.text, channel, bytes)).await.ok()
    }
}

/// From the client.
pub(super) struct Inbound {
    stream: SplitStream<Socket>,
    text: bool,
    first: Option<Message>,
}

impl Inbound {
    /// The next message and its channel; `None` when the client has left.
    pub(super) async fn next(&mut self) -> Option<(u8, Bytes)> {
        loop {
            let message = match self.first.take() {
                Some(first) => first,
                None => match self.stream.next().await? {
                    Ok(message) => message,
                    Err(error) => {
                        tracing::debug!(%error, "a client's WebSocket was cut");
                        return None;
                    }
                },
            };
            match message {
                Message::Close(_) => return None,
                // Some clients send what they type as text, channel and all.
                Message::Binary(_) | Message::Text(_) => {
                    if let Some(decoded) = decode(self.text, message.into_data()) {
                        return Some(decoded);
                    }
                }
                // The library answers pings.
                _ => {}
            }
        }
    }
}

fn encode(text: bool, channel: u8, bytes: &[u8]) -> Message {
    if text {
        let mut content = String::with_capacity(1 + bytes.len().div_ceil(3) * 4);
        content.push(char::from(b'0' + channel));
        STANDARD.encode_string(bytes, &mut content);
        return Message::Text(content.into());
    }
    let mut content = Vec::with_capacity(bytes.len() + 1);
    content.push(channel);
    content.extend_from_slice(bytes);
    Message::Binary(content.into())
}

/// `None` for what has no channel, or is not in base64 where it should be.
fn decode(text: bool, content: Bytes) -> Option<(u8, Bytes)> {
    let channel = *content.first()?;
    if !text {
        return Some((channel, content.slice(1..)));
    }
    let bytes = STANDARD.decode(&content[1..]).ok()?;
    Some((channel.checked_sub(b'0')?, bytes.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_begin_with_their_channel() {
        assert_eq!(encode(false, 1, b"hi"), Message::Binary(Bytes::from_static(b"\x01hi")));
        assert_eq!(encode(true, 1, b"hi"), Message::Text("1aGk=".into()));
        for text in [true, false] {
            let decoded = decode(text, encode(text, 4, b"{}").into_data());
            assert_eq!(decoded, Some((4, Bytes::from_static(b"{}"))));
        }
        assert_eq!(decode(true, Bytes::from_static(b"0not base64!")), None);
        assert_eq!(decode(true, Bytes::from_static(b"\x00aGk=")), None);
        assert_eq!(decode(false, Bytes::new()), None);
    }
}
