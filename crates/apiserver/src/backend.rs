//! What every request works with: the registry, and who decides.
//!
//! Invariant: the parts that are themselves clients (authorizer, admission) are installed once, after the backend that
//! they read through exists; until then writes and outside requests are answered 503.

use crate::authn::Authenticators;
use crate::authz::Authorizer;
use crate::custom_resources;
use crate::documents::Documents;
use crate::metrics::Metrics;
use crate::streams::KubeletAccess;
use api::Status;
use registry::{Admission, Registry};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use tokio_util::sync::CancellationToken;

/// Who decides: installed when they have been built over the backend.
pub struct Parts {
    pub authn: Arc<Authenticators>,
    pub authz: Arc<Authorizer>,
    pub admission: Arc<dyn Admission>,
}

/// A named condition of readiness.
pub type ReadyCheck = (&'static str, Box<dyn Fn() -> Result<(), String> + Send + Sync>);

pub struct Backend {
    pub(crate) registry: Arc<Registry>,
    parts: OnceLock<Parts>,
    pub(crate) kubelets: Option<KubeletAccess>,
    pub(crate) metrics: Metrics,
    pub(crate) documents: Documents,
    /// Cancelled when the server ends: watches and streams end with it.
    pub(crate) stopping: CancellationToken,
    ready_checks: Vec<ReadyCheck>,
    customs_synced: AtomicBool,
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
            kubelets,
            metrics: Metrics::default(),
            documents: Documents::default(),
            stopping: CancellationToken::new(),
            ready_checks,
            customs_synced: AtomicBool::new(false),
        })
    }

    /// To be called once; what comes later is refused and given back.
    pub fn install(self: &Arc<Self>, parts: Parts) -> Result<(), Parts> {
        self.parts.set(parts)?;
        custom_resources::start(self);
        Ok(())
    }

    /// Every custom kind that was defined when the server began is served.
    pub(crate) fn customs_synced(&self) {
        self.customs_synced.store(true, Ordering::Release);
    }

    pub fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    pub(crate) fn parts(&self) -> Result<&Parts, Status> {
        self.parts.get().ok_or_else(|| Status::unavailable("the API server is starting"))
    }

    fn customs(&self) -> Result<(), String> {
        match self.customs_synced.load(Ordering::Acquire) {
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
