//! Bookkeeping of one object's members: which field a key names, which bytes go with a dropped one, which keys came.

use crate::schema::facts::{self, Message};
use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;
use std::sync::OnceLock;

/// What stands at the top may have an `apiVersion` and a `kind`, whether or not its message says so.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Root {
    No,
    Kind,
    /// Other fields than those of every object are anything.
    Custom,
}

pub(super) fn find(message: &'static Message, root: Root, name: &[u8]) -> Option<(&'static Message, usize)> {
    if let Some(position) = message.position(name) {
        return Some((message, position));
    }
    if root == Root::No {
        return None;
    }
    let type_meta = known().type_meta;
    type_meta.position(name).map(|position| (type_meta, position))
}

pub(super) struct Known {
    pub(super) type_meta: &'static Message,
    /// A message with `metadata` alone.
    pub(super) custom: &'static Message,
}

pub(super) fn known() -> &'static Known {
    static KNOWN: OnceLock<Known> = OnceLock::new();
    KNOWN.get_or_init(|| {
        let meta = |name: &str| facts::message(&format!("k8s.io.apimachinery.pkg.apis.meta.v1.{name}"));
        Known {
            type_meta: meta("TypeMeta").expect("in the table"),
            custom: meta("PartialObjectMetadata").expect("in the table"),
        }
    })
}

/// Which bytes go when a member goes: with it the comma before it, or after it when nothing kept precedes it.
pub(super) struct Members {
    kept_any: bool,
    /// Past the last member and before its comma, or past the opening brace.
    previous_end: usize,
    start: usize,
}

impl Members {
    pub(super) fn new(after_brace: usize) -> Self {
        Members { kept_any: false, previous_end: after_brace, start: after_brace }
    }

    pub(super) fn begin(&mut self, start: usize) {
        self.start = start;
    }

    pub(super) fn end(&mut self, kept: bool, end: usize, next: Option<usize>) -> Option<Range<usize>> {
        let dropped = match (kept, self.kept_any, next) {
            (true, ..) => None,
            (false, true, _) => Some(self.previous_end..end),
            (false, false, Some(next)) => Some(self.start..next),
            (false, false, None) => Some(self.start..end),
        };
        self.kept_any |= kept;
        self.previous_end = end;
        dropped
    }
}

/// The keys of a map so far; most maps are small.
#[derive(Default)]
pub(super) struct Keys<'a> {
    few: smallvec::SmallVec<[Cow<'a, [u8]>; 8]>,
    many: HashSet<Cow<'a, [u8]>>,
}

impl<'a> Keys<'a> {
    /// Compared one by one up to here, hashed from here on.
    const FEW_MAX: usize = 8;

    /// False when the key was there already.
    pub(super) fn insert(&mut self, key: Cow<'a, [u8]>) -> bool {
        if self.many.is_empty() {
            if self.few.contains(&key) {
                return false;
            }
            if self.few.len() < Self::FEW_MAX {
                self.few.push(key);
                return true;
            }
            self.many.extend(self.few.drain(..));
        }
        self.many.insert(key)
    }
}
