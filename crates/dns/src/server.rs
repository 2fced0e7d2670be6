//! Listens on UDP and TCP and keeps the zone's indexes current.

use crate::forward;
use crate::zone::{Answer, Zone};
use api::k8s_openapi::api::core::v1::Service;
use api::k8s_openapi::api::discovery::v1::EndpointSlice;
use client::Cache;
use hickory_proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::Name;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Questions under way to other resolvers, and TCP connections.
const FORWARDS_MAX: usize = 1024;
const CONNECTIONS_MAX: usize = 256;
const CONNECTION_IDLE_MAX: Duration = Duration::from_secs(10);
const PORT_CHOICES_MAX: u32 = 16;
/// Without EDNS a UDP answer has at most this many bytes.
const UDP_BYTES_PLAIN: u16 = 512;
/// And with it at most this many, which pass any link without fragments.
const UDP_BYTES_MAX: u16 = 1232;

#[derive(Clone, Debug)]
pub struct Options {
    /// `cluster.local`.
    pub domain: String,
    pub listen: Vec<SocketAddr>,
    pub upstreams: Vec<SocketAddr>,
}

#[derive(Debug, thiserror::Error)]
pub enum DnsError {
    #[error("the cluster domain {0:?} is not a name")]
    Domain(String),
    #[error("listening for DNS on {address}: {source}")]
    Listen { address: SocketAddr, source: std::io::Error },
}

/// The node's resolver.
pub struct Dns {
    service: Arc<Resolver>,
    services: Cache<Service>,
    slices: Cache<EndpointSlice>,
    sockets: Vec<(Arc<UdpSocket>, TcpListener)>,
}

struct Resolver {
    zone: Zone,
    upstreams: Vec<SocketAddr>,
    forwards: Semaphore,
}

impl Dns {
    /// Takes the sockets, so that an occupied address is known at once.
    pub async fn bind(client: &client::Client, options: Options) -> Result<Dns, DnsError> {
        let mut domain = Name::from_utf8(&options.domain).map_err(|_| DnsError::Domain(options.domain.clone()))?;
        domain.set_fqdn(true);
        let (services, slices) = (client.cache(), client.cache());
        let mut sockets = Vec::new();
        for address in options.listen {
            let (udp, tcp) = bind_both(address).await.map_err(|source| DnsError::Listen { address, source })?;
            sockets.push((Arc::new(udp), tcp));
        }
        let zone = Zone::new(domain, services.clone());
        let service = Resolver { zone, upstreams: options.upstreams, forwards: Semaphore::new(FORWARDS_MAX) };
        Ok(Dns { service: Arc::new(service), services, slices, sockets })
    }

    /// Where it listens.
    pub fn local_addresses(&self) -> Vec<SocketAddr> {
        self.sockets.iter().filter_map(|(udp, _)| udp.local_addr().ok()).collect()
    }

    /// Runs until dropped; answers from the time the caches are full.
    pub async fn run(self) {
        self.services.synced().await;
        self.slices.synced().await;
        let mut services = self.services.changes();
        let mut slices = self.slices.changes();
        let zone = &self.service.zone;
        while let Some(change) = slices.try_next() {
            zone.slices.write().apply(change);
        }
        while let Some(change) = services.try_next() {
            zone.by_ip.write().apply(change);
        }
        let mut tasks = tokio::task::JoinSet::new();
        for (udp, tcp) in self.sockets {
            tasks.spawn(serve_udp(self.service.clone(), udp));
            tasks.spawn(serve_tcp(self.service.clone(), tcp));
        }
        loop {
            tokio::select! {
                change = slices.next() => { zone.slices.write().apply(change); }
                change = services.next() => { zone.by_ip.write().apply(change); }
            }
        }
    }
}

/// One port on both protocols. Where the system chooses it (port 0) it looks at UDP alone, and what is free there may be
/// taken on TCP: then it chooses again.
async fn bind_both(address: SocketAddr) -> std::io::Result<(UdpSocket, TcpListener)> {
    let mut choices = if address.port() == 0 { PORT_CHOICES_MAX } else { 1 };
    loop {
        let udp = UdpSocket::bind(address).await?;
        choices -= 1;
        match TcpListener::bind(udp.local_addr()?).await {
            Ok(tcp) => return Ok((udp, tcp)),
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse && choices > 0 => {}
            Err(error) => return Err(error),
        }
    }
}

enum Outcome {
    Answer(Vec<u8>),
    Forward,
    Ignore,
}

