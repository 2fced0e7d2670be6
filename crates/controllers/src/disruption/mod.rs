//! PodDisruptionBudget: how many pods may be evicted now.
//!
//! Invariant: evictions charge the status themselves, by compare-and-swap; what is written here is counted anew from
//! the pods, and an eviction that came in between makes the write conflict, and be counted again.

mod plan;
mod scale;

use crate::claim;
use crate::table::Start;
use api::{Kind, Reason};
use async_trait::async_trait;
use client::{Cache, Change, Labels, PodView};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::ReplicationController;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use reconcile::{Action, Context, Controller, Error, Key, Reconcile, Severity, key_of, split};
use scale::Owners;
use std::sync::Arc;
use std::time::Duration;

/// A burst of pods is counted once.
const REST: Duration = Duration::from_millis(50);

pub(crate) fn controller(start: &Start) -> Controller {
    let client = &start.client;
    let (budgets, pods) = (client.cache::<PodDisruptionBudget>(), client.cache::<PodView>());
    let owners = Owners::new(client);
    let reconciler = Budgets { budgets: budgets.clone(), pods: pods.clone(), owners: owners.clone() };
    let protecting = budgets.clone();
    // The expected count comes from the owners: their scaling concerns every budget of the namespace.
    Controller::new("disruption", reconciler)
        .component("controllermanager")
        .rests(REST)
        .watches(budgets.clone(), reconcile::each)
        .watches(pods, move |change| protectors(&protecting, change))
        .watches(owners.deployments, scaled(&budgets, |it: &Deployment| it.spec.replicas))
        .watches(owners.replica_sets, scaled(&budgets, |it: &ReplicaSet| it.spec.replicas))
        .watches(owners.stateful_sets, scaled(&budgets, |it: &StatefulSet| it.spec.replicas))
        .watches(
            owners.replication_controllers,
            scaled(&budgets, |it: &ReplicationController| it.spec.as_ref()?.replicas),
        )
}

/// Maps a change of an owner's scale, or of its presence, to the namespace's budgets.
fn scaled<K: Kind>(
    budgets: &Cache<PodDisruptionBudget>,
    replicas: fn(&K) -> Option<i32>,
) -> impl Fn(&Change<K>) -> Vec<Key> + Send + Sync + 'static {
    let budgets = budgets.clone();
    move |change| {
        let of = |state: &Option<Arc<K>>| state.as_deref().map(replicas);
        if of(&change.old) == of(&change.new) {
            return Vec::new();
        }
        budgets.list_namespace(split(&change.key).0).iter().map(|budget| key_of(&**budget)).collect()
    }
}

/// The budgets to which a pod's change matters.
fn protectors(budgets: &Cache<PodDisruptionBudget>, change: &Change<PodView>) -> Vec<Key> {
    if let (Some(old), Some(new)) = (&change.old, &change.new)
        && face(old) == face(new)
    {
        return Vec::new();
    }
    let mut states = [&change.old, &change.new].into_iter().flatten().map(|pod| &*pod.labels).collect::<Vec<_>>();
    states.dedup();
    let protects = |budget: &PodDisruptionBudget| states.iter().any(|pod| selects(budget, pod));
    let budgets = budgets.list_namespace(split(&change.key).0);
    budgets.iter().filter(|budget| protects(budget)).map(|budget| key_of(&**budget)).collect()
}

/// What a budget counts by.
fn face(pod: &PodView) -> impl PartialEq + use<'_> {
    let owner = pod.controller().map(|owner| &owner.uid);
    (&pod.uid, &pod.labels, pod.is_ending(), pod.is_ready(), owner)
}

/// An empty selector is all pods of the namespace, none is no pod.
fn selects(budget: &PodDisruptionBudget, labels: &Labels) -> bool {
    let selector = budget.spec.as_ref().and_then(|spec| spec.selector.as_ref());
    selector.is_some_and(|selector| claim::selector(selector).matches(labels))
}

struct Budgets {
    budgets: Cache<PodDisruptionBudget>,
    pods: Cache<PodView>,
    owners: Owners,
}

#[async_trait]
impl Reconcile for Budgets {
    async fn reconcile(&self, ctx: &Context, key: &Key) -> Result<Action, Error> {
        let Some(budget) = self.budgets.get_key(key) else { return Ok(Action::Done) };
        let pods = self.pods.list_namespace(split(key).0);
        let pods: Vec<Arc<PodView>> = pods.into_iter().filter(|pod| selects(&budget, &pod.labels)).collect();
        let scale = |owner: &OwnerReference, namespace: &str| self.owners.scale(owner, namespace);
        let plan = plan::plan(&budget, &pods, &scale, ctx.now());
        for (severity, reason, message) in plan.events {
            ctx.events().event(&*budget, severity, reason, message);
        }
        for pod in plan.not_deleted {
            let message = format!("Pod was expected by PDB {key} to be deleted but it wasn't");
            ctx.events().event(&*pod, Severity::Warning, "NotDeleted", message);
        }
        if budget.status.as_ref() != Some(&plan.status) {
            let mut new = (*budget).clone();
            new.status = Some(plan.status);
            match ctx.update_status(&new).await {
                Err(status) if status.reason == Reason::NotFound => return Ok(Action::Done),
                answer => answer.map(drop).map_err(Error::api("writing a budget's status"))?,
            }
        }
        Ok(plan.action)
    }
}
