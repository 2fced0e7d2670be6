//! `FieldsV1`: how a set of paths is written in an object's managed fields.
//!
//! A path element is a member of an object; one that leads further has the further elements in its value, and `.` there
//! when the path that ends at it is in the set too. Elements of a form that is not known are skipped, as upstream does.
//!
//! Invariant: what is decoded and encoded again is the same set, and the encoding of a set is unique.

use super::element::PathElement;
use super::set::Set;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

impl Set {
    /// Appends the set's JSON.
    pub fn write(&self, out: &mut Vec<u8>) {
        self.write_members(false, out);
    }

    /// As `write`, with further parts that are written already.
    pub(super) fn write_with(&self, parts: &[(PathElement, &str)], out: &mut Vec<u8>) {
        if parts.is_empty() {
            return self.write(out);
        }
        let own = self.nodes().iter().map(|node| (&node.element, None, Some(node)));
        let mut all: Vec<_> = parts.iter().map(|(element, raw)| (element, Some(*raw), None)).chain(own).collect();
        all.sort_by(|one, other| one.0.cmp(other.0));
        out.push(b'{');
        for (index, (element, raw, node)) in all.into_iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            element.write(out);
            out.push(b':');
            match (raw, node) {
                (Some(raw), _) => out.extend_from_slice(raw.as_bytes()),
                (None, Some(node)) if !node.below.is_empty() => node.below.write_members(node.member, out),
                _ => out.extend_from_slice(b"{}"),
            }
        }
        out.push(b'}');
    }

    pub fn encode(&self) -> String {
        let mut out = Vec::new();
        self.write(&mut out);
        String::from_utf8(out).expect("names are text")
    }

    /// The parts of the JSON of `FieldsV1` by their first elements' names, unread.
    pub(super) fn parts(json: &str) -> Result<Vec<(String, &RawValue)>, serde_json::Error> {
        struct Parts;
        impl<'de> Visitor<'de> for Parts {
            type Value = Vec<(String, &'de RawValue)>;
            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("an object of path elements")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut parts = Vec::with_capacity(4);
                while let Some(part) = map.next_entry()? {
                    parts.push(part);
                }
                Ok(parts)
            }
        }
        serde_json::Deserializer::from_str(json).deserialize_map(Parts)
    }

    /// The set of one part alone.
    pub(super) fn decode_part(name: &str, json: &str) -> Result<Set, serde_json::Error> {
        let below: Level = serde_json::from_str(json)?;
        let mut set = Set::default();
        if let Key::Element(element) = Key::read(name) {
            let member = below.itself || below.set.is_empty();
            set.add(element, member, below.set);
        }
        Ok(set)
    }

    fn write_members(&self, itself: bool, out: &mut Vec<u8>) {
        out.push(b'{');
        if itself {
            out.extend_from_slice(br#"".":{}"#);
        }
        for (index, node) in self.nodes().iter().enumerate() {
            if itself || index > 0 {
                out.push(b',');
            }
            node.element.write(out);
            out.push(b':');
            if node.below.is_empty() {
                out.extend_from_slice(b"{}");
            } else {
                node.below.write_members(node.member, out);
            }
        }
        out.push(b'}');
    }

    /// From the JSON of `FieldsV1`.
    pub fn decode(json: &str) -> Result<Set, serde_json::Error> {
        serde_json::from_str::<Level>(json).map(|level| level.set)
    }
}

/// One object of the format.
struct Level {
    /// Whether it has `.`.
    itself: bool,
    set: Set,
}

/// What a member's name says.
enum Key {
    /// `.`
    Itself,
    Element(PathElement),
    /// Of no form that is known.
    Other,
}

impl Key {
    fn read(text: &str) -> Key {
        match text {
            "." => Key::Itself,
            text => PathElement::parse(text).map_or(Key::Other, Key::Element),
        }
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Key, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Key;
            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a path element")
            }
            fn visit_str<E>(self, text: &str) -> Result<Key, E> {
                Ok(Key::read(text))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

impl<'de> Deserialize<'de> for Level {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Level, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Level;
            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("an object of path elements")
            }
            fn visit_unit<E>(self) -> Result<Level, E> {
                Ok(Level { itself: false, set: Set::default() })
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Level, A::Error> {
                let mut level = Level { itself: false, set: Set::default() };
                while let Some(key) = map.next_key()? {
                    let below: Level = map.next_value()?;
                    match key {
                        Key::Itself => level.itself = true,
                        Key::Element(element) => {
                            let member = below.itself || below.set.is_empty();
                            level.set.add(element, member, below.set);
                        }
                        Key::Other => {}
                    }
                }
                Ok(level)
            }
        }
        deserializer.deserialize_any(Members)
    }
}