impl Resolver {
    /// Answers what is ours.
    fn resolve(&self, question: &[u8], over_tcp: bool) -> Outcome {
        let Ok(message) = Message::from_vec(question) else {
            return header_only(question, ResponseCode::FormErr);
        };
        if message.metadata.message_type != MessageType::Query {
            return Outcome::Ignore;
        }
        let [query] = message.queries.as_slice() else { return header_only(question, ResponseCode::FormErr) };
        if message.metadata.op_code != OpCode::Query {
            return header_only(question, ResponseCode::NotImp);
        }
        let mut response = Message::response(message.metadata.id, OpCode::Query);
        response.add_query(query.clone());
        response.metadata.authoritative = true;
        response.metadata.recursion_desired = message.metadata.recursion_desired;
        response.metadata.recursion_available = true;
        match self.zone.answer(query.name(), query.query_type()) {
            Answer::Elsewhere => return Outcome::Forward,
            Answer::NoSuchName => {
                response.metadata.response_code = ResponseCode::NXDomain;
                response.add_authority(self.zone.authority());
            }
            Answer::Records(records) if records.is_empty() => {
                response.add_authority(self.zone.authority());
            }
            Answer::Records(records) => {
                response.add_answers(records);
            }
        }
        let bytes_max = match &message.edns {
            _ if over_tcp => u16::MAX,
            Some(edns) => edns.max_payload().clamp(UDP_BYTES_PLAIN, UDP_BYTES_MAX),
            None => UDP_BYTES_PLAIN,
        };
        match fit(response, usize::from(bytes_max)) {
            Some(answer) => Outcome::Answer(answer),
            None => header_only(question, ResponseCode::ServFail),
        }
    }

    async fn forward(&self, question: &[u8], over_tcp: bool) -> Outcome {
        let Ok(_permit) = self.forwards.try_acquire() else { return header_only(question, ResponseCode::ServFail) };
        match forward::ask(question, &self.upstreams, over_tcp).await {
            Ok(answer) => Outcome::Answer(answer),
            Err(error) => {
                tracing::debug!(%error, "a question for another resolver had no answer");
                header_only(question, ResponseCode::ServFail)
            }
        }
    }
}

/// Leaves out answers until the rest fits, and says so: the client asks again over TCP.
fn fit(mut response: Message, bytes_max: usize) -> Option<Vec<u8>> {
    loop {
        let bytes = response.to_vec().ok()?;
        if bytes.len() <= bytes_max {
            return Some(bytes);
        }
        let keep = response.answers.len() * bytes_max / bytes.len();
        if response.answers.is_empty() {
            return None;
        }
        response.answers.truncate(keep.min(response.answers.len() - 1));
        response.metadata.truncation = true;
    }
}

/// An error for a question that cannot be answered, as far as its header can be read.
fn header_only(question: &[u8], code: ResponseCode) -> Outcome {
    let Some(id) = question.first_chunk::<2>() else { return Outcome::Ignore };
    let message = Message::error_msg(u16::from_be_bytes(*id), OpCode::Query, code);
    message.to_vec().map_or(Outcome::Ignore, Outcome::Answer)
}

async fn serve_udp(resolver: Arc<Resolver>, socket: Arc<UdpSocket>) {
    let mut buffer = vec![0; usize::from(u16::MAX)];
    loop {
        let (length, peer) = match socket.recv_from(&mut buffer).await {
            Ok(received) => received,
            Err(error) => {
                tracing::debug!(%error, "receiving a DNS question");
                continue;
            }
        };
        match resolver.resolve(&buffer[..length], false) {
            Outcome::Answer(answer) => reply(&socket, peer, &answer).await,
            Outcome::Ignore => {}
            Outcome::Forward => {
                let (resolver, socket, question) = (resolver.clone(), socket.clone(), buffer[..length].to_vec());
                tokio::spawn(async move {
                    if let Outcome::Answer(answer) = resolver.forward(&question, false).await {
                        reply(&socket, peer, &answer).await;
                    }
                });
            }
        }
    }
}

async fn reply(socket: &UdpSocket, peer: SocketAddr, answer: &[u8]) {
    if let Err(error) = socket.send_to(answer, peer).await {
        tracing::debug!(%error, %peer, "sending a DNS answer");
    }
}

async fn serve_tcp(resolver: Arc<Resolver>, listener: TcpListener) {
    let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let permit = connections.clone().acquire_owned().await.expect("the semaphore is never closed");
        match listener.accept().await {
            Ok((stream, peer)) => {
                let resolver = resolver.clone();
                tokio::spawn(async move {
                    if let Err(error) = converse(&resolver, stream).await {
                        tracing::debug!(%error, %peer, "a DNS connection");
                    }
                    drop(permit);
                });
            }
            Err(error) => tracing::debug!(%error, "accepting a DNS connection"),
        }
    }
}

async fn converse(resolver: &Resolver, mut stream: TcpStream) -> std::io::Result<()> {
    loop {
        let Ok(length) = timeout(CONNECTION_IDLE_MAX, stream.read_u16()).await else { return Ok(()) };
        let length = match length {
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(()),
            length => length?,
        };
        let mut question = vec![0; usize::from(length)];
        timeout(CONNECTION_IDLE_MAX, stream.read_exact(&mut question)).await??;
        let outcome = match resolver.resolve(&question, true) {
            Outcome::Forward => resolver.forward(&question, true).await,
            outcome => outcome,
        };
        let Outcome::Answer(answer) = outcome else { return Ok(()) };
        let length = u16::try_from(answer.len()).map_err(std::io::Error::other)?;
        stream.write_all(&length.to_be_bytes()).await?;
        stream.write_all(&answer).await?;
    }
}
