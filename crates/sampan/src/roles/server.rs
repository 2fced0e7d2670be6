//! The server process: store, API, controllers, scheduler.

use crate::control;
use crate::files;
use crate::manifests::Manifests;
use crate::roles::datastore::Datastore;
use crate::roles::{BootstrapFile, asked_to_end, background, control_socket, tell};
use crate::settings::{CLUSTER_DOMAIN, Settings};
use anyhow::{Context, Result, anyhow};
use api::user::User;
use apiserver::admission::{self, Chain};
use apiserver::authn::{Authenticators, Keys};
use apiserver::authz::Authorizer;
use apiserver::bootstrap::{Facts, bootstrap};
use apiserver::pki::{Pki, ServerNames, ServingCertificate, kubeconfig};
use apiserver::{Backend, Config, Direct, KubeletAccess, Parts, Server, ServiceRanges};
use client::Client;
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use k8s_openapi::api::core::v1::Node;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

pub(crate) async fn run(settings: Settings) -> Result<()> {
    let pki = open_pki(&settings)?;
    let mut datastore = Datastore::open(&settings, &pki).await?;
    let backend = open_backend(&settings, &pki, &datastore).await?;
    // One client for all of the process: what several watch is decoded and kept once.
    let client = Client::new(Arc::new(Direct::new(backend.clone(), User::component("system:apiserver"))));
    install(&settings, &backend, &client, &pki).await?;
    bootstrap(&client, &facts(&settings, &pki)).await.context("making the cluster's own objects")?;
    let tls = pki.server_config(Arc::new(ServingCertificate::new(&pki.apiserver)?))?;
    let server =
        Server::start(Config { listen: settings.listen, tls: Arc::new(tls), backend: backend.clone() }).await?;
    write_kubeconfig(&settings, &pki)?;
    let components = Components::start(&settings, &client, &pki);
    if let Some(store) = datastore.embedded() {
        let socket = control_socket(&settings);
        background::keep("answers to commands", move || control::serve(socket.clone(), store.clone()));
    }
    if settings.roles.node() {
        BootstrapFile::for_own_node(&settings, &client, &pki, now()).await.context("making the own node's token")?;
    }
    tracing::info!(address = %server.local_addr(), "the API is served");
    tell("ready");
    let ended = tokio::select! {
        asked = asked_to_end() => asked,
        lost = datastore.lost() => Err(lost),
    };
    components.stop().await;
    server.shutdown().await;
    ended?;
    datastore.release().await
}

fn open_pki(settings: &Settings) -> Result<Arc<Pki>> {
    let mut addresses = vec![
        IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
        IpAddr::V4(settings.api_service_ip()),
        IpAddr::V4(settings.node_ip),
    ];
    if !settings.listen.ip().is_unspecified() && !addresses.contains(&settings.listen.ip()) {
        addresses.push(settings.listen.ip());
    }
    let names = ServerNames {
        node_name: settings.node_name.clone(),
        cluster_domain: CLUSTER_DOMAIN.to_owned(),
        addresses,
        dns: Vec::new(),
    };
    let pki = Pki::open(&settings.data_dir.join("pki"), &names, now())
        .context("opening the cluster's keys and certificates")?;
    Ok(Arc::new(pki))
}

async fn open_backend(settings: &Settings, pki: &Pki, datastore: &Datastore) -> Result<Arc<Backend>> {
    let ranges = ServiceRanges::new(vec![settings.service_cidr.into()]);
    let options = registry::Options {
        hooks: apiserver::hooks(ranges),
        exclusive: datastore.embedded().is_some(),
        ..registry::Options::default()
    };
    let opened = registry::Registry::open(datastore.store(), options).await;
    let registry = opened.context("loading the cluster's objects")?;
    let kubelets = KubeletAccess { tls: Arc::new(pki.kubelet_client_config()?) };
    let writable: apiserver::ReadyCheck = ("store-writable", datastore.writable());
    Ok(Backend::new(registry, Some(kubelets), vec![writable]))
}

