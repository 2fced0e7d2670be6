//! What every write must be given: the judge that may change or refuse it.

use crate::hook::Claim;
use api::resource::ResourceDef;
use api::user::User;
use api::{Object, Registered, Status, Subresource};
use async_trait::async_trait;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Create,
    Update,
    Delete,
    /// A stream to a pod, or a request through a proxy: nothing is stored.
    Connect,
}

impl Operation {
    /// As rules and reviews name it.
    pub fn name(self) -> &'static str {
        match self {
            Operation::Create => "CREATE",
            Operation::Update => "UPDATE",
            Operation::Delete => "DELETE",
            Operation::Connect => "CONNECT",
        }
    }
}

/// What a request asked beside its object: made only where a judge wants to see it.
pub trait RequestOptions: Send + Sync {
    /// `CreateOptions`, `UpdateOptions`, `PatchOptions` or `DeleteOptions`, by what the write turned out to be.
    fn value(&self, operation: Operation) -> serde_json::Value;
}

/// Who manages an object's fields, as JSON arrays; empty for none. Objects in the hands of judges have no managed fields
/// of their own, but those that a judge has put in the place of these.
#[derive(Clone, Copy, Debug, Default)]
pub struct Books<'a> {
    /// Of the object as it would be, the write itself booked.
    pub new: &'a [u8],
    pub old: &'a [u8],
}

/// The write that is being judged. Runs again on every retry of the compare-and-swap.
#[derive(Clone, Copy)]
pub struct Attempt<'a> {
    pub def: &'static ResourceDef,
    /// Decodes objects of the kind: what a judge's patch makes is one again.
    pub kind: &'static dyn Registered,
    pub operation: Operation,
    pub namespace: &'a str,
    /// Empty where it is yet to be generated.
    pub name: &'a str,
    pub subresource: Option<Subresource>,
    pub user: &'a User,
    pub dry_run: bool,
    /// `None` for a write that no request asked for.
    pub options: Option<&'a dyn RequestOptions>,
    pub notes: &'a Notes,
    pub books: Books<'a>,
}

/// Texts of each sort that one request may leave.
const NOTES_MAX: usize = 256;

/// What the judges have to say beside yes and no. Belongs to the request: each text is kept once, however often the
/// write is tried.
#[derive(Debug)]
pub struct Notes {
    /// Texts of each sort that are kept; what comes after them is not.
    most: usize,
    kept: Mutex<Kept>,
    /// Nanoseconds.
    elsewhere: AtomicU64,
}

#[derive(Debug, Default)]
struct Kept {
    warnings: Vec<String>,
    annotations: BTreeMap<String, String>,
    /// Those that show parts of the object.
    details: BTreeMap<String, String>,
}

impl Default for Notes {
    fn default() -> Notes {
        Notes::keeping(NOTES_MAX)
    }
}

impl Notes {
    const fn keeping(most: usize) -> Notes {
        Notes {
            most,
            kept: Mutex::new(Kept { warnings: Vec::new(), annotations: BTreeMap::new(), details: BTreeMap::new() }),
            elsewhere: AtomicU64::new(0),
        }
    }

    /// For a write that nobody asked for: what is said of it is not kept.
    pub fn unheard() -> &'static Notes {
        static UNHEARD: Notes = Notes::keeping(0);
        &UNHEARD
    }

    /// The request waited so long for others, which is not held against this server.
    pub fn waited(&self, time: Duration) {
        self.elsewhere.fetch_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// For how long it waited for others, all in all.
    pub fn elsewhere(&self) -> Duration {
        Duration::from_nanos(self.elsewhere.load(Ordering::Relaxed))
    }

    /// For the eyes of who wrote: a `Warning` header of the answer, also where the write is refused.
    pub fn warn(&self, text: impl Into<String>) {
        let (text, mut kept) = (text.into(), self.kept.lock());
        if kept.warnings.len() < self.most && !kept.warnings.contains(&text) {
            kept.warnings.push(text);
        }
    }

    /// For the audit log.
    pub fn annotate(&self, key: &str, value: impl Into<String>) {
        self.keep(key, value.into(), |kept| &mut kept.annotations);
    }

    /// For the audit log where it shows objects as well: from the level `Request` on.
    pub fn annotate_detail(&self, key: &str, value: impl Into<String>) {
        self.keep(key, value.into(), |kept| &mut kept.details);
    }

    fn keep(&self, key: &str, value: String, sort: impl FnOnce(&mut Kept) -> &mut BTreeMap<String, String>) {
        let mut kept = self.kept.lock();
        let texts = sort(&mut kept);
        if texts.len() < self.most || texts.contains_key(key) {
            texts.insert(key.to_owned(), value);
        }
    }

    pub fn warnings(&self) -> Vec<String> {
        self.kept.lock().warnings.clone()
    }

    pub fn annotations(&self) -> BTreeMap<String, String> {
        self.kept.lock().annotations.clone()
    }

    pub fn details(&self) -> BTreeMap<String, String> {
        self.kept.lock().details.clone()
    }
}

#[async_trait]
pub trait Admission: Send + Sync {
    /// May change the object, or put another of the same kind and name in its place; runs after decoding and
    /// defaulting, before validation. What it leaves must be defaulted.
    async fn mutate(
        &self,
        attempt: &Attempt<'_>,
        object: &mut Box<dyn Object>,
        old: Option<&dyn Object>,
    ) -> Result<(), Status>;

    /// May only refuse, or claim what the write will use: the claims are kept until the caches have the write, or it
    /// was given up. `object` is `None` for a delete.
    async fn validate(
        &self,
        attempt: &Attempt<'_>,
        object: Option<&dyn Object>,
        old: Option<&dyn Object>,
    ) -> Result<Vec<Claim>, Status>;

    /// Appends what scrapers read of the judges.
    fn metrics(&self, _out: &mut String) {}
}
