//! The webhooks of all configurations, compiled, in the order in which they are asked.
//!
//! Invariants: by the configurations' names, then as each lists them; a configuration is compiled once per revision;
//! while there are none, that costs a write one atomic load. Bound: one compiled webhook per webhook of a stored
//! configuration.

use super::review::Version;
use crate::admission::expressions::{Conditions, env};
use crate::admission::matching::Criteria;
use crate::callout::{Destination, Target};
use api::Kind;
use arc_swap::ArcSwap;
use client::{Cache, Client};
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration, WebhookClientConfig,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

const TIMEOUT_SECONDS: u64 = 10;
/// How long a write waits at the start for the configurations to be known, as upstream's waits.
const READY_TIME_MAX: Duration = Duration::from_secs(10);

/// One webhook of a configuration.
#[derive(Debug)]
pub(super) struct Webhook {
    /// Among all: `CONFIGURATION/NAME`.
    pub(super) id: String,
    pub(super) configuration: String,
    pub(super) name: String,
    pub(super) criteria: Criteria,
    pub(super) conditions: Conditions,
    /// `Err` says why it cannot be called.
    pub(super) target: Result<Target, String>,
    pub(super) timeout: Duration,
    /// The version of the review that it is sent; `None` where it knows none of ours.
    pub(super) version: Option<Version>,
    pub(super) ignores_failure: bool,
    /// Even where a write is only tried.
    pub(super) has_side_effects: bool,
    /// Wants to be asked again where others change the object after it.
    pub(super) is_asked_again: bool,
}

fn target(config: &WebhookClientConfig) -> Result<Target, String> {
    let ca_bundle = config.ca_bundle.as_ref().map(|bundle| bundle.0.clone()).unwrap_or_default();
    match (&config.url, &config.service) {
        (Some(url), _) => Target::of_url(url, ca_bundle).map_err(|error| error.to_string()),
        (None, Some(service)) => {
            let path = service.path.as_deref();
            let destination = Destination::service(&service.namespace, &service.name, service.port, path);
            Ok(Target::new(destination, ca_bundle))
        }
        (None, None) => Err("webhook configuration must have either service or URL".to_owned()),
    }
}

/// A webhook of either type; the types have the same fields, but share no trait.
macro_rules! compiled {
    ($configuration:expr, $hook:expr, $again:expr) => {{
        let (configuration, hook) = ($configuration, $hook);
        let criteria = Criteria::of_webhook(
            hook.rules.as_deref().unwrap_or_default(),
            hook.match_policy.as_deref(),
            hook.namespace_selector.as_ref(),
            hook.object_selector.as_ref(),
        );
        let timeout = hook.timeout_seconds.and_then(|seconds| u64::try_from(seconds).ok());
        criteria.map(|criteria| Webhook {
            id: format!("{configuration}/{}", hook.name),
            configuration: configuration.to_owned(),
            name: hook.name.clone(),
            criteria,
            conditions: Conditions::compile(&env(), hook.match_conditions.as_deref().unwrap_or_default()),
            target: target(&hook.client_config),
            timeout: Duration::from_secs(timeout.unwrap_or(TIMEOUT_SECONDS)),
            version: Version::first_known(&hook.admission_review_versions),
            ignores_failure: hook.failure_policy.as_deref() == Some("Ignore"),
            has_side_effects: !matches!(&*hook.side_effects, "None" | "NoneOnDryRun"),
            is_asked_again: $again,
        })
    }};
}

/// A kind that configures webhooks.
pub(super) trait Configuration: Kind {
    fn compile(&self) -> Vec<Webhook>;
}

/// What does not compile was refused when it was written; should it be there all the same, it is left out aloud.
fn kept<E: std::fmt::Display>(webhook: Result<Webhook, E>) -> Option<Webhook> {
    webhook.inspect_err(|error| tracing::error!(%error, "a webhook is left out: its selectors do not parse")).ok()
}

impl Configuration for MutatingWebhookConfiguration {
    fn compile(&self) -> Vec<Webhook> {
        let name = self.metadata.name.as_deref().unwrap_or_default();
        let again = |policy: &Option<String>| policy.as_deref() == Some("IfNeeded");
        let hooks = self.webhooks.iter().flatten();
        hooks.filter_map(|hook| kept(compiled!(name, hook, again(&hook.reinvocation_policy)))).collect()
    }
}

