//! A WebSocket to a path of the server: what exec, attach and port-forward speak through.

use super::connection::Connection;
use super::dial::Dial;
use super::https::{refusal, unreachable};
use crate::failure::{Failure, Result};
use http::{HeaderValue, header};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

/// TLS or not, for a server on this machine.
pub(crate) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

pub(super) type Socket = WebSocketStream<Box<dyn Wire>>;

/// Opens `path`, offering `protocols`; answers the one that the server chose too.
pub(super) async fn open(connection: &Connection, path: &str, protocols: &'static str) -> Result<(Socket, String)> {
    let message = |error: &dyn std::fmt::Display| Failure::message(error.to_string());
    let server = &connection.config.server;
    let socket = format!("{}{path}", server.replacen("http", "ws", 1));
    let mut request = socket.into_client_request().map_err(|error| message(&error))?;
    let headers = request.headers_mut();
    headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocols));
    for (name, value) in connection.identity()? {
        headers.append(name, value);
    }
    let wire = dial(connection).await?;
    let (socket, answer) = match tokio_tungstenite::client_async(request, wire).await {
        Ok(opened) => opened,
        Err(Error::Http(answer)) => {
            let code = answer.status().as_u16();
            return Err(refusal(code, answer.body().as_deref().unwrap_or_default()).into());
        }
        Err(error) => return Err(unreachable(server, &error)),
    };
    let chosen = answer.headers().get(header::SEC_WEBSOCKET_PROTOCOL);
    let chosen = chosen.and_then(|chosen| chosen.to_str().ok()).unwrap_or_default();
    Ok((socket, chosen.to_owned()))
}

async fn dial(connection: &Connection) -> Result<Box<dyn Wire>> {
    let message = |error: &dyn std::fmt::Display| Failure::message(error.to_string());
    let config = &connection.config;
    let uri: http::Uri = config.server.parse().map_err(|error: http::uri::InvalidUri| message(&error))?;
    let secure = uri.scheme_str() != Some("http");
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let tls = connection.tls()?;
    let wire = Dial::new(connection, &tls)?.connect(uri).await;
    let wire = TokioIo::new(wire.map_err(|error| unreachable(&config.server, error.as_ref()))?);
    if !secure {
        return Ok(Box::new(wire));
    }
    let name = config.server_name.clone().unwrap_or(host);
    let name = ServerName::try_from(name).map_err(|error| message(&error))?;
    let tls = TlsConnector::from(Arc::new(tls)).connect(name, wire);
    Ok(Box::new(tls.await.map_err(|error| unreachable(&config.server, &error))?))
}
