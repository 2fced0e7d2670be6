//! The books after an ordinary write: who changed a field manages it now, and everybody else no longer does.
//!
//! Bound: `UPDATERS_MAX` managers by update; the oldest beyond it become one.

use super::compare::Comparison;
use super::managed::{Author, Entry, Managed, Operation};
use super::set::Set;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// As upstream bounds them.
pub(super) const UPDATERS_MAX: usize = 10;
/// What the oldest updaters become.
const ANCIENT: &str = "ancient-changes";

/// Fields that the server or the request's path sets, which nobody manages.
static UNMANAGED: LazyLock<Set> = LazyLock::new(|| {
    Set::of_fields(&[
        "apiVersion",
        "kind",
        "metadata",
        "metadata.name",
        "metadata.namespace",
        "metadata.creationTimestamp",
        "metadata.selfLink",
        "metadata.uid",
        "metadata.clusterName",
        "metadata.generation",
        "metadata.managedFields",
        "metadata.resourceVersion",
    ])
});

/// How a write reads in versions other than its own, by `group/version`; nothing for one that is no more: what was
/// managed in it is nobody's.
pub type OtherVersions = BTreeMap<String, Option<Comparison>>;

/// Without what nobody manages.
pub(super) fn manageable(mut set: Set) -> Set {
    set.subtract(&UNMANAGED);
    set
}

impl Managed {
    /// Books an update.
    pub fn update(&mut self, author: &Author<'_>, changes: Comparison, now: Timestamp) {
        if changes.is_empty() {
            return;
        }
        self.update_in(author, changes, &OtherVersions::new(), now);
    }

    /// As `update`, where some manage the object in other versions.
    pub fn update_in(&mut self, author: &Author<'_>, changes: Comparison, others: &OtherVersions, now: Timestamp) {
        let (changed, removed) = changes.split();
        self.lose(&changed, &removed, others);
        let taken = manageable(changed);
        if !taken.is_empty() {
            match self.entries.iter_mut().find(|entry| author.is(Operation::Update, entry)) {
                Some(own) => {
                    own.set.absorb(taken);
                    own.time = Some(now);
                }
                None => self.entries.push(author.entry(Operation::Update, taken, Some(now))),
            }
        }
        self.cap();
        self.normalize();
    }

    /// Takes changed and removed fields from everybody, by the version that each speaks.
    pub(super) fn lose(&mut self, changed: &Set, removed: &Set, others: &OtherVersions) {
        for entry in &mut self.entries {
            let lost = match others.get(&entry.api_version) {
                None => [Some(changed), Some(removed), None],
                Some(Some(other)) => [Some(&other.added), Some(&other.modified), Some(&other.removed)],
                Some(None) => {
                    entry.set = Set::default();
                    continue;
                }
            };
            lost.into_iter().flatten().for_each(|gone| entry.set.subtract(gone));
        }
        self.entries.retain(|entry| !entry.set.is_empty());
    }

    /// Merges the oldest updaters of each version until there are few enough.
    pub(super) fn cap(&mut self) {
        let mut count = self.entries.iter().filter(|entry| entry.operation == Operation::Update).count();
        if count <= UPDATERS_MAX {
            return;
        }
        let is_update = |entry: &Entry| entry.operation == Operation::Update;
        let (mut updaters, mut kept): (Vec<Entry>, Vec<Entry>) =
            std::mem::take(&mut self.entries).into_iter().partition(is_update);
        updaters.sort_by(|one, other| {
            let age = |entry: &Entry| entry.time.map_or(0, Timestamp::as_second);
            age(one).cmp(&age(other)).then_with(|| one.manager.cmp(&other.manager))
        });
        // The first of a version waits for a second one to be merged with.
        let mut buckets: Vec<Entry> = Vec::new();
        for entry in updaters {
            let bucket = buckets.iter_mut().find(|bucket| bucket.api_version == entry.api_version);
            match bucket {
                Some(bucket) if count > UPDATERS_MAX => {
                    bucket.manager = ANCIENT.to_owned();
                    bucket.subresource.clear();
                    bucket.set = bucket.set.union(&entry.set);
                    bucket.time = entry.time;
                    count -= 1;
                }
                None if count > UPDATERS_MAX => buckets.push(entry),
                _ => kept.push(entry),
            }
        }
        kept.append(&mut buckets);
        self.entries = kept;
    }
}
