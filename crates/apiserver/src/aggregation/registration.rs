//! APIServices of the group versions that this server answers: of the built-in ones at its start, of custom ones while
//! a definition serves them.
//!
//! Invariants: an APIService without the label is its owner's; what was registered of a definition goes with it. A
//! definition counts as soon as it is there, as upstream: that its kind is served is for discovery to say.

use super::priority::Priority;
use crate::backend::Backend;
use api::{Kind, Reason, Status};
use client::{Client, DeleteOptions, ListOptions};
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::{APIService, APIServiceSpec};
use registry::{Entry, Registry, Selection, Start};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

const LABEL: &str = "kube-aggregator.kubernetes.io/automanaged";
const ON_START: &str = "onstart";
const ALWAYS: &str = "true";
/// Writes under way at once: enough for the store to commit them together.
const CONCURRENT: usize = 64;
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// By name: what is to be there.
type Wanted = BTreeMap<String, APIService>;

pub(super) async fn run(backend: Arc<Backend>) {
    let Ok(parts) = backend.parts() else { return };
    let client = parts.callout.client().clone();
    let mut is_start = true;
    loop {
        let Err(error) = follow(&backend, &client, &mut is_start).await;
        tracing::warn!(%error, "local APIServices are registered anew");
        tokio::time::sleep(RETRY_PAUSE).await;
    }
}

async fn follow(backend: &Backend, client: &Client, is_start: &mut bool) -> Result<Infallible, Status> {
    let registry = backend.registry();
    let definitions = registry.resource(&CustomResourceDefinition::DEF)?;
    let mut watcher = registry.watch(&definitions, Selection::all(""), Start::Now).await?;
    loop {
        while watcher.try_next()?.is_some() {}
        let mut wanted = if *is_start { builtin(registry) } else { Wanted::new() };
        for entry in definitions.snapshot().objects.values() {
            wanted.extend(customs(entry)?);
        }
        bring_about(client, wanted, *is_start).await?;
        *is_start = false;
        watcher.changed().await;
    }
}

fn api_service(group: &str, version: &str, priority: Priority, managed: &str) -> (String, APIService) {
    let name = format!("{version}.{group}");
    let labels = BTreeMap::from([(LABEL.to_owned(), managed.to_owned())]);
    let metadata = ObjectMeta { name: Some(name.clone()), labels: Some(labels), ..ObjectMeta::default() };
    let spec = APIServiceSpec {
        group: Some(group.to_owned()),
        version: Some(version.to_owned()),
        group_priority_minimum: priority.group,
        version_priority: priority.version,
        ..APIServiceSpec::default()
    };
    (name, APIService { metadata, spec: Some(spec), status: None })
}

/// Of the kinds that have a row in the table of kinds.
fn builtin(registry: &Registry) -> Wanted {
    let served = registry.served();
    let own = served.iter().filter(|resource| resource.kind.open_schema().is_none()).map(|resource| resource.def);
    own.filter_map(|def| {
        let priority = Priority::of_builtin(def.group, def.version)?;
        Some(api_service(def.group, def.version, priority, ON_START))
    })
    .collect()
}

/// As much of a definition as is looked at.
#[derive(Deserialize)]
struct Defined {
    spec: DefinedSpec,
}

#[derive(Deserialize)]
struct DefinedSpec {
    group: String,
    versions: Vec<DefinedVersion>,
}

#[derive(Deserialize)]
struct DefinedVersion {
    name: String,
    served: bool,
}

fn customs(entry: &Entry) -> Result<Wanted, Status> {
    let Defined { spec } = serde_json::from_slice(entry.value()).map_err(Status::internal)?;
    let served = spec.versions.iter().filter(|version| version.served);
    Ok(served.map(|version| api_service(&spec.group, &version.name, Priority::CUSTOM, ALWAYS)).collect())
}

fn managed(object: &APIService) -> Option<&str> {
    object.metadata.labels.as_ref()?.get(LABEL).map(String::as_str)
}

