//! What is known of pods, namespaces and policies, and what follows for each pod's address.
//!
//! Invariants: no I/O; an address belongs to one pod at a time (an object may keep an address that a younger pod has
//! already got); what this node has admitted holds until the API says the same, or that the pod is gone. Policies of
//! namespaces without a pod on this node cost nothing here.

use super::facts::{Facts, Labels};
use super::plan::{Dns, Names, Plan};
use super::rules::{Namespaces, PolicyRules};
use api::k8s_openapi::api::networking::v1::NetworkPolicy;
use api::selector::Selector;
use client::ObjectKey;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::Ipv4Addr;
use std::sync::Arc;

/// A pod of this node that is about to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdmittedPod {
    pub namespace: String,
    pub name: String,
    pub uid: String,
    /// Used until the API's object of this uid is known here.
    pub labels: BTreeMap<String, String>,
    pub address: Ipv4Addr,
}

/// What a pod's address is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Placement {
    pub(crate) address: Ipv4Addr,
    /// The policies that isolate it; none: not isolated.
    pub(crate) ingress: BTreeSet<u64>,
    pub(crate) egress: BTreeSet<u64>,
    pub(crate) members: BTreeSet<Member>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Member {
    Peer(u64),
    Port(u64, u16),
}

/// From what to what one pod's placement changed.
pub(crate) type Move = (Option<Placement>, Option<Placement>);

#[derive(Default)]
struct Pod {
    reported: Option<Arc<Facts>>,
    admitted: Option<AdmittedPod>,
    /// What follows from both.
    known: Option<Arc<Facts>>,
}

#[derive(Default)]
pub(crate) struct View {
    node_name: String,
    dns: Dns,
    namespaces: HashMap<String, Labels>,
    policies: BTreeMap<ObjectKey, PolicyRules>,
    pods: HashMap<ObjectKey, Pod>,
    /// Who says to have an address: nearly always one.
    claims: HashMap<Ipv4Addr, BTreeSet<ObjectKey>>,
    /// How many pods with an address each namespace has on this node.
    local: HashMap<String, usize>,
    names: Names,
    plan: Arc<Plan>,
    /// Per namespace, the peers that mean pods in it.
    peers_in: HashMap<String, Arc<[(u64, Selector)]>>,
    placements: HashMap<ObjectKey, Placement>,
    plan_is_stale: bool,
    stale: BTreeSet<ObjectKey>,
}

fn key_of(namespace: &str, name: &str) -> ObjectKey {
    format!("{namespace}/{name}").into()
}

impl Pod {
    /// Lets go of the admission once the API tells as much, and says anew what is known.
    fn settle(&mut self, node_name: &str) {
        if let (Some(admitted), Some(reported)) = (&self.admitted, &self.reported)
            && reported.uid == admitted.uid
            && (reported.ended || reported.address == Some(admitted.address))
        {
            self.admitted = None;
        }
        let Some(admitted) = &self.admitted else {
            self.known = self.reported.clone();
            return;
        };
        let same = self.reported.as_ref().filter(|reported| reported.uid == admitted.uid);
        let mut facts = same.map_or_else(
            || Facts { namespace: admitted.namespace.clone(), labels: admitted.labels.clone(), ..Facts::default() },
            |reported| Facts::clone(reported),
        );
        facts.node = node_name.to_owned();
        facts.address = Some(admitted.address);
        self.known = Some(Arc::new(facts));
    }
}

impl View {
    pub(crate) fn new(node_name: &str, own_vips: Vec<Ipv4Addr>) -> View {
        let dns = Dns { vips: own_vips, namespace_labels: Labels::new() };
        View { node_name: node_name.to_owned(), dns, ..View::default() }
    }

    pub(crate) fn namespace(&mut self, name: &str, labels: Option<Labels>) {
        let before = match &labels {
            Some(labels) => self.namespaces.insert(name.to_owned(), labels.clone()),
            None => self.namespaces.remove(name),
        };
        if name == Dns::NAMESPACE {
            self.dns.namespace_labels = labels.clone().unwrap_or_default();
        }
        self.plan_is_stale |= before != labels;
    }

    pub(crate) fn policy(&mut self, key: ObjectKey, policy: Option<&NetworkPolicy>) {
        let rules = policy.map(PolicyRules::of);
        let namespace = key.split_once('/').map(|(namespace, _)| namespace);
        let matters = namespace.is_some_and(|namespace| self.local.contains_key(namespace));
        let before = match rules {
            Some(ref rules) => self.policies.insert(key, rules.clone()),
            None => self.policies.remove(&key),
        };
        self.plan_is_stale |= matters && before != rules;
    }

    /// As the API has it. `gone`: the uid of the object that was there before and is not the same as now.
    pub(crate) fn pod(&mut self, key: ObjectKey, gone: Option<&str>, now: Option<Arc<Facts>>) {
        self.update(key, |pod| {
            pod.admitted.take_if(|admitted| gone == Some(&admitted.uid));
            pod.reported = now;
        });
    }

    /// As this node's pod network has it. Who was admitted with the address before has lost it.
    pub(crate) fn admit(&mut self, admitted: AdmittedPod) {
        let key = key_of(&admitted.namespace, &admitted.name);
        let others = self.claims.get(&admitted.address).into_iter().flatten().filter(|other| **other != key);
        for other in others.cloned().collect::<Vec<_>>() {
            self.update(other, |pod| {
                pod.admitted.take_if(|other| other.address == admitted.address);
            });
        }
        self.update(key, |pod| pod.admitted = Some(admitted));
    }

