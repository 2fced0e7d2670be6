//! Objects in the version that was asked for.
//!
//! Invariants: where objects are stored in that version nothing is copied and nothing is waited for; a converted object
//! is an entry as any other, with the key and revision of the stored one. Bounds: `MEMO_BYTES_MAX` of converted objects
//! are remembered for all kinds together, the oldest go first; one question to a converter is about at most
//! `BATCH_OBJECTS` objects and, beyond the first, `BATCH_BYTES`; `QUESTIONS_MAX` questions about a kind are under way at
//! once.

use crate::entry::Entry;
use crate::json;
use crate::registry::{Inner, Registry};
use crate::resource::Resource;
use api::{Registered, Status};
use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use store::{Key, Revision};
use tokio::sync::Semaphore;

const MEMO_BYTES_MAX: usize = 32 << 20;
/// What a remembered object takes beside its JSON.
const MEMO_ENTRY_BYTES: usize = 400;
const BATCH_OBJECTS: usize = 100;
const BATCH_BYTES: usize = 1 << 20;
const QUESTIONS_MAX: usize = 8;

/// Converts objects of one kind between its versions, where they differ in more than the registry can know.
#[async_trait]
pub trait Converter: Send + Sync {
    /// These objects in this version (its name without the group), each in its place. They are JSON as it is stored:
    /// `metadata` behind `apiVersion` and `kind`, managed fields before all else in it.
    async fn convert(&self, objects: &[Bytes], version: &str) -> Result<Vec<Bytes>, Status>;
}

/// A kind's converter, shared by all its versions.
pub(crate) struct Conversion {
    converter: Arc<dyn Converter>,
    /// In which objects are stored.
    stored_version: &'static str,
    /// Tells it from those before it: what they made is not what this one would make.
    id: u64,
    questions: Semaphore,
}

impl Conversion {
    pub(crate) fn new(converter: Arc<dyn Converter>, stored_version: &'static str) -> Conversion {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        Conversion { converter, stored_version, id, questions: Semaphore::new(QUESTIONS_MAX) }
    }

    async fn convert(&self, objects: &[Bytes], version: &str) -> Result<Vec<Bytes>, Status> {
        let converted = self.converter.convert(objects, version).await?;
        if converted.len() != objects.len() {
            let why = format!("{} objects were converted to {}", objects.len(), converted.len());
            return Err(Status::internal(why));
        }
        Ok(converted)
    }
}

