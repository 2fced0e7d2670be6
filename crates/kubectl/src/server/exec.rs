//! A process in a container, over a WebSocket: its streams are the channels of `v5.channel.k8s.io` (or `v4`).

use super::https::{refusal, unreachable};
use crate::failure::{Failure, Result};
use bytes::{BufMut, Bytes, BytesMut};
use client::{Config, Credentials};
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use http::HeaderValue;
use rustls::pki_types::ServerName;
use serde_json::json;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};

const PROTOCOLS: &str = "v5.channel.k8s.io, v4.channel.k8s.io";
const V5: &str = "v5.channel.k8s.io";

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const ERROR: u8 = 3;
const RESIZE: u8 = 4;
const CLOSE: u8 = 255;

type Socket = WebSocketStream<TlsStream<TcpStream>>;

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
pub(crate) async fn open(config: &Config, path: &str) -> Result<Remote> {
    let message = |error: &dyn std::fmt::Display| Failure::message(error.to_string());
    let uri: http::Uri =
        format!("{}{path}", config.server).parse().map_err(|error: http::uri::InvalidUri| message(&error))?;
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let tcp = TcpStream::connect((host.as_str(), uri.port_u16().unwrap_or(443)));
    let tcp = tcp.await.map_err(|error| unreachable(&config.server, &error))?;
    tcp.set_nodelay(true).map_err(|error| unreachable(&config.server, &error))?;
    let name = config.server_name.clone().unwrap_or(host);
    let name = ServerName::try_from(name).map_err(|error| message(&error))?;
    let tls = config.tls().map_err(|error| message(&error))?;
    let tls = TlsConnector::from(Arc::new(tls)).connect(name, tcp);
    let tls = tls.await.map_err(|error| unreachable(&config.server, &error))?;

    let socket = format!("{}{path}", config.server.replacen("http", "ws", 1));
    let mut request = socket.into_client_request().map_err(|error| message(&error))?;
    let headers = request.headers_mut();
    headers.insert(http::header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(PROTOCOLS));
    if let Credentials::Token(token) = &config.credentials {
        let value = HeaderValue::try_from(format!("Bearer {token}")).map_err(|error| message(&error))?;
        headers.insert(http::header::AUTHORIZATION, value);
    }
    let (socket, answer) = match tokio_tungstenite::client_async(request, tls).await {
        Ok(opened) => opened,
        Err(Error::Http(answer)) => {
            let code = answer.status().as_u16();
            return Err(refusal(code, answer.body().as_deref().unwrap_or_default()).into());
        }
        Err(error) => return Err(unreachable(&config.server, &error)),
    };
    let protocol = answer.headers().get(http::header::SEC_WEBSOCKET_PROTOCOL);
    let closes = protocol.is_some_and(|protocol| protocol == V5);
    let (sink, stream) = socket.split();
    Ok(Remote {
        input: Input { socket: sink, closes },
        output: Output { socket: stream, server: config.server.clone() },
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
