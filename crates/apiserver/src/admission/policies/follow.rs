//! Which policies are in force: those that a binding names, compiled once per change of their spec.
//!
//! Invariants: a write that no policy concerns costs one atomic load; until the first state has been read, writes
//! wait. Bound: one compiled policy per stored policy that is bound.

use crate::admission::matching::Criteria;
use api::{Kind, Status};
use arc_swap::ArcSwap;
use client::{Cache, Changes, Client};
use k8s_openapi::api::admissionregistration::v1::{MatchResources, ParamKind, ParamRef};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

/// How long a write waits for the first state, as upstream's.
const READY_SECONDS_MAX: Duration = Duration::from_secs(10);

/// A kind of policies.
pub(super) trait Policy: Kind {
    type Binding: Kind;
    type Compiled: Send + Sync + 'static;

    fn compile(&self) -> Self::Compiled;
    fn constraints(&self) -> Option<&MatchResources>;
    fn param_kind(&self) -> Option<&ParamKind>;
    fn of_binding(binding: &Self::Binding) -> Bound<'_>;
}

/// What a binding says.
pub(super) struct Bound<'a> {
    pub(super) policy: &'a str,
    pub(super) params: Option<&'a ParamRef>,
    pub(super) resources: Option<&'a MatchResources>,
}

/// A policy and what binds it.
pub(super) struct InForce<P: Policy> {
    pub(super) policy: Arc<P>,
    pub(super) compiled: Arc<P::Compiled>,
    pub(super) criteria: Result<Criteria, String>,
    pub(super) bindings: Vec<Binding<P>>,
}

pub(super) struct Binding<P: Policy> {
    pub(super) object: Arc<P::Binding>,
    /// `None`: what the policy is about.
    pub(super) criteria: Option<Result<Criteria, String>>,
}

pub(super) fn name<K: Kind>(object: &K) -> &str {
    object.metadata().name.as_deref().unwrap_or_default()
}

type List<P> = Vec<Arc<InForce<P>>>;

/// All policies of a kind that are in force, by name.
pub(super) struct Followed<P: Policy> {
    shared: Arc<Shared<P>>,
    synced: watch::Receiver<bool>,
    _follower: AbortOnDropHandle<()>,
}

struct Shared<P: Policy> {
    list: ArcSwap<List<P>>,
    /// The list is known to be empty.
    is_quiet: AtomicBool,
}

impl<P: Policy> Followed<P> {
    pub(super) fn start(client: &Client) -> Followed<P> {
        let shared = Arc::new(Shared { list: ArcSwap::default(), is_quiet: AtomicBool::new(false) });
        let (sender, synced) = watch::channel(false);
        let follower = tokio::spawn(follow(client.cache(), client.cache(), shared.clone(), sender));
        Followed { shared, synced, _follower: AbortOnDropHandle::new(follower) }
    }

    /// Whether there is certainly no policy.
    pub(super) fn is_quiet(&self) -> bool {
        self.shared.is_quiet.load(Ordering::Acquire)
    }

    /// The policies, once they are known.
    pub(super) async fn all(&self) -> Result<Arc<List<P>>, Status> {
        let mut synced = self.synced.clone();
        if !*synced.borrow() {
            let known = tokio::time::timeout(READY_SECONDS_MAX, synced.wait_for(|synced| *synced)).await;
            if !matches!(known, Ok(Ok(_))) {
                return Err(Status::unavailable("admission policies are not yet ready to handle request"));
            }
        }
        Ok(self.shared.list.load_full())
    }
}

async fn follow<P: Policy>(
    policies: Cache<P>,
    bindings: Cache<P::Binding>,
    shared: Arc<Shared<P>>,
    synced: watch::Sender<bool>,
) {
    tokio::join!(policies.synced(), bindings.synced());
    let (mut of_policies, mut of_bindings) = (policies.changes(), bindings.changes());
    loop {
        // What changes after this is told again; what changed before is in the caches.
        drain(&mut of_policies);
        drain(&mut of_bindings);
        let list = list(&policies.list(), &bindings.list(), &shared.list.load());
        let is_quiet = list.is_empty();
        shared.list.store(Arc::new(list));
        shared.is_quiet.store(is_quiet, Ordering::Release);
        synced.send_replace(true);
        tokio::select! {
            _ = of_policies.next() => {}
            _ = of_bindings.next() => {}
        }
    }
}

fn drain<K: Kind>(changes: &mut Changes<K>) {
    while changes.try_next().is_some() {}
}

fn criteria(resources: Option<&MatchResources>) -> Result<Criteria, String> {
    Criteria::of_resources(resources.unwrap_or(&MatchResources::default())).map_err(|error| error.to_string())
}

fn list<P: Policy>(policies: &[Arc<P>], bindings: &[Arc<P::Binding>], before: &List<P>) -> List<P> {
    let mut by_policy: BTreeMap<&str, Vec<Binding<P>>> = BTreeMap::new();
    for object in bindings {
        let own = P::of_binding(object);
        let criteria = own.resources.map(|resources| criteria(Some(resources)));
        by_policy.entry(own.policy).or_default().push(Binding { object: object.clone(), criteria });
    }
    let bound = policies.iter().filter_map(|policy| {
        let bindings = by_policy.remove(name(policy.as_ref()))?;
        let known = before.iter().find(|known| name(known.policy.as_ref()) == name(policy.as_ref()));
        let compiled = match known.filter(|known| !policy.spec_differs(known.policy.as_ref())) {
            Some(known) => known.compiled.clone(),
            None => Arc::new(policy.compile()),
        };
        let criteria = match policy.constraints() {
            Some(own) => criteria(Some(own)),
            None => Err("policy contained no match constraints, a required field".to_owned()),
        };
        Some(Arc::new(InForce { policy: policy.clone(), compiled, criteria, bindings }))
    });
    bound.collect()
}
