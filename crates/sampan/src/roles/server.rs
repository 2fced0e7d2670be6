//! The server process: store, API, controllers, scheduler.

use crate::control;
use crate::folder::FileWatch;
use crate::manifests::Manifests;
use crate::roles::components::Components;
use crate::roles::datastore::Datastore;
use crate::roles::encryption;
use crate::roles::front::Browsers;
use crate::roles::insight;
use crate::roles::leader::Candidate;
use crate::roles::renewal::Renewal;
use crate::roles::servers::Presence;
use crate::roles::{BootstrapFile, asked_to_end, background, control_socket, tell};
use crate::settings::{CLUSTER_DOMAIN, Settings};
use anyhow::{Context, Result, anyhow};
use api::user::User;
use apiserver::admission::{self, Chain};
use apiserver::audit::Audit;
use apiserver::authn::{Authenticators, Keys};
use apiserver::authz::Authorizer;
use apiserver::bootstrap::{Facts, bootstrap};
use apiserver::callout::Callout;
use apiserver::fairness::Fairness;
use apiserver::pki::{Pki, ServerNames};
use apiserver::{Backend, Config, Direct, KubeletAccess, Parts, Server, ServiceRanges};
use client::Client;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// For requests under way when this process ends because it cannot serve.
const LAST_WORDS_TIME_MAX: Duration = Duration::from_secs(5);
/// Longer than etcd takes to hear that this server ends, shorter than the supervisor waits for that end.
const HANDOVER_TIME_MAX: Duration = Duration::from_secs(5);
const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

pub(super) fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

pub(crate) async fn run(settings: Settings) -> Result<()> {
    let datastore = Datastore::open(&settings).await?;
    let pki = open_pki(&settings)?;
    let renewal = Renewal::new(&settings, &pki)?;
    let backend = open_backend(&settings, &pki, &renewal, &datastore).await?;
    // One client for all of the process: what several watch is decoded and kept once.
    let client = Client::new(Arc::new(Direct::new(backend.clone(), User::component("system:apiserver"))));
    install(&settings, &backend, &client, &pki, &renewal).await?;
    datastore.show_metrics(&backend);
    bootstrap(&client, &facts(&settings, &pki)).await.context("making the cluster's own objects")?;
    let tls = pki.server_config(renewal.serving.clone())?;
    // No earlier: pods are told of this server at once.
    let presence = match datastore.shared() {
        Some(store) => Some(Presence::enter(store, &settings).await?),
        None => None,
    };
    let server =
        Server::start(Config { listen: settings.listen, tls: Arc::new(tls), backend: backend.clone() }).await?;
    renewal.start(&pki, &backend)?;
    start_manifests(&settings, &client)?;
    let mut beside = Beside::start(&settings, &client, &pki, &backend, presence)?;
    if let Some(store) = datastore.embedded() {
        let socket = control_socket(&settings);
        background::keep("answers to commands", move || control::serve(socket.clone(), store.clone()));
    }
    if settings.roles.node() {
        BootstrapFile::for_own_node(&settings, &client, &pki, now()).await.context("making the own node's token")?;
    }
    tracing::info!(address = %server.local_addr(), "the API is served");
    tell("ready");
    background::settle();
    let failure = tokio::select! {
        ended = asked_to_end() => {
            beside.stop().await;
            server.shutdown().await;
            return ended;
        }
        reason = backend.registry().lost() => anyhow!("the cluster's objects can be followed no more: {reason}"),
        failure = beside.failed() => failure,
    };
    // Whoever asks this server is served by another, or by the process that the supervisor starts in its place.
    tracing::error!("this server cannot serve any more and ends: {failure:#}");
    beside.stop().await;
    if tokio::time::timeout(LAST_WORDS_TIME_MAX, server.shutdown()).await.is_err() {
        tracing::warn!("requests under way are dropped");
    }
    Err(failure)
}

fn open_pki(settings: &Settings) -> Result<Arc<Pki>> {
    let pki = Pki::open(&settings.data_dir.join("pki"), &server_names(settings), now())
        .context("opening the cluster's keys and certificates")?;
    Ok(Arc::new(pki))
}

