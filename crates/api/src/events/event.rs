//! Event in its newer form: the same objects as core's events, under other names.

use crate::kind::Kind;
use crate::resource::{ResourceDef, Scope};
use crate::version::Version;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::events::v1::{Event, EventSeries};

impl Version for Event {
    type Stored = core::Event;

    const DEF: ResourceDef = ResourceDef {
        create_on_update: true,
        short_names: &["ev"],
        columns: core::Event::DEF.columns,
        selectable: &[
            "reason",
            "regarding.kind",
            "regarding.namespace",
            "regarding.name",
            "regarding.uid",
            "regarding.apiVersion",
            "regarding.resourceVersion",
            "regarding.fieldPath",
            "reportingController",
            "type",
        ],
        ..ResourceDef::new(
            "events.k8s.io",
            "v1",
            "Event",
            "events",
            "event",
            Scope::Namespaced,
            "k8s.io.api.events.v1.Event",
        )
    };

    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("regarding.kind", "involvedObject.kind"),
        ("regarding.namespace", "involvedObject.namespace"),
        ("regarding.name", "involvedObject.name"),
        ("regarding.uid", "involvedObject.uid"),
        ("regarding.apiVersion", "involvedObject.apiVersion"),
        ("regarding.resourceVersion", "involvedObject.resourceVersion"),
        ("regarding.fieldPath", "involvedObject.fieldPath"),
        ("reportingController", "reportingComponent"),
    ];

    fn from_stored(stored: core::Event) -> Event {
        Event {
            action: stored.action,
            deprecated_count: stored.count,
            deprecated_first_timestamp: stored.first_timestamp,
            deprecated_last_timestamp: stored.last_timestamp,
            deprecated_source: stored.source,
            event_time: stored.event_time,
            metadata: stored.metadata,
            note: stored.message,
            reason: stored.reason,
            regarding: Some(stored.involved_object),
            related: stored.related,
            reporting_controller: stored.reporting_component,
            reporting_instance: stored.reporting_instance,
            // A series without a last time is none that this form could show.
            series: stored.series.and_then(|series| {
                let last_observed_time = series.last_observed_time?;
                Some(EventSeries { count: series.count.unwrap_or_default(), last_observed_time })
            }),
            type_: stored.type_,
        }
    }

    fn into_stored(self) -> core::Event {
        core::Event {
            action: self.action,
            count: self.deprecated_count,
            event_time: self.event_time,
            first_timestamp: self.deprecated_first_timestamp,
            involved_object: self.regarding.unwrap_or_default(),
            last_timestamp: self.deprecated_last_timestamp,
            message: self.note,
            metadata: self.metadata,
            reason: self.reason,
            related: self.related,
            reporting_component: self.reporting_controller,
            reporting_instance: self.reporting_instance,
            series: self.series.map(|series| core::EventSeries {
                count: Some(series.count),
                last_observed_time: Some(series.last_observed_time),
            }),
            source: self.deprecated_source,
            type_: self.type_,
        }
    }
}
