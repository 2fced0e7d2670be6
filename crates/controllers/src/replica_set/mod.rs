//! ReplicaSet: keeps as many pods of a template as asked for.

mod plan;
mod rank;

use crate::claim;
use crate::table::Start;
use api::Kind;
use async_trait::async_trait;
use client::{Cache, Cached, Change, PodView};
use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetStatus};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use plan::{Plan, View};
use reconcile::{
    Action, Context, Controller, Error, Index, Key, Reconcile, Severity, in_batches, key_of, owned_by, owner,
};
use std::sync::Arc;

pub(crate) fn controller(start: &Start) -> Controller {
    let (sets, pods) = (start.client.cache::<ReplicaSet>(), start.client.cache::<PodView>());
    let owned = Index::new(|pod: &PodView| claim::owner_or_orphan(pod.meta()));
    let matching = sets.clone();
    Controller::new("replicaset", ReplicaSets { sets: sets.clone(), pods: owned.clone() })
        .watches(sets, reconcile::each)
        .indexes(pods, &owned, move |change| interested(&matching, change))
}

/// The sets that a pod's change concerns: its owner, or those that may adopt it.
fn interested(sets: &Cache<ReplicaSet>, change: &Change<PodView>) -> Vec<Key> {
    let mut keys = owned_by::<ReplicaSet, _>(change);
    let Some(orphan) = change.new.as_deref().filter(|pod| pod.controller().is_none()) else {
        return keys;
    };
    for set in sets.list_namespace(orphan.namespace()) {
        if claim::selector(&set.spec.selector).matches(&orphan.labels) {
            keys.push(key_of(&*set));
        }
    }
    keys
}

struct ReplicaSets {
    sets: Cache<ReplicaSet>,
    pods: Arc<Index<PodView>>,
}

#[async_trait]
impl Reconcile for ReplicaSets {
    async fn reconcile(&self, ctx: &Context, key: &Key) -> Result<Action, Error> {
        let Some(set) = self.sets.get_key(key) else { return Ok(Action::Done) };
        let view = self.view(&set);
        let plan = plan::plan(&view, ctx.now());
        claim_pods(ctx, &set, &plan).await?;
        let changed = change_pods(ctx, &set, &plan).await;
        let status = plan::status(&set, &plan, changed.as_ref().err().map(ToString::to_string), ctx.now());
        write_status(ctx, &set, status).await?;
        changed?;
        Ok(plan.action)
    }
}

impl ReplicaSets {
    fn view(&self, set: &Arc<ReplicaSet>) -> View {
        let meta = &set.metadata;
        let (uid, namespace) = (meta.uid.as_deref().unwrap_or_default(), meta.namespace.as_deref().unwrap_or_default());
        let related = || match owner::controller(meta) {
            Some(parent) => {
                let siblings = self.sets.list_namespace(namespace);
                let siblings = siblings.iter().filter(|set| owner::is_controlled_by(&set.metadata, &parent.uid));
                siblings.flat_map(|set| self.pods.get(set.metadata.uid.as_deref().unwrap_or_default())).collect()
            }
            None => self.pods.get(uid),
        };
        let owned = self.pods.get(uid);
        let wanted = plan::replicas(set);
        // Only a set that deletes some of its pods has to choose.
        let choosing = owned.len() > wanted;
        View {
            set: set.clone(),
            orphans: self.pods.get(&claim::orphans(namespace)),
            related: if choosing { related() } else { Vec::new() },
            owned,
        }
    }
}

async fn claim_pods(ctx: &Context, set: &Arc<ReplicaSet>, plan: &Plan) -> Result<(), Error> {
    for pod in &plan.release {
        claim::release(ctx, &**set, &**pod).await?;
    }
    if plan.adopt.is_empty() {
        return Ok(());
    }
    if !claim::may_adopt(ctx, &**set).await? {
        return Err(Error::Invalid("the set was deleted before it could adopt".to_owned()));
    }
    for pod in &plan.adopt {
        claim::adopt(ctx, &**set, &**pod).await?;
    }
    Ok(())
}

async fn change_pods(ctx: &Context, set: &Arc<ReplicaSet>, plan: &Plan) -> Result<(), Error> {
    if plan.create > 0 {
        let pod = Arc::new(new_pod(set));
        let (_, error) =
            in_batches(0..plan.create, ctx.failures(), |_| create(ctx.clone(), set.clone(), pod.clone())).await;
        return match error {
            // Nothing more can be made there; the namespace's end takes the set as well.
            Some(Error::Api { status, .. }) if crate::namespace_terminating(&status) => Ok(()),
            Some(error) => Err(error),
            None => Ok(()),
        };
    }
    let delete = plan.delete.iter().cloned();
    let (_, error) = in_batches(delete, ctx.failures(), |pod| delete_one(ctx.clone(), set.clone(), pod)).await;
    error.map_or(Ok(()), Err)
}

async fn create(ctx: Context, set: Arc<ReplicaSet>, pod: Arc<Pod>) -> Result<(), Error> {
    match ctx.create(&*pod).await {
        Ok(created) => {
            let name = created.metadata.name.as_deref().unwrap_or_default();
            ctx.events().event(&*set, Severity::Normal, "SuccessfulCreate", format!("Created pod: {name}"));
            Ok(())
        }
        Err(status) => {
            if !crate::namespace_terminating(&status) {
                ctx.events().event(&*set, Severity::Warning, "FailedCreate", format!("Error creating: {status}"));
            }
            Err(Error::Api { what: "creating a pod".to_owned(), status })
        }
    }
}

async fn delete_one(ctx: Context, set: Arc<ReplicaSet>, pod: Arc<PodView>) -> Result<(), Error> {
    let name = pod.name();
    match ctx.delete(&*pod, None).await {
        Ok(()) => {
            ctx.events().event(&*set, Severity::Normal, "SuccessfulDelete", format!("Deleted pod: {name}"));
            Ok(())
        }
        Err(status) => {
            ctx.events().event(&*set, Severity::Warning, "FailedDelete", format!("Error deleting: {status}"));
            Err(Error::Api { what: format!("deleting pod {name}"), status })
        }
    }
}

/// A pod as the set's template says.
fn new_pod(set: &ReplicaSet) -> Pod {
    let template = set.spec.template.clone().unwrap_or_default();
    let meta = template.metadata.unwrap_or_default();
    Pod {
        metadata: ObjectMeta {
            namespace: set.metadata.namespace.clone(),
            generate_name: Some(format!("{}-", set.metadata.name.as_deref().unwrap_or_default())),
            labels: meta.labels,
            annotations: meta.annotations,
            finalizers: meta.finalizers,
            owner_references: Some(vec![owner::reference(set)]),
            ..ObjectMeta::default()
        },
        spec: template.spec,
        status: None,
    }
}

async fn write_status(ctx: &Context, set: &ReplicaSet, status: ReplicaSetStatus) -> Result<(), Error> {
    if set.status.as_ref() == Some(&status) {
        return Ok(());
    }
    let mut new = set.clone();
    new.status = Some(status);
    match ctx.update_status(&new).await {
        Err(status) if status.reason == api::Reason::NotFound => Ok(()),
        answer => answer.map(drop).map_err(Error::api(format!("writing the status of {}", ReplicaSet::DEF.kind))),
    }
}