/// Under which names clients reach this server.
pub(super) fn server_names(settings: &Settings) -> ServerNames {
    let mut addresses = vec![
        IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
        IpAddr::V4(settings.api_service_ip()),
        IpAddr::V4(settings.node_ip),
    ];
    if !settings.listen.ip().is_unspecified() && !addresses.contains(&settings.listen.ip()) {
        addresses.push(settings.listen.ip());
    }
    ServerNames {
        node_name: settings.node_name.clone(),
        cluster_domain: CLUSTER_DOMAIN.to_owned(),
        addresses,
        dns: Vec::new(),
    }
}

async fn open_backend(
    settings: &Settings,
    pki: &Pki,
    renewal: &Renewal,
    datastore: &Datastore,
) -> Result<Arc<Backend>> {
    let ranges = ServiceRanges {
        scattered: datastore.shared().is_some(),
        ..ServiceRanges::new(vec![settings.service_cidr.into()])
    };
    let options = registry::Options {
        hooks: apiserver::hooks(ranges),
        exclusive: datastore.embedded().is_some(),
        server: settings.node_name.as_str().into(),
        ..registry::Options::default()
    };
    let mut checks: Vec<apiserver::ReadyCheck> = vec![("store-writable", datastore.writable())];
    let measured = Arc::new(apiserver::MeasuredStore::new(datastore.store()));
    let mut store: Arc<dyn store::Store> = measured.clone();
    if let Some(file) = &settings.guard.encryption_provider_config {
        let vault = encryption::seal(store, file, settings.guard.encryption_reload).await?;
        let asked = vault.clone();
        checks.push(("kms-providers", Box::new(move || asked.health())));
        store = vault;
    }
    let opened = registry::Registry::open(store, options).await;
    let registry = opened.context("loading the cluster's objects")?;
    let kubelets = KubeletAccess { tls: Arc::new(pki.kubelet_client_config(renewal.to_kubelets.clone())?) };
    let backend = Backend::new(registry, Some(kubelets), checks);
    backend.show_metrics(Box::new(move |out| measured.write_metrics(out)));
    Ok(backend)
}

/// Who asks, who may, what is admitted: each reads the cluster through the backend it is then installed in.
async fn install(
    settings: &Settings,
    backend: &Arc<Backend>,
    client: &Client,
    pki: &Pki,
    renewal: &Renewal,
) -> Result<()> {
    let authz = Authorizer::start(client);
    let keys = Keys::from_pem(&pki.service_account_keys).context("reading the service account keys")?;
    let authn = Arc::new(Authenticators::new(ISSUER, keys, client, Arc::new(now)));
    let judged = admission::Settings {
        eviction_after_seconds: settings.eviction_after_seconds.cast_signed(),
        plugins: settings.admission.options().read().context("reading what admission is told")?,
    };
    let callout = Callout::new(client);
    decide_access(settings, &authn, &authz, &callout)?;
    if let Some(audit) = Audit::open(&settings.audit.options()?, &callout).context("opening the audit log")? {
        backend.install_audit(audit).map_err(|_| anyhow!("the audit log is installed once"))?;
    }
    let fairness = Fairness::start(client, settings.guard.load.options());
    backend.install_fairness(fairness).map_err(|_| anyhow!("the limits of requests are installed once"))?;
    insight::install(settings, backend)?;
    backend.install_front(Arc::new(Browsers::new())).map_err(|_| anyhow!("the dashboard is installed once"))?;
    let admission = Arc::new(Chain::new(client, backend.registry(), &authz, &callout, &judged));
    backend
        .install(Parts { authn, authz, admission, callout, front_proxy: Some(renewal.front_proxy.subscribe()) })
        .map_err(|_| anyhow!("the backend's parts are installed once"))
}