/// Which conversion, to which version, of what.
type Place = (u64, &'static str, Key, Revision);

/// Converted objects, the oldest first.
#[derive(Default)]
pub(crate) struct Memo(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    by_place: HashMap<Place, Arc<Entry>>,
    order: VecDeque<Place>,
    bytes: usize,
}

fn cost(entry: &Entry) -> usize {
    entry.value().len() + MEMO_ENTRY_BYTES
}

impl Memo {
    fn get(&self, place: &Place) -> Option<Arc<Entry>> {
        self.0.lock().by_place.get(place).cloned()
    }

    fn put(&self, place: Place, entry: Arc<Entry>) {
        let mut kept = self.0.lock();
        kept.bytes += cost(&entry);
        match kept.by_place.insert(place.clone(), entry) {
            // Two asked at once.
            Some(twin) => kept.bytes -= cost(&twin),
            None => kept.order.push_back(place),
        }
        while kept.bytes > MEMO_BYTES_MAX {
            let Some(oldest) = kept.order.pop_front() else { return };
            if let Some(gone) = kept.by_place.remove(&oldest) {
                kept.bytes -= cost(&gone);
            }
        }
    }
}

impl Registry {
    /// Stored entries in the resource's version, each in its place.
    ///
    /// # Errors
    /// When one does not convert.
    pub async fn shown(&self, resource: &Resource, entries: Vec<Arc<Entry>>) -> Result<Vec<Arc<Entry>>, Status> {
        self.inner.shown(resource, entries).await
    }
}

impl Inner {
    /// See `Registry::shown`.
    pub(crate) async fn shown(
        &self,
        resource: &Resource,
        mut entries: Vec<Arc<Entry>>,
    ) -> Result<Vec<Arc<Entry>>, Status> {
        if resource.is_stored_version() {
            return Ok(entries);
        }
        match &resource.conversion {
            Some(conversion) => self.convert(resource, conversion, &mut entries).await?,
            None => {
                for entry in &mut entries {
                    *entry = presented(resource, entry)?;
                }
            }
        }
        Ok(entries)
    }

    /// As `shown`, of one entry.
    pub(crate) async fn shown_one(&self, resource: &Resource, entry: Arc<Entry>) -> Result<Arc<Entry>, Status> {
        match (resource.is_stored_version(), &resource.conversion) {
            (true, _) => Ok(entry),
            (false, None) => presented(resource, &entry),
            (false, Some(conversion)) => {
                let mut one = [entry];
                self.convert(resource, conversion, &mut one).await?;
                let [entry] = one;
                Ok(entry)
            }
        }
    }

    /// As `shown_one`, of an entry that is not what is stored at its revision: nothing is remembered of it.
    pub(crate) async fn shown_unstored(&self, resource: &Resource, entry: Arc<Entry>) -> Result<Arc<Entry>, Status> {
        match &resource.conversion {
            Some(conversion) if !resource.kind.is_own(entry.value()) => {
                let json = one(conversion, entry.value().clone(), resource.def.version).await?;
                resource.entry(entry.key().clone(), entry.revision, json, None).map_err(Status::internal)
            }
            _ => self.shown_one(resource, entry).await,
        }
    }

    async fn convert(
        &self,
        resource: &Resource,
        conversion: &Conversion,
        entries: &mut [Arc<Entry>],
    ) -> Result<(), Status> {
        let mut missing: Vec<usize> =
            (0..entries.len()).filter(|at| !resource.kind.is_own(entries[*at].value())).collect();
        let version = resource.def.version;
        let place = |entry: &Entry| (conversion.id, version, entry.key().clone(), entry.revision);
        self.recall(&mut missing, entries, place);
        if missing.is_empty() {
            return Ok(());
        }
        let _question = conversion.questions.acquire().await.map_err(Status::internal)?;
        // Who asked meanwhile may have asked about the same.
        self.recall(&mut missing, entries, place);
        let mut rest = missing.as_slice();
        while !rest.is_empty() {
            let (batch, others) = rest.split_at(batch_len(rest.iter().map(|at| entries[*at].value().len())));
            rest = others;
            let objects: Vec<Bytes> = batch.iter().map(|at| entries[*at].value().clone()).collect();
            let converted = conversion.convert(&objects, version).await?;
            for (at, json) in batch.iter().zip(converted) {
                let stored = &entries[*at];
                let entry = resource.entry(stored.key().clone(), stored.revision, json, None);
                let entry = entry.map_err(Status::internal)?;
                self.memo.put(place(stored), entry.clone());
                entries[*at] = entry;
            }
        }
        Ok(())
    }

    /// Puts in what is remembered.
    fn recall(&self, missing: &mut Vec<usize>, entries: &mut [Arc<Entry>], place: impl Fn(&Entry) -> Place) {
        missing.retain(|at| match self.memo.get(&place(&entries[*at])) {
            Some(known) => {
                entries[*at] = known;
                false
            }
            None => true,
        });
    }
}

/// How many of these go into one question.
fn batch_len(sizes: impl Iterator<Item = usize>) -> usize {
    let mut bytes = 0;
    let fits = sizes.take(BATCH_OBJECTS).enumerate().take_while(|(index, size)| {
        bytes += size;
        *index == 0 || bytes <= BATCH_BYTES
    });
    fits.count()
}

/// An entry in a version that the kind itself can make.
fn presented(resource: &Resource, entry: &Arc<Entry>) -> Result<Arc<Entry>, Status> {
    if resource.kind.is_own(entry.value()) {
        return Ok(entry.clone());
    }
    let json = match resource.kind.stored() {
        // A typed object writes its metadata in an order of its own.
        Some(_) => {
            let json = resource.present(Bytes::from(entry.unmanaged().into_owned()))?;
            json::with_managed_fields(json.into(), entry.managed_fields())
        }
        None => resource.present(entry.value().clone())?.into(),
    };
    resource.entry(entry.key().clone(), entry.revision, json.into(), None).map_err(Status::internal)
}

impl Resource {
    /// An object's JSON in this version, where the registry hands objects of the kind around in the stored one.
    pub(crate) fn present(&self, stored: Bytes) -> Result<Bytes, Status> {
        if self.is_stored_version() {
            return Ok(stored);
        }
        let failed = |error| Status::internal(format!("converting a stored object to {}: {error}", self.def.version));
        self.kind.present(&stored).map(Bytes::from).map_err(failed)
    }

    /// Whether versions are converted by asking somebody.
    pub fn is_converted_elsewhere(&self) -> bool {
        self.conversion.is_some()
    }

    /// An object of any version of the kind in this one, by whoever converts the kind.
    ///
    /// # Errors
    /// When it does not convert.
    pub async fn converted(&self, object: Bytes) -> Result<Bytes, Status> {
        match &self.conversion {
            Some(conversion) if !self.kind.is_own(&object) => one(conversion, object, self.def.version).await,
            _ => Ok(object),
        }
    }

    /// The kind in a version by its `group/version`.
    pub(crate) fn sibling(&self, api_version: &str) -> Option<&'static dyn Registered> {
        self.versions.iter().copied().find(|kind| kind.def().api_version() == api_version)
    }

    /// An object of this version, or of the stored one, in a sibling's.
    pub(crate) async fn in_version(&self, sibling: &dyn Registered, json: Bytes) -> Result<Bytes, Status> {
        let failed = |error| Status::internal(format!("converting to {}: {error}", sibling.def().api_version()));
        match &self.conversion {
            Some(_) if sibling.is_own(&json) => return Ok(json),
            Some(conversion) => return one(conversion, json, sibling.def().version).await,
            None => {}
        }
        if sibling.def().message.is_empty() {
            return sibling.present(&json).map(Bytes::from).map_err(failed);
        }
        // All versions of a built-in kind decode into the type that is stored.
        let own: TypeMeta<'_> = serde_json::from_slice(&json).map_err(failed)?;
        let own = self.sibling(&own.api_version).unwrap_or(self.kind);
        let stored = own.decode(&json).and_then(|object| object.encode()).map_err(failed)?;
        match sibling.converts() {
            true => sibling.present(&stored).map(Bytes::from).map_err(failed),
            false => Ok(stored.into()),
        }
    }

    /// An encoded object as it is to be stored.
    pub(crate) async fn kept(&self, own: Vec<u8>) -> Result<Bytes, Status> {
        match &self.conversion {
            Some(conversion) if conversion.stored_version != self.def.version => {
                one(conversion, own.into(), conversion.stored_version).await
            }
            Some(_) => Ok(own.into()),
            None => self.kind.keep(own).map(Bytes::from).map_err(Status::internal),
        }
    }
}

