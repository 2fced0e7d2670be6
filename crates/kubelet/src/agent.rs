//! Starts the node's tasks and ends them.

use crate::certificates::{self, CertificateError, Identity, Kept, Purpose};
use crate::cgroups::Cgroups;
use crate::context::Context;
use crate::cri_request::dns::{ClusterDns, HostDns};
use crate::dirs::Dirs;
use crate::images::Puller;
use crate::logs::rotation;
use crate::making::Making;
use crate::node::machine::Machine;
use crate::node::pressure::{self, Pressure};
use crate::node::registration::Registration;
use crate::node::{lease, status};
use crate::objects::Namespaces;
use crate::options::{Options, Serving};
use crate::pod_machine::Facts;
use crate::probe_counts::ProbeCounts;
use crate::router::{Pods, Router, runtime_events};
use crate::running::Running;
use crate::server::{Server, ServerError, acceptor};
use crate::worker::observe;
use client::{Cache, CacheScope};
use cri::v1::VersionRequest;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod, Service};
use reconcile::{Clock, Recorder};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;

/// Status writes and container starts at one time.
const STATUS_WRITES_MAX: usize = 32;
const STARTS_MAX: usize = 16;
/// Nudges of the runtime that may wait for the router.
const NUDGES: usize = 1024;
const ROTATION_FIRST_LOOK: Duration = Duration::from_secs(10);
/// Between two tries to learn what the runtime holds when the node begins.
const RUNTIME_RETRY: Duration = Duration::from_secs(1);

/// Why a node cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("asking the container runtime for its version: {0}")]
    Runtime(String),
    #[error("making the control groups: {0}")]
    Cgroups(#[from] kernel::Error),
    #[error("listening on {address}: {source}")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error("making {path}: {source}")]
    Directory { path: std::path::PathBuf, source: std::io::Error },
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    #[error("starting the node's server: {0}")]
    Server(String),
}

impl From<ServerError> for StartError {
    fn from(error: ServerError) -> StartError {
        StartError::Server(error.to_string())
    }
}

/// A running node agent. Dropping it ends its tasks; containers run on.
pub struct Kubelet {
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
    port: u16,
    running: Running,
}

impl Kubelet {
    /// Begins: answers when the server listens and the node's tasks run. Pods follow as the API tells of them.
    pub async fn start(options: Options) -> Result<Kubelet, StartError> {
        let version = options.runtime.version(VersionRequest { version: "v1".into() }).await;
        let version = version.map_err(|status| StartError::Runtime(status.message().to_owned()))?;
        let address = SocketAddr::new(options.listen, options.port);
        let listener = TcpListener::bind(address).await.map_err(|source| StartError::Listen { address, source })?;
        let port = listener.local_addr().map_or(options.port, |local| local.port());
        let context = Arc::new(context(&options, &version.runtime_name)?);
        let (stop, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();

        let pods = start_pods(&context, &options, &mut tasks, &stopped);
        let (pressure, pressed) = watch::channel(Pressure::default());
        tasks.spawn(pressure::run(
            context.clone(),
            options.eviction_hard.clone(),
            pods.clone(),
            pressure,
            stopped.clone(),
        ));
        let registration = Registration {
            context: context.clone(),
            identity: status::Identity {
                name: options.node_name.clone(),
                addresses: context.facts.host_ips.clone(),
                port,
                max_pods: options.max_pods,
                runtime_version: format!("{}://{}", version.runtime_name, version.runtime_version),
                machine: context.machine.clone(),
            },
            labels: options.labels.clone(),
            taints: options.taints.clone(),
            network: options.network_ready.clone(),
            pressure: pressed,
        };
        tasks.spawn(Box::pin(registration.run(stopped.clone())));
        tasks.spawn(Box::pin(lease::run(
            options.client.clone(),
            options.node_name.clone(),
            options.lease_duration,
            stopped.clone(),
        )));
        tasks.spawn(rotate_logs(context.clone(), pods.clone(), stopped.clone()));
        let running = Running { context: context.clone(), pods: pods.clone() };
        serve(&options, Server::new(context, pods)?, listener, &mut tasks, &stopped)?;
        if let Some(identity) = options.tls.client_identity.clone() {
            let kept = kept(&options, Purpose::Client);
            tasks.spawn(Box::pin(certificates::keep(kept, identity, stopped.clone())));
        }
        Ok(Kubelet { stop, tasks, port, running })
    }

    /// Where the server listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Tells what runs here.
    pub fn running(&self) -> Running {
        self.running.clone()
    }

    /// Returns when a task ended that should not have: the node is no longer whole.
    pub async fn stopped(&mut self) {
        if let Some(Err(error)) = self.tasks.join_next().await {
            tracing::error!(%error, "a task of the node failed");
        }
    }

    /// Ends the agent. Containers run on, and the next start finds them; what is being made is made first.
    pub async fn shutdown(mut self) {
        self.stop.send_replace(true);
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = ended {
                tracing::warn!(%error, "a task of the node failed at its end");
            }
        }
        self.running.context.making.end().await;
    }
}