/// What flags and their files say of who asks and who decides; files are followed from here on.
fn decide_access(
    settings: &Settings,
    authn: &Arc<Authenticators>,
    authz: &Arc<Authorizer>,
    callout: &Callout,
) -> Result<()> {
    let (who, may) = (settings.access.authentication()?, settings.access.authorization()?);
    let watch = |file: &Option<PathBuf>| file.as_deref().map(FileWatch::open).transpose();
    let watched = watch(&who.config_file).context("configuring authentication")?;
    authn.configure(&who, callout).context("configuring authentication")?;
    if let Some(watched) = watched {
        let (authn, callout) = (authn.clone(), callout.clone());
        watched.follow("authentication configuration", move |file| {
            let taken = authn.take_file(file, &callout);
            async { Ok(taken?) }
        });
    }
    let watched = watch(&may.config_file).context("configuring authorization")?;
    authz.configure(may.chain(callout).context("configuring authorization")?);
    if let Some(watched) = watched {
        let (authz, callout) = (authz.clone(), callout.clone());
        watched.follow("authorization configuration", move |file| {
            let taken = authz.take_file(file, &callout);
            async { Ok(taken?) }
        });
    }
    Ok(())
}

pub(super) fn facts(settings: &Settings, pki: &Pki) -> Facts {
    Facts {
        address: settings.public_ip(),
        port: settings.listen.port(),
        alone: settings.datastore.is_none(),
        server: settings.public_url(),
        api_service_ip: IpAddr::V4(settings.api_service_ip()),
        dns_service_ip: IpAddr::V4(settings.dns_service_ip()),
        server_ca: pki.server_ca.bundle_pem().to_owned(),
        client_ca: pki.client_ca.bundle_pem().to_owned(),
        front_proxy_ca: pki.front_proxy_ca.bundle_pem().to_owned(),
    }
}

/// What runs beside the API: the components here, where this server alone has the store, else wherever the leader is.
enum Beside {
    Own(Components),
    Shared { stop: CancellationToken, tasks: JoinSet<Result<()>> },
}

impl Beside {
    fn start(
        settings: &Settings,
        client: &Client,
        pki: &Arc<Pki>,
        backend: &Arc<Backend>,
        presence: Option<Presence>,
    ) -> Result<Beside> {
        let Some(presence) = presence else {
            return Ok(Beside::Own(Components::start(settings, client, pki, backend)));
        };
        let candidate = Candidate::new(presence.store(), backend.clone(), settings.clone(), pki.clone())?;
        let (stop, mut tasks) = (CancellationToken::new(), JoinSet::new());
        tasks.spawn(presence.stay(stop.clone()));
        let candidacy = candidate.run(stop.clone());
        tasks.spawn(async move {
            candidacy.await;
            Ok(())
        });
        Ok(Beside::Shared { stop, tasks })
    }

    /// Returns when this server must not go on; why.
    async fn failed(&mut self) -> anyhow::Error {
        let Beside::Shared { tasks, .. } = self else { return std::future::pending().await };
        match tasks.join_next().await {
            Some(Ok(Err(error))) => error,
            Some(Ok(Ok(()))) | None => anyhow!("a task that goes on for as long as the server does has ended"),
            Some(Err(error)) => anyhow::Error::new(error).context("a task that goes on for as long as the server does"),
        }
    }

    /// Ends what runs; another server leads from then on, and pods are sent to others.
    async fn stop(self) {
        match self {
            Beside::Own(components) => components.stop().await,
            Beside::Shared { stop, tasks } => {
                stop.cancel();
                match tokio::time::timeout(HANDOVER_TIME_MAX, tasks.join_all()).await {
                    Ok(ended) => ended.into_iter().filter_map(Result::err).for_each(|error| {
                        tracing::warn!("{error:#}");
                    }),
                    Err(_) => {
                        tracing::warn!("etcd did not hear of this server's end; what it claimed there ends by itself");
                    }
                }
            }
        }
    }
}

/// Each server applies those of its own folder.
fn start_manifests(settings: &Settings, client: &Client) -> Result<()> {
    // No later: who is told that the server is ready may drop a file there.
    Manifests::make_folder(&settings.data_dir)?;
    let pen = reconcile::Recorder::start(client.clone(), reconcile::Clock::system(), "sampan-manifests", "");
    let data_dir = settings.data_dir.clone();
    background::keep("manifests", move || apply_manifests(data_dir.clone(), pen.clone()));
    Ok(())
}

async fn apply_manifests(data_dir: PathBuf, events: reconcile::Recorder) -> Result<()> {
    Manifests::new(&data_dir, events)?.run().await
}
