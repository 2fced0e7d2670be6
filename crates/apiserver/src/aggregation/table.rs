//! What the APIServices of one moment say.

use super::openapi::RemoteDocument;
use super::priority::Priority;
use super::remote::Remote;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Of one APIService.
#[derive(Clone)]
pub(crate) struct Known {
    pub(crate) priority: Priority,
    /// `None`: this server answers.
    pub(crate) remote: Option<Arc<Remote>>,
}

/// By group and version.
#[derive(Default)]
pub(crate) struct Table {
    by_group: BTreeMap<String, BTreeMap<String, Known>>,
    remotes: usize,
}

impl Table {
    pub(super) fn insert(&mut self, group: &str, version: &str, known: Known) {
        self.remotes += usize::from(known.remote.is_some());
        self.by_group.entry(group.to_owned()).or_default().insert(version.to_owned(), known);
    }

    pub(super) fn has_remotes(&self) -> bool {
        self.remotes > 0
    }

    pub(crate) fn remote(&self, group: &str, version: &str) -> Option<&Arc<Remote>> {
        self.by_group.get(group)?.get(version)?.remote.as_ref()
    }

    pub(crate) fn is_remote(&self, group: &str, version: &str) -> bool {
        self.has_remotes() && self.remote(group, version).is_some()
    }

    pub(crate) fn priority(&self, group: &str, version: &str) -> Priority {
        let own = self.by_group.get(group).and_then(|versions| versions.get(version));
        own.map_or_else(|| Priority::unregistered(group, version), |known| known.priority)
    }

    /// The others' parts of the OpenAPI v2 document.
    pub(crate) fn openapi_v2(&self) -> Vec<Arc<RemoteDocument>> {
        self.remotes().filter_map(|(.., remote)| remote.state().openapi_v2.clone()).collect()
    }

    /// In upstream's name: 1 for each server that cannot be asked.
    pub(crate) fn metrics(&self, text: &mut String) {
        const NAME: &str = "aggregator_unavailable_apiservice";
        text.push_str(&format!("# HELP {NAME} Whether the server behind an APIService cannot be asked.\n"));
        text.push_str(&format!("# TYPE {NAME} gauge\n"));
        for (group, version, remote) in self.remotes() {
            let value = u8::from(!remote.state().is_available);
            text.push_str(&format!("{NAME}{{name=\"{version}.{group}\"}} {value}\n"));
        }
    }

    /// Group, version and the server that answers them.
    pub(crate) fn remotes(&self) -> impl Iterator<Item = (&str, &str, &Arc<Remote>)> {
        self.by_group.iter().flat_map(|(group, versions)| {
            versions.iter().filter_map(|(version, known)| {
                known.remote.as_ref().map(|remote| (group.as_str(), version.as_str(), remote))
            })
        })
    }
}