impl Configuration for ValidatingWebhookConfiguration {
    fn compile(&self) -> Vec<Webhook> {
        let name = self.metadata.name.as_deref().unwrap_or_default();
        self.webhooks.iter().flatten().filter_map(|hook| kept(compiled!(name, hook, false))).collect()
    }
}

type Webhooks = Vec<Arc<Webhook>>;

#[derive(Default)]
struct Shared {
    webhooks: ArcSwap<Webhooks>,
    /// Everything is known, and there are none.
    is_idle: AtomicBool,
}

/// The webhooks as they stand; follows the configurations until dropped.
pub(super) struct Followed {
    shared: Arc<Shared>,
    ready: watch::Receiver<bool>,
    _follower: AbortOnDropHandle<()>,
}

impl Followed {
    pub(super) fn start<C: Configuration>(client: &Client) -> Followed {
        let shared = Arc::new(Shared::default());
        let (sender, ready) = watch::channel(false);
        let follower = tokio::spawn(follow::<C>(client.cache(), shared.clone(), sender));
        Followed { shared, ready, _follower: AbortOnDropHandle::new(follower) }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.shared.is_idle.load(Ordering::Acquire)
    }

    /// Whether the configurations are known; waits for them a while.
    pub(super) async fn is_ready(&self) -> bool {
        if *self.ready.borrow() {
            return true;
        }
        let mut ready = self.ready.clone();
        let known = ready.wait_for(|ready| *ready);
        matches!(tokio::time::timeout(READY_TIME_MAX, known).await, Ok(Ok(_)))
    }

    pub(super) fn webhooks(&self) -> Arc<Webhooks> {
        self.shared.webhooks.load_full()
    }
}

async fn follow<C: Configuration>(cache: Cache<C>, shared: Arc<Shared>, ready: watch::Sender<bool>) {
    let mut changes = cache.changes();
    let mut compiled: BTreeMap<Arc<str>, Webhooks> = BTreeMap::new();
    cache.synced().await;
    let mut next = changes.try_next();
    loop {
        while let Some(change) = next {
            match change.new {
                Some(configuration) => {
                    let webhooks = configuration.compile().into_iter().map(Arc::new).collect();
                    compiled.insert(change.key, webhooks);
                }
                None => drop(compiled.remove(&change.key)),
            }
            next = changes.try_next();
        }
        let all: Webhooks = compiled.values().flatten().cloned().collect();
        let is_idle = all.is_empty();
        shared.webhooks.store(Arc::new(all));
        shared.is_idle.store(is_idle, Ordering::Release);
        ready.send_replace(true);
        next = Some(changes.next().await);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// A webhook of the configuration `c`, with these fields beside those that it must have.
    pub(in crate::admission::webhooks) fn compiled(more: Value) -> Webhook {
        let mut hook = json!({"name": "w.a.b", "clientConfig": {"url": "https://localhost/x"}, "sideEffects": "None",
            "admissionReviewVersions": ["v1"]});
        for (field, value) in more.as_object().unwrap() {
            hook[field] = value.clone();
        }
        let mut configuration: MutatingWebhookConfiguration =
            serde_json::from_value(json!({"metadata": {"name": "c"}, "webhooks": [hook]})).unwrap();
        Kind::defaults(&mut configuration);
        configuration.compile().remove(0)
    }

    #[test]
    fn what_is_left_out_has_upstreams_defaults() {
        let hook = compiled(json!({}));
        assert_eq!((hook.id.as_str(), hook.timeout), ("c/w.a.b", Duration::from_secs(10)));
        assert!(!hook.ignores_failure && !hook.has_side_effects && !hook.is_asked_again);
        assert_eq!(hook.target.unwrap().url(), "https://localhost/x");
        let service = json!({"service": {"namespace": "n", "name": "s", "path": "/p"}});
        let hook = compiled(json!({"clientConfig": service, "failurePolicy": "Ignore", "sideEffects": "Unknown",
            "reinvocationPolicy": "IfNeeded", "timeoutSeconds": 3}));
        assert!(hook.ignores_failure && hook.has_side_effects && hook.is_asked_again);
        assert_eq!(
            (hook.target.unwrap().url(), hook.timeout),
            ("https://s.n.svc:443/p".into(), Duration::from_secs(3))
        );
    }
}