fn context(options: &Options, runtime_name: &str) -> Result<Context, StartError> {
    let dirs = Dirs::new(&options.data_dir);
    for path in [dirs.pods(), dirs.logs(), dirs.pki()] {
        std::fs::create_dir_all(&path).map_err(|source| StartError::Directory { path, source })?;
    }
    let cgroups = Cgroups::new(&options.cgroup_root);
    cgroups.make_tiers()?;
    let host = std::fs::read_to_string("/etc/resolv.conf").map(|text| HostDns::parse(&text)).unwrap_or_default();
    let texts = |addresses: &[IpAddr]| addresses.iter().map(ToString::to_string).collect::<Vec<_>>();
    let client = &options.client;
    Ok(Context {
        node_name: options.node_name.clone(),
        facts: Arc::new(Facts { host_ips: texts(&options.node_ips), runtime_name: runtime_name.to_owned() }),
        machine: Machine::read(&options.data_dir, &options.eviction_hard),
        runtime: options.runtime.clone(),
        client: client.clone(),
        services: client.cache::<Service>(),
        namespaces: Namespaces::new(client.clone()),
        recorder: Recorder::start(client.clone(), Clock::system(), "kubelet", &options.node_name),
        puller: Puller::new(),
        dirs,
        cgroups,
        dns: ClusterDns { servers: texts(&options.cluster_dns), domain: options.cluster_domain.clone(), host },
        isolation: options.isolation.clone(),
        usage: options.usage.clone(),
        archive: options.archive.clone(),
        status_writes: Semaphore::new(STATUS_WRITES_MAX),
        starts: Semaphore::new(STARTS_MAX),
        making: Making::default(),
        probes: ProbeCounts::default(),
    })
}

fn start_pods(
    context: &Arc<Context>,
    options: &Options,
    tasks: &mut JoinSet<()>,
    stop: &watch::Receiver<bool>,
) -> Pods {
    let of_node =
        |field: &str| CacheScope { field_selector: format!("{field}={}", options.node_name), ..CacheScope::default() };
    let cache: Cache<Pod> = options.client.cache_of(of_node("spec.nodeName"));
    let node: Cache<Node> = options.client.cache_of(of_node("metadata.name"));
    let (nudges, nudged) = mpsc::channel(NUDGES);
    let (router, pods) = Router::new(context.clone(), node, &cache, nudged, options.max_pods);
    let (context, mut stop) = (context.clone(), stop.clone());
    tasks.spawn(Box::pin(async move {
        let found = tokio::select! {
            found = begin(&context, &cache) => found,
            _ = stop.changed() => return,
        };
        // Ends by itself once the router no longer hears it.
        tokio::spawn(runtime_events::run(context, nudges));
        router.run(cache, found, stop).await;
    }));
    pods
}

/// Waits for the first full picture: of the API, so that no pod is taken for an orphan, and of the runtime, so that
/// no pod is started twice.
async fn begin(
    context: &Context,
    cache: &Cache<Pod>,
) -> std::collections::HashMap<String, crate::pod_machine::Observation> {
    cache.synced().await;
    context.services.synced().await;
    loop {
        match observe::everything(context).await {
            Ok(found) => return found,
            Err(error) => tracing::warn!(error, "the runtime does not tell what it holds; it is asked again"),
        }
        tokio::time::sleep(RUNTIME_RETRY).await;
    }
}

async fn rotate_logs(context: Arc<Context>, pods: Pods, mut stop: watch::Receiver<bool>) {
    let mut next = ROTATION_FIRST_LOOK;
    loop {
        tokio::select! {
            () = tokio::time::sleep(next) => {}
            _ = stop.changed() => return,
        }
        let live = pods.live_logs(&context).await;
        next = rotation::rotate_all(&context, live, Timestamp::now()).await;
    }
}

fn kept(options: &Options, purpose: Purpose) -> Kept {
    Kept {
        client: options.client.clone(),
        node: options.node_name.clone(),
        data_dir: options.data_dir.clone(),
        purpose,
    }
}

/// Serves as soon as there is a certificate to serve with.
fn serve(
    options: &Options,
    server: Server,
    listener: TcpListener,
    tasks: &mut JoinSet<()>,
    stop: &watch::Receiver<bool>,
) -> Result<(), StartError> {
    let client_ca = options.tls.client_ca_pem.clone();
    let mut stop = stop.clone();
    match &options.tls.serving {
        Serving::Given(identity) => {
            let acceptor = acceptor(&client_ca, identity.clone())?;
            tasks.spawn(Box::pin(server.run(listener, acceptor, stop)));
        }
        Serving::Requested => {
            let kept = kept(options, Purpose::Serving { addresses: options.node_ips.clone() });
            tasks.spawn(Box::pin(async move {
                let identity: Arc<Identity> = tokio::select! {
                    identity = certificates::first(&kept) => identity,
                    _ = stop.changed() => return,
                };
                let acceptor = match acceptor(&client_ca, identity.clone()) {
                    Ok(acceptor) => acceptor,
                    Err(error) => return tracing::error!(%error, "the node's server does not begin"),
                };
                let keeping = certificates::keep(kept, identity, stop.clone());
                tokio::join!(Box::pin(keeping), Box::pin(server.run(listener, acceptor, stop)));
            }));
        }
    }
    Ok(())
}
