//! MutatingWebhookConfiguration: who is asked to change an object before it is stored.

use super::webhooks::{Webhook, common, errors, webhook_defaults};
use crate::check;
use crate::core::columns;
use crate::field::{FieldError, FieldPath};
use crate::kind::Kind;
use crate::resource::{Column, ResourceDef, Scope};
use crate::table::Cell;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::jiff::Timestamp;

impl Kind for MutatingWebhookConfiguration {
    const DEF: ResourceDef = ResourceDef {
        unconditional_update: false,
        categories: &["api-extensions"],
        columns: &[Column::NAME, Column::integer("Webhooks").about("How many it asks."), Column::AGE],
        ..ResourceDef::new(
            "admissionregistration.k8s.io",
            "v1",
            "MutatingWebhookConfiguration",
            "mutatingwebhookconfigurations",
            "mutatingwebhookconfiguration",
            Scope::Cluster,
            "k8s.io.api.admissionregistration.v1.MutatingWebhookConfiguration",
        )
    };

    fn defaults(&mut self) {
        for hook in self.webhooks.iter_mut().flatten() {
            webhook_defaults!(hook);
            hook.reinvocation_policy.get_or_insert_with(|| "Never".to_owned());
        }
    }

    fn validate(&self) -> Vec<FieldError> {
        let mut errors = errors(self.webhooks.iter().flatten().map(|hook| common!(hook)));
        for (index, hook) in self.webhooks.iter().flatten().enumerate() {
            let path = FieldPath::new("webhooks").index(index).child("reinvocationPolicy");
            check::supported_if_set(&mut errors, &path, hook.reinvocation_policy.as_deref(), &["IfNeeded", "Never"]);
        }
        errors
    }

    const GENERATION: bool = true;

    fn spec_differs(&self, old: &MutatingWebhookConfiguration) -> bool {
        !check::same(&self.webhooks, &old.webhooks)
    }

    fn row(&self, now: Timestamp) -> Vec<Cell> {
        vec![
            columns::name(&self.metadata),
            Cell::Integer(self.webhooks.as_ref().map_or(0, |hooks| hooks.len() as i64)),
            columns::created(&self.metadata, now),
        ]
    }
}
