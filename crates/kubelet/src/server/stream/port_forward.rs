//! Ports of a pod over a WebSocket's channels, as the language's client libraries have it.
//!
//! Port number i has channel 2i for bytes and 2i+1 for an error's words; both begin with the port, two bytes with the
//! low one first.

use super::Refused;
use super::channels::{Channels, Inbound, Outbound};
use spdy::{Headers, OpenError, Session, StreamReader, StreamWriter};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const CHUNK_BYTES: usize = 16 << 10;
/// Of an error's words.
const ERROR_BYTES_MAX: u64 = 64 << 10;
/// As many as a byte numbers channels for, without the one that closes others.
const PORTS_MAX: usize = 127;

/// The ports that a query names; a client that names them later, on its streams, has none.
pub(super) fn ports(named: &[String]) -> Result<Vec<u16>, Refused> {
    let texts: Vec<&str> = named.iter().flat_map(|list| list.split(',')).collect();
    if texts.len() > PORTS_MAX {
        return Err((400, format!("at most {PORTS_MAX} ports can be forwarded on one connection")));
    }
    let port = |text: &&str| match text.trim().parse::<u16>() {
        Ok(port) if port > 0 => Ok(port),
        _ => Err((400, format!("port {text:?} must be a number between 1 and 65535"))),
    };
    texts.iter().map(port).collect()
}

/// A port's connection, half by half.
struct Connection {
    port: u16,
    data: StreamReader,
    error: StreamReader,
}

async fn open(session: &Session, at: usize, port: u16) -> Result<(Connection, StreamWriter), OpenError> {
    let headers =
        |kind: &str| Headers::of(&[("streamType", kind), ("port", &port.to_string()), ("requestID", &at.to_string())]);
    let (error, mut writer) = session.open(headers("error")).await?.into_split();
    // Nothing is written there; a session that has just ended is noticed with the next stream.
    if let Err(error) = writer.shutdown().await {
        tracing::debug!(port, %error, "a forwarded port's connection");
    }
    let (data, writer) = session.open(headers("data")).await?.into_split();
    Ok((Connection { port, data, error }, writer))
}

/// Forwards until all connections have ended, or the client has left.
pub(super) async fn run(channels: Channels, session: Session, ports: &[u16]) {
    let (mut connections, mut writers, mut failures) = (Vec::new(), Vec::new(), Vec::new());
    for (at, port) in ports.iter().enumerate() {
        match open(&session, at, *port).await {
            Ok((connection, writer)) => {
                connections.push((2 * at as u8, connection));
                writers.push(Some(writer));
            }
            Err(error) => {
                failures.push((2 * at as u8, *port, format!("error forwarding port {port} to pod: {error}")));
                writers.push(None);
            }
        }
    }
    let output = async |out: Outbound| {
        for (channel, port, text) in &failures {
            if begin(&out, *channel, *port).await.is_none() || out.send(channel + 1, text.as_bytes()).await.is_none() {
                return;
            }
        }
        let copies = connections.into_iter().map(|(channel, connection)| copy(connection, channel, out.clone()));
        futures::future::join_all(copies).await;
    };
    channels.run(output, |inbound| take_input(inbound, writers)).await;
}

/// Both channels begin with the port.
async fn begin(out: &Outbound, channel: u8, port: u16) -> Option<()> {
    out.send(channel, &port.to_le_bytes()).await?;
    out.send(channel + 1, &port.to_le_bytes()).await
}

/// `None` when the client is gone.
async fn copy(connection: Connection, channel: u8, out: Outbound) -> Option<()> {
    let Connection { port, mut data, error } = connection;
    begin(&out, channel, port).await?;
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match data.read(&mut chunk).await {
            Ok(count) if count > 0 => out.send(channel, &chunk[..count]).await?,
            Ok(_) => break,
            Err(error) => {
                tracing::debug!(port, %error, "a forwarded connection was cut");
                break;
            }
        }
    }
    let mut words = Vec::new();
    if let Err(error) = error.take(ERROR_BYTES_MAX).read_to_end(&mut words).await {
        tracing::debug!(port, %error, "a forwarded connection's words");
    }
    if words.is_empty() { Some(()) } else { out.send(channel + 1, &words).await }
}

async fn take_input(mut inbound: Inbound, mut writers: Vec<Option<StreamWriter>>) {
    while let Some((channel, bytes)) = inbound.next().await {
        let Some(writer) = writers.get_mut(usize::from(channel / 2)).filter(|_| channel % 2 == 0) else { continue };
        if let Some(to) = writer
            && let Err(error) = to.write_all(&bytes).await
        {
            tracing::debug!(channel, %error, "the pod closed a forwarded connection");
            *writer = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_numbers() {
        let check = |named: &[&str]| ports(&named.iter().map(ToString::to_string).collect::<Vec<_>>()).map_err(|r| r.0);
        assert_eq!(check(&["80,81", "82"]), Ok(vec![80, 81, 82]));
        assert_eq!(check(&[]), Ok(Vec::new()));
        for wrong in ["0", "65536", "http", ""] {
            assert_eq!(check(&[wrong]), Err(400), "{wrong}");
        }
        assert_eq!(check(&["1"; 128]), Err(400));
    }
}
