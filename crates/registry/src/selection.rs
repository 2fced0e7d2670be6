//! Which objects a list or watch is about: a namespace, one name, labels, fields.

use crate::entry::Entry;
use api::Registered;
use api::selector::{FieldSelector, Selector};

/// The field by which nodes watch their pods; watches that name it get a log of their own.
pub(crate) const NODE_FIELD: &str = "spec.nodeName";

#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Empty: all.
    pub namespace: String,
    /// Empty: all. From the path or from `metadata.name=…`.
    pub name: String,
    pub labels: Selector,
    /// Beside name and namespace.
    pub fields: FieldSelector,
}

impl Selection {
    /// A whole resource, or a namespace's part of it.
    pub fn all(namespace: &str) -> Selection {
        Selection { namespace: namespace.to_owned(), ..Selection::default() }
    }

    /// Selectors as a request gives them; an exact name or namespace among the fields narrows the selection.
    pub fn new(namespace: &str, name: &str, labels: Selector, fields: FieldSelector) -> Selection {
        let or_exact = |own: &str, path: &str| match own {
            "" => fields.exact(path).unwrap_or_default().to_owned(),
            own => own.to_owned(),
        };
        Selection {
            namespace: or_exact(namespace, "metadata.namespace"),
            name: or_exact(name, "metadata.name"),
            labels,
            fields,
        }
    }

    /// Whether labels or fields select: a page of such a list cannot say how many items remain.
    pub fn selects(&self) -> bool {
        !self.labels.is_empty() || !self.fields.is_empty()
    }

    /// Without what labels and fields select.
    pub(crate) fn place(&self) -> Selection {
        Selection { namespace: self.namespace.clone(), name: self.name.clone(), ..Selection::default() }
    }

    pub fn matches(&self, entry: &Entry, kind: &dyn Registered) -> bool {
        let within = (self.namespace.is_empty() || entry.namespace() == self.namespace)
            && (self.name.is_empty() || entry.name() == self.name);
        if !within || !self.selects() {
            return within;
        }
        (self.labels.is_empty() || self.labels.matches_with(|name| entry.selectable(kind).label(name)))
            && self.fields.matches_with(|path| match path {
                "metadata.name" => Some(entry.name()),
                "metadata.namespace" => Some(entry.namespace()),
                other => entry.selectable(kind).field(other),
            })
    }

    /// The one field value that narrows a watch to a node's objects.
    pub(crate) fn node(&self) -> Option<&str> {
        self.fields.exact(NODE_FIELD)
    }
}
