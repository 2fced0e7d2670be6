//! `port-forward`: ports of this machine that lead to a pod's.
//!
//! Invariant: a local connection that fails takes no other with it; when the connection to the pod ends, so does the
//! command.

use crate::calls::{At, name_of, namespace_of, text};
use crate::context::Context;
use crate::duration;
use crate::failure::{Failure, Result};
use crate::server::{Tunnel, open_tunnel};
use crate::target::Target;
use crate::workload;
use api::Kind;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;
use spdy::{Headers, Session, StreamReader, StreamWriter};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// POD or TYPE/NAME, and [LOCAL:]REMOTE ports
    words: Vec<String>,
    /// The addresses to listen on
    #[arg(long, value_delimiter = ',', default_value = "localhost")]
    address: Vec<String>,
    /// How long to wait for a workload's first pod
    #[arg(long, default_value = "1m0s")]
    pod_running_timeout: String,
}

/// Connections at a time; more wait in the listener's queue.
const CONNECTIONS_MAX: usize = 256;
/// Of what the pod's side says of an error.
const ERROR_BYTES_MAX: u64 = 4096;

#[derive(Clone, Copy, Debug, PartialEq)]
struct Ports {
    /// 0 is any that is free.
    local: u16,
    remote: u16,
}

pub(crate) async fn run(context: &Context, arguments: &Arguments) -> Result<()> {
    let Some((target, ports)) = arguments.words.split_first().filter(|(_, ports)| !ports.is_empty()) else {
        return Err(Failure::message(
            "TYPE/NAME and list of ports are required for port-forward\nSee 'kubectl port-forward -h' for help and examples",
        ));
    };
    let target = workload::target(context, target).await?;
    let patience = duration::parse(&arguments.pod_running_timeout)?.unwrap_or_default();
    let pods = workload::pods(context, &target, patience).await?;
    let pod = pods.first().ok_or_else(|| Failure::message("no pod to forward to"))?;
    let phase = text(pod, "/status/phase");
    if phase != "Running" {
        return Err(Failure::message(format!(
            "unable to forward port because pod is not running. Current status={phase}"
        )));
    }
    let object = context.get(target.at()).await?;
    let ports = ports.iter().map(|spec| self::ports(spec, &target, &object, pod)).collect::<Result<Vec<_>>>()?;
    let at = At { def: &Pod::DEF, namespace: namespace_of(pod), name: name_of(pod), subresource: "portforward" };
    let tunnel = open_tunnel(&context.connection, &at.path()).await?;
    let listeners = listen(context, &arguments.address, &ports).await?;
    let mut interrupted = signal(SignalKind::interrupt())
        .map_err(|error| Failure::message(format!("listening for an interrupt: {error}")))?;
    tokio::select! {
        ended = forward(context, tunnel, listeners) => ended,
        _ = interrupted.recv() => Ok(()),
    }
}

/// `80`, `8080:80`, `:80`, names of ports too; of a service, its ports.
fn ports(spec: &str, target: &Target, object: &Value, pod: &Value) -> Result<Ports> {
    let (local, remote) = spec.split_once(':').map_or((None, spec), |(local, remote)| (Some(local), remote));
    let number = |text: &str| text.parse::<u16>().ok();
    let invalid = |what: &str| Failure::message(format!("error parsing {what} port {spec:?}"));
    let (named, remote) = if target.def.kind == "Service" {
        let port = of_service(object, remote).ok_or_else(|| {
            Failure::message(format!("Service {} does not have a service port {remote}", target.name))
        })?;
        (port.0, of_pod(pod, &port.1))
    } else {
        (number(remote), of_pod(pod, remote))
    };
    let remote = remote.filter(|port| *port > 0).ok_or_else(|| match number(remote_text(spec)) {
        Some(_) => invalid("remote"),
        None => Failure::message(format!("Pod '{}' does not have a named port '{}'", name_of(pod), remote_text(spec))),
    })?;
    let local = match local {
        None => named.unwrap_or(remote),
        Some("") => 0,
        Some(local) => number(local).ok_or_else(|| invalid("local"))?,
    };
    Ok(Ports { local, remote })
}

