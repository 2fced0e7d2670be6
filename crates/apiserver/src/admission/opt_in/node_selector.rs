//! PodNodeSelector: a namespace's pods go where an administrator says, by an annotation or a file.

use super::{Plugin, Sources, is, refused};
use crate::admission::find;
use crate::configuration_file::ConfigurationError;
use api::{Kind, Object, Reason, Status};
use async_trait::async_trait;
use client::{Cache, Client};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use registry::{Attempt, Operation};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

const ANNOTATION: &str = "scheduler.alpha.kubernetes.io/node-selector";
/// In the file, what holds where a namespace has no annotation; all other names are namespaces'.
const CLUSTER: &str = "clusterDefaultNodeSelector";

type Labels = BTreeMap<String, String>;

/// `a=b,c=d`, by namespace.
#[derive(Debug, Default)]
pub(in crate::admission) struct Selectors(BTreeMap<String, Labels>);

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
struct Configuration {
    pod_node_selector_plugin_config: BTreeMap<String, String>,
}

/// Labels that a node must have, written as a selector of equalities.
fn parsed(selector: &str) -> Result<Labels, String> {
    let pair = |part: &str| {
        let (name, value) = part.split_once('=').ok_or_else(|| format!("invalid selector: [{part}]"))?;
        let (name, value) = (name.trim(), value.trim_start_matches('=').trim());
        let wrong = api::labels::label_key(name).into_iter().chain(api::labels::label_value(value)).next();
        match wrong {
            Some(why) => Err(format!("invalid selector: [{part}]: {why}")),
            None => Ok((name.to_owned(), value.to_owned())),
        }
    };
    selector.split(',').filter(|part| !part.trim().is_empty()).map(pair).collect()
}

/// # Errors
/// What does not read as the configuration.
pub(in crate::admission) fn read(path: &Path, content: Option<Value>) -> Result<Selectors, ConfigurationError> {
    let Some(content) = content else { return Ok(Selectors::default()) };
    let bad = |why: String| ConfigurationError::Decode { path: path.to_owned(), why };
    let own: Configuration = serde_json::from_value(content).map_err(|error| bad(error.to_string()))?;
    let named = own.pod_node_selector_plugin_config.into_iter();
    let selectors =
        named.map(|(name, selector)| Ok((name.clone(), parsed(&selector).map_err(|why| format!("{name}: {why}"))?)));
    selectors.collect::<Result<_, String>>().map(Selectors).map_err(bad)
}

pub(in crate::admission) fn make(sources: &Sources<'_>) -> Box<dyn Plugin> {
    let selectors = sources.settings.plugins.node_selectors.clone();
    Box::new(NodeSelector { client: sources.client.clone(), namespaces: sources.client.cache(), selectors })
}

struct NodeSelector {
    client: Client,
    namespaces: Cache<Namespace>,
    selectors: Arc<Selectors>,
}

fn conflict(one: &Labels, other: &Labels) -> bool {
    one.iter().any(|(name, value)| other.get(name).is_some_and(|own| own != value))
}

impl NodeSelector {
    /// What the namespace asks of its pods' nodes.
    async fn wanted(&self, name: &str) -> Result<Labels, Status> {
        let namespace = find(&self.client, &self.namespaces, "", name).await?;
        let namespace = namespace.ok_or_else(|| Status::not_found(&Namespace::DEF, name))?;
        match namespace.metadata.annotations.as_ref().and_then(|own| own.get(ANNOTATION)) {
            Some(selector) => parsed(selector).map_err(|why| Status { code: 500, ..Status::new(Reason::Unknown, why) }),
            None => Ok(self.selectors.0.get(CLUSTER).cloned().unwrap_or_default()),
        }
    }

    fn check(&self, attempt: &Attempt<'_>, object: &dyn Object, own: &Labels, wanted: &Labels) -> Result<(), Status> {
        if conflict(wanted, own) {
            let why = "pod node label selector conflicts with its namespace node label selector";
            return Err(refused(attempt, Some(object), why));
        }
        let allowed = self.selectors.0.get(attempt.namespace).filter(|allowed| !allowed.is_empty());
        let within = allowed.is_none_or(|allowed| own.iter().all(|(name, value)| allowed.get(name) == Some(value)));
        match within {
            true => Ok(()),
            false => {
                let why = "pod node label selector labels conflict with its namespace whitelist";
                Err(refused(attempt, Some(object), why))
            }
        }
    }
}

fn selector(object: &dyn Object) -> Labels {
    let spec = object.downcast::<Pod>().and_then(|pod| pod.spec.as_ref());
    spec.and_then(|spec| spec.node_selector.clone()).unwrap_or_default()
}

#[async_trait]
impl Plugin for NodeSelector {
    fn judges(&self, attempt: &Attempt<'_>) -> bool {
        attempt.operation == Operation::Create && attempt.subresource.is_none() && is::<Pod>(attempt)
    }

    async fn mutate(
        &self,
        attempt: &Attempt<'_>,
        object: &mut Box<dyn Object>,
        _old: Option<&dyn Object>,
    ) -> Result<(), Status> {
        let (wanted, mut own) = (self.wanted(attempt.namespace).await?, selector(object.as_ref()));
        if !conflict(&wanted, &own) {
            own.extend(wanted.clone());
        }
        self.check(attempt, object.as_ref(), &own, &wanted)?;
        if let Some(spec) = object.downcast_mut::<Pod>().and_then(|pod| pod.spec.as_mut()) {
            spec.node_selector = Some(own).filter(|own| !own.is_empty());
        }
        Ok(())
    }

    async fn validate(
        &self,
        attempt: &Attempt<'_>,
        object: Option<&dyn Object>,
        _old: Option<&dyn Object>,
    ) -> Result<(), Status> {
        let Some(object) = object else { return Ok(()) };
        let wanted = self.wanted(attempt.namespace).await?;
        self.check(attempt, object, &selector(object), &wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_is_a_list_of_equalities() {
        let labels = |pairs: &[(&str, &str)]| -> Labels {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        for (selector, wanted) in [
            ("", Ok(labels(&[]))),
            ("a=b", Ok(labels(&[("a", "b")]))),
            (" a = b , c==d,", Ok(labels(&[("a", "b"), ("c", "d")]))),
            ("a=", Ok(labels(&[("a", "")]))),
            ("a", Err("invalid selector: [a]".to_owned())),
        ] {
            assert_eq!(parsed(selector), wanted, "{selector}");
        }
        assert!(parsed("a b=c").unwrap_err().starts_with("invalid selector: [a b=c]: "));
    }
}
