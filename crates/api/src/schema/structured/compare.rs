//! What differs between two values, path by path.
//!
//! Invariant: equal parts cost one comparison and no allocation.

use super::element::PathElement;
use super::items;
use super::schema::{Form, Kind, Schema};
use super::set::Set;
use serde_json::{Map, Value};

/// The paths that only the new value has, that differ, and that only the old one has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    pub added: Set,
    pub modified: Set,
    pub removed: Set,
}

impl Comparison {
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.modified.is_empty() && self.removed.is_empty()
    }

    /// The paths that a writer of the new value has set.
    pub fn changed(&self) -> Set {
        self.added.union(&self.modified)
    }

    /// As `changed`, without a copy where only some were added; with what was removed.
    pub(super) fn split(self) -> (Set, Set) {
        let changed = if self.modified.is_empty() { self.added } else { self.added.union(&self.modified) };
        (changed, self.removed)
    }

    /// Adds the differences of a member.
    pub fn add_member(&mut self, schema: Schema<'_>, name: &str, old: Option<&Value>, new: Option<&Value>) {
        let implied = schema.is_implied(name);
        let element = PathElement::Field(schema.name_of(name));
        self.add(element, place(schema.below(name).schema, old, new, implied));
    }

    fn add(&mut self, element: PathElement, place: Differences) {
        for (set, side) in
            [(&mut self.added, place.added), (&mut self.modified, place.modified), (&mut self.removed, place.removed)]
        {
            if side.itself || !side.below.is_empty() {
                set.add(element.clone(), side.itself, side.below);
            }
        }
    }
}

/// What is to be said of one place: of itself, and of what is below it.
#[derive(Default)]
pub(super) struct Side {
    pub(super) itself: bool,
    pub(super) below: Set,
}

#[derive(Default)]
struct Differences {
    added: Side,
    modified: Side,
    removed: Side,
}

impl Differences {
    fn below(comparison: Comparison) -> Differences {
        let side = |below| Side { itself: false, below };
        Differences {
            added: side(comparison.added),
            modified: side(comparison.modified),
            removed: side(comparison.removed),
        }
    }
}

/// Compares two whole objects.
pub fn compare(schema: Schema<'_>, old: &Value, new: &Value) -> Comparison {
    let differences = place(schema, Some(old), Some(new), false);
    Comparison {
        added: differences.added.below,
        modified: differences.modified.below,
        removed: differences.removed.below,
    }
}

/// What the creator of an object has set.
pub fn created(schema: Schema<'_>, new: &Value) -> Set {
    compare(schema, &Value::Object(Map::new()), new).added
}

/// `implied`: without a value, the place is as if it had an empty one.
fn place(schema: Schema<'_>, old: Option<&Value>, new: Option<&Value>, implied: bool) -> Differences {
    match (old, new) {
        (None, None) => Differences::default(),
        (None, Some(new)) => Differences { added: whole(schema, new, implied), ..Differences::default() },
        (Some(old), None) => Differences { removed: whole(schema, old, implied), ..Differences::default() },
        (Some(old), Some(new)) if old == new => Differences::default(),
        (Some(old), Some(new)) => both(schema, old, new),
    }
}

fn both(schema: Schema<'_>, old: &Value, new: &Value) -> Differences {
    let (old_form, new_form) = (schema.form(Kind::of(old)), schema.form(Kind::of(new)));
    let modified = || Side { itself: true, below: Set::default() };
    match ((&old_form, old), (&new_form, new)) {
        ((Form::Map, old), (Form::Map, new)) => {
            let empty = Map::new();
            let (old, new) = (old.as_object().unwrap_or(&empty), new.as_object().unwrap_or(&empty));
            if old.is_empty() && new.is_empty() {
                return Differences { modified: modified(), ..Differences::default() };
            }
            Differences::below(maps(schema, old, new))
        }
        ((Form::Keyed(_) | Form::Set, old), (Form::Keyed(_) | Form::Set, new)) => {
            let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
            let (old, new) = (list(old), list(new));
            if old.is_empty() && new.is_empty() {
                return Differences { modified: modified(), ..Differences::default() };
            }
            Differences::below(lists(schema, &old_form, &old, &new))
        }
        ((Form::Leaf, _), (Form::Leaf, _)) => Differences { modified: modified(), ..Differences::default() },
        // A value became one of another form: what it had is gone, what it has is new.
        _ => Differences {
            added: Side { itself: false, ..whole(schema, new, false) },
            modified: modified(),
            removed: Side { itself: false, ..whole(schema, old, false) },
        },
    }
}

fn maps(schema: Schema<'_>, old: &Map<String, Value>, new: &Map<String, Value>) -> Comparison {
    let mut comparison = Comparison::default();
    for (name, value) in new {
        comparison.add_member(schema, name, old.get(name), Some(value));
    }
    for (name, value) in old.iter().filter(|(name, _)| !new.contains_key(*name)) {
        comparison.add_member(schema, name, Some(value), None);
    }
    comparison
}

fn lists(schema: Schema<'_>, form: &Form<'_>, old: &[Value], new: &[Value]) -> Comparison {
    let item_schema = schema.item();
    let groups = |list| {
        let mut groups: Vec<(PathElement, Vec<&Value>)> = Vec::new();
        for (element, item) in items::named(form, item_schema, list) {
            match groups.iter_mut().find(|(own, _)| *own == element) {
                Some((_, items)) => items.push(item),
                None => groups.push((element, vec![item])),
            }
        }
        groups
    };
    let (old, new) = (groups(old), groups(new));
    let mut comparison = Comparison::default();
    for (element, items) in &new {
        let before = old.iter().find(|(own, _)| own == element).map(|(_, items)| items.as_slice());
        comparison.add(element.clone(), twins(item_schema, before.unwrap_or_default(), items));
    }
    for (element, items) in old.iter().filter(|(own, _)| !new.iter().any(|(other, _)| other == own)) {
        comparison.add(element.clone(), twins(item_schema, items, &[]));
    }
    comparison
}

/// The items of one name: nearly always at most one; several are compared as one value.
fn twins(schema: Schema<'_>, old: &[&Value], new: &[&Value]) -> Differences {
    let itself = || Side { itself: true, below: Set::default() };
    match (old, new) {
        ([] | [_], [] | [_]) => place(schema, old.first().copied(), new.first().copied(), false),
        ([], _) => Differences { added: itself(), ..Differences::default() },
        (_, []) => Differences { removed: itself(), ..Differences::default() },
        _ if old == new => Differences::default(),
        _ => Differences { modified: itself(), ..Differences::default() },
    }
}

/// Every path of a value that is new (or gone) as a whole.
pub(super) fn whole(schema: Schema<'_>, value: &Value, implied: bool) -> Side {
    let form = schema.form(Kind::of(value));
    match (&form, value) {
        (Form::Map, Value::Object(members)) => {
            let mut below = Set::default();
            for (name, value) in members {
                let side = whole(schema.below(name).schema, value, implied && schema.is_implied(name));
                below.add(PathElement::Field(schema.name_of(name)), side.itself, side.below);
            }
            Side { itself: !implied, below }
        }
        (Form::Keyed(_) | Form::Set, Value::Array(list)) => {
            let item_schema = schema.item();
            let mut below = Set::default();
            for (element, item) in items::named(&form, item_schema, list) {
                let side = whole(item_schema, item, false);
                below.add(element, true, side.below);
            }
            Side { itself: !implied, below }
        }
        _ => Side { itself: true, below: Set::default() },
    }
}