    #[cfg(test)]
    pub(crate) fn pods_known(&self) -> usize {
        self.pods.len()
    }

    fn update(&mut self, key: ObjectKey, change: impl FnOnce(&mut Pod)) {
        let mut pod = self.pods.remove(&key).unwrap_or_default();
        let before = pod.known.clone();
        change(&mut pod);
        pod.settle(&self.node_name);
        let after = pod.known.clone();
        if after.is_some() {
            self.pods.insert(key.clone(), pod);
        }
        if before == after {
            return;
        }
        self.count(before.as_deref(), after.as_deref());
        for (facts, claims) in [(&before, false), (&after, true)] {
            let Some(address) = facts.as_ref().and_then(|facts| facts.address) else { continue };
            let claimants = self.claims.entry(address).or_default();
            if claims {
                claimants.insert(key.clone());
            } else {
                claimants.remove(&key);
            }
            self.stale.extend(claimants.iter().cloned());
            if claimants.is_empty() {
                self.claims.remove(&address);
            }
        }
        self.stale.insert(key);
    }

    fn is_local(&self, facts: &Facts) -> bool {
        facts.node == self.node_name && facts.address.is_some()
    }

    /// The first and last local pod of a namespace decide whether its policies matter here.
    fn count(&mut self, before: Option<&Facts>, after: Option<&Facts>) {
        if let Some(facts) = after.filter(|facts| self.is_local(facts)) {
            let count = self.local.entry(facts.namespace.clone()).or_default();
            *count += 1;
            let first = *count == 1;
            self.plan_is_stale |= first && self.has_policies(&facts.namespace);
        }
        if let Some(facts) = before.filter(|facts| self.is_local(facts))
            && let Some(count) = self.local.get_mut(&facts.namespace)
        {
            *count -= 1;
            if *count == 0 {
                self.local.remove(&facts.namespace);
                self.plan_is_stale |= self.has_policies(&facts.namespace);
            }
        }
    }

    fn has_policies(&self, namespace: &str) -> bool {
        let first = key_of(namespace, "");
        self.policies.range(first.clone()..).next().is_some_and(|(key, _)| key.starts_with(&*first))
    }

    pub(crate) fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// The next `moves` are everything there is, as if nothing had been told before.
    pub(crate) fn start_over(&mut self) {
        self.placements.clear();
        self.plan_is_stale = true;
    }

    /// What changed since it was asked last; the plan is then up to date as well.
    pub(crate) fn moves(&mut self) -> Vec<Move> {
        if std::mem::take(&mut self.plan_is_stale) {
            let relevant = self.policies.iter().filter(|(_, rules)| self.local.contains_key(&rules.namespace));
            self.plan = Arc::new(Plan::of(relevant, &self.dns, &mut self.names));
            self.peers_in.clear();
            self.stale = self.pods.keys().chain(self.placements.keys()).cloned().collect();
        }
        let mut moves = Vec::new();
        for key in std::mem::take(&mut self.stale) {
            let new = self.place(&key);
            let old = match &new {
                Some(new) => self.placements.insert(key, new.clone()),
                None => self.placements.remove(&key),
            };
            if old != new {
                moves.push((old, new));
            }
        }
        moves
    }

    /// `None`: the pod has no address, or no rule speaks of it.
    fn place(&mut self, key: &ObjectKey) -> Option<Placement> {
        let facts = self.pods.get(key)?.known.clone()?;
        let address = facts.address.filter(|address| self.owner(*address) == Some(key))?;
        let mut placement =
            Placement { address, ingress: BTreeSet::new(), egress: BTreeSet::new(), members: BTreeSet::new() };
        if facts.node == self.node_name {
            (placement.ingress, placement.egress) = self.plan.isolating(&facts.namespace, &facts.labels);
        }
        let peers = self.peers_in(&facts.namespace);
        let meant = peers.iter().filter(|(_, pods)| pods.matches(&facts.labels));
        placement.members.extend(meant.map(|(number, _)| Member::Peer(*number)));
        let named =
            facts.ports.iter().filter_map(|(name, port)| Some(Member::Port(*self.plan.ports.get(name)?, *port)));
        placement.members.extend(named);
        let matters = !(placement.ingress.is_empty() && placement.egress.is_empty() && placement.members.is_empty());
        matters.then_some(placement)
    }

    /// Of several pods that say to have an address: the one admitted here, one that is not going, the youngest.
    fn owner(&self, address: Ipv4Addr) -> Option<&ObjectKey> {
        let rank = |key: &&ObjectKey| {
            let pod = self.pods.get(*key)?;
            let known = pod.known.as_ref()?;
            Some((pod.admitted.is_some(), !known.terminating, known.created.clone(), (*key).clone()))
        };
        self.claims.get(&address)?.iter().max_by_key(rank)
    }

    fn peers_in(&mut self, namespace: &str) -> Arc<[(u64, Selector)]> {
        if let Some(peers) = self.peers_in.get(namespace) {
            return peers.clone();
        }
        let nothing = Labels::new();
        let labels = self.namespaces.get(namespace).unwrap_or(&nothing);
        let suits = |wanted: &Namespaces| match wanted {
            Namespaces::Named(name) => name == namespace,
            Namespaces::Selected(selector) => selector.matches(labels),
        };
        let peers = self.plan.peers.iter().filter(|(_, peer)| suits(&peer.namespaces));
        let peers: Arc<[(u64, Selector)]> = peers.map(|(number, peer)| (*number, peer.pods.clone())).collect();
        self.peers_in.insert(namespace.to_owned(), peers.clone());
        peers
    }
}
