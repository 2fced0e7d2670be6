//! ValidatingWebhookConfiguration: who is asked whether an object may be stored.

use super::webhooks::{Webhook, common, errors, webhook_defaults};
use crate::check;
use crate::core::columns;
use crate::field::FieldError;
use crate::kind::Kind;
use crate::resource::{Column, ResourceDef, Scope};
use crate::table::Cell;
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use k8s_openapi::jiff::Timestamp;

impl Kind for ValidatingWebhookConfiguration {
    const DEF: ResourceDef = ResourceDef {
        unconditional_update: false,
        categories: &["api-extensions"],
        columns: &[Column::NAME, Column::integer("Webhooks").about("How many it asks."), Column::AGE],
        ..ResourceDef::new(
            "admissionregistration.k8s.io",
            "v1",
            "ValidatingWebhookConfiguration",
            "validatingwebhookconfigurations",
            "validatingwebhookconfiguration",
            Scope::Cluster,
            "k8s.io.api.admissionregistration.v1.ValidatingWebhookConfiguration",
        )
    };

    fn defaults(&mut self) {
        for hook in self.webhooks.iter_mut().flatten() {
            webhook_defaults!(hook);
        }
    }

    fn validate(&self) -> Vec<FieldError> {
        errors(self.webhooks.iter().flatten().map(|hook| common!(hook)))
    }

    const GENERATION: bool = true;

    fn spec_differs(&self, old: &ValidatingWebhookConfiguration) -> bool {
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
