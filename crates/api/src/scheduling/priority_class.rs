//! PriorityClass: how important pods are.

use crate::check::{self, Errors};
use crate::core::columns;
use crate::field::{FieldError, FieldPath};
use crate::kind::Kind;
use crate::resource::{Column, ResourceDef, Scope};
use crate::table::Cell;
use k8s_openapi::api::scheduling::v1::PriorityClass;
use k8s_openapi::jiff::Timestamp;

/// Above it are the system's own.
const VALUE_MAX: i32 = 1_000_000_000;
const SYSTEM_PREFIX: &str = "system-";
const SYSTEM: &[(&str, i32)] = &[("system-cluster-critical", 2_000_000_000), ("system-node-critical", 2_000_001_000)];

impl Kind for PriorityClass {
    const DEF: ResourceDef = ResourceDef {
        short_names: &["pc"],
        columns: &[
            Column::NAME,
            Column::integer("Value").about("How important."),
            Column::boolean("Global-Default").about("Whether pods get it that name no other."),
            Column::AGE,
            Column::text("PreemptionPolicy").about("Whether its pods may push others off."),
        ],
        ..ResourceDef::new(
            "scheduling.k8s.io",
            "v1",
            "PriorityClass",
            "priorityclasses",
            "priorityclass",
            Scope::Cluster,
            "k8s.io.api.scheduling.v1.PriorityClass",
        )
    };

    fn defaults(&mut self) {
        self.preemption_policy.get_or_insert_with(|| "PreemptLowerPriority".to_owned());
    }

    fn validate(&self) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let name = self.metadata.name.as_deref().unwrap_or_default();
        let value = self.value.unwrap_or_default();
        if name.starts_with(SYSTEM_PREFIX) {
            if !SYSTEM.contains(&(name, value)) {
                let detail = format!(
                    "priority class names with '{SYSTEM_PREFIX}' prefix are reserved for system use only. error: the \
                     name is not a known system priority class"
                );
                errors.push(FieldError::forbidden(FieldPath::new("metadata").child("name"), detail));
            }
        } else if value > VALUE_MAX {
            let detail = format!("maximum allowed value of a user defined priority is {VALUE_MAX}");
            errors.push(FieldError::forbidden(FieldPath::new("value"), detail));
        }
        let policies = &["PreemptLowerPriority", "Never"];
        let policy = self.preemption_policy.as_deref();
        check::supported_if_set(&mut errors, &FieldPath::new("preemptionPolicy"), policy, policies);
        errors
    }

    fn validate_update(&self, old: &PriorityClass) -> Vec<FieldError> {
        let mut errors = Errors::new();
        if self.value.unwrap_or_default() != old.value.unwrap_or_default() {
            errors.push(FieldError::forbidden(FieldPath::new("value"), "may not be changed in an update."));
        }
        let path = FieldPath::new("preemptionPolicy");
        check::immutable(&mut errors, path, &self.preemption_policy, &old.preemption_policy);
        errors
    }

    const GENERATION: bool = true;

    fn row(&self, now: Timestamp) -> Vec<Cell> {
        vec![
            columns::name(&self.metadata),
            Cell::from(self.value.unwrap_or_default()),
            Cell::Text(self.global_default.unwrap_or_default().to_string()),
            columns::created(&self.metadata, now),
            Cell::from(self.preemption_policy.as_deref().unwrap_or_default()),
        ]
    }
}
