//! The judges of every write: one file and one row of the table each.
//!
//! Invariants: judged in the table's order, which is upstream's; a plugin runs again on every retry of the
//! compare-and-swap and so changes an object that it changed before no further; what a plugin looks up comes from the
//! shared caches, and live only where the cache does not have it (yet).

mod certificates;
mod default_toleration_seconds;
mod defaults_by_class;
mod limit_ranger;
mod namespace_lifecycle;
pub(crate) mod node_restriction;
mod pod_security;
mod priority;
mod rbac_escalation;
mod runtime_class;
mod service_account;

use crate::authz::Authorizer;
use api::{Kind, Object, Status};
use async_trait::async_trait;
use client::{Cache, Client};
use registry::{Admission, Attempt};
use std::sync::Arc;

/// What plugins look things up in.
pub(crate) struct Sources<'a> {
    pub(crate) client: &'a Client,
    pub(crate) authorizer: &'a Arc<Authorizer>,
    pub(crate) settings: &'a Settings,
}

/// One judge. The bodies that do nothing are for judges of one phase only.
#[async_trait]
pub(crate) trait Plugin: Send + Sync {
    /// Whether it has anything to do with such a write: asked first, so that the rest costs nothing.
    fn judges(&self, attempt: &Attempt<'_>) -> bool;

    async fn mutate(
        &self,
        _attempt: &Attempt<'_>,
        _object: &mut dyn Object,
        _old: Option<&dyn Object>,
    ) -> Result<(), Status> {
        Ok(())
    }

    async fn validate(
        &self,
        _attempt: &Attempt<'_>,
        _object: Option<&dyn Object>,
        _old: Option<&dyn Object>,
    ) -> Result<(), Status> {
        Ok(())
    }
}

type Make = fn(&Sources<'_>) -> Box<dyn Plugin>;

/// All plugins, in the order of judging.
const PLUGINS: &[(&str, Make)] = &[
    ("NamespaceLifecycle", namespace_lifecycle::make),
    ("LimitRanger", limit_ranger::make),
    ("ServiceAccount", service_account::make),
    ("NodeRestriction", node_restriction::make),
    ("PodSecurity", pod_security::make),
    ("Priority", priority::make),
    ("DefaultTolerationSeconds", default_toleration_seconds::make),
    ("DefaultStorageClass", defaults_by_class::storage),
    ("RuntimeClass", runtime_class::make),
    ("CertificateApproval", certificates::make),
    ("DefaultIngressClass", defaults_by_class::ingress),
    ("RBACEscalation", rbac_escalation::make),
];

/// What an administrator sets.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long pods stay on a lost node that do not say it themselves.
    pub eviction_after_seconds: i64,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { eviction_after_seconds: 300 }
    }
}

/// The chain that every write of the server is given.
pub struct Chain {
    plugins: Vec<Box<dyn Plugin>>,
}

impl Chain {
    pub fn new(client: &Client, authorizer: &Arc<Authorizer>, settings: &Settings) -> Chain {
        let sources = Sources { client, authorizer, settings };
        Chain { plugins: PLUGINS.iter().map(|(_, make)| make(&sources)).collect() }
    }

    /// The plugins' names, in order, as `status` and the docs list them.
    pub fn names() -> impl Iterator<Item = &'static str> {
        PLUGINS.iter().map(|(name, _)| *name)
    }
}

#[async_trait]
impl Admission for Chain {
    async fn mutate(
        &self,
        attempt: &Attempt<'_>,
        object: &mut dyn Object,
        old: Option<&dyn Object>,
    ) -> Result<(), Status> {
        for plugin in &self.plugins {
            if plugin.judges(attempt) {
                plugin.mutate(attempt, object, old).await?;
            }
        }
        Ok(())
    }

    async fn validate(
        &self,
        attempt: &Attempt<'_>,
        object: Option<&dyn Object>,
        old: Option<&dyn Object>,
    ) -> Result<(), Status> {
        for plugin in &self.plugins {
            if plugin.judges(attempt) {
                plugin.validate(attempt, object, old).await?;
            }
        }
        Ok(())
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
