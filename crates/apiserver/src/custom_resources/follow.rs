//! Follows CustomResourceDefinitions and serves what they define.
//!
//! Invariants: a kind is served before its definition says so; a definition that goes takes its kind with it; a
//! definition that nobody changed costs nothing. Bound: beside the compiled definitions, one task per definition that is
//! being deleted.

use super::conditions::{self, ESTABLISHED};
use super::conversion::ConversionWebhook;
use super::names::{self, Judged};
use super::{Writer, cleanup, definitions, rules};
use crate::backend::Backend;
use api::custom::{Definition, Lease, Schemas};
use api::{Registered, Status, openapi};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, CustomResourceDefinitionNames as Names,
};
use registry::{Converter, Entry, Part, Revision, Selection, Start, Watcher};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::task::AbortOnDropHandle;

/// A pause before the definitions are followed anew, when the store or the watch was lost.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Follows until the server stops.
pub(crate) fn start(backend: &Arc<Backend>) {
    let backend = backend.clone();
    tokio::spawn(async move {
        let stopping = backend.stopping.clone();
        let mut follower =
            Follower { backend, writer: Writer::new(), known: BTreeMap::new(), cleaning: HashMap::new() };
        tokio::select! {
            () = follower.run() => {}
            () = stopping.cancelled() => {}
        }
    });
}

/// What is known of a definition.
struct Known {
    seen: Revision,
    group: String,
    accepted: Names,
    /// Names that others had: they may be free by now.
    has_conflict: bool,
    served: Option<Served>,
}

/// A kind that is served.
struct Served {
    /// What it was made of.
    basis: Basis,
    group: String,
    plural: String,
    /// Of its documents, to be forgotten with it.
    documents: Vec<String>,
    /// By version; the stored one first.
    leases: Vec<Lease>,
}

/// Of a definition: its generation, names and stored versions.
type Basis = (Option<i64>, Names, Vec<String>);

fn basis(definition: &CustomResourceDefinition, judged: &Judged) -> Basis {
    let stored = definition.status.as_ref().and_then(|status| status.stored_versions.clone()).unwrap_or_default();
    (definition.metadata.generation, judged.accepted.clone(), stored)
}

struct Follower {
    backend: Arc<Backend>,
    writer: Writer,
    known: BTreeMap<String, Known>,
    cleaning: HashMap<String, AbortOnDropHandle<()>>,
}

