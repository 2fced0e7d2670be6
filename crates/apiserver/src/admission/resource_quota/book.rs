//! One namespace's book: what its objects use, what writes under way may come to use, and its quotas' sums. Pure.
//!
//! Invariants: a quota's `used` is the sum over the objects in the book that match it. A key (kind and name) holds one
//! object at a time, so whatever becomes of the writes under way, it never uses more than the most of what it holds
//! and what they claim; `reserved` adds that up, and no claim is taken that would lift it over what is allowed.
//! Bound: an entry per object of a kind that a quota of the namespace bounds, and per write under way.

use super::limited::Covered;
use super::measure::{Amounts, KindId, Measured, Usage, kind_of};
use super::pods;
use super::scope::{Scopes, Traits};
use api::Object;
use api::quantity::Quantity;
use k8s_openapi::api::core::v1::{Pod, ResourceQuota, ResourceQuotaStatus};
use k8s_openapi::jiff::Timestamp;
use registry::Revision;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// One object, as it is known by.
pub(super) type ObjectId = (KindId, Box<str>);

struct Kept {
    revision: Revision,
    usage: Arc<Usage>,
    later: Option<(Timestamp, Arc<Usage>)>,
}

/// A quota and what is used of it.
pub(super) struct Tally {
    pub(super) quota: Arc<ResourceQuota>,
    hard: Amounts,
    scopes: Scopes,
    used: Amounts,
}

/// What a write would use, and used before.
pub(super) struct Ask<'a> {
    pub(super) id: ObjectId,
    pub(super) object: &'a dyn Object,
    pub(super) new: Usage,
    /// `None` for a create.
    pub(super) old: Option<Usage>,
}

#[derive(Default)]
pub(super) struct Book {
    tallies: BTreeMap<String, Tally>,
    objects: HashMap<ObjectId, Kept>,
    claims: HashMap<ObjectId, Vec<(u64, Arc<Usage>)>>,
    /// Kinds whose objects are in the book.
    kinds: BTreeSet<KindId>,
    /// When pods cease to count.
    endings: BTreeSet<(Timestamp, ObjectId)>,
    /// The usages last seen: pods of one template share theirs.
    recent: Vec<Arc<Usage>>,
}

/// Usages that are compared with a new one, in the hope that it is equal.
const RECENT: usize = 16;

impl Tally {
    fn new(quota: Arc<ResourceQuota>) -> Tally {
        let spec = quota.spec.clone().unwrap_or_default();
        let hard = super::measure::parsed(spec.hard.as_ref());
        Tally { quota, hard, scopes: Scopes::of(&spec), used: Amounts::new() }
    }

    /// What a usage counts for here under one name.
    fn counts(&self, usage: &Usage, name: &str) -> Quantity {
        let amount = usage.amounts.get(name).filter(|_| self.scopes.match_all(&usage.traits));
        amount.copied().unwrap_or_default()
    }

    fn add(&mut self, usage: &Usage, change: fn(Quantity, Quantity) -> Option<Quantity>) {
        if !self.scopes.match_all(&usage.traits) {
            return;
        }
        for (name, amount) in usage.amounts.iter().filter(|(name, _)| self.hard.contains_key(*name)) {
            let sum = self.used.entry(name.clone()).or_default();
            // A sum beyond all numbers stays where it is: nobody allows that much.
            *sum = change(*sum, *amount).unwrap_or(*sum);
        }
    }

    /// What the status should be, if it is not so already.
    fn report(&self) -> Option<ResourceQuotaStatus> {
        let hard = self.quota.spec.as_ref().and_then(|spec| spec.hard.clone()).unwrap_or_default();
        let bounding = hard.keys().filter(|name| kind_of(name).is_some());
        let used: Amounts =
            bounding.map(|name| (name.clone(), self.used.get(name).copied().unwrap_or_default())).collect();
        let present = self.quota.status.as_ref();
        let is_so = present.and_then(|status| status.hard.as_ref()).cloned().unwrap_or_default() == hard
            && super::measure::parsed(present.and_then(|status| status.used.as_ref())) == used;
        if is_so && present.is_some_and(|status| status.hard.is_some() || hard.is_empty()) {
            return None;
        }
        let used = used.into_iter().map(|(name, amount)| (name, amount.into())).collect();
        Some(ResourceQuotaStatus { hard: Some(hard), used: Some(used) })
    }
}

