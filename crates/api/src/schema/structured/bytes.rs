//! The books of ordinary writes without decoding what they leave alone.
//!
//! Nearly every object is written thousands of times and applied never, and its books are as long as itself. So what a
//! creator has set is read off the object's bytes, and an update opens only those parts of the books that it touches.
//!
//! Invariant: the result is, byte for byte, that of `created` and of `Managed::update`; whatever is unusual is left to
//! those.

use super::compare::{Comparison, whole};
use super::element::PathElement;
use super::items;
use super::managed::{Author, BadManagedFields, Entry, Managed, Operation, Wire};
use super::schema::{Form, Kind, Schema};
use super::set::Set;
use super::update::{UPDATERS_MAX, manageable};
use jiff::Timestamp;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use std::fmt;

/// As `created`, from the object's JSON.
pub fn created_of_json(schema: Schema<'_>, json: &[u8]) -> Result<Set, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let root = Place { schema, implied: true, keys: &[], keep: false };
    root.deserialize(&mut deserializer).map(|read| read.below)
}

/// A place whose paths are being read.
#[derive(Clone, Copy)]
struct Place<'a, 'k> {
    schema: Schema<'a>,
    implied: bool,
    /// Members whose values name the item that this is.
    keys: &'k [&'a str],
    /// Whether the value itself is wanted.
    keep: bool,
}

#[derive(Default)]
struct Read {
    itself: bool,
    below: Set,
    value: Option<Value>,
    /// The values of the keys that were there.
    named: Vec<(usize, Value)>,
}

impl Read {
    fn leaf() -> Read {
        Read { itself: true, ..Read::default() }
    }
}

impl<'de> DeserializeSeed<'de> for Place<'_, '_> {
    type Value = Read;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Read, D::Error> {
        if self.keep {
            let value: Value = serde::Deserialize::deserialize(deserializer)?;
            let side = whole(self.schema, &value, false);
            return Ok(Read { itself: side.itself, below: side.below, value: Some(value), named: Vec::new() });
        }
        deserializer.deserialize_any(self)
    }
}

impl Place<'_, '_> {
    /// A map that is one value, which may be an item with a name all the same.
    fn visit_leaf<'de, A: MapAccess<'de>>(self, mut map: A) -> Result<Read, A::Error> {
        let mut read = Read::leaf();
        while let Some(name) = map.next_key_seed(Name)? {
            match self.keys.iter().position(|key| *key == name) {
                Some(key) => read.named.push((key, map.next_value()?)),
                None => {
                    let IgnoredAny = map.next_value()?;
                }
            }
        }
        Ok(read)
    }
}

/// One member's name.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = std::borrow::Cow<'de, str>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = std::borrow::Cow<'de, str>;
    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a name")
    }
    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(text.into())
    }
    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(text.to_owned().into())
    }
}

