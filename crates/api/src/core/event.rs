//! Event: what happened to an object, and how often.

use crate::kind::Kind;
use crate::resource::{ResourceDef, Scope};
use k8s_openapi::api::core::v1::Event;

impl Kind for Event {
    const DEF: ResourceDef = ResourceDef {
        short_names: &["ev"],
        ..ResourceDef::new(
            "",
            "v1",
            "Event",
            "events",
            "event",
            Scope::Namespaced,
            "k8s.io.api.core.v1.Event",
        )
    };
}