fn remote_text(spec: &str) -> &str {
    spec.split_once(':').map_or(spec, |(_, remote)| remote)
}

/// The service's own port by number or name, and what it leads to.
fn of_service(service: &Value, wanted: &str) -> Option<(Option<u16>, String)> {
    let ports = service.pointer("/spec/ports")?.as_array()?;
    let wanted_number = wanted.parse::<u64>().ok();
    let is_wanted =
        |port: &&Value| port["name"] == wanted || wanted_number.is_some_and(|number| port["port"] == number);
    let port = ports.iter().find(is_wanted)?;
    let number = port["port"].as_u64().and_then(|number| u16::try_from(number).ok());
    // A headless service leads nowhere: its port is the pod's.
    let headless = service.pointer("/spec/clusterIP").and_then(Value::as_str) == Some("None");
    let target = match &port["targetPort"] {
        _ if headless => port["port"].to_string(),
        Value::String(name) => name.clone(),
        Value::Number(number) if number.as_i64() != Some(0) => number.to_string(),
        _ => port["port"].to_string(),
    };
    Some((number, target))
}

/// A number, or a container's port of that name.
fn of_pod(pod: &Value, wanted: &str) -> Option<u16> {
    if let Ok(number) = wanted.parse() {
        return Some(number);
    }
    let lists = ["/spec/containers", "/spec/initContainers"];
    let containers = lists.iter().filter_map(|pointer| pod.pointer(pointer)?.as_array()).flatten();
    let mut ports = containers.filter_map(|container| container.get("ports")?.as_array()).flatten();
    let port = ports.find(|port| port["name"] == wanted)?;
    port["containerPort"].as_u64().and_then(|number| u16::try_from(number).ok())
}

async fn listen(context: &Context, addresses: &[String], ports: &[Ports]) -> Result<Vec<(TcpListener, u16)>> {
    let mut listeners = Vec::new();
    for ports in ports {
        let mut chosen = ports.local;
        let mut failures = Vec::new();
        let before = listeners.len();
        for name in addresses {
            // Both families, of which this machine may lack one.
            let both: Vec<IpAddr> = match name.as_str() {
                "localhost" => vec![IpAddr::from([127, 0, 0, 1]), IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1])],
                other => vec![other.parse().map_err(|_| Failure::message(format!("{other} is not a valid IP")))?],
            };
            for address in both {
                match TcpListener::bind(SocketAddr::new(address, chosen)).await {
                    Ok(listener) => {
                        let local = listener.local_addr().map_err(|error| Failure::message(error.to_string()))?;
                        chosen = local.port();
                        context.line(format_args!("Forwarding from {local} -> {}", ports.remote))?;
                        listeners.push((listener, ports.remote));
                    }
                    Err(error) => failures.push(format!("unable to listen on {address}:{chosen}: {error}")),
                }
            }
        }
        if listeners.len() == before {
            let (port, reasons) = (ports.local, failures.join("; "));
            let text = format!(
                "unable to listen on port {port}: Listeners failed to create with the following errors: [{reasons}]"
            );
            return Err(Failure::message(text));
        }
    }
    Ok(listeners)
}

async fn forward(context: &Context, tunnel: Tunnel, listeners: Vec<(TcpListener, u16)>) -> Result<()> {
    let Tunnel { session, mut ended } = tunnel;
    let requests = AtomicU64::new(0);
    let mut connections = FuturesUnordered::new();
    let mut accepting = JoinSet::new();
    for (listener, remote) in listeners {
        accepting.spawn(accept(listener, remote));
    }
    loop {
        tokio::select! {
            Some(accepted) = accepting.join_next(), if connections.len() < CONNECTIONS_MAX => {
                let (listener, remote, stream) = accepted.map_err(|error| Failure::message(error.to_string()))?;
                accepting.spawn(accept(listener, remote));
                let Ok(stream) = stream else { continue };
                context.line(format_args!("Handling connection for {}", local_port(&stream)))?;
                connections.push(carry(context, &session, &requests, remote, stream));
            }
            Some(carried) = connections.next() => carried?,
            _ = &mut ended => return Err(lost()),
        }
    }
}

