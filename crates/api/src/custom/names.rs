//! Rows of custom kinds, which are `'static` as all rows are, without growing for ever.
//!
//! A row's texts are interned: the same names give the same row, however often a definition comes, goes or changes its
//! schema. What changes often (the schema) is not part of the row but of the `Definition`, which is counted and freed.
//! Bound: `NAMES_BYTES_MAX` of distinct rows over the life of a process, about 40,000 of them; after that new names are
//! refused, old ones still come back.

use super::definition::{self, Definition};
use crate::resource::{Column, ResourceDef, Scope, Subresource, Text, Verbs};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError, RwLock};

/// All that rows may take together.
const NAMES_BYTES_MAX: usize = 32 << 20;
/// What a row takes beside its texts.
const ROW_BYTES: usize = 400;

/// A row that is not interned yet.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) group: String,
    pub(super) version: String,
    pub(super) kind: String,
    pub(super) plural: String,
    pub(super) singular: String,
    pub(super) short_names: Vec<String>,
    pub(super) categories: Vec<String>,
    pub(super) scope: Scope,
    pub(super) subresources: Vec<Subresource>,
    pub(super) columns: Vec<ColumnText>,
    pub(super) selectable: Vec<String>,
}

#[derive(Debug)]
pub(super) struct ColumnText {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) format: String,
    pub(super) description: String,
    pub(super) priority: i32,
}

/// A process has seen too many different names of kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this server has seen too many different custom kinds since it started; restart it to add others")]
pub struct TooManyNames;

/// The row of a custom kind in one version, and what its definition says at the moment.
#[derive(Debug)]
pub struct CustomKind {
    pub(super) row: &'static ResourceDef,
    definition: RwLock<Arc<Definition>>,
}

impl CustomKind {
    pub fn definition(&self) -> Arc<Definition> {
        self.definition.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn define(&self, definition: Arc<Definition>) {
        *self.definition.write().unwrap_or_else(PoisonError::into_inner) = definition;
    }
}

#[derive(Default)]
struct Table {
    by_text: HashMap<String, &'static Interned>,
    bytes: usize,
}

struct Interned {
    row: ResourceDef,
    /// Kinds of this row that nobody serves: several servers in one process may serve the same.
    free: Mutex<Vec<&'static CustomKind>>,
}

static TABLE: LazyLock<Mutex<Table>> = LazyLock::new(Mutex::default);

/// A kind in use: given back when dropped.
#[derive(Debug)]
pub struct Lease {
    kind: &'static CustomKind,
    free: &'static Mutex<Vec<&'static CustomKind>>,
}

impl Lease {
    /// A kind with this definition.
    pub fn new(definition: Arc<Definition>) -> Result<Lease, TooManyNames> {
        let interned = intern(&definition.row)?;
        let free = interned.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let kind = match free {
            Some(kind) => {
                kind.define(definition);
                kind
            }
            None => Box::leak(Box::new(CustomKind { row: &interned.row, definition: RwLock::new(definition) })),
        };
        Ok(Lease { kind, free: &interned.free })
    }

    pub fn kind(&self) -> &'static CustomKind {
        self.kind
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // Requests under way may still be judged by its definition: it stays until another one takes the place.
        self.free.lock().unwrap_or_else(PoisonError::into_inner).push(self.kind);
    }
}

/// The row by which a definition's objects can be reached: of the stored version if it is served, or else of the first
/// that is; `None` where none is.
pub fn row_of(definition: &CustomResourceDefinition) -> Result<Option<&'static ResourceDef>, TooManyNames> {
    let served = definition.spec.versions.iter().filter(|version| version.served);
    let Some(version) = served.min_by_key(|version| !version.storage) else { return Ok(None) };
    Ok(Some(&intern(&definition::row(definition, version))?.row))
}

/// The row of a kind that another server serves: enough to name its objects, and no more is known of it.
pub fn foreign_row(
    (group, version): (&str, &str),
    kind: &str,
    plural: &str,
    scope: Scope,
) -> Result<&'static ResourceDef, TooManyNames> {
    let row = Row {
        group: group.to_owned(),
        version: version.to_owned(),
        kind: kind.to_owned(),
        plural: plural.to_owned(),
        singular: String::new(),
        short_names: Vec::new(),
        categories: Vec::new(),
        scope,
        subresources: Vec::new(),
        columns: Vec::new(),
        selectable: Vec::new(),
    };
    Ok(&intern(&row)?.row)
}

fn intern(row: &Row) -> Result<&'static Interned, TooManyNames> {
    let text = format!("{row:?}");
    let mut table = TABLE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = table.by_text.get(&text) {
        return Ok(known);
    }
    let bytes = table.bytes + 2 * text.len() + ROW_BYTES;
    if bytes > NAMES_BYTES_MAX {
        return Err(TooManyNames);
    }
    table.bytes = bytes;
    let interned = Box::leak(Box::new(Interned { row: leaked(row), free: Mutex::default() }));
    table.by_text.insert(text, interned);
    Ok(interned)
}

fn text(text: &str) -> Text {
    Box::leak(text.to_owned().into_boxed_str())
}

fn texts(list: &[String]) -> &'static [Text] {
    Vec::leak(list.iter().map(|own| text(own)).collect())
}

fn leaked(row: &Row) -> ResourceDef {
    let column = |own: &ColumnText| Column {
        name: text(&own.name),
        kind: text(&own.kind),
        format: text(&own.format),
        priority: own.priority,
        description: text(&own.description),
    };
    ResourceDef {
        group: text(&row.group),
        version: text(&row.version),
        kind: text(&row.kind),
        plural: text(&row.plural),
        singular: text(&row.singular),
        short_names: texts(&row.short_names),
        categories: texts(&row.categories),
        scope: row.scope,
        subresources: Vec::leak(row.subresources.clone()),
        verbs: Verbs::Full,
        columns: Vec::leak(row.columns.iter().map(column).collect()),
        selectable: texts(&row.selectable),
        unattended: false,
        create_on_update: false,
        unconditional_update: false,
        deprecation: "",
        message: "",
    }
}
