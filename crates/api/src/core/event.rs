//! Event: what happened to an object, and how often.

use crate::check::{self, Errors};
use crate::core::columns;
use crate::field::{FieldError, FieldPath};
use crate::kind::{FieldValues, Kind};
use crate::resource::{Column, ResourceDef, Scope};
use crate::table::{Cell, age};
use k8s_openapi::api::core::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};
use k8s_openapi::jiff::Timestamp;

const TEXT_BYTES_MAX: usize = 128;
const MESSAGE_BYTES_MAX: usize = 1024;

impl Kind for Event {
    const DEF: ResourceDef = ResourceDef {
        create_on_update: true,
        short_names: &["ev"],
        columns: &[
            Column::text("Last Seen").about("When it last happened."),
            Column::text("Type").about("Normal, or Warning."),
            Column::text("Reason").about("What happened, in a word."),
            Column::text("Object").about("What it happened to."),
            Column::wide("Subobject").about("The part of the object."),
            Column::wide("Source").about("Who says so."),
            Column::text("Message").about("What happened, for people."),
            Column::wide("First Seen").about("When it first happened."),
            Column::wide("Count").about("How often it happened."),
            Column { priority: 1, ..Column::NAME },
        ],
        selectable: &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        ],
        ..ResourceDef::new("", "v1", "Event", "events", "event", Scope::Namespaced, "k8s.io.api.core.v1.Event")
    };

    fn validate(&self) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let own = self.metadata.namespace.as_deref().unwrap_or_default();
        let involved = self.involved_object.namespace.as_deref().unwrap_or_default();
        let path = FieldPath::new("involvedObject").child("namespace");
        // Events of objects without a namespace live in `default`.
        let agrees = match (involved, &self.event_time) {
            ("", None) => matches!(own, "" | "default"),
            ("", Some(_)) => matches!(own, "default" | "kube-system"),
            (involved, None) => involved == own,
            (_, Some(_)) => true,
        };
        if !agrees {
            errors.push(FieldError::invalid(path, involved, "does not match event.namespace"));
        }
        if self.event_time.is_some() {
            new_form(&mut errors, self);
        }
        errors
    }

    fn fields(&self) -> FieldValues {
        let involved = &self.involved_object;
        let source = self.source.as_ref().and_then(|source| source.component.clone()).filter(|text| !text.is_empty());
        [
            ("involvedObject.kind", involved.kind.clone()),
            ("involvedObject.namespace", involved.namespace.clone()),
            ("involvedObject.name", involved.name.clone()),
            ("involvedObject.uid", involved.uid.clone()),
            ("involvedObject.apiVersion", involved.api_version.clone()),
            ("involvedObject.resourceVersion", involved.resource_version.clone()),
            ("involvedObject.fieldPath", involved.field_path.clone()),
            ("reason", self.reason.clone()),
            ("reportingComponent", self.reporting_component.clone()),
            ("source", source.or_else(|| self.reporting_component.clone())),
            ("type", self.type_.clone()),
        ]
        .into_iter()
        .map(|(path, value)| (path, value.unwrap_or_default()))
        .collect()
    }

    fn row(&self, now: Timestamp) -> Vec<Cell> {
        let first = first_seen(self);
        let last = self.last_timestamp.clone().or_else(|| first.clone());
        let (last, count) = match &self.series {
            Some(series) => (series.last_observed_time.as_ref().map(to_time), series.count.unwrap_or_default()),
            None => (last, self.count.filter(|count| *count != 0).unwrap_or(1)),
        };
        let involved = &self.involved_object;
        let kind = involved.kind.as_deref().unwrap_or_default().to_lowercase();
        let object = match involved.name.as_deref().unwrap_or_default() {
            "" => kind,
            name => format!("{kind}/{name}"),
        };
        vec![
            age(last.as_ref(), now),
            Cell::from(self.type_.as_deref().unwrap_or_default()),
            Cell::from(self.reason.as_deref().unwrap_or_default()),
            Cell::Text(object),
            Cell::from(involved.field_path.as_deref().unwrap_or_default()),
            Cell::Text(source(self)),
            Cell::from(self.message.as_deref().unwrap_or_default().trim()),
            age(first.as_ref(), now),
            Cell::from(count),
            columns::name(&self.metadata),
        ]
    }

    fn validate_name(name: &str, prefix_only: bool) -> Vec<String> {
        crate::labels::path_segment(name, prefix_only)
    }
}

fn to_time(time: &MicroTime) -> Time {
    Time(time.0)
}

fn first_seen(event: &Event) -> Option<Time> {
    event.first_timestamp.clone().or_else(|| event.event_time.as_ref().map(to_time))
}

fn source(event: &Event) -> String {
    let text = |value: Option<&String>| value.cloned().unwrap_or_default();
    let own = event.source.as_ref();
    let component = text(own.and_then(|source| source.component.as_ref()));
    let (who, at) = if component.is_empty() {
        (text(event.reporting_component.as_ref()), text(event.reporting_instance.as_ref()))
    } else {
        (component, text(own.and_then(|source| source.host.as_ref())))
    };
    if at.is_empty() { who } else { format!("{who}, {at}") }
}

/// Events that carry `eventTime` are held to more.
fn new_form(errors: &mut Errors, event: &Event) {
    let reporter = event.reporting_component.as_deref().unwrap_or_default();
    check::present(errors, FieldPath::new("reportingController"), Some(reporter));
    check::label_key(errors, &FieldPath::new("reportingController"), reporter);
    for (field, value) in
        [("reportingInstance", &event.reporting_instance), ("action", &event.action), ("reason", &event.reason)]
    {
        let value = value.as_deref().unwrap_or_default();
        check::present(errors, FieldPath::new(field), Some(value));
        too_long(errors, field, value, TEXT_BYTES_MAX);
    }
    too_long(errors, "message", event.message.as_deref().unwrap_or_default(), MESSAGE_BYTES_MAX);
}

fn too_long(errors: &mut Errors, field: &str, value: &str, bytes_max: usize) {
    if value.len() > bytes_max {
        let detail = format!("can have at most {bytes_max} characters");
        errors.push(FieldError::invalid(FieldPath::new(field), "", detail));
    }
}
