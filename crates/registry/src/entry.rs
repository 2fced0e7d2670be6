//! One stored object as the cache holds it: the store's own bytes, and where `resourceVersion` is spliced in.
//!
//! Invariants: immutable; the value is shared with the store, never copied to be kept; what selectors look at is
//! decoded at most once, when it is first asked for. Bound: about 150 bytes beside the value and the selectables.

use crate::json;
use crate::selectable::Selectable;
use api::{Object, Registered};
use bytes::Bytes;
use std::borrow::Cow;
use std::sync::{Arc, OnceLock};
use store::{Key, Revision};

/// A stored object at one revision.
#[derive(Debug)]
pub struct Entry {
    key: Key,
    /// Where the resource's prefix ends and `namespace/name` begins.
    prefix_len: u16,
    /// The store has the same object as its kind had it before.
    is_rewritten: bool,
    /// How many bytes of `value`, behind its brace, say what kind it is; 0 where they stand elsewhere.
    type_len: u8,
    /// Where in `value` the metadata's first field begins.
    splice: u32,
    pub revision: Revision,
    value: Bytes,
    selectable: OnceLock<Arc<Selectable>>,
}

/// A stored value that is not an object of the API.
#[derive(Debug, thiserror::Error)]
#[error("the value stored under {key} has no metadata to splice a resourceVersion into")]
pub struct NotAnObject {
    pub key: Key,
}

const FIELD: &[u8] = b"\"resourceVersion\":\"";
/// The field, its closing quote and the comma after it.
const SPLICED_LEN: usize = FIELD.len() + 2;

/// Of a stored object's head what does not say its kind: its brace, and `"metadata":{`.
const BRACE_AND_METADATA_LEN: usize = 1 + br#""metadata":{"#.len();

impl Entry {
    /// `head` is how objects of the resource begin, up to the metadata's brace.
    pub(crate) fn new(
        key: Key,
        prefix_len: usize,
        head: &[u8],
        revision: Revision,
        value: Bytes,
    ) -> Result<Entry, NotAnObject> {
        let (splice, type_len) = if value.starts_with(head) {
            (Some(head.len()), head.len().saturating_sub(BRACE_AND_METADATA_LEN))
        } else {
            (json::metadata_start(&value), json::type_len(&value))
        };
        let Some(splice) = splice.and_then(|splice| u32::try_from(splice).ok()) else {
            return Err(NotAnObject { key });
        };
        let prefix_len = u16::try_from(prefix_len).expect("a resource's prefix is short");
        // One that is longer than any built-in kind's is left where it is.
        let type_len = u8::try_from(type_len).unwrap_or_default();
        let selectable = OnceLock::new();
        Ok(Entry { key, prefix_len, is_rewritten: false, type_len, splice, revision, value, selectable })
    }

    pub(crate) fn rewritten(self, is_rewritten: bool) -> Entry {
        Entry { is_rewritten, ..self }
    }

    /// Whether the store has it in other bytes, so that writing the same again is a change.
    pub(crate) fn is_rewritten(&self) -> bool {
        self.is_rewritten
    }

    pub(crate) fn with_selectable(self, selectable: Option<Arc<Selectable>>) -> Entry {
        match selectable {
            Some(selectable) => Entry { selectable: OnceLock::from(selectable), ..self },
            None => self,
        }
    }

    pub fn key(&self) -> &Key {
        &self.key
    }

    /// `namespace/name`, or `name` for cluster-scoped kinds.
    pub fn path(&self) -> &str {
        &self.key[self.prefix_len as usize..]
    }

    pub fn name(&self) -> &str {
        self.path().rsplit('/').next().unwrap_or_default()
    }

    /// Empty for cluster-scoped kinds.
    pub fn namespace(&self) -> &str {
        self.path().split_once('/').map_or("", |(namespace, _)| namespace)
    }

    /// As stored: without `resourceVersion`.
    pub fn value(&self) -> &Bytes {
        &self.value
    }

    /// The length of `json`.
    pub fn json_len(&self) -> usize {
        self.value.len() + SPLICED_LEN + itoa::Buffer::new().format(self.revision.0).len()
    }

