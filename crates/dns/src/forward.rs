//! Passing questions on to the machine's own resolvers.

use std::io::{Error, ErrorKind, Result};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

/// One resolver's time to answer; with several, a question takes at most that many times this.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(2);
const UPSTREAMS_MAX: usize = 3;

/// The resolvers that a `resolv.conf` names, without `own` addresses: a question must not come back to us.
pub fn upstreams(resolv_conf: &Path, own: &[Ipv4Addr]) -> Vec<SocketAddr> {
    let text = match std::fs::read_to_string(resolv_conf) {
        Ok(text) => text,
        Err(error) => {
            tracing::warn!(path = %resolv_conf.display(), %error, "no resolvers: names outside the cluster are not answered");
            return Vec::new();
        }
    };
    let named = text.lines().filter_map(|line| line.trim().strip_prefix("nameserver"));
    let addresses = named.filter_map(|rest| rest.trim().parse::<IpAddr>().ok());
    let others = addresses.filter(|address| !own.iter().any(|own| IpAddr::V4(*own) == *address));
    others.take(UPSTREAMS_MAX).map(|address| SocketAddr::new(address, 53)).collect()
}

/// The first resolver's answer, byte for byte; the next is asked when one is silent.
pub(crate) async fn ask(question: &[u8], upstreams: &[SocketAddr], over_tcp: bool) -> Result<Vec<u8>> {
    let mut last = Error::new(ErrorKind::NotConnected, "no resolver is known");
    for upstream in upstreams {
        let asked =
            async { if over_tcp { ask_tcp(question, *upstream).await } else { ask_udp(question, *upstream).await } };
        match timeout(ANSWER_TIME_MAX, asked).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => last = error,
            Err(_) => last = Error::new(ErrorKind::TimedOut, format!("{upstream} did not answer")),
        }
    }
    Err(last)
}

async fn ask_udp(question: &[u8], upstream: SocketAddr) -> Result<Vec<u8>> {
    let local: IpAddr =
        if upstream.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { std::net::Ipv6Addr::UNSPECIFIED.into() };
    // A fresh socket has a random port; connected, it takes answers from that resolver only.
    let socket = UdpSocket::bind((local, 0)).await?;
    socket.connect(upstream).await?;
    socket.send(question).await?;
    let mut answer = vec![0; usize::from(u16::MAX)];
    loop {
        let length = socket.recv(&mut answer).await?;
        if length >= 2 && answer[..2] == question[..2] {
            answer.truncate(length);
            return Ok(answer);
        }
    }
}

async fn ask_tcp(question: &[u8], upstream: SocketAddr) -> Result<Vec<u8>> {
    let mut stream = TcpStream::connect(upstream).await?;
    let length = u16::try_from(question.len()).map_err(Error::other)?;
    stream.write_all(&length.to_be_bytes()).await?;
    stream.write_all(question).await?;
    let mut answer = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}
