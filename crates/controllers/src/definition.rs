//! Of a definition of a custom kind what controllers ask: by which row its objects can be reached.
//!
//! Whole definitions are large: decoded, one of a common operator takes a megabyte.

use api::custom::{TooManyNames, row_of};
use api::{Kind, ResourceDef};
use client::{Cached, Meta};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use std::collections::BTreeMap;

static NO_LABELS: BTreeMap<String, String> = BTreeMap::new();

#[derive(Debug)]
pub(crate) struct DefinitionView {
    name: String,
    uid: String,
    resource_version: String,
    /// `None` while the kind is not served.
    pub(crate) row: Result<Option<&'static ResourceDef>, TooManyNames>,
}

fn is_established(definition: &CustomResourceDefinition) -> bool {
    let conditions = definition.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == "Established" && condition.status == "True")
}

impl Cached for DefinitionView {
    const RESOURCE: ResourceDef = CustomResourceDefinition::DEF;

    type Shelf = ();

    fn decode(json: &[u8], _: &mut ()) -> Result<DefinitionView, serde_json::Error> {
        let definition: CustomResourceDefinition = serde_json::from_slice(json)?;
        let row = if is_established(&definition) { row_of(&definition) } else { Ok(None) };
        let meta = definition.metadata;
        Ok(DefinitionView {
            name: meta.name.unwrap_or_default(),
            uid: meta.uid.unwrap_or_default(),
            resource_version: meta.resource_version.unwrap_or_default(),
            row,
        })
    }

    fn meta(&self) -> Meta<'_> {
        Meta {
            namespace: "",
            name: &self.name,
            uid: &self.uid,
            resource_version: &self.resource_version,
            labels: &NO_LABELS,
            owners: &[],
            deletion: None,
            has_finalizers: false,
        }
    }
}
