//! What a search looks for.
//!
//! Invariants: all that is named must hold; a pattern that would cost more than its bound is refused when it is read.

use crate::fields;
use crate::identity::{Identity, Workload};
use crate::level::Level;
use crate::time::Nanoseconds;
use regex::bytes::{Regex, RegexBuilder};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Patterns in one search, and bytes of a compiled one.
const PATTERNS_MAX: usize = 8;
const PATTERN_BYTES_MAX: usize = 1 << 20;
const FIELDS_MAX: usize = 8;
/// Of a field's path: an object is read again at each of its dots.
const PATH_BYTES_MAX: usize = 256;
const PATH_PARTS_MAX: usize = 16;

/// Whether labels are those that are looked for; the language of selectors is the caller's.
pub type LabelMatch = Arc<dyn Fn(&BTreeMap<String, String>) -> bool + Send + Sync>;

/// Which end a search begins at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    #[default]
    OldestFirst,
    NewestFirst,
}

/// What is looked for, as words; empty and `None` stand for anything.
#[derive(Clone, Default)]
pub struct Query {
    pub namespaces: BTreeSet<String>,
    pub pods: BTreeSet<String>,
    pub containers: BTreeSet<String>,
    /// `name` or `kind/name`: what made the pod, or stands above that.
    pub workloads: BTreeSet<String>,
    /// A pod's name, or as in `workloads`.
    pub names: BTreeSet<String>,
    pub labels: Option<LabelMatch>,
    /// From this time on.
    pub since: Option<Nanoseconds>,
    /// Before this time.
    pub until: Option<Nanoseconds>,
    /// Regular expressions, each of which a line must match.
    pub patterns: Vec<String>,
    /// At least as grave.
    pub level: Option<Level>,
    /// Values of fields of JSON and logfmt lines; a path's parts are joined by dots.
    pub fields: Vec<(String, String)>,
    /// Only that stream.
    pub stderr: Option<bool>,
    pub limit: Option<u64>,
    pub order: Order,
}

#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    #[error("{0}")]
    Pattern(#[from] regex::Error),
    #[error("at most {PATTERNS_MAX} patterns and {FIELDS_MAX} fields in one search")]
    TooMany,
    #[error("a field's path has at most {PATH_PARTS_MAX} parts and {PATH_BYTES_MAX} bytes")]
    Path,
}

/// A pattern, ready to run over many lines at once.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    pub(crate) regex: Regex,
    /// It means the text's own begin or end, which only a line alone has.
    pub(crate) line_by_line: bool,
}

/// A query that can be run.
#[derive(Clone)]
pub struct Filter {
    pub(crate) query: Query,
    pub(crate) patterns: Vec<Pattern>,
    /// Bit n: lines of the nth level are wanted.
    pub(crate) levels: u8,
}

impl Filter {
    /// # Errors
    /// A pattern is none, or too large; a field's path is too long.
    pub fn new(query: Query) -> Result<Filter, QueryError> {
        if query.patterns.len() > PATTERNS_MAX || query.fields.len() > FIELDS_MAX {
            return Err(QueryError::TooMany);
        }
        let is_long = |path: &str| path.len() > PATH_BYTES_MAX || path.split('.').count() > PATH_PARTS_MAX;
        if query.fields.iter().any(|(path, _)| is_long(path)) {
            return Err(QueryError::Path);
        }
        let patterns = query.patterns.iter().map(|text| pattern(text)).collect::<Result<_, _>>()?;
        let wanted = |level: &Level| query.level.is_none_or(|least| *level >= least);
        let levels = Level::ALL.iter().filter(|level| wanted(level)).fold(0, |bits, level| bits | 1 << *level as u8);
        Ok(Filter { query, patterns, levels })
    }

    /// By the name of a pod's directory alone, before anything is read.
    pub(crate) fn wants_named(&self, namespace: &str, pod: &str) -> bool {
        let among = |set: &BTreeSet<String>, name: &str| set.is_empty() || set.contains(name);
        among(&self.query.namespaces, namespace) && among(&self.query.pods, pod)
    }

    pub(crate) fn wants_pod(&self, pod: &Identity) -> bool {
        self.wants_named(&pod.namespace, &pod.pod)
            && self.query.labels.as_ref().is_none_or(|labels| labels(&pod.labels))
            && (self.query.workloads.is_empty() || is_of(pod, &self.query.workloads))
            && (self.query.names.is_empty() || self.query.names.contains(&pod.pod) || is_of(pod, &self.query.names))
    }