/// `cpu=1,pods=2`.
fn listed(amounts: &[(&str, Quantity)]) -> String {
    amounts.iter().map(|(name, amount)| format!("{name}={amount}")).collect::<Vec<_>>().join(",")
}

impl Book {
    pub(super) fn is_empty(&self) -> bool {
        self.tallies.is_empty() && self.claims.is_empty()
    }

    /// The kinds that the namespace's quotas bound, by group and plural.
    pub(super) fn bounded(&self) -> impl Iterator<Item = (&str, &str)> {
        self.tallies.values().flat_map(|tally| tally.hard.keys()).filter_map(|name| kind_of(name))
    }

    pub(super) fn has(&self, kind: KindId) -> bool {
        self.kinds.contains(&kind)
    }

    /// Takes a quota in as it now is; whether it bounds otherwise than before.
    pub(super) fn set_quota(&mut self, name: &str, quota: ResourceQuota) -> bool {
        let quota = Arc::new(quota);
        if let Some(known) = self.tallies.get_mut(name)
            && known.quota.spec == quota.spec
        {
            known.quota = quota;
            return false;
        }
        let mut tally = Tally::new(quota);
        self.objects.values().for_each(|kept| tally.add(&kept.usage, Quantity::checked_add));
        self.tallies.insert(name.to_owned(), tally);
        self.tidy();
        true
    }

    pub(super) fn retain_quotas(&mut self, is_there: impl Fn(&str) -> bool) {
        self.tallies.retain(|name, _| is_there(name));
        self.tidy();
    }

    /// Keeps only kinds that are still bounded.
    fn tidy(&mut self) {
        let bounded: BTreeSet<(&str, &str)> = self.bounded().collect();
        let idle: Vec<KindId> = self.kinds.iter().filter(|kind| !bounded.contains(*kind)).copied().collect();
        idle.into_iter().for_each(|kind| self.unload(kind));
    }

    /// Forgets all objects of a kind; they are about to be put in anew, or the kind is gone.
    pub(super) fn unload(&mut self, kind: KindId) {
        self.kinds.remove(&kind);
        let gone: Vec<ObjectId> = self.objects.keys().filter(|id| id.0 == kind).cloned().collect();
        gone.into_iter().for_each(|id| self.remove(&id));
    }

    pub(super) fn load(&mut self, kind: KindId) {
        self.unload(kind);
        self.kinds.insert(kind);
    }

    fn shared(&mut self, usage: Usage) -> Arc<Usage> {
        if let Some(known) = self.recent.iter().find(|known| ***known == usage) {
            return known.clone();
        }
        let usage = Arc::new(usage);
        if self.recent.len() == RECENT {
            self.recent.remove(0);
        }
        self.recent.push(usage.clone());
        usage
    }

    /// Whether the book has the object as it was at this revision, or later.
    pub(super) fn knows(&self, id: &ObjectId, revision: Revision) -> bool {
        self.objects.get(id).is_some_and(|kept| kept.revision >= revision)
    }

    pub(super) fn set(&mut self, id: ObjectId, revision: Revision, measured: Measured) {
        self.remove(&id);
        let later = measured.later.map(|(at, usage)| (at, self.shared(usage)));
        let kept = Kept { revision, usage: self.shared(measured.now), later };
        self.tallies.values_mut().for_each(|tally| tally.add(&kept.usage, Quantity::checked_add));
        if let Some((at, _)) = &kept.later {
            self.endings.insert((*at, id.clone()));
        }
        self.objects.insert(id, kept);
    }

    pub(super) fn remove(&mut self, id: &ObjectId) {
        let Some(kept) = self.objects.remove(id) else { return };
        self.tallies.values_mut().for_each(|tally| tally.add(&kept.usage, Quantity::checked_sub));
        if let Some((at, _)) = kept.later {
            self.endings.remove(&(at, id.clone()));
        }
    }

    pub(super) fn next_ending(&self) -> Option<Timestamp> {
        self.endings.first().map(|(at, _)| *at)
    }

    /// Lets go of what no longer counts.
    pub(super) fn pass(&mut self, now: Timestamp) {
        while let Some((_, id)) = self.endings.first().filter(|(at, _)| *at < now).cloned() {
            let Some(kept) = self.objects.get(&id) else { return };
            let Some((_, usage)) = kept.later.clone() else { return };
            let (revision, measured) = (kept.revision, Measured { now: Usage::clone(&usage), later: None });
            self.set(id, revision, measured);
        }
    }