/// Who asks, who may, what is admitted: each reads the cluster through the backend it is then installed in.
async fn install(settings: &Settings, backend: &Arc<Backend>, client: &Client, pki: &Pki) -> Result<()> {
    let authz = Authorizer::start(client);
    let keys = Keys::from_pem(&pki.service_account_keys).context("reading the service account keys")?;
    let authn = Arc::new(Authenticators::new(ISSUER, keys, client, Arc::new(now)));
    let judged = admission::Settings { eviction_after_seconds: settings.eviction_after_seconds.cast_signed() };
    let admission = Arc::new(Chain::new(client, &authz, &judged));
    backend.install(Parts { authn, authz, admission }).map_err(|_| anyhow!("the backend's parts are installed once"))
}

fn facts(settings: &Settings, pki: &Pki) -> Facts {
    Facts {
        address: settings.public_ip(),
        port: settings.listen.port(),
        server: settings.public_url(),
        api_service_ip: IpAddr::V4(settings.api_service_ip()),
        dns_service_ip: IpAddr::V4(settings.dns_service_ip()),
        server_ca: pki.server_ca.bundle_pem().to_owned(),
        client_ca: pki.client_ca.bundle_pem().to_owned(),
    }
}

fn write_kubeconfig(settings: &Settings, pki: &Pki) -> Result<()> {
    let text = kubeconfig(
        &settings.server_url(),
        pki.server_ca.bundle_pem(),
        pki.admin.certificate_pem(),
        pki.admin.key_pem(),
    );
    files::write_private(&settings.data_dir.join("admin.kubeconfig"), text.as_bytes())
}

/// What turns objects into others, in this process but through the API like anybody.
struct Components {
    controllers: controllers::Handle,
    scheduler: scheduler::Handle,
}

impl Components {
    fn start(settings: &Settings, client: &Client, pki: &Arc<Pki>) -> Components {
        let clock = reconcile::Clock::system();
        let events = reconcile::Recorder::start(client.clone(), clock.clone(), "default-scheduler", "");
        let (data_dir, pen) = (settings.data_dir.clone(), events.component("sampan-manifests"));
        background::keep("manifests", move || apply_manifests(data_dir.clone(), pen.clone()));
        let scheduler = scheduler::start(client.clone(), clock.clone(), events, scheduler::Options::default());
        let controllers = controllers::start(client.clone(), clock, controller_options(settings, pki));
        Components { controllers, scheduler }
    }

    async fn stop(self) {
        self.scheduler.stop().await;
        self.controllers.stop().await;
    }
}

async fn apply_manifests(data_dir: PathBuf, events: reconcile::Recorder) -> Result<()> {
    Manifests::new(&data_dir, events)?.run().await
}

fn controller_options(settings: &Settings, pki: &Arc<Pki>) -> controllers::Options {
    controllers::Options {
        root_ca_pem: Some(pki.server_ca.bundle_pem().to_owned()),
        cluster_cidrs: vec![settings.pod_cidr.into()],
        node_monitor_grace: Duration::from_secs(settings.node_monitor_grace_seconds),
        signer: Some(Arc::new(Signer(pki.clone()))),
        ..controllers::Options::default()
    }
}

/// Lends the cluster's authorities to the controllers.
struct Signer(Arc<Pki>);

impl controllers::Signer for Signer {
    fn approves(&self, request: &CertificateSigningRequest, node: Option<&Node>) -> Option<String> {
        apiserver::bootstrap::approves(request, node).map(|approval| approval.message().to_owned())
    }

    fn sign(&self, request: &CertificateSigningRequest) -> Result<Vec<u8>, String> {
        let spec = &request.spec;
        let signer = apiserver::pki::Signer::parse(&spec.signer_name)
            .ok_or_else(|| format!("unknown signer {}", spec.signer_name))?;
        let usages = spec.usages.as_deref().unwrap_or_default();
        let signed = self.0.sign_csr(&spec.request.0, signer, usages, spec.expiration_seconds, now());
        signed.map(String::into_bytes).map_err(|error| error.to_string())
    }
}