    pub(crate) fn wants_container(&self, container: &str) -> bool {
        self.query.containers.is_empty() || self.query.containers.contains(container)
    }

    /// Whether anything between these times and of these levels can be wanted.
    pub(crate) fn wants_any_of(&self, first: Nanoseconds, last: Nanoseconds, levels: u8) -> bool {
        self.query.since.is_none_or(|since| last >= since)
            && self.query.until.is_none_or(|until| first < until)
            && levels & self.levels != 0
    }

    pub(crate) fn wants_time(&self, time: Nanoseconds) -> bool {
        self.query.since.is_none_or(|since| time >= since) && self.query.until.is_none_or(|until| time < until)
    }

    pub(crate) fn wants_fields(&self, text: &[u8]) -> bool {
        self.query.fields.iter().all(|(path, value)| fields::has(text, path, value))
    }

    /// Whether any of these lines can be wanted for what they say. A line that matches alone matches among others too.
    pub(crate) fn may_be_in(&self, texts: &[u8]) -> bool {
        let patterns = self.patterns.iter().filter(|pattern| !pattern.line_by_line);
        !self.lacks_fields(texts) && patterns.into_iter().all(|pattern| pattern.regex.is_match(texts))
    }

    /// Whether none of these lines can have the fields; most blocks lack a value altogether.
    pub(crate) fn lacks_fields(&self, texts: &[u8]) -> bool {
        self.query.fields.iter().any(|(_, value)| fields::is_absent(texts, value))
    }

    pub fn order(&self) -> Order {
        self.query.order
    }

    /// The same, of one pod.
    pub(crate) fn of_pod(mut self, pod: &Identity) -> Filter {
        self.query.namespaces = BTreeSet::from([pod.namespace.clone()]);
        self.query.pods = BTreeSet::from([pod.pod.clone()]);
        self
    }

    /// The same, from another order and limit.
    #[must_use]
    pub fn reordered(mut self, order: Order, limit: Option<u64>) -> Filter {
        (self.query.order, self.query.limit) = (order, limit);
        self
    }
}

/// Short names of kinds, as clients know them.
const KINDS: &[(&str, &str)] = &[
    ("po", "Pod"),
    ("pods", "Pod"),
    ("deploy", "Deployment"),
    ("deployments", "Deployment"),
    ("rs", "ReplicaSet"),
    ("replicasets", "ReplicaSet"),
    ("sts", "StatefulSet"),
    ("statefulsets", "StatefulSet"),
    ("ds", "DaemonSet"),
    ("daemonsets", "DaemonSet"),
    ("jobs", "Job"),
    ("cj", "CronJob"),
    ("cronjobs", "CronJob"),
    ("rc", "ReplicationController"),
];

/// Whether a pod belongs to one of the workloads, or is it.
fn is_of(pod: &Identity, wanted: &BTreeSet<String>) -> bool {
    wanted.iter().any(|wanted| match wanted.split_once('/') {
        Some((kind, name)) => {
            let long = KINDS.iter().find(|(short, _)| short.eq_ignore_ascii_case(kind)).map_or(kind, |(_, long)| long);
            let is = |own: &Workload| own.name == name && own.kind.eq_ignore_ascii_case(long);
            owners(pod).any(is) || (pod.pod == name && long.eq_ignore_ascii_case("Pod"))
        }
        None => owners(pod).any(|own| own.name == *wanted),
    })
}

fn owners(pod: &Identity) -> impl Iterator<Item = &Workload> {
    [&pod.workload, &pod.owner].into_iter().flatten()
}

fn pattern(text: &str) -> Result<Pattern, QueryError> {
    let mut builder = RegexBuilder::new(text);
    builder.multi_line(true).size_limit(PATTERN_BYTES_MAX).dfa_size_limit(2 * PATTERN_BYTES_MAX);
    let line_by_line = text.contains("\\A") || text.contains("\\z") || has_flags_of_lines(text);
    Ok(Pattern { regex: builder.build()?, line_by_line })
}

/// Whether it says itself what `^` and `$` mean. Other flags, as `(?i)`, and groups mean the same among many lines.
fn has_flags_of_lines(text: &str) -> bool {
    text.split("(?").skip(1).any(|group| {
        let end = group.find([':', ')', '<']).unwrap_or(group.len());
        group[..end].contains(['m', 'R'])
    })
}
