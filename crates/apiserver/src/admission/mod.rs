//! The judges of every write: one file and one row of the table each.
//!
//! Invariants: judged in the table's order, which is upstream's; a plugin runs again on every retry of the
//! compare-and-swap and so changes an object that it changed before no further; what a plugin looks up comes from the
//! shared caches, and live only where the cache does not have it (yet).

mod certificates;
mod claim_resize;
mod default_toleration_seconds;
mod defaults_by_class;
mod expressions;
mod in_use_protection;
mod limit_ranger;
mod matching;
mod measures;
mod namespace_lifecycle;
mod node_restriction;
mod node_taint;
mod node_tokens;
mod opt_in;
mod options;
mod pod_security;
mod pod_topology_labels;
mod policies;
mod priority;
mod rbac_escalation;
mod request;
mod resource_quota;
mod rounds;
mod runtime_class;
mod service_account;
mod trust_bundle_attest;
mod webhooks;

pub use options::{AdmissionOptions, Plugins};
pub(crate) use policies::PolicyCheck;

use crate::authz::Authorizer;
use crate::callout::Callout;
use api::{Kind, Object, Status};
use async_trait::async_trait;
use client::{Cache, Client};
use registry::{Admission, Attempt, Claim, Registry};
use rounds::Rounds;
use std::sync::Arc;

/// What plugins look things up in.
pub(crate) struct Sources<'a> {
    pub(crate) client: &'a Client,
    /// What is served, and its objects as they are now.
    pub(crate) registry: &'a Arc<Registry>,
    pub(crate) authorizer: &'a Arc<Authorizer>,
    pub(crate) callout: &'a Callout,
    /// Of webhooks, whoever asks them.
    pub(crate) metrics: &'a Arc<webhooks::Metrics>,
    pub(crate) measures: &'a Arc<measures::Measures>,
    pub(crate) settings: &'a Settings,
}

/// One judge. The bodies that do nothing are for judges of one phase only.
#[async_trait]
pub(crate) trait Plugin: Send + Sync {
    /// Whether it has anything to do with such a write: asked first, so that the rest costs nothing.
    fn judges(&self, attempt: &Attempt<'_>) -> bool;

    /// Changes the object, or puts another of the same kind and name in its place; leaves it defaulted.
    async fn mutate(
        &self,
        _attempt: &Attempt<'_>,
        _object: &mut Box<dyn Object>,
        _old: Option<&dyn Object>,
    ) -> Result<(), Status> {
        Ok(())
    }

    /// As `mutate`, for those who are told in which round they are: a change of theirs begins a second one.
    async fn mutate_in(
        &self,
        attempt: &Attempt<'_>,
        object: &mut Box<dyn Object>,
        old: Option<&dyn Object>,
        _rounds: &mut Rounds,
    ) -> Result<(), Status> {
        self.mutate(attempt, object, old).await
    }

    async fn validate(
        &self,
        _attempt: &Attempt<'_>,
        _object: Option<&dyn Object>,
        _old: Option<&dyn Object>,
    ) -> Result<(), Status> {
        Ok(())
    }

    /// Claims what the write will use of something that is short, after it was judged good. The claim is dropped when
    /// the caches have the write, or it was given up.
    async fn claim(
        &self,
        _attempt: &Attempt<'_>,
        _object: Option<&dyn Object>,
        _old: Option<&dyn Object>,
    ) -> Result<Option<Claim>, Status> {
        Ok(None)
    }
}

type Make = fn(&Sources<'_>) -> Box<dyn Plugin>;

/// Whether a plugin can be turned off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// No plugin of upstream's: there it is done elsewhere, whatever the flags say.
    Always,
    /// On unless it is disabled.
    On,
    /// Off unless it is enabled.
    Off,
}

struct Row {
    name: &'static str,
    make: Make,
    standing: Standing,
}

const fn always(name: &'static str, make: Make) -> Row {
    Row { name, make, standing: Standing::Always }
}

const fn on(name: &'static str, make: Make) -> Row {
    Row { name, make, standing: Standing::On }
}

const fn off(name: &'static str, make: Make) -> Row {
    Row { name, make, standing: Standing::Off }
}

/// All plugins, in the order of judging.
const PLUGINS: &[Row] = &[
    off("AlwaysAdmit", opt_in::always::admit),
    off("NamespaceAutoProvision", opt_in::namespaces::provision),
    on("NamespaceLifecycle", namespace_lifecycle::make),
    off("NamespaceExists", opt_in::namespaces::exists),
    off("LimitPodHardAntiAffinityTopology", opt_in::anti_affinity::make),
    on("LimitRanger", limit_ranger::make),
    on("ServiceAccount", service_account::make),
    on("NodeRestriction", node_restriction::make),
    on("TaintNodesByCondition", node_taint::make),
    off("AlwaysPullImages", opt_in::pull_images::make),
    off("ImagePolicyWebhook", opt_in::image_policy::make),
    on("PodSecurity", pod_security::make),
    off("PodNodeSelector", opt_in::node_selector::make),
    on("Priority", priority::make),
    on("DefaultTolerationSeconds", default_toleration_seconds::make),
    off("PodTolerationRestriction", opt_in::tolerations::make),
    off("EventRateLimit", opt_in::event_rate::make),
    off("ExtendedResourceToleration", opt_in::extended_resources::make),
    on("DefaultStorageClass", defaults_by_class::storage),
    on("StorageObjectInUseProtection", in_use_protection::make),
    off("OwnerReferencesPermissionEnforcement", opt_in::owner_references::make),
    on("PersistentVolumeClaimResize", claim_resize::make),
    on("RuntimeClass", runtime_class::make),
    always("CertificateIdentity", certificates::identity),
    on("CertificateApproval", certificates::approval),
    on("CertificateSigning", certificates::signing),
    on("ClusterTrustBundleAttest", trust_bundle_attest::make),
    on("CertificateSubjectRestriction", certificates::subjects),
    on("DefaultIngressClass", defaults_by_class::ingress),
    off("DenyServiceExternalIPs", opt_in::external_ips::make),
    on("PodTopologyLabels", pod_topology_labels::make),
    always("RBACEscalation", rbac_escalation::make),
    on("MutatingAdmissionPolicy", policies::mutating::make),
    on("MutatingAdmissionWebhook", webhooks::mutating),
    on("ValidatingAdmissionPolicy", policies::validating::make),
    on("ValidatingAdmissionWebhook", webhooks::validating),
    on("ResourceQuota", resource_quota::make),
    off("AlwaysDeny", opt_in::always::deny),
];

/// What an administrator sets.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long pods stay on a lost node that do not say it themselves.
    pub eviction_after_seconds: i64,
    pub plugins: Plugins,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { eviction_after_seconds: 300, plugins: Plugins::default() }
    }
}

