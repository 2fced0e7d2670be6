//! Which objects a patch or a replacement is for.

use super::file::Selector;
use super::resource::{Id, Resource};
use crate::failure::{Failure, Result};
use api::selector;
use regex::Regex;
use serde_json::Value;

/// Patterns of whole names; empty ones fit all.
pub(super) struct Chosen {
    group: Option<Regex>,
    version: Option<Regex>,
    kind: Option<Regex>,
    name: Option<Regex>,
    namespace: Option<Regex>,
    labels: Option<selector::Selector>,
    annotations: Option<selector::Selector>,
}

fn pattern(text: &str) -> Result<Option<Regex>> {
    if text.is_empty() {
        return Ok(None);
    }
    let whole = format!("^(?:{})$", text.trim_start_matches('^').trim_end_matches('$'));
    Regex::new(&whole).map(Some).map_err(|error| Failure::message(error.to_string()))
}

fn query(text: &str) -> Result<Option<selector::Selector>> {
    if text.is_empty() {
        return Ok(None);
    }
    selector::Selector::parse(text).map(Some).map_err(|error| Failure::message(error.to_string()))
}

fn fits(pattern: &Option<Regex>, text: &str) -> bool {
    pattern.as_ref().is_none_or(|pattern| pattern.is_match(text))
}

impl Chosen {
    pub(super) fn of(selector: &Selector) -> Result<Chosen> {
        Ok(Chosen {
            group: pattern(&selector.group)?,
            version: pattern(&selector.version)?,
            kind: pattern(&selector.kind)?,
            name: pattern(&selector.name)?,
            namespace: pattern(&selector.namespace)?,
            labels: query(&selector.label_selector)?,
            annotations: query(&selector.annotation_selector)?,
        })
    }

    /// By any name and namespace that it had.
    pub(super) fn is(&self, resource: &Resource) -> bool {
        let own = resource.id();
        let kinds = fits(&self.group, &own.group) && fits(&self.version, &own.version) && fits(&self.kind, &own.kind);
        kinds
            && resource.ids().any(|id| fits(&self.name, &id.name))
            && resource.ids().any(|id| fits(&self.namespace, id.effective_namespace()))
            && queried(&self.labels, resource.object.pointer("/metadata/labels"))
            && queried(&self.annotations, resource.object.pointer("/metadata/annotations"))
    }
}

fn queried(query: &Option<selector::Selector>, texts: Option<&Value>) -> bool {
    query.as_ref().is_none_or(|query| query.matches_with(|key| texts?.get(key)?.as_str()))
}

/// Whether an id is what a selector says letter by letter; what it does not say fits all.
pub(super) fn is_exactly(selector: &Selector, id: &Id) -> bool {
    let fits = |wanted: &str, own: &str| wanted.is_empty() || wanted == own;
    fits(&selector.group, &id.group)
        && fits(&selector.version, &id.version)
        && fits(&selector.kind, &id.kind)
        && fits(&selector.name, &id.name)
        && fits(&selector.namespace, &id.namespace)
}