    /// Appends the object's JSON as clients see it.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        self.write_json_at(self.revision, out);
    }

    /// The length of what `write_item` appends.
    pub fn item_len(&self) -> usize {
        self.json_len() - usize::from(self.type_len)
    }

    /// As `write_json`, but without `apiVersion` and `kind`: as items of a list of one kind read.
    pub fn write_item(&self, out: &mut Vec<u8>) {
        out.push(b'{');
        self.write_behind(1 + usize::from(self.type_len), self.revision, out);
    }

    /// As `write_json`, with another revision: a deleted object carries the revision of its deletion.
    pub(crate) fn write_json_at(&self, revision: Revision, out: &mut Vec<u8>) {
        self.write_behind(0, revision, out);
    }

    /// Appends what stands behind so many bytes of the value, the revision spliced in.
    fn write_behind(&self, skipped: usize, revision: Revision, out: &mut Vec<u8>) {
        let (before, after) = self.value.split_at(self.splice as usize);
        out.extend_from_slice(&before[skipped..]);
        out.extend_from_slice(FIELD);
        out.extend_from_slice(itoa::Buffer::new().format(revision.0).as_bytes());
        // Metadata is never empty: every object has a name.
        out.extend_from_slice(b"\",");
        out.extend_from_slice(after);
    }

    /// The object's JSON as clients see it.
    pub fn json(&self) -> Bytes {
        let mut out = Vec::with_capacity(self.json_len());
        self.write_json(&mut out);
        Bytes::from(out)
    }

    /// Appends the metadata alone, braces included.
    pub fn write_metadata(&self, out: &mut Vec<u8>) {
        let start = self.splice as usize;
        let end = start - 1 + json::value_len(&self.value[start - 1..]);
        out.push(b'{');
        out.extend_from_slice(FIELD);
        out.extend_from_slice(itoa::Buffer::new().format(self.revision.0).as_bytes());
        out.extend_from_slice(b"\",");
        out.extend_from_slice(&self.value[start..end]);
    }

    /// The JSON array of `metadata.managedFields`; empty for none.
    pub fn managed_fields(&self) -> &[u8] {
        json::managed_fields(&self.value[self.splice as usize..]).0
    }

    /// As stored, but without managed fields: they are as long as all the rest, and few look at them.
    pub(crate) fn unmanaged(&self) -> Cow<'_, [u8]> {
        let (before, after) = self.value.split_at(self.splice as usize);
        match json::managed_fields(after).1 {
            0 => Cow::Borrowed(&self.value),
            length => Cow::Owned([before, &after[length..]].concat()),
        }
    }

    /// As `json`, but without managed fields.
    pub fn unmanaged_json(&self) -> Bytes {
        self.unmanaged_json_at(self.revision)
    }

    /// As `unmanaged_json`, with another revision.
    pub(crate) fn unmanaged_json_at(&self, revision: Revision) -> Bytes {
        let splice = self.splice as usize;
        let length = json::managed_fields(&self.value[splice..]).1;
        let mut out = Vec::with_capacity(self.json_len() + 4);
        self.write_json_at(revision, &mut out);
        let start = splice + out.len() - self.value.len();
        out.drain(start..start + length);
        Bytes::from(out)
    }

    /// The typed object, its `resourceVersion` set. It has no managed fields: those stay bytes.
    pub fn decode(&self, kind: &dyn Registered) -> Result<Box<dyn Object>, serde_json::Error> {
        let mut object = kind.decode(&self.unmanaged())?;
        object.meta_mut().resource_version = Some(self.revision.to_string());
        Ok(object)
    }

    /// What selectors look at. An object that no longer decodes matches as one without labels and fields, and says so.
    pub fn selectable(&self, kind: &dyn Registered) -> &Selectable {
        self.selectable.get_or_init(|| match kind.decode(&self.unmanaged()) {
            Ok(object) => Arc::new(Selectable::of(object.as_ref())),
            Err(error) => {
                tracing::error!(key = %self.key, %error, "a stored object does not decode");
                Arc::default()
            }
        })
    }
}
