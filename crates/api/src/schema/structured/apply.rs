//! An apply: the intent is merged, what the applier no longer says is removed where nobody else manages it, and fields
//! that others manage are conflicts unless it may take them.

use super::compare::{Comparison, compare};
use super::extract::extract;
use super::managed::{Author, Entry, Managed, Operation};
use super::merge::merge;
use super::remove::remove;
use super::schema::Schema;
use super::set::{Path, Set};
use super::update::{OtherVersions, manageable};
use jiff::Timestamp;
use serde_json::Value;
use std::fmt;

/// What is applied.
#[derive(Clone, Copy, Debug)]
pub struct Intent<'a> {
    pub value: &'a Value,
    pub author: Author<'a>,
    /// Whether fields are taken from other managers.
    pub force: bool,
    /// Fields that this request cannot set: what it says of them is not its own.
    pub ignored: &'a Set,
    /// Fields that are taken from other managers without `force`.
    pub allowed: &'a Set,
}

/// The object after an apply.
#[derive(Clone, Debug)]
pub struct Applied {
    pub value: Value,
    pub managed: Managed,
}

/// A field that another manager has.
#[derive(Clone, Debug)]
pub struct Conflict {
    /// With its name, version and subresource, as messages name it.
    pub manager: String,
    pub path: Path,
}

/// All conflicts of an apply.
#[derive(Clone, Debug)]
pub struct Conflicts(pub Vec<Conflict>);

impl fmt::Display for Conflicts {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [one] = self.0.as_slice() {
            return write!(out, "Apply failed with 1 conflict: conflict with {}: {}", one.manager, one.path);
        }
        write!(out, "Apply failed with {} conflicts: ", self.0.len())?;
        let mut last = None;
        for conflict in &self.0 {
            if last != Some(&conflict.manager) {
                let line = if last.is_some() { "\n" } else { "" };
                write!(out, "{line}conflicts with {}:", conflict.manager)?;
                last = Some(&conflict.manager);
            }
            write!(out, "\n- {}", conflict.path)?;
        }
        Ok(())
    }
}

impl Managed {
    /// Applies an intent to the object.
    ///
    /// # Errors
    /// Fields that others manage and that the intent would change.
    pub fn apply(
        &self,
        schema: Schema<'_>,
        live: &Value,
        intent: &Intent<'_>,
        now: Timestamp,
    ) -> Result<Applied, Conflicts> {
        let applying = self.begin_apply(schema, live, intent);
        let changes = compare(schema, live, applying.value());
        applying.finish(intent, changes, &OtherVersions::new(), now)
    }

    /// As `apply`, up to where others come in that manage the object in other versions.
    pub fn begin_apply(&self, schema: Schema<'_>, live: &Value, intent: &Intent<'_>) -> Applying {
        let author = &intent.author;
        let is_own = |entry: &Entry| author.is(Operation::Apply, entry);
        let mut managed = self.clone();
        let last = managed.entries.iter().position(is_own).map(|at| managed.entries.remove(at));
        let said = remove(schema, intent.value.clone(), intent.ignored);
        let own = extract(schema, &said);
        let merged = merge(schema, live.clone(), &said);
        let value = match &last {
            // What is left empty by what went is still there where the intent says so.
            Some(last) if last.api_version == author.api_version => {
                merge(schema, prune(schema, merged, &last.set, &own, &managed), &said)
            }
            _ => merged,
        };
        Applying { managed, last, said, own, value }
    }

    /// The fields that others manage and these changes touch.
    fn contend(&self, intent: &Intent<'_>, changes: &Comparison, others: &OtherVersions) -> Result<(), Conflicts> {
        let author = &intent.author;
        if intent.force {
            return Ok(());
        }
        let changed = changes.changed();
        let mut conflicts = Vec::new();
        let mut refused = false;
        for entry in &self.entries {
            let contended = match others.get(&entry.api_version) {
                Some(Some(other)) => entry.set.intersection(&other.changed()),
                None if entry.api_version == author.api_version => entry.set.intersection(&changed),
                Some(None) | None => continue,
            };
            refused |= !contended.is_subset(intent.allowed);
            let manager = entry.described();
            let paths = contended.difference(intent.allowed).paths().into_iter();
            conflicts.extend(paths.map(|path| Conflict { manager: manager.clone(), path }));
        }
        if !refused {
            return Ok(());
        }
        conflicts.sort_by(|one, other| one.manager.cmp(&other.manager));
        Err(Conflicts(conflicts))
    }
}

