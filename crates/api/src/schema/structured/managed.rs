//! An object's `metadata.managedFields`: who manages which of its fields.
//!
//! Invariant: what is encoded is sorted as upstream sorts it: appliers first, then by time, then by name.

use super::set::Set;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::cmp::Ordering;
use std::io::Write as _;

/// How a manager came to its fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    Apply,
    Update,
}

impl Operation {
    fn name(self) -> &'static str {
        match self {
            Operation::Apply => "Apply",
            Operation::Update => "Update",
        }
    }
}

/// One manager and its fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub manager: String,
    pub operation: Operation,
    pub api_version: String,
    /// To the second.
    pub time: Option<Timestamp>,
    /// Empty for the object itself.
    pub subresource: String,
    pub set: Set,
}

/// Every manager of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Managed {
    pub entries: Vec<Entry>,
}

/// Who writes, in which version, through what.
#[derive(Clone, Copy, Debug)]
pub struct Author<'a> {
    /// Empty for one that does not say: `unknown`.
    pub manager: &'a str,
    pub api_version: &'a str,
    /// Empty for the object itself.
    pub subresource: &'a str,
}

impl<'a> Author<'a> {
    pub(super) fn name(&self) -> &'a str {
        if self.manager.is_empty() { "unknown" } else { self.manager }
    }

    pub(super) fn is(&self, operation: Operation, entry: &Entry) -> bool {
        entry.operation == operation
            && entry.manager == self.name()
            && entry.subresource == self.subresource
            // An applier is the same in every version.
            && (operation == Operation::Apply || entry.api_version == self.api_version)
    }

    pub(super) fn entry(&self, operation: Operation, set: Set, time: Option<Timestamp>) -> Entry {
        Entry {
            manager: self.name().to_owned(),
            operation,
            api_version: self.api_version.to_owned(),
            time,
            subresource: self.subresource.to_owned(),
            set,
        }
    }
}

/// Why managed fields do not decode.
#[derive(Debug, thiserror::Error)]
pub enum BadManagedFields {
    #[error("decoding managed fields: {0}")]
    Json(#[from] serde_json::Error),
    #[error("operation must be `Apply` or `Update`")]
    Operation,
    #[error("apiVersion must not be empty")]
    ApiVersion,
    #[error("fieldsType must be `FieldsV1`")]
    FieldsType,
    #[error("time is no time: {0}")]
    Time(jiff::Error),
}

/// An entry as it is written, its fields unread.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Wire<'a> {
    manager: Option<String>,
    pub(super) operation: Option<&'a str>,
    api_version: Option<String>,
    time: Option<&'a str>,
    fields_type: Option<&'a str>,
    #[serde(borrow)]
    pub(super) fields_v1: Option<&'a RawValue>,
    subresource: Option<String>,
}

impl Wire<'_> {
    fn entry(self) -> Result<Entry, BadManagedFields> {
        let set = self.fields_v1.map(|raw| Set::decode(raw.get())).transpose()?.unwrap_or_default();
        self.entry_with(set)
    }

    pub(super) fn entry_with(self, set: Set) -> Result<Entry, BadManagedFields> {
        let operation = match self.operation {
            Some("Apply") => Operation::Apply,
            Some("Update") => Operation::Update,
            _ => return Err(BadManagedFields::Operation),
        };
        if self.fields_type != Some("FieldsV1") {
            return Err(BadManagedFields::FieldsType);
        }
        let time = self.time.map(str::parse).transpose().map_err(BadManagedFields::Time)?;
        Ok(Entry {
            manager: self.manager.unwrap_or_default(),
            operation,
            api_version: self.api_version.filter(|text| !text.is_empty()).ok_or(BadManagedFields::ApiVersion)?,
            time,
            subresource: self.subresource.unwrap_or_default(),
            set,
        })
    }
}

impl Managed {
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// From the JSON array of `managedFields`; empty bytes are no managers.
    pub fn decode(json: &[u8]) -> Result<Managed, BadManagedFields> {
        if json.is_empty() {
            return Ok(Managed::default());
        }
        let wire: Vec<Wire<'_>> = serde_json::from_slice(json)?;
        let entries: Result<Vec<Entry>, BadManagedFields> = wire.into_iter().map(Wire::entry).collect();
        Ok(Managed { entries: entries? })
    }

    /// Sorts, and drops who manages nothing.
    pub fn normalize(&mut self) {
        self.entries.retain(|entry| !entry.set.is_empty());
        self.entries.sort_by(Entry::order);
    }

    /// Takes fields from an applier.
    pub fn forget(&mut self, author: &Author<'_>, lost: &Set) {
        if let Some(own) = self.entries.iter_mut().find(|entry| author.is(Operation::Apply, entry)) {
            own.set = own.set.difference(lost);
        }
        self.normalize();
    }

    /// Whether the same managers manage the same fields, whenever they began to.
    pub fn same_fields(&self, other: &Managed) -> bool {
        self.entries.len() == other.entries.len()
            && self.entries.iter().all(|entry| {
                other
                    .entries
                    .iter()
                    .any(|twin| Entry { time: None, ..entry.clone() } == Entry { time: None, ..twin.clone() })
            })
    }

    /// The JSON array of `managedFields`.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![b'['];
        for (index, entry) in self.entries.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            entry.write(&mut out, |out| entry.set.write(out));
        }
        out.push(b']');
        out
    }

    /// As `encode`, empty for no managers.
    pub fn encoded(&self) -> Vec<u8> {
        if self.is_empty() { Vec::new() } else { self.encode() }
    }
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, text).expect("writing to memory does not fail");
}

impl Entry {
    /// The order in which upstream writes them.
    pub(super) fn order(&self, other: &Entry) -> Ordering {
        let seconds = |entry: &Entry| entry.time.map_or(0, Timestamp::as_second);
        self.operation
            .cmp(&other.operation)
            .then_with(|| seconds(self).cmp(&seconds(other)))
            .then_with(|| self.manager.cmp(&other.manager))
            .then_with(|| self.api_version.cmp(&other.api_version))
            .then_with(|| self.subresource.cmp(&other.subresource))
    }

    /// Appends the entry's JSON; its fields are written by `fields`.
    pub(super) fn write(&self, out: &mut Vec<u8>, fields: impl FnOnce(&mut Vec<u8>)) {
        out.extend_from_slice(br#"{"manager":"#);
        write_text(&self.manager, out);
        out.extend_from_slice(br#","operation":""#);
        out.extend_from_slice(self.operation.name().as_bytes());
        out.extend_from_slice(br#"","apiVersion":"#);
        write_text(&self.api_version, out);
        if let Some(time) = self.time {
            write!(out, r#","time":"{}""#, time.strftime("%Y-%m-%dT%H:%M:%SZ"))
                .expect("writing to memory does not fail");
        }
        out.extend_from_slice(br#","fieldsType":"FieldsV1","fieldsV1":"#);
        fields(out);
        if !self.subresource.is_empty() {
            out.extend_from_slice(br#","subresource":"#);
            write_text(&self.subresource, out);
        }
        out.push(b'}');
    }
}