impl<'de> Visitor<'de> for Place<'_, '_> {
    type Value = Read;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("JSON")
    }
    fn visit_bool<E>(self, _: bool) -> Result<Read, E> {
        Ok(Read::leaf())
    }
    fn visit_i64<E>(self, _: i64) -> Result<Read, E> {
        Ok(Read::leaf())
    }
    fn visit_u64<E>(self, _: u64) -> Result<Read, E> {
        Ok(Read::leaf())
    }
    fn visit_f64<E>(self, _: f64) -> Result<Read, E> {
        Ok(Read::leaf())
    }
    fn visit_str<E>(self, _: &str) -> Result<Read, E> {
        Ok(Read::leaf())
    }
    fn visit_unit<E>(self) -> Result<Read, E> {
        Ok(Read::leaf())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Read, A::Error> {
        if !matches!(self.schema.form(Kind::Map), Form::Map) {
            return self.visit_leaf(map);
        }
        let mut read = Read { itself: !self.implied, ..Read::default() };
        while let Some(name) = map.next_key_seed(Name)? {
            let key = self.keys.iter().position(|key| *key == name);
            let place = Place {
                schema: self.schema.below(&name).schema,
                implied: self.implied && self.schema.is_implied(&name),
                keys: &[],
                keep: key.is_some(),
            };
            let member = map.next_value_seed(place)?;
            read.below.add(PathElement::Field(self.schema.name_of(&name)), member.itself, member.below);
            if let (Some(key), Some(value)) = (key, member.value) {
                read.named.push((key, value));
            }
        }
        Ok(read)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Read, A::Error> {
        let form = self.schema.form(Kind::List);
        let item_schema = self.schema.item();
        let mut read = Read { itself: !self.implied, ..Read::default() };
        match &form {
            Form::Keyed(keys) => {
                let place = Place { schema: item_schema, implied: false, keys, keep: false };
                while let Some(item) = list.next_element_seed(place)? {
                    if let Some(element) = items::named_by(keys, item_schema, item.named) {
                        read.below.add(element, true, item.below);
                    }
                }
            }
            Form::Set => {
                while let Some(item) = list.next_element::<Value>()? {
                    if let Ok(element) = items::element(&form, item_schema, &item) {
                        read.below.add(element, true, whole(item_schema, &item, false).below);
                    }
                }
            }
            Form::Leaf | Form::Map => {
                while list.next_element::<IgnoredAny>()?.is_some() {}
                return Ok(Read::leaf());
            }
        }
        Ok(read)
    }
}

/// As `Managed::update` of the decoded books, encoded; empty for none.
pub fn update_of_json(
    json: &[u8],
    author: &Author<'_>,
    changes: Comparison,
    now: Timestamp,
) -> Result<Vec<u8>, BadManagedFields> {
    let wire: Vec<Wire<'_>> = if json.is_empty() { Vec::new() } else { serde_json::from_slice(json)? };
    let updaters = wire.iter().filter(|wire| wire.operation == Some("Update")).count();
    if changes.is_empty() || updaters >= UPDATERS_MAX {
        let mut managed = Managed::decode(json)?;
        managed.update(author, changes, now);
        return Ok(managed.encoded());
    }
    let (changed, removed) = changes.split();
    let touches = |element: &PathElement| changed.behind_or_at(element) || removed.behind_or_at(element);
    let mut entries = Vec::with_capacity(wire.len() + 1);
    for wire in wire {
        let fields = wire.fields_v1.map_or("{}", |raw| raw.get());
        let mut parts = Vec::new();
        let mut set = Set::default();
        for (name, raw) in Set::parts(fields)? {
            match PathElement::parse(&name) {
                Some(element) if touches(&element) => set.absorb(Set::decode_part(&name, raw.get())?),
                Some(element) => parts.push((element, raw.get())),
                None => {}
            }
        }
        set.subtract(&changed);
        set.subtract(&removed);
        entries.push(Opened { entry: wire.entry_with(set)?, parts });
    }
    let taken = manageable(changed);
    if !taken.is_empty() {
        match entries.iter_mut().find(|opened| author.is(Operation::Update, &opened.entry)) {
            Some(own) => {
                own.entry.set.absorb(taken);
                own.entry.time = Some(now);
            }
            None => {
                let entry = author.entry(Operation::Update, taken, Some(now));
                entries.push(Opened { entry, parts: Vec::new() });
            }
        }
    }
    Ok(encode(entries))
}

/// An entry of which some parts were read, and the others are as they were.
struct Opened<'a> {
    entry: Entry,
    parts: Vec<(PathElement, &'a str)>,
}

fn encode(mut entries: Vec<Opened<'_>>) -> Vec<u8> {
    entries.retain(|opened| !opened.entry.set.is_empty() || !opened.parts.is_empty());
    entries.sort_by(|one, other| one.entry.order(&other.entry));
    if entries.is_empty() {
        return Vec::new();
    }
    let mut out = vec![b'['];
    for (index, opened) in entries.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        opened.entry.write(&mut out, |out| opened.entry.set.write_with(&opened.parts, out));
    }
    out.push(b']');
    out
}
