//! The node process: runtime, pod network, service rules, names, kubelet.
//!
//! What it leaves behind when it ends works on: containers in their shims, routes and packet rules in the kernel.

use crate::roles::insight;
use crate::roles::known_servers::KnownServers;
use crate::roles::pod_network::{Isolated, Lent};
use crate::roles::{
    BootstrapFile, asked_to_end, background, base_options, cgroup_root, cluster_id, cni, run_dir, tell,
};
use crate::settings::{CLUSTER_DOMAIN, Settings};
use crate::{files, images};
use ::insight::node::Meter;
use anyhow::{Context, Result};
use client::{CacheScope, Client, Config, Credentials, Remote};
use cri::Runtime;
use cri::v1::ListPodSandboxRequest;
use k8s_openapi::api::core::v1::{ConfigMap, Node};
use kubelet::certificates::{self, Bootstrap, Identity};
use kubelet::{Kubelet, Options, Serving, Tls};
use podnet::{BaseOptions, ClusterId, NodeRoutes, PodNetwork, Policies, PolicyOptions, node_ranges};
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

pub(crate) async fn run(settings: Settings) -> Result<()> {
    let bootstrap = BootstrapFile::load(&settings).await.context("finding the cluster")?;
    let cluster = cluster_id(&bootstrap.ca_pem)?;
    let known = KnownServers::load(&settings, &bootstrap.server).context("finding the cluster's servers")?;
    let identity = identity(&settings, &bootstrap, &known).await?;
    let remote = remote(&bootstrap, &identity, &known)?;
    let client = Client::new(remote.clone());
    let own = client.clone();
    background::keep("list of servers", move || known.clone().follow(own.clone()));
    let client_ca_pem = client_authority(&client).await?;
    let base = base_options(&settings, cluster.clone());
    let runtime = match &settings.container_runtime_endpoint {
        Some(endpoint) => foreign(endpoint, &base, own_node(&client, &settings.node_name)).await?,
        None => embedded(&settings, &base, &client).await?,
    };
    let policies = policies(&settings, &cluster, &client);
    let meter = Arc::new(Meter::new(&settings.node_name));
    let data_dir = settings.data_dir.join("kubelet");
    let archive = logs::Archive::open(settings.logs.archive(&data_dir)).context("opening the archive of logs")?;
    let archive = Arc::new(archive);
    let export = settings.logs.export(&data_dir, &settings.node_name);
    let export = export.map(|options| logs::export::Export::start(archive.clone(), options)).transpose();
    let export = export.context("starting to export logs")?;
    let options = Options {
        data_dir,
        archive: Some(archive),
        cgroup_root: cgroup_root(&settings, &cluster).display().to_string(),
        max_pods: settings.max_pods as usize,
        eviction_hard: settings.thresholds()?,
        cluster_dns: vec![IpAddr::V4(settings.dns_service_ip())],
        cluster_domain: CLUSTER_DOMAIN.to_owned(),
        port: settings.kubelet_port,
        lease_duration: Duration::from_secs(settings.node_monitor_grace_seconds),
        network_ready: runtime.network_ready,
        isolation: Some(Arc::new(Isolated(policies.admission()))),
        usage: Some(Arc::new(insight::Pages(meter.clone()))),
        ..Options::new(
            &settings.node_name,
            IpAddr::V4(settings.node_ip),
            client.clone(),
            runtime.cri,
            Tls { client_ca_pem, serving: Serving::Requested, client_identity: Some(identity) },
        )
    };
    tokio::spawn(policies.run());
    start_network(&settings, &cluster, &client).await?;
    let mut kubelet = Kubelet::start(options).await.context("starting the kubelet")?;
    insight::measure(&meter, kubelet.running(), remote, &settings)?;
    images::import_dropped(&settings, runtime.images)?;
    node_ready(&client, &settings.node_name).await;
    tracing::info!(node = settings.node_name, "the node is ready");
    tell("ready");
    background::settle();
    tokio::select! {
        ended = asked_to_end() => ended?,
        () = kubelet.stopped() => anyhow::bail!("the kubelet ended by itself"),
    }
    kubelet.shutdown().await;
    if let Some(export) = export {
        export.end().await;
    }
    Ok(())
}

/// The certificate by which the API knows this node: kept from before, or asked for with the join token.
async fn identity(settings: &Settings, bootstrap: &BootstrapFile, known: &KnownServers) -> Result<Arc<Identity>> {
    let with = Bootstrap {
        servers: known.servers(),
        ca_pem: bootstrap.ca_pem.clone(),
        token: bootstrap.token.clone(),
        node_name: settings.node_name.clone(),
        data_dir: settings.data_dir.join("kubelet"),
        timeout: certificates::BOOTSTRAP_TIMEOUT,
    };
    certificates::bootstrap(with).await.context("getting the node's certificate")
}

fn remote(bootstrap: &BootstrapFile, identity: &Arc<Identity>, known: &KnownServers) -> Result<Arc<Remote>> {
    let config = Config {
        server: bootstrap.server.clone(),
        ca_pem: bootstrap.ca_pem.clone(),
        server_name: None,
        credentials: Credentials::Resolver(identity.clone()),
        namespace: "default".to_owned(),
        user_agent: concat!("sampan-node/", env!("CARGO_PKG_VERSION")).to_owned(),
    };
    Ok(Arc::new(Remote::of(config, known.servers())?))
}