/// An apply on its way: the intent is merged.
pub struct Applying {
    /// Without what the applier applied last.
    managed: Managed,
    last: Option<Entry>,
    /// The intent, without what this request cannot set.
    said: Value,
    own: Set,
    value: Value,
}

impl Applying {
    /// The object as it would be.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// The versions in which others manage the object.
    pub fn versions(&self) -> impl Iterator<Item = &str> {
        self.managed.entries.iter().map(|entry| entry.api_version.as_str())
    }

    /// The version in which the applier applied last, where what it said then has not been compared with what it says
    /// now.
    pub fn last_version(&self, author: &Author<'_>) -> Option<&str> {
        self.last.as_ref().map(|last| last.api_version.as_str()).filter(|own| *own != author.api_version)
    }

    /// What the intent says.
    pub fn said(&self) -> &Value {
        &self.said
    }

    /// The object, given in the applier's last version, without what it said then and does not say now; `said` is the
    /// intent in that version.
    pub fn without_last(&self, schema: Schema<'_>, value: Value, said: &Value) -> Value {
        match &self.last {
            Some(last) => prune(schema, value, &last.set, &extract(schema, said), &self.managed),
            None => value,
        }
    }

    /// Drops what is not in `rest`, the object without what the applier said last, unless the applier says it now or
    /// somebody else manages it.
    pub fn drop_last(&mut self, schema: Schema<'_>, author: &Author<'_>, rest: &Value) {
        let gone = compare(schema, &self.value, rest).removed;
        let others = self.managed.entries.iter().filter(|entry| entry.api_version == author.api_version);
        let claimed = others.fold(self.own.clone(), |all, entry| all.union(&entry.set));
        let value = remove(schema, self.value.clone(), &gone.difference(&claimed));
        self.value = merge(schema, value, &self.said);
    }

    /// `changes` is what differs between the object as it is and as it would be, `others` the same in the versions that
    /// others speak.
    ///
    /// # Errors
    /// Fields that others manage and that the intent would change.
    pub fn finish(
        self,
        intent: &Intent<'_>,
        changes: Comparison,
        others: &OtherVersions,
        now: Timestamp,
    ) -> Result<Applied, Conflicts> {
        let Applying { mut managed, last, own, value, .. } = self;
        managed.contend(intent, &changes, others)?;
        managed.lose(&changes.changed(), &changes.removed, others);
        let set = manageable(own);
        // A write that changes nothing keeps its time, so that it need not be written.
        let is_same = |last: &Entry| last.set == set && last.api_version == intent.author.api_version;
        let unchanged = changes.is_empty() && last.as_ref().is_some_and(is_same);
        let time = if unchanged { last.and_then(|last| last.time) } else { Some(now) };
        managed.entries.push(intent.author.entry(Operation::Apply, set, time));
        managed.cap();
        managed.normalize();
        Ok(Applied { value, managed })
    }
}

impl Entry {
    /// As messages name a manager.
    fn described(&self) -> String {
        let mut text = format!("{:?}", self.manager);
        if !self.subresource.is_empty() {
            text.push_str(&format!(" with subresource {:?}", self.subresource));
        }
        if self.operation == Operation::Update {
            text.push_str(&format!(" using {}", self.api_version));
        }
        text
    }
}

/// Removes what the applier applied last and does not now, where nobody else manages it.
fn prune(schema: Schema<'_>, merged: Value, last: &Set, own: &Set, others: &Managed) -> Value {
    if last.is_subset(own) {
        return merged;
    }
    let whole = |value: &Value| extract(schema, value).with_named_fields(schema);
    let without = |value: &Value, gone: &Set| remove(schema, value.clone(), gone);
    let claimed = others.entries.iter().fold(own.clone(), |all, entry| all.union(&entry.set));
    let (last, claimed) = (last.with_named_fields(schema), claimed.with_named_fields(schema));
    let all = whole(&merged);
    let bare = whole(&without(&merged, &last));
    // What others claim comes back, and with it what leads there.
    let kept = whole(&without(&merged, &all.difference(&bare.union(&claimed))));
    let gone = all.difference(&kept).intersection(&last);
    without(&merged, &gone)
}
