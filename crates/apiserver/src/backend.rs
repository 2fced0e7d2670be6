//! What every request works with: the registry, and who decides.
//!
//! Invariant: the parts that are themselves clients (authorizer, admission) are installed once, after the backend that
//! they read through exists; until then writes and outside requests are answered 503.

use crate::aggregation::{self, Aggregation};
use crate::audit::Audit;
use crate::authn::Authenticators;
use crate::authz::Authorizer;
use crate::callout::{Callout, Identity};
use crate::custom_resources;
use crate::documents::Documents;
use crate::fairness::Fairness;
use crate::front::Front;
use crate::measurements::Measurements;
use crate::metrics::Metrics;
use crate::streams::KubeletAccess;
use api::Status;
use parking_lot::RwLock;
use registry::{Admission, Registry, Revision};
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Who decides: installed when they have been built over the backend.
pub struct Parts {
    pub authn: Arc<Authenticators>,
    pub authz: Arc<Authorizer>,
    pub admission: Arc<dyn Admission>,
    pub callout: Callout,
    /// As whom API servers behind this one are asked; without it they are asked as nobody.
    /// Followed: who is renewed is shown at once.
    pub front_proxy: Option<watch::Receiver<Identity>>,
}

/// A named condition of readiness.
pub type ReadyCheck = (&'static str, Box<dyn Fn() -> Result<(), String> + Send + Sync>);

/// Appends whole families in Prometheus' text format, which nobody else has. Asked for each reader.
pub type MetricsBeside = Box<dyn Fn(&mut String) + Send + Sync>;

pub struct Backend {
    pub(crate) registry: Arc<Registry>,
    parts: OnceLock<Parts>,
    /// Empty where no policy asks for an audit log.
    audit: OnceLock<Arc<Audit>>,
    /// Empty where nothing limits requests.
    fairness: OnceLock<Arc<Fairness>>,
    /// Empty where no pages lie in front of the API.
    front: OnceLock<Arc<dyn Front>>,
    /// Empty where nothing measures the cluster.
    measurements: OnceLock<Arc<dyn Measurements>>,
    pub(crate) kubelets: Option<KubeletAccess>,
    pub(crate) metrics: Arc<Metrics>,
    /// Of what else runs in this process, by its name.
    metrics_beside: RwLock<BTreeMap<u64, MetricsBeside>>,
    pub(crate) documents: Documents,
    pub(crate) aggregation: Aggregation,
    /// Cancelled when the server ends: watches and streams end with it.
    pub(crate) stopping: CancellationToken,
    ready_checks: Vec<ReadyCheck>,
    /// Up to which definitions custom kinds are served; `None` until all are that were there at the start.
    customs: watch::Sender<Option<Revision>>,
}

impl Backend {
    /// Without `kubelets`, logs, exec and the like answer 503.
    pub fn new(
        registry: Arc<Registry>,
        kubelets: Option<KubeletAccess>,
        ready_checks: Vec<ReadyCheck>,
    ) -> Arc<Backend> {
        Arc::new(Backend {
            registry,
            parts: OnceLock::new(),
            audit: OnceLock::new(),
            fairness: OnceLock::new(),
            front: OnceLock::new(),
            measurements: OnceLock::new(),
            kubelets,
            metrics: Arc::default(),
            metrics_beside: RwLock::default(),
            documents: Documents::default(),
            aggregation: Aggregation::default(),
            stopping: CancellationToken::new(),
            ready_checks,
            customs: watch::Sender::new(None),
        })
    }

    /// To be called once; what comes later is refused and given back.
    pub fn install(self: &Arc<Self>, parts: Parts) -> Result<(), Parts> {
        self.parts.set(parts)?;
        custom_resources::start(self);
        aggregation::start(self);
        Ok(())
    }

    /// To be called once, before requests come: what is told of later is refused and given back.
    pub fn install_audit(&self, audit: Arc<Audit>) -> Result<(), Arc<Audit>> {
        self.audit.set(audit)
    }

    /// As `install`: to be called once.
    pub fn install_fairness(&self, fairness: Arc<Fairness>) -> Result<(), Arc<Fairness>> {
        self.fairness.set(fairness)
    }

    /// As `install`: to be called once.
    pub fn install_front(&self, front: Arc<dyn Front>) -> Result<(), Arc<dyn Front>> {
        self.front.set(front)
    }

    pub(crate) fn front(&self) -> Option<&Arc<dyn Front>> {
        self.front.get()
    }

    /// As `install`: to be called once.
    pub fn install_measurements(&self, measurements: Arc<dyn Measurements>) -> Result<(), Arc<dyn Measurements>> {
        self.measurements.set(measurements)
    }

    pub(crate) fn measurements(&self) -> Option<&Arc<dyn Measurements>> {
        self.measurements.get()
    }

    /// Has `/metrics` show what something else counts, until `hide_metrics` is told of the number.
    pub fn show_metrics(&self, source: MetricsBeside) -> u64 {
        let mut all = self.metrics_beside.write();
        let number = all.last_key_value().map_or(0, |(last, _)| last + 1);
        all.insert(number, source);
        number
    }

    pub fn hide_metrics(&self, shown: u64) {
        self.metrics_beside.write().remove(&shown);
    }

    pub(crate) fn write_metrics_beside(&self, out: &mut String) {
        self.metrics_beside.read().values().for_each(|source| source(out));
    }

    pub(crate) fn fairness(&self) -> Option<&Arc<Fairness>> {
        self.fairness.get()
    }

    pub(crate) fn audit(&self) -> Option<&Arc<Audit>> {
        self.audit.get()
    }

    /// Every custom kind is served that was defined up to this revision of the definitions.
    pub(crate) fn customs_reached(&self, revision: Revision) {
        self.customs.send_replace(Some(revision));
    }

    /// Returns when it is so.
    pub(crate) async fn customs_since(&self, revision: Revision) {
        let mut customs = self.customs.subscribe();
        // The sender is ours: it cannot be gone.
        let reached = customs.wait_for(|reached| reached.is_some_and(|reached| reached >= revision));
        drop(reached.await);
    }

    pub fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    pub(crate) fn parts(&self) -> Result<&Parts, Status> {
        self.parts.get().ok_or_else(|| Status::unavailable("the API server is starting"))
    }

    fn customs(&self) -> Result<(), String> {
        match self.customs.borrow().is_some() {
            true => Ok(()),
            false => Err("custom resource definitions are being read".to_owned()),
        }
    }

    /// Every readiness check and how it stands.
    pub(crate) fn checks(&self) -> Vec<(&'static str, Result<(), String>)> {
        let mut checks = vec![
            ("ping", Ok(())),
            ("store", self.registry.health().map_err(|status| status.message)),
            ("poststarthook/crd-informer-synced", self.customs()),
            ("poststarthook/admission", self.parts().map(|_| ()).map_err(|status| status.message)),
        ];
        checks.extend(self.ready_checks.iter().map(|(name, check)| (*name, check())));
        checks
    }
}