/// Who may ask the kubelet: clients of the cluster's client authority, which the API publishes.
async fn client_authority(client: &Client) -> Result<String> {
    let name = "extension-apiserver-authentication";
    let published: ConfigMap =
        client.get("kube-system", name).await.context("asking for the cluster's client authority")?;
    published
        .data
        .and_then(|mut data| data.remove("client-ca-file"))
        .with_context(|| format!("kube-system/{name} has no client-ca-file"))
}

/// The container runtime, and what is known of its network and images.
struct NodeRuntime {
    cri: Arc<dyn Runtime>,
    network_ready: watch::Receiver<bool>,
    /// The embedded runtime's; another one keeps its own.
    images: Option<Arc<runtime::image::DiskStore>>,
}

/// A runtime behind a socket, which connects its pods itself.
async fn foreign(endpoint: &str, base: &BaseOptions, node: client::Cache<Node>) -> Result<NodeRuntime> {
    let remote = cri::Remote::new(endpoint).with_context(|| format!("connecting to {endpoint}"))?;
    let cri: Arc<dyn Runtime> = Arc::new(remote);
    podnet::prepare_node(base).await.context("preparing the node's network")?;
    let (ready, network_ready) = watch::channel(false);
    tokio::spawn(cni::follow(cri.clone(), node, ready));
    Ok(NodeRuntime { cri, network_ready, images: None })
}

async fn embedded(settings: &Settings, base: &BaseOptions, client: &Client) -> Result<NodeRuntime> {
    let node_dir = settings.data_dir.join("node");
    files::private_dir(&node_dir)?;
    let network = PodNetwork::open(&node_dir.join("addresses"), base).await.context("preparing the pod network")?;
    let network = Arc::new(network);
    let images = images::open(settings)?;
    let embedded = runtime::Embedded::open(runtime::Options {
        root: node_dir.join("runtime"),
        run_dir: run_dir(settings),
        cgroup_root: cgroup_root(settings, &base.cluster),
        images: images.clone(),
        network: Arc::new(Lent(network.clone())),
        log_bytes_per_second: settings.logs.bytes_per_second(),
    });
    let embedded = embedded.await.context("opening the container runtime")?;
    let users = embedded.clone();
    images.collect_garbage(Arc::new(move |layer| users.uses_layer(layer))).await.context("freeing what images left")?;
    let cri: Arc<dyn Runtime> = Arc::new(embedded);
    let sandboxes = cri.list_pod_sandbox(ListPodSandboxRequest::default()).await.context("listing what runs")?;
    let living = sandboxes.items.into_iter().map(|sandbox| sandbox.id).collect();
    network.reconcile(&living).await.context("freeing what ended pods left")?;
    let network_ready = network.ready();
    tokio::spawn(follow_ranges(own_node(client, &settings.node_name), network));
    Ok(NodeRuntime { cri, network_ready, images: Some(images) })
}

fn policies(settings: &Settings, cluster: &ClusterId, client: &Client) -> Policies {
    let options = PolicyOptions {
        cluster: cluster.clone(),
        node_name: settings.node_name.clone(),
        own_vips: vec![settings.dns_service_ip()],
    };
    Policies::new(client, options)
}

/// Services, names and routes: each goes on by itself, and is started again when it fails.
async fn start_network(settings: &Settings, cluster: &ClusterId, client: &Client) -> Result<()> {
    let own_vips = vec![settings.dns_service_ip()];
    let options = proxy::Options {
        node_name: settings.node_name.clone(),
        node_ip: settings.node_ip,
        service_cidr: settings.service_cidr,
        table: cluster.table("services"),
        own_vips: own_vips.clone(),
    };
    let own = client.clone();
    background::keep("service rules", move || proxy::Proxy::new(&own, options.clone()).run());
    let options = dns::Options {
        domain: CLUSTER_DOMAIN.to_owned(),
        listen: own_vips.iter().map(|vip| (*vip, 53).into()).collect(),
        upstreams: dns::upstreams(Path::new("/etc/resolv.conf"), &own_vips),
    };
    tokio::spawn(dns::Dns::bind(client, options).await.context("starting DNS")?.run());
    let (own, name, pod_cidr) = (client.clone(), settings.node_name.clone(), settings.pod_cidr);
    background::keep("routes to other nodes", move || NodeRoutes::new(own.clone(), &name, pod_cidr).run());
    Ok(())
}

fn own_node(client: &Client, name: &str) -> client::Cache<Node> {
    client.cache_of(CacheScope { field_selector: format!("metadata.name={name}"), ..CacheScope::default() })
}

/// Gives the pod network the node's ranges as the API says them.
async fn follow_ranges(nodes: client::Cache<Node>, network: Arc<PodNetwork>) {
    let mut changes = nodes.changes();
    loop {
        if let Some(node) = changes.next().await.new {
            network.set_ranges(node_ranges(&node));
        }
    }
}

async fn node_ready(client: &Client, name: &str) {
    let mut changes = own_node(client, name).changes();
    loop {
        let node = changes.next().await.new;
        let conditions =
            node.as_ref().and_then(|node| node.status.as_ref()).and_then(|status| status.conditions.as_ref());
        if conditions.into_iter().flatten().any(|condition| condition.type_ == "Ready" && condition.status == "True") {
            return;
        }
    }
}
