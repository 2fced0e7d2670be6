//! ComponentStatus: how a part of the control plane does. Nothing of it is stored: it is asked when it is read.

use crate::core::columns;
use crate::kind::Kind;
use crate::resource::{Column, ResourceDef, Scope, Verbs};
use crate::table::Cell;
use k8s_openapi::api::core::v1::ComponentStatus;
use k8s_openapi::jiff::Timestamp;

impl Kind for ComponentStatus {
    const DEF: ResourceDef = ResourceDef {
        short_names: &["cs"],
        verbs: Verbs::ReadOnly,
        deprecation: "v1 ComponentStatus is deprecated in v1.19+",
        columns: &[
            Column::NAME,
            Column::text("Status").about("Whether it is healthy."),
            Column::text("Message").about("What it says."),
            Column::text("Error").about("What is wrong with it."),
        ],
        ..ResourceDef::new(
            "",
            "v1",
            "ComponentStatus",
            "componentstatuses",
            "componentstatus",
            Scope::Cluster,
            "k8s.io.api.core.v1.ComponentStatus",
        )
    };

    fn row(&self, _now: Timestamp) -> Vec<Cell> {
        let health = self.conditions.iter().flatten().find(|condition| condition.type_ == "Healthy");
        let status = health.map_or("Unknown", |own| if own.status == "True" { "Healthy" } else { "Unhealthy" });
        let text = |text: Option<&String>| Cell::from(text.map_or("", String::as_str));
        vec![
            columns::name(&self.metadata),
            Cell::from(status),
            text(health.and_then(|own| own.message.as_ref())),
            text(health.and_then(|own| own.error.as_ref())),
        ]
    }
}
