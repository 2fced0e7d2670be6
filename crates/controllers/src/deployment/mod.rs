//! Deployment: replicas of a template through ReplicaSets, one per version of it.

mod plan;
mod revision;
mod scale;
mod sets;
mod status;
#[cfg(test)]
mod tests;

use crate::claim::{self, Claim};
use crate::table::Start;
use api::Reason;
use async_trait::async_trait;
use client::{Cache, Cached, Change, Meta, PodView};
use k8s_openapi::api::apps::v1::{Deployment, DeploymentStatus, ReplicaSet};
use plan::{Plan, View};
use reconcile::{Action, Context, Controller, Error, Index, Key, Reconcile, Severity, key_of, owned_by, owner, split};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) fn controller(start: &Start) -> Controller {
    let client = &start.client;
    let (deployments, sets, pods) =
        (client.cache::<Deployment>(), client.cache::<ReplicaSet>(), client.cache::<PodView>());
    let owned = Index::new(|set: &ReplicaSet| claim::owner_or_orphan(set.meta()));
    let reconciler = Deployments { deployments: deployments.clone(), sets: owned.clone(), pods: pods.clone() };
    let (matching, recreated, owners) = (deployments.clone(), deployments.clone(), sets.clone());
    Controller::new("deployment", reconciler)
        .watches(deployments, reconcile::each)
        .indexes(sets, &owned, move |change| interested(&matching, change))
        .watches(pods, move |change| waiting_for_end(&recreated, &owners, change))
}

/// The deployments that a set's change concerns: its owner, or those that may adopt it.
fn interested(deployments: &Cache<Deployment>, change: &Change<ReplicaSet>) -> Vec<Key> {
    let mut keys = owned_by::<Deployment, _>(change);
    let Some(orphan) = change.new.as_deref().filter(|set| owner::controller(&set.metadata).is_none()) else {
        return keys;
    };
    for deployment in deployments.list_namespace(orphan.metadata.namespace.as_deref().unwrap_or_default()) {
        let selects = claim::selector(&deployment.spec.selector);
        if selects.matches(crate::labels(&orphan.metadata)) {
            keys.push(key_of(&*deployment));
        }
    }
    keys
}

/// The deployment that recreates and waits for this pod to be gone.
fn waiting_for_end(deployments: &Cache<Deployment>, sets: &Cache<ReplicaSet>, change: &Change<PodView>) -> Vec<Key> {
    let ended = change.new.as_deref().is_none_or(PodView::is_terminal);
    let Some(pod) = change.old.as_deref().filter(|_| ended) else { return Vec::new() };
    let namespace = pod.namespace();
    let parent = |meta: Meta<'_>| meta.controller().map(|owner| owner.name.clone());
    let set = parent(pod.meta()).and_then(|name| sets.get(namespace, &name));
    let deployment = set.and_then(|set| parent(set.meta())).and_then(|name| deployments.get(namespace, &name));
    deployment
        .filter(|deployment| plan::recreates(deployment))
        .map(|deployment| key_of(&*deployment))
        .into_iter()
        .collect()
}

struct Deployments {
    deployments: Cache<Deployment>,
    sets: Arc<Index<ReplicaSet>>,
    pods: Cache<PodView>,
}

#[async_trait]
impl Reconcile for Deployments {
    async fn reconcile(&self, ctx: &Context, key: &Key) -> Result<Action, Error> {
        let Some(deployment) = self.deployments.get_key(key) else { return Ok(Action::Done) };
        if selects_everything(&deployment) {
            let message = "This deployment is selecting all pods. A non-empty selector is required.";
            ctx.events().event(&*deployment, Severity::Warning, "SelectingAll", message);
            return Ok(Action::Done);
        }
        let Some(sets) = self.claim(ctx, &deployment).await? else { return Ok(Action::Done) };
        let pods = if plan::recreates(&deployment) { self.pods_of(key, &sets) } else { Vec::new() };
        let plan = plan::plan(&View { deployment: deployment.clone(), sets, pods }, ctx.now());
        Box::pin(apply(ctx, &deployment, plan)).await
    }
}

fn selects_everything(deployment: &Deployment) -> bool {
    claim::selector(&deployment.spec.selector).is_empty()
}

impl Deployments {
    /// The deployment's sets, after releasing; `None` if some were adopted.
    async fn claim(&self, ctx: &Context, deployment: &Arc<Deployment>) -> Result<Option<Vec<Arc<ReplicaSet>>>, Error> {
        let meta = &deployment.metadata;
        let selector = claim::selector(&deployment.spec.selector);
        let mut sets = self.sets.get(meta.uid.as_deref().unwrap_or_default());
        sets.extend(self.sets.get(&claim::orphans(meta.namespace.as_deref().unwrap_or_default())));
        let (mut mine, mut may_adopt, mut adopted) = (Vec::with_capacity(sets.len()), None, false);
        for set in sets {
            match claim::decide(meta, &selector, set.meta()) {
                Claim::Keep => mine.push(set),
                Claim::Adopt => {
                    if may_adopt.is_none() {
                        may_adopt = Some(claim::may_adopt(ctx, &**deployment).await?);
                    }
                    if may_adopt == Some(true) {
                        claim::adopt(ctx, &**deployment, &*set).await?;
                        adopted = true;
                    }
                }
                Claim::Release => claim::release(ctx, &**deployment, &*set).await?,
                Claim::Ignore => {}
            }
        }
        // An adopted set has a new revision, and may be the very one that a plan without it would make: the next
        // reconcile, which the adoption causes, works with it.
        Ok((!adopted).then_some(mine))
    }

