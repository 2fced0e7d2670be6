//! Claims outlive the pods that use them, and volumes the claims that are bound to them: the finalizer that admission
//! gave them is taken away when nobody needs them any more.

use crate::table::Start;
use api::{Reason, Status};
use async_trait::async_trait;
use client::pods::Target;
use client::{Cache, Change, PodView};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use reconcile::{Action, Context, Controller, Error, Key, Reconcile, split};
use serde_json::{Value, json};

const OF_CLAIMS: &str = "kubernetes.io/pvc-protection";
const OF_VOLUMES: &str = "kubernetes.io/pv-protection";

pub(crate) fn claims(start: &Start) -> Controller {
    let (claims, pods) = (start.client.cache::<PersistentVolumeClaim>(), start.client.cache::<PodView>());
    let reconciler = Claims { claims: claims.clone(), pods: pods.clone() };
    Controller::new("pvc-protection", reconciler).watches(claims, reconcile::each).watches(pods, |change| {
        // Only who lets go of a claim matters.
        let holder = change.old.as_deref().filter(|old| holds(old) && !change.new.as_deref().is_some_and(holds));
        holder.map(claims_of).unwrap_or_default()
    })
}

pub(crate) fn volumes(start: &Start) -> Controller {
    let volumes = start.client.cache::<PersistentVolume>();
    Controller::new("pv-protection", Volumes { volumes: volumes.clone() })
        .watches(volumes, |change: &Change<PersistentVolume>| vec![change.key.clone()])
}

/// A pod that no node has cannot have begun to use anything, and one that has ended uses nothing.
fn holds(pod: &PodView) -> bool {
    pod.has_node() && !pod.is_terminal()
}

fn claims_of(pod: &PodView) -> Vec<Key> {
    let mut keys = Vec::new();
    pod.references(&mut |target, name| {
        if target == Target::Claim {
            keys.push(format!("{}/{name}", pod.namespace()).into());
        }
    });
    keys
}

/// The patch that takes a finalizer from what is being deleted; `None` where there is nothing to take.
fn release(meta: &ObjectMeta, finalizer: &str) -> Option<Value> {
    let own = meta.finalizers.as_ref().filter(|_| meta.deletion_timestamp.is_some())?;
    let rest: Vec<&String> = own.iter().filter(|name| *name != finalizer).collect();
    // A list is replaced whole: it must be the one that was read.
    (rest.len() < own.len())
        .then(|| json!({"metadata": {"resourceVersion": meta.resource_version, "finalizers": rest}}))
}

/// One that is gone already is what was wanted.
fn done<K>(answer: Result<K, Status>, what: &str) -> Result<Action, Error> {
    match answer {
        Err(status) if status.reason != Reason::NotFound => Err(Error::Api { what: what.to_owned(), status }),
        _ => Ok(Action::Done),
    }
}

struct Claims {
    claims: Cache<PersistentVolumeClaim>,
    pods: Cache<PodView>,
}

#[async_trait]
impl Reconcile for Claims {
    async fn reconcile(&self, ctx: &Context, key: &Key) -> Result<Action, Error> {
        let Some(claim) = self.claims.get_key(key) else { return Ok(Action::Done) };
        let Some(patch) = release(&claim.metadata, OF_CLAIMS) else { return Ok(Action::Done) };
        let (namespace, name) = split(key);
        let is_used = |pod: &PodView| holds(pod) && claims_of(pod).contains(key);
        if self.pods.list_namespace(namespace).iter().any(|pod| is_used(pod)) {
            return Ok(Action::Done);
        }
        done(ctx.merge::<PersistentVolumeClaim>(namespace, name, None, &patch).await, "releasing a claim")
    }
}

struct Volumes {
    volumes: Cache<PersistentVolume>,
}

#[async_trait]
impl Reconcile for Volumes {
    async fn reconcile(&self, ctx: &Context, key: &Key) -> Result<Action, Error> {
        let Some(volume) = self.volumes.get_key(key) else { return Ok(Action::Done) };
        let Some(patch) = release(&volume.metadata, OF_VOLUMES) else { return Ok(Action::Done) };
        if volume.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Bound") {
            return Ok(Action::Done);
        }
        done(ctx.merge::<PersistentVolume>("", key, None, &patch).await, "releasing a volume")
    }
}