    /// The most that a key may come to use: what it holds, or one of the claims on it.
    fn most(&self, tally: &Tally, id: &ObjectId, name: &str) -> Quantity {
        let held = self.objects.get(id).map(|kept| &kept.usage);
        let claimed = self.claims.get(id).into_iter().flatten().map(|(_, usage)| usage);
        held.into_iter().chain(claimed).map(|usage| tally.counts(usage, name)).max().unwrap_or_default()
    }

    /// What may come to be used under a name, whatever becomes of the writes under way.
    fn reserved(&self, tally: &Tally, name: &str) -> Quantity {
        let more = |id: &ObjectId| {
            let held = self.objects.get(id).map(|kept| tally.counts(&kept.usage, name)).unwrap_or_default();
            self.most(tally, id, name).checked_sub(held).unwrap_or_default()
        };
        let used = tally.used.get(name).copied().unwrap_or_default();
        self.claims.keys().map(more).fold(used, |sum, more| sum.checked_add(more).unwrap_or(sum))
    }

    /// Whether the write fits all quotas, and if it uses more of any than before.
    ///
    /// # Errors
    /// Why it does not, in upstream's words.
    pub(super) fn judge(&self, ask: &Ask<'_>) -> Result<bool, String> {
        let mut uses_more = false;
        for (quota, tally) in &self.tallies {
            uses_more |= self.judge_by(quota, tally, ask)?;
        }
        Ok(uses_more)
    }

    fn judge_by(&self, quota: &str, tally: &Tally, ask: &Ask<'_>) -> Result<bool, String> {
        let (kind, _) = &ask.id;
        let bounded = || tally.hard.iter().filter(|(name, _)| kind_of(name) == Some(*kind));
        if bounded().next().is_none() || !tally.scopes.match_all(&ask.new.traits) {
            return Ok(false);
        }
        if let Some(why) =
            ask.object.downcast::<Pod>().and_then(|pod| pods::unsaid(pod, bounded().map(|(name, _)| name)))
        {
            return Err(format!("failed quota: {quota}: {why}"));
        }
        let mut uses_more = false;
        let (mut requested, mut used, mut limited) = (Vec::new(), Vec::new(), Vec::new());
        for (name, most) in bounded() {
            let new = tally.counts(&ask.new, name);
            let old = ask.old.as_ref().map(|old| tally.counts(old, name)).unwrap_or_default();
            if new.is_negative() {
                return Err(format!("quota usage is negative for resource(s): {name}"));
            }
            if new <= old {
                continue;
            }
            uses_more = true;
            let reserved = self.reserved(tally, name);
            let more = new.checked_sub(self.most(tally, &ask.id, name)).filter(|more| !more.is_negative());
            let after = reserved.checked_add(more.unwrap_or_default());
            if after.is_none_or(|after| after > *most) {
                requested.push((name.as_str(), new.checked_sub(old).unwrap_or(new)));
                used.push((name.as_str(), reserved));
                limited.push((name.as_str(), *most));
            }
        }
        if requested.is_empty() {
            return Ok(uses_more);
        }
        let (requested, used, limited) = (listed(&requested), listed(&used), listed(&limited));
        Err(format!("exceeded quota: {quota}, requested: {requested}, used: {used}, limited: {limited}"))
    }

    /// What quotas speak of, of this kind and of objects like this.
    pub(super) fn covered(&self, kind: KindId, traits: &Traits) -> Covered {
        let mut covered = Covered::default();
        for tally in self.tallies.values() {
            covered.scopes.extend(tally.scopes.matching(traits).map(str::to_owned));
            if tally.scopes.match_all(traits) {
                covered.measures.extend(tally.hard.keys().filter(|name| kind_of(name) == Some(kind)).cloned());
            }
        }
        covered
    }

    pub(super) fn claim(&mut self, number: u64, id: ObjectId, usage: Usage) {
        let usage = self.shared(usage);
        self.claims.entry(id).or_default().push((number, usage));
    }

    pub(super) fn release(&mut self, number: u64, id: &ObjectId) {
        let Some(claims) = self.claims.get_mut(id) else { return };
        claims.retain(|(own, _)| *own != number);
        if claims.is_empty() {
            self.claims.remove(id);
        }
    }

    /// The quotas whose status says something else than the book.
    pub(super) fn reports(&self) -> impl Iterator<Item = (Arc<ResourceQuota>, ResourceQuotaStatus)> {
        self.tallies.values().filter_map(|tally| Some((tally.quota.clone(), tally.report()?)))
    }
}