impl Follower {
    async fn run(&mut self) {
        loop {
            let Err(error) = self.follow().await;
            tracing::warn!(%error, "custom resource definitions are followed anew");
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }

    async fn follow(&mut self) -> Result<std::convert::Infallible, Status> {
        let registry = self.backend.registry().clone();
        let mut watcher: Watcher = registry.watch(&definitions(&registry)?, Selection::all(""), Start::Now).await?;
        loop {
            // What changes after this is told by `changed`; what changed before is in the snapshot.
            while watcher.try_next()?.is_some() {}
            let reached = self.reconcile().await?;
            self.backend.customs_reached(reached);
            watcher.changed().await;
        }
    }

    /// Serves what is defined now; up to which revision that is.
    async fn reconcile(&mut self) -> Result<Revision, Status> {
        let snapshot = definitions(self.backend.registry())?.snapshot();
        let gone = self.known.keys().filter(|name| !snapshot.objects.values().any(|entry| entry.name() == *name));
        let gone: Vec<String> = gone.cloned().collect();
        let mut names_freed = !gone.is_empty();
        for name in gone {
            self.cleaning.remove(&name);
            if let Some(served) = self.known.remove(&name).and_then(|known| known.served) {
                self.remove(served).await;
            }
        }
        for entry in snapshot.objects.values() {
            let known = self.known.get(entry.name());
            let is_current = known.is_some_and(|known| known.seen == entry.revision);
            if is_current && !(names_freed && known.is_some_and(|known| known.has_conflict)) {
                continue;
            }
            names_freed |= self.take(entry).await?;
        }
        Ok(snapshot.revision)
    }

    /// Takes over a definition as it now is; whether it gave up a name.
    async fn take(&mut self, entry: &Entry) -> Result<bool, Status> {
        let decoded: Result<CustomResourceDefinition, _> = serde_json::from_slice(entry.value());
        let definition = decoded.map_err(Status::internal)?;
        let name = entry.name();
        let had = definition.status.as_ref().and_then(|status| status.accepted_names.clone()).unwrap_or_default();
        let group = definition.spec.group.clone();
        let others = self.known.iter().filter(|(other, known)| *other != name && known.group == group);
        let judged = names::judge(&definition.spec.names, &had, others.map(|(_, known)| &known.accepted));
        let was_established = conditions::holds(&definition, ESTABLISHED);
        let before = self.known.remove(name);
        let freed = before.as_ref().is_some_and(|before| before.accepted != judged.accepted);
        let (served, failure) = match judged.conflict.is_none() || was_established {
            true => self.serve(&definition, &judged, before.and_then(|before| before.served)).await,
            false => (None, None),
        };
        let has_conflict = judged.conflict.is_some();
        let is_ending = definition.metadata.deletion_timestamp.is_some();
        let accepted = judged.accepted.clone();
        let known = Known { seen: entry.revision, group, accepted, has_conflict, served };
        self.known.insert(name.to_owned(), known);
        self.report(name, &definition, &judged, failure.as_deref()).await?;
        if is_ending {
            self.clean(&definition);
        }
        Ok(freed)
    }

    /// Serves the definition's versions; what is served now, and why not all is.
    async fn serve(
        &self,
        definition: &CustomResourceDefinition,
        judged: &Judged,
        before: Option<Served>,
    ) -> (Option<Served>, Option<String>) {
        if before.as_ref().is_some_and(|before| before.basis == basis(definition, judged)) {
            return (before, None);
        }
        match self.try_serve(definition, judged, before.as_ref()).await {
            Ok(served) => (Some(served), None),
            Err(why) => {
                tracing::warn!(definition = definition.metadata.name, why, "a custom kind is not served as defined");
                (before, Some(why))
            }
        }
    }

    async fn try_serve(
        &self,
        definition: &CustomResourceDefinition,
        judged: &Judged,
        before: Option<&Served>,
    ) -> Result<Served, String> {
        let basis = basis(definition, judged);
        let mut definition = definition.clone();
        definition.spec.names = judged.accepted.clone();
        let leases = leases(&definition)?;
        let converter = self.converter(&definition, &leases)?;
        let mut leases: Vec<Lease> = leases.into_values().collect();
        // The stored version first.
        leases.sort_by_key(|lease| !lease.kind().definition().is_storage());
        let kinds: Vec<&'static dyn Registered> = leases.iter().map(|lease| lease.kind() as &dyn Registered).collect();
        let Some((stored, others)) = kinds.split_first() else { return Err("no version is defined".to_owned()) };
        self.backend.registry().install(*stored, others, converter).await.map_err(|status| status.message)?;
        let documents = kinds.iter().map(|kind| openapi::document_path(kind.def())).collect::<Vec<_>>();
        let old = before.map(|before| before.documents.as_slice()).unwrap_or_default();
        self.backend.documents.forget(&[documents.as_slice(), old].concat());
        let spec = definition.spec;
        Ok(Served { basis, group: spec.group, plural: spec.names.plural, documents, leases })
    }

    fn converter(
        &self,
        definition: &CustomResourceDefinition,
        leases: &BTreeMap<String, Lease>,
    ) -> Result<Option<Arc<dyn Converter>>, String> {
        let callout = &self.backend.parts().map_err(|status| status.message)?.callout;
        let definitions = leases.iter().map(|(version, lease)| (version.clone(), lease.kind().definition())).collect();
        let webhook = ConversionWebhook::of(callout, definition, definitions);
        Ok(webhook.map(|webhook| Arc::new(webhook) as Arc<dyn Converter>))
    }

    async fn remove(&self, served: Served) {
        self.backend.registry().uninstall(&served.group, &served.plural).await;
        self.backend.documents.forget(&served.documents);
        tracing::debug!(group = served.group, plural = served.plural, versions = served.leases.len(), "a kind is gone");
    }

    /// Says in the status what became of the definition, where it does not say so already.
    async fn report(
        &self,
        name: &str,
        definition: &CustomResourceDefinition,
        judged: &Judged,
        failure: Option<&str>,
    ) -> Result<(), Status> {
        let now = self.backend.registry().now();
        let written = |current: &CustomResourceDefinition| {
            let mut new = current.clone();
            new.status.get_or_insert_default().accepted_names = Some(judged.accepted.clone());
            let was_established = conditions::holds(current, ESTABLISHED);
            for wanted in conditions::of(judged, was_established, failure) {
                conditions::set(&mut new, &wanted, now);
            }
            new
        };
        if written(definition) == *definition {
            return Ok(());
        }
        let mut change = |current: &registry::Current<'_>| match current.object.downcast::<CustomResourceDefinition>() {
            Some(own) => Ok(Box::new(written(own)) as Box<dyn api::Object>),
            None => Ok(current.object.boxed()),
        };
        match self.writer.update(&self.backend, name, Part::Status, &mut change).await {
            // Gone meanwhile: the next round takes its kind away.
            Err(status) if status.reason == api::Reason::NotFound => Ok(()),
            other => other,
        }
    }

    /// Has the objects of a definition that is being deleted deleted; once.
    fn clean(&mut self, definition: &CustomResourceDefinition) {
        let name = definition.metadata.name.clone().unwrap_or_default();
        if self.cleaning.contains_key(&name) {
            return;
        }
        let spec = &definition.spec;
        let resources = self.backend.registry().resources();
        let is_served = self.known.get(&name).is_some_and(|known| known.served.is_some());
        let own = |resource: &&Arc<registry::Resource>| {
            is_served && resource.def.group == spec.group && resource.def.plural == spec.names.plural
        };
        let resource = resources.iter().find(own).cloned();
        let cleanup = cleanup::cleanup(self.backend.clone(), name.clone(), resource);
        self.cleaning.insert(name, AbortOnDropHandle::new(tokio::spawn(cleanup)));
    }
}

/// A definition's kinds by their versions.
fn leases(definition: &CustomResourceDefinition) -> Result<BTreeMap<String, Lease>, String> {
    let versions = &definition.spec.versions;
    let schemas = Schemas::of(versions).map_err(|error| error.to_string())?;
    let mut leases = BTreeMap::new();
    for version in versions {
        let schema = version.schema.as_ref().and_then(|schema| schema.open_api_v3_schema.as_ref());
        let compiled = Definition::of(definition, version, &schemas, schema.and_then(rules::compile));
        let lease = Lease::new(Arc::new(compiled.map_err(|error| error.to_string())?));
        leases.insert(version.name.clone(), lease.map_err(|error| error.to_string())?);
    }
    Ok(leases)
}
