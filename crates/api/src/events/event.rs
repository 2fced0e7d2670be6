//! Event in its newer form: the same objects as core's events, under other names.

use crate::check;
use crate::field::{FieldError, FieldPath};
use crate::kind::Kind;
use crate::resource::{ResourceDef, Scope};
use crate::version::Version;
use k8s_openapi::api::core::v1::{self as core, EventSource};
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

    /// Core's form takes anything; this one knows of nothing old.
    fn validate_create(new: &core::Event) -> Vec<FieldError> {
        let mut errors = series(new);
        let path = FieldPath::new;
        if new.event_time.is_none() {
            errors.push(FieldError::required(path("eventTime"), ""));
        }
        let kind = new.type_.as_deref().unwrap_or_default();
        if !matches!(kind, "Normal" | "Warning") {
            errors.push(FieldError::invalid(path("type"), "", format!("has invalid value: {kind}")));
        }
        let source = new.source.as_ref();
        let has_source = source.is_some_and(|source| *source != EventSource::default());
        for (field, is_set) in [
            ("firstTimestamp", new.first_timestamp.is_some()),
            ("lastTimestamp", new.last_timestamp.is_some()),
            ("count", new.count.is_some_and(|count| count != 0)),
            ("source", has_source),
        ] {
            if is_set {
                errors.push(FieldError::invalid(path(field), "", "needs to be unset"));
            }
        }
        errors
    }

    /// It happens again, and nothing else.
    fn validate_update(new: &core::Event, old: &core::Event) -> Vec<FieldError> {
        let mut errors = if new.series == old.series { Vec::new() } else { series(new) };
        let path = FieldPath::new;
        check::immutable(&mut errors, path("involvedObject"), &new.involved_object, &old.involved_object);
        for (field, new, old) in [
            ("reason", &new.reason, &old.reason),
            ("message", &new.message, &old.message),
            ("type", &new.type_, &old.type_),
            ("action", &new.action, &old.action),
            ("reportingController", &new.reporting_component, &old.reporting_component),
            ("reportingInstance", &new.reporting_instance, &old.reporting_instance),
        ] {
            check::immutable(&mut errors, path(field), new, old);
        }
        check::immutable(&mut errors, path("source"), &new.source, &old.source);
        check::immutable(&mut errors, path("firstTimestamp"), &new.first_timestamp, &old.first_timestamp);
        check::immutable(&mut errors, path("lastTimestamp"), &new.last_timestamp, &old.last_timestamp);
        check::immutable(&mut errors, path("count"), &new.count, &old.count);
        check::immutable(&mut errors, path("eventTime"), &new.event_time, &old.event_time);
        check::immutable(&mut errors, path("related"), &new.related, &old.related);
        errors
    }

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

/// A series is of two at least.
fn series(event: &core::Event) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let Some(series) = &event.series else { return errors };
    if series.count.unwrap_or_default() < 2 {
        errors.push(FieldError::invalid(FieldPath::new("series.count"), "", "should be at least 2"));
    }
    if series.last_observed_time.is_none() {
        errors.push(FieldError::required(FieldPath::new("series.lastObservedTime"), ""));
    }
    errors
}
