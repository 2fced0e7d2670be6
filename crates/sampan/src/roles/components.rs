//! What turns objects into others, in the server's process but through the API like anybody.

use crate::roles::server::now;
use crate::settings::Settings;
use apiserver::pki::Pki;
use apiserver::{Backend, MetricsBeside};
use client::Client;
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use k8s_openapi::api::core::v1::Node;
use std::sync::Arc;
use std::time::Duration;

/// Controllers and scheduler: of all servers of a cluster only one has them. Dropped, they end at once.
pub(super) struct Components {
    controllers: controllers::Handle,
    scheduler: scheduler::Handle,
    _shown: Shown,
}

/// Has `/metrics` show what they count until dropped.
struct Shown(Arc<Backend>, [u64; 2]);

impl Drop for Shown {
    fn drop(&mut self) {
        self.1.iter().for_each(|shown| self.0.hide_metrics(*shown));
    }
}

impl Components {
    pub(super) fn start(settings: &Settings, client: &Client, pki: &Arc<Pki>, backend: &Arc<Backend>) -> Components {
        let clock = reconcile::Clock::system();
        let events = reconcile::Recorder::start(client.clone(), clock.clone(), "default-scheduler", "");
        let scheduler = scheduler::start(client.clone(), clock.clone(), events, scheduler::Options::default());
        let controllers = controllers::start(client.clone(), clock, options(settings, pki));
        let sources: [MetricsBeside; 2] = [Box::new(controllers.metrics()), Box::new(scheduler.metrics())];
        let shown = sources.map(|source| backend.show_metrics(source));
        Components { controllers, scheduler, _shown: Shown(backend.clone(), shown) }
    }

    pub(super) async fn stop(self) {
        self.scheduler.stop().await;
        self.controllers.stop().await;
    }
}

fn options(settings: &Settings, pki: &Arc<Pki>) -> controllers::Options {
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