/// What is to be done about one APIService.
#[derive(Debug, PartialEq)]
enum Action {
    Create(Box<APIService>),
    Update(Box<APIService>),
    Delete { name: String, uid: Option<String> },
}

/// Built-in ones are only looked after at the start: later their owner is the administrator.
fn plan(mut wanted: Wanted, present: Vec<APIService>, is_start: bool) -> Vec<Action> {
    let mut actions = Vec::new();
    for mut object in present {
        let name = object.metadata.name.clone().unwrap_or_default();
        let wanted = wanted.remove(&name);
        let managed = managed(&object);
        match (managed, wanted) {
            (Some(_), Some(wanted)) if !same(&object, &wanted) => {
                object.spec = wanted.spec;
                object.metadata.labels.get_or_insert_default().extend(wanted.metadata.labels.unwrap_or_default());
                actions.push(Action::Update(Box::new(object)));
            }
            (Some(label), None) if label == ALWAYS || is_start => {
                actions.push(Action::Delete { name, uid: object.metadata.uid });
            }
            _ => {}
        }
    }
    actions.extend(wanted.into_values().map(|object| Action::Create(Box::new(object))));
    actions
}

fn same(present: &APIService, wanted: &APIService) -> bool {
    present.spec == wanted.spec && managed(present) == managed(wanted)
}

async fn bring_about(client: &Client, wanted: Wanted, is_start: bool) -> Result<(), Status> {
    let present = client.list::<APIService>("", ListOptions::default()).await?.items;
    let writes = plan(wanted, present, is_start).into_iter().map(|action| async move {
        let done = match action {
            Action::Create(object) => client.create(object.as_ref()).await.map(drop),
            Action::Update(object) => client.update(object.as_ref()).await.map(drop),
            Action::Delete { name, uid } => {
                let options = DeleteOptions { uid, ..DeleteOptions::default() };
                client.delete::<APIService>("", &name, &options).await
            }
        };
        match done {
            // Another server was quicker.
            Err(status) if matches!(status.reason, Reason::AlreadyExists | Reason::NotFound) => Ok(()),
            other => other,
        }
    });
    stream::iter(writes).buffer_unordered(CONCURRENT).try_collect().await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(names: &[(&str, &str, &str)]) -> Wanted {
        names.iter().map(|(group, version, label)| api_service(group, version, Priority::CUSTOM, label)).collect()
    }

    fn names(actions: Vec<Action>) -> Vec<String> {
        let name = |object: APIService| object.metadata.name.unwrap();
        let named = actions.into_iter().map(|action| match action {
            Action::Create(object) => format!("create {}", name(*object)),
            Action::Update(object) => format!("update {}", name(*object)),
            Action::Delete { name, .. } => format!("delete {name}"),
        });
        named.collect()
    }

    #[test]
    fn only_what_was_registered_here_is_changed() {
        let mut others = api_service("own.io", "v1", Priority::default(), ALWAYS).1;
        others.metadata.labels = None;
        let stale = api_service("gone.io", "v1", Priority::CUSTOM, ALWAYS).1;
        let builtin = api_service("apps", "v0", Priority::CUSTOM, ON_START).1;
        let differs = api_service("a.io", "v2", Priority::default(), ALWAYS).1;
        let kept = api_service("a.io", "v3", Priority::CUSTOM, ALWAYS).1;
        let wanted =
            wanted(&[("a.io", "v1", ALWAYS), ("a.io", "v2", ALWAYS), ("a.io", "v3", ALWAYS), ("own.io", "v1", ALWAYS)]);
        let present = vec![others, stale, builtin, differs, kept];
        let later = names(plan(wanted.clone(), present.clone(), false));
        assert_eq!(later, ["delete v1.gone.io", "update v2.a.io", "create v1.a.io"]);
        let at_start = names(plan(wanted, present, true));
        assert_eq!(at_start, ["delete v1.gone.io", "delete v0.apps", "update v2.a.io", "create v1.a.io"]);
    }
}
