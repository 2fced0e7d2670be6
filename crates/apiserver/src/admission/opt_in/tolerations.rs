//! PodTolerationRestriction: a namespace's pods tolerate what it says, and no more than it allows.

use super::{Plugin, Sources, decoded, toleration_sets, writes_pod};
use crate::admission::find;
use crate::configuration_file::ConfigurationError;
use api::{Kind, Object, Reason, Status};
use async_trait::async_trait;
use client::{Cache, Client};
use k8s_openapi::api::core::v1::{Namespace, Pod, Toleration};
use registry::{Attempt, Operation};
use serde::Deserialize;
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;

const DEFAULTS: &str = "scheduler.alpha.kubernetes.io/defaultTolerations";
const ALLOWED: &str = "scheduler.alpha.kubernetes.io/tolerationsWhitelist";

/// What holds where a namespace says nothing.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(in crate::admission) struct Configuration {
    default: Vec<Toleration>,
    whitelist: Vec<Toleration>,
}

/// # Errors
/// What does not read as the configuration.
pub(in crate::admission) fn read(path: &Path, content: Option<Value>) -> Result<Configuration, ConfigurationError> {
    decoded(path, content, "Configuration", &["podtolerationrestriction.admission.k8s.io/v1alpha1"])
}

pub(in crate::admission) fn make(sources: &Sources<'_>) -> Box<dyn Plugin> {
    let configuration = sources.settings.plugins.tolerations.clone();
    Box::new(Tolerations { client: sources.client.clone(), namespaces: sources.client.cache(), configuration })
}

struct Tolerations {
    client: Client,
    namespaces: Cache<Namespace>,
    configuration: Arc<Configuration>,
}

/// A plain failure, which upstream answers as the server's own.
fn failed(why: String) -> Status {
    Status { code: 500, ..Status::new(Reason::Unknown, why) }
}

/// What a namespace's annotation says; `None` where it has none.
fn annotated(namespace: &Namespace, name: &str) -> Result<Option<Vec<Toleration>>, Status> {
    match namespace.metadata.annotations.as_ref().and_then(|own| own.get(name)) {
        None => Ok(None),
        Some(text) if text.is_empty() => Ok(Some(Vec::new())),
        Some(text) => serde_json::from_str(text).map(Some).map_err(|error| failed(error.to_string())),
    }
}

/// A pod that is promised memory is not kept off a node that runs short of it.
fn under_pressure() -> Toleration {
    Toleration {
        key: Some("node.kubernetes.io/memory-pressure".to_owned()),
        operator: Some("Exists".to_owned()),
        effect: Some("NoSchedule".to_owned()),
        ..Toleration::default()
    }
}

impl Tolerations {
    async fn namespace(&self, name: &str) -> Result<Arc<Namespace>, Status> {
        let found = find(&self.client, &self.namespaces, "", name).await?;
        found.ok_or_else(|| Status::not_found(&Namespace::DEF, name))
    }

    async fn wanted(&self, attempt: &Attempt<'_>, pod: &Pod) -> Result<Vec<Toleration>, Status> {
        let mut own = pod.spec.as_ref().and_then(|spec| spec.tolerations.clone()).unwrap_or_default();
        if attempt.operation == Operation::Create {
            let namespace = self.namespace(attempt.namespace).await?;
            let defaults = annotated(&namespace, DEFAULTS)?;
            own = toleration_sets::merged(defaults.as_ref().unwrap_or(&self.configuration.default), &own);
        }
        if pod.spec.as_ref().is_some_and(|spec| api::core::pod::qos_class(spec) != "BestEffort") {
            own = toleration_sets::merged(&own, &[under_pressure()]);
        }
        Ok(own)
    }
}

#[async_trait]
impl Plugin for Tolerations {
    fn judges(&self, attempt: &Attempt<'_>) -> bool {
        writes_pod(attempt)
    }

    async fn mutate(
        &self,
        attempt: &Attempt<'_>,
        object: &mut Box<dyn Object>,
        _old: Option<&dyn Object>,
    ) -> Result<(), Status> {
        let Some(pod) = object.downcast_mut::<Pod>() else { return Ok(()) };
        let wanted = self.wanted(attempt, pod).await?;
        if let Some(spec) = pod.spec.as_mut().filter(|_| !wanted.is_empty()) {
            spec.tolerations = Some(wanted);
        }
        self.validate(attempt, Some(object.as_ref()), None).await
    }

    async fn validate(
        &self,
        attempt: &Attempt<'_>,
        object: Option<&dyn Object>,
        _old: Option<&dyn Object>,
    ) -> Result<(), Status> {
        let spec = object.and_then(|object| object.downcast::<Pod>()).and_then(|pod| pod.spec.as_ref());
        let own = spec.and_then(|spec| spec.tolerations.as_deref()).unwrap_or_default();
        if own.is_empty() {
            return Ok(());
        }
        let namespace = self.namespace(attempt.namespace).await?;
        let list = annotated(&namespace, ALLOWED)?;
        match toleration_sets::allowed(own, list.as_ref().unwrap_or(&self.configuration.whitelist)) {
            true => Ok(()),
            false => Err(failed(
                "pod tolerations (possibly merged with namespace default tolerations) conflict with its namespace \
                 whitelist"
                    .to_owned(),
            )),
        }
    }
}