#[derive(Deserialize)]
struct TypeMeta<'a> {
    #[serde(borrow, rename = "apiVersion", default)]
    api_version: Cow<'a, str>,
}

async fn one(conversion: &Conversion, object: Bytes, version: &str) -> Result<Bytes, Status> {
    let _question = conversion.questions.acquire().await.map_err(Status::internal)?;
    let mut converted = conversion.convert(&[object], version).await?;
    converted.pop().ok_or_else(|| Status::internal("nothing was converted"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_bounded_but_never_empty() {
        for (sizes, wanted) in [
            (vec![10; 250], BATCH_OBJECTS),
            (vec![10, 10], 2),
            (vec![BATCH_BYTES * 2, 10], 1),
            (vec![BATCH_BYTES / 2, BATCH_BYTES / 2, 1], 2),
        ] {
            assert_eq!(batch_len(sizes.into_iter()), wanted);
        }
    }

    #[test]
    fn the_memo_forgets_the_oldest() {
        let memo = Memo::default();
        let head = br#"{"apiVersion":"g/v1","kind":"K","metadata":{"#;
        let entry = |revision: u64| {
            let json = format!(
                r#"{{"apiVersion":"g/v1","kind":"K","metadata":{{"name":"n"}},"x":"{}"}}"#,
                "y".repeat(1 << 20)
            );
            Arc::new(Entry::new("/g/k/n".into(), 5, head, Revision(revision), json.into()).unwrap())
        };
        let place = |revision: u64| (1, "v1", Key::from("/g/k/n"), Revision(revision));
        for revision in 0..40 {
            memo.put(place(revision), entry(revision));
            memo.put(place(revision), entry(revision));
        }
        assert!(memo.get(&place(0)).is_none());
        assert!(memo.get(&place(39)).is_some());
        assert!(memo.0.lock().bytes <= MEMO_BYTES_MAX);
        assert!(memo.get(&(2, "v1", Key::from("/g/k/n"), Revision(39))).is_none(), "another conversion's");
    }
}
