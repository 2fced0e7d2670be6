//! FlowSchema: which requests have which priority level.

use super::mandatory::{self, EXEMPT};
use super::rules;
use crate::check::{self, Errors};
use crate::core::columns;
use crate::field::{FieldError, FieldPath};
use crate::kind::{Kind, generation_of_spec, status_apart};
use crate::resource::{Column, ResourceDef, Scope, Subresource};
use crate::table::Cell;
use k8s_openapi::api::flowcontrol::v1::FlowSchema;
use k8s_openapi::jiff::Timestamp;

const PRECEDENCE_DEFAULT: i32 = 1_000;
const PRECEDENCE_MAX: i32 = 10_000;

impl Kind for FlowSchema {
    const DEF: ResourceDef = ResourceDef {
        subresources: &[Subresource::Status],
        columns: &[
            Column::NAME,
            Column::text("PriorityLevel").about("The level of its requests."),
            Column::text("MatchingPrecedence").about("Which schemas are asked before it: those with less."),
            Column::text("DistinguisherMethod").about("How its requests part into flows."),
            Column::AGE,
            Column::text("MissingPL").about("Whether its level is not there."),
        ],
        ..ResourceDef::new(
            "flowcontrol.apiserver.k8s.io",
            "v1",
            "FlowSchema",
            "flowschemas",
            "flowschema",
            Scope::Cluster,
            "k8s.io.api.flowcontrol.v1.FlowSchema",
        )
    };

    fn defaults(&mut self) {
        if self.spec.matching_precedence.is_none_or(|precedence| precedence == 0) {
            self.spec.matching_precedence = Some(PRECEDENCE_DEFAULT);
        }
        self.status.get_or_insert_default();
    }

    status_apart!(FlowSchema);
    generation_of_spec!(FlowSchema);

    fn validate(&self) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let spec = &self.spec;
        let path = FieldPath::new("spec");
        let name = self.metadata.name.as_deref().unwrap_or_default();
        if mandatory::schema(name).is_some_and(|fixed| !check::same(spec, &fixed)) {
            let detail = format!("spec of '{name}' must equal the fixed value");
            errors.push(FieldError::invalid(path.clone(), spec, detail));
        }
        let precedence = spec.matching_precedence.unwrap_or_default();
        let mut refuse = |detail: String| {
            errors.push(FieldError::invalid(path.child("matchingPrecedence"), &precedence, detail));
        };
        if precedence <= 0 {
            refuse("must be a positive value".to_owned());
        }
        if precedence > PRECEDENCE_MAX {
            refuse(format!("must not be greater than {PRECEDENCE_MAX}"));
        }
        if precedence == 1 && name != EXEMPT {
            refuse("only the schema named 'exempt' may have matchingPrecedence 1".to_owned());
        }
        if let Some(method) = &spec.distinguisher_method {
            let path = path.child("distinguisherMethod").child("type");
            check::supported_if_set(&mut errors, &path, Some(&method.type_), &["ByNamespace", "ByUser"]);
        }
        let level = path.child("priorityLevelConfiguration").child("name");
        match spec.priority_level_configuration.name.as_str() {
            "" => errors.push(FieldError::required(level, "must reference a priority level")),
            name => check::dns1123_subdomain(&mut errors, &level, name),
        }
        for (index, rule) in spec.rules.iter().flatten().enumerate() {
            rules::rule(&mut errors, &path.child("rules").index(index), rule);
        }
        let conditions = self.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
        rules::condition_types(&mut errors, conditions.iter().map(|condition| condition.type_.as_str()));
        errors
    }

    fn row(&self, now: Timestamp) -> Vec<Cell> {
        let spec = &self.spec;
        let method = spec.distinguisher_method.as_ref().map(|method| method.type_.as_str());
        let mut conditions = self.status.iter().flat_map(|status| status.conditions.iter().flatten());
        let dangling = conditions.find(|condition| condition.type_ == "Dangling");
        let dangling = dangling.and_then(|condition| condition.status.as_deref());
        vec![
            columns::name(&self.metadata),
            Cell::from(spec.priority_level_configuration.name.as_str()),
            Cell::from(spec.matching_precedence.unwrap_or_default()),
            columns::or_none(method),
            columns::created(&self.metadata, now),
            Cell::from(dangling.unwrap_or("?")),
        ]
    }
}