/// The chain that every write of the server is given.
pub struct Chain {
    plugins: Vec<Box<dyn Plugin>>,
    metrics: Arc<webhooks::Metrics>,
    measures: Arc<measures::Measures>,
}

impl Chain {
    pub fn new(
        client: &Client,
        registry: &Arc<Registry>,
        authorizer: &Arc<Authorizer>,
        callout: &Callout,
        settings: &Settings,
    ) -> Chain {
        let (metrics, measures) = (Arc::default(), Arc::default());
        let sources =
            Sources { client, registry, authorizer, callout, metrics: &metrics, measures: &measures, settings };
        let wanted = PLUGINS.iter().filter(|row| settings.plugins.has(row.name, row.standing));
        Chain { plugins: wanted.map(|row| (row.make)(&sources)).collect(), metrics, measures }
    }

    /// The plugins' names, in order, as `status` and the docs list them.
    pub fn names() -> impl Iterator<Item = &'static str> {
        PLUGINS.iter().map(|row| row.name)
    }
}

#[async_trait]
impl Admission for Chain {
    async fn mutate(
        &self,
        attempt: &Attempt<'_>,
        object: &mut Box<dyn Object>,
        old: Option<&dyn Object>,
    ) -> Result<(), Status> {
        let mut rounds = Rounds::default();
        loop {
            for plugin in &self.plugins {
                if plugin.judges(attempt) {
                    plugin.mutate_in(attempt, object, old, &mut rounds).await?;
                }
            }
            if !rounds.next() {
                return Ok(());
            }
        }
    }

    async fn validate(
        &self,
        attempt: &Attempt<'_>,
        object: Option<&dyn Object>,
        old: Option<&dyn Object>,
    ) -> Result<Vec<Claim>, Status> {
        let mut claims = Vec::new();
        for plugin in &self.plugins {
            if plugin.judges(attempt) {
                plugin.validate(attempt, object, old).await?;
                claims.extend(plugin.claim(attempt, object, old).await?);
            }
        }
        Ok(claims)
    }

    fn metrics(&self, out: &mut String) {
        // Writing to a String does not fail.
        if self.metrics.write(out).and_then(|()| self.measures.write(out)).is_err() {
            tracing::error!("metrics of admission did not render");
        }
    }
}

/// A 403 of an admission plugin, about the object by its name or the name that it is to be generated from.
pub(crate) fn refused(attempt: &Attempt<'_>, object: Option<&dyn Object>, why: &str) -> Status {
    let generated = object.and_then(|object| object.meta().generate_name.as_deref());
    let own = object.map(|object| object.name()).filter(|name| !name.is_empty());
    let name = Some(attempt.name).filter(|name| !name.is_empty()).or(own).or(generated);
    Status::forbidden(attempt.def, name.unwrap_or("Unknown"), why)
}

/// Whether the write is of kind `K`, whatever the version.
pub(crate) fn is<K: Kind>(attempt: &Attempt<'_>) -> bool {
    attempt.def.group == K::DEF.group && attempt.def.plural == K::DEF.plural
}

/// From the cache, or live where the cache does not have it (yet).
pub(crate) async fn find<K: Kind>(
    client: &Client,
    cache: &Cache<K>,
    namespace: &str,
    name: &str,
) -> Result<Option<Arc<K>>, Status> {
    match cache.get(namespace, name) {
        Some(known) => Ok(Some(known)),
        None => Ok(client.find::<K>(namespace, name).await?.map(Arc::new)),
    }
}

#[cfg(test)]
mod tests;