    fn pods_of(&self, key: &Key, sets: &[Arc<ReplicaSet>]) -> Vec<Arc<PodView>> {
        let owns = |pod: &PodView| {
            let owner = pod.controller().map(|owner| &owner.uid);
            owner.is_some() && sets.iter().any(|set| set.metadata.uid.as_ref() == owner)
        };
        self.pods.list_namespace(split(key).0).into_iter().filter(|pod| owns(pod)).collect()
    }
}

async fn apply(ctx: &Context, deployment: &Arc<Deployment>, mut plan: Plan) -> Result<Action, Error> {
    if let Some(set) = plan.create.take() {
        match ctx.create(&set).await {
            Ok(_) => {}
            Err(status) if status.reason == Reason::AlreadyExists => {
                return already_exists(ctx, deployment, &set).await;
            }
            Err(status) if crate::namespace_terminating(&status) => return Ok(Action::Done),
            Err(status) => return creation_failed(ctx, deployment, &set, status).await,
        }
    }
    for set in &plan.update {
        ctx.update(set).await.map_err(Error::api("scaling a replica set"))?;
    }
    for (reason, message) in &plan.events {
        ctx.events().event(&**deployment, Severity::Normal, reason, message.as_str());
    }
    for set in &plan.delete {
        ctx.delete(&**set, None).await.map_err(Error::api("deleting an old replica set"))?;
    }
    let mut current = (**deployment).clone();
    if let Some(revision) = plan.revision {
        current = annotate(ctx, deployment, revision).await?;
    }
    if let Some(status) = plan.status {
        write_status(ctx, current, status).await?;
    }
    Ok(plan.action)
}

#[derive(Serialize)]
struct Annotate {
    metadata: Annotations,
}

#[derive(Serialize)]
struct Annotations {
    annotations: BTreeMap<&'static str, String>,
}

async fn annotate(ctx: &Context, deployment: &Deployment, revision: String) -> Result<Deployment, Error> {
    let meta = &deployment.metadata;
    let (namespace, name) = (meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default());
    let patch = Annotate { metadata: Annotations { annotations: BTreeMap::from([(revision::REVISION, revision)]) } };
    ctx.merge::<Deployment>(namespace, name, None, &patch).await.map_err(Error::api("noting the revision"))
}

async fn write_status(ctx: &Context, mut deployment: Deployment, status: DeploymentStatus) -> Result<(), Error> {
    deployment.status = Some(status);
    match ctx.update_status(&deployment).await {
        Err(status) if status.reason == Reason::NotFound => Ok(()),
        answer => answer.map(drop).map_err(Error::api("writing the status")),
    }
}

/// The name is a hash of the template: either a lagging cache hid our own set, or two templates have one hash.
async fn already_exists(ctx: &Context, deployment: &Deployment, set: &ReplicaSet) -> Result<Action, Error> {
    let meta = &set.metadata;
    let (namespace, name) = (meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default());
    let found = ctx.client().find::<ReplicaSet>(namespace, name).await.map_err(Error::api("reading a replica set"))?;
    let uid = deployment.metadata.uid.as_deref().unwrap_or_default();
    let ours = found.as_ref().is_some_and(|found| {
        owner::is_controlled_by(&found.metadata, uid) && revision::is_of_template(found, deployment)
    });
    if found.is_some() && !ours {
        let mut status = deployment.status.clone().unwrap_or_default();
        status.collision_count = Some(status.collision_count.unwrap_or(0) + 1);
        write_status(ctx, deployment.clone(), status).await?;
    }
    Err(Error::Invalid(format!("replica set {name} exists; the deployment looks again")))
}

async fn creation_failed(
    ctx: &Context,
    deployment: &Deployment,
    set: &ReplicaSet,
    failure: api::Status,
) -> Result<Action, Error> {
    let name = set.metadata.name.as_deref().unwrap_or_default();
    let message = format!("Failed to create new replica set {name:?}: {failure}");
    ctx.events().event(deployment, Severity::Warning, "ReplicaSetCreateError", message.as_str());
    if let Some(status) = status::after_failed_creation(deployment, message, ctx.now()) {
        write_status(ctx, deployment.clone(), status).await?;
    }
    Err(Error::Api { what: format!("creating replica set {name}"), status: failure })
}