fn lost() -> Failure {
    Failure::message("lost connection to pod")
}

fn local_port(stream: &TcpStream) -> u16 {
    stream.local_addr().map_or(0, |address| address.port())
}

async fn accept(listener: TcpListener, remote: u16) -> (TcpListener, u16, std::io::Result<TcpStream>) {
    let accepted = listener.accept().await.map(|(stream, _)| stream);
    (listener, remote, accepted)
}

/// What went wrong with one connection.
#[derive(Debug, PartialEq)]
enum Carried {
    Stream(String),
    /// With all of them.
    Session,
}

/// One local connection, from its beginning to its end. What went wrong is told before the local side hears that it is
/// over: whoever waits for that may end this program.
async fn carry(
    context: &Context,
    session: &Session,
    requests: &AtomicU64,
    remote: u16,
    mut local: TcpStream,
) -> Result<()> {
    match talk(session, requests, remote, &mut local).await {
        Ok(()) => Ok(()),
        Err(Carried::Stream(text)) => context.remark(text),
        Err(Carried::Session) => Err(lost()),
    }
}

async fn talk(session: &Session, requests: &AtomicU64, remote: u16, local: &mut TcpStream) -> Result<(), Carried> {
    let request = requests.fetch_add(1, Ordering::Relaxed).to_string();
    let port = remote.to_string();
    let from = local_port(local);
    let headers = |kind: &str| Headers::of(&[("streamType", kind), ("port", &port), ("requestID", &request)]);
    let (error, mut unused) = session.open(headers("error")).await.map_err(|_| Carried::Session)?.into_split();
    unused.shutdown().await.map_err(|_| Carried::Session)?;
    let (reader, writer) = session.open(headers("data")).await.map_err(|_| Carried::Session)?.into_split();
    let words = async {
        let mut words = String::new();
        match error.take(ERROR_BYTES_MAX).read_to_string(&mut words).await {
            Ok(read) if read > 0 => Err(words),
            _ => Ok(()),
        }
    };
    // The reason may come behind the end of the data, so both are waited for.
    match futures::future::try_join(words, async { Ok(copy(local, reader, writer).await) }).await {
        Err(words) => Err(Carried::Stream(format!("an error occurred forwarding {from} -> {remote}: {words}"))),
        Ok(((), copied)) => copied
            .map_err(|error| Carried::Stream(format!("error copying from local connection to remote stream: {error}"))),
    }
}

/// Both ways, until the pod's side has said all; what is still to be sent then is cut off with the stream.
async fn copy(local: &mut TcpStream, mut reader: StreamReader, mut writer: StreamWriter) -> std::io::Result<()> {
    let (mut from_client, mut to_client) = local.split();
    let up = async {
        tokio::io::copy(&mut from_client, &mut writer).await?;
        writer.shutdown().await
    };
    let mut up = std::pin::pin!(up);
    let mut down = std::pin::pin!(tokio::io::copy(&mut reader, &mut to_client));
    let mut sending = true;
    loop {
        tokio::select! {
            sent = &mut up, if sending => {
                sending = false;
                sent?;
            }
            received = &mut down => return received.map(|_| ()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_reason_behind_the_end_of_the_data_is_told() {
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        let (session, mut incoming) = (Session::client(ours), Session::server(theirs));
        let serving = tokio::spawn(async move {
            let mut error = incoming.next().await.unwrap();
            let mut data = incoming.next().await.unwrap();
            data.shutdown().await.unwrap();
            // The client has heard that it is over when its own half ends, in whichever way.
            let mut rest = Vec::new();
            let ended = data.read_to_end(&mut rest).await;
            error.write_all(format!("refused after {ended:?}").as_bytes()).await.unwrap();
            error.shutdown().await.unwrap();
            incoming
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut local, _) = listener.accept().await.unwrap();
        let told = talk(&session, &AtomicU64::new(0), 80, &mut local).await.unwrap_err();
        assert!(matches!(&told, Carried::Stream(text) if text.contains(" -> 80: refused after ")), "{told:?}");
        serving.await.unwrap();
    }
}
