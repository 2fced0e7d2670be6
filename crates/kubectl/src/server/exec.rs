//! A process in a container, over a WebSocket: its streams are the channels of `v5.channel.k8s.io` (or `v4`).

use super::connection::Connection;
use super::https::unreachable;
use super::socket::{self, Socket};
use crate::failure::{Failure, Result};
use bytes::{BufMut, Bytes, BytesMut};
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

const PROTOCOLS: &str = "v5.channel.k8s.io, v4.channel.k8s.io";
const V5: &str = "v5.channel.k8s.io";

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const ERROR: u8 = 3;
const RESIZE: u8 = 4;
const CLOSE: u8 = 255;

/// Both directions of a process: what goes in, and what comes out.
pub(crate) struct Remote {
    pub(crate) input: Input,
    pub(crate) output: Output,
}

pub(crate) struct Input {
    socket: SplitSink<Socket, Message>,
    /// Earlier protocols cannot say that standard input ended.
    closes: bool,
}

pub(crate) struct Output {
    socket: SplitStream<Socket>,
    server: String,
}

#[derive(Debug, PartialEq)]
pub(crate) enum Piece {
    Stdout(Bytes),
    Stderr(Bytes),
    /// How it ended, a `Status` in JSON.
    Ended(Bytes),
}

/// Opens `path`, an `exec` or `attach` with its query.
pub(crate) async fn open(connection: &Connection, path: &str) -> Result<Remote> {
    let (socket, protocol) = socket::open(connection, path, PROTOCOLS).await?;
    let (sink, stream) = socket.split();
    Ok(Remote {
        input: Input { socket: sink, closes: protocol == V5 },
        output: Output { socket: stream, server: connection.config.server.clone() },
    })
}

impl Input {
    pub(crate) async fn stdin(&mut self, bytes: &[u8]) -> Result<()> {
        self.send(STDIN, bytes).await
    }

    pub(crate) async fn resize(&mut self, columns: u16, rows: u16) -> Result<()> {
        self.send(RESIZE, json!({"Width": columns, "Height": rows}).to_string().as_bytes()).await
    }

    /// Standard input has ended.
    pub(crate) async fn close_stdin(&mut self) -> Result<()> {
        if self.closes { self.send(CLOSE, &[STDIN]).await } else { Ok(()) }
    }

    async fn send(&mut self, channel: u8, bytes: &[u8]) -> Result<()> {
        let mut frame = BytesMut::with_capacity(bytes.len() + 1);
        frame.put_u8(channel);
        frame.put_slice(bytes);
        let sent = self.socket.send(Message::Binary(frame.freeze())).await;
        sent.map_err(|error| Failure::message(format!("sending to the container: {error}")))
    }
}

impl Output {
    /// `None` after the server closed the connection.
    pub(crate) async fn next(&mut self) -> Result<Option<Piece>> {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Binary(frame))) => {
                    if let Some(piece) = piece(frame) {
                        return Ok(Some(piece));
                    }
                }
                Some(Ok(Message::Close(_))) | None => return Ok(None),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(unreachable(&self.server, &error)),
            }
        }
    }
}

/// Empty frames announce that a channel is open.
fn piece(mut frame: Bytes) -> Option<Piece> {
    if frame.len() < 2 {
        return None;
    }
    let channel = frame.split_to(1)[0];
    match channel {
        STDOUT => Some(Piece::Stdout(frame)),
        STDERR => Some(Piece::Stderr(frame)),
        ERROR => Some(Piece::Ended(frame)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_pieces_of_their_channel() {
        for (frame, expected) in [
            (&b"\x01out"[..], Some(Piece::Stdout("out".into()))),
            (b"\x02err", Some(Piece::Stderr("err".into()))),
            (b"\x03{}", Some(Piece::Ended("{}".into()))),
            (b"\x01", None),
            (b"", None),
            (b"\xff\x01", None),
        ] {
            assert_eq!(piece(Bytes::from_static(frame)), expected);
        }
    }
}
