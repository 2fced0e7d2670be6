//! OTLP over HTTP: `opentelemetry.proto.collector.logs.v1`. Names and numbers are the protocol's, attributes those of
//! OpenTelemetry's semantic conventions.

use super::batch::{Page, Part};
use crate::level::Level;
use crate::search::Source;
use prost::Message;

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ExportLogsServiceRequest {
    #[prost(message, repeated, tag = "1")]
    pub(super) resource_logs: Vec<ResourceLogs>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ResourceLogs {
    #[prost(message, optional, tag = "1")]
    pub(super) resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    pub(super) scope_logs: Vec<ScopeLogs>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Resource {
    #[prost(message, repeated, tag = "1")]
    pub(super) attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ScopeLogs {
    #[prost(message, optional, tag = "1")]
    pub(super) scope: Option<Scope>,
    #[prost(message, repeated, tag = "2")]
    pub(super) log_records: Vec<LogRecord>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Scope {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) version: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct LogRecord {
    #[prost(fixed64, tag = "1")]
    pub(super) time_unix_nano: u64,
    #[prost(fixed64, tag = "11")]
    pub(super) observed_time_unix_nano: u64,
    #[prost(int32, tag = "2")]
    pub(super) severity_number: i32,
    #[prost(string, tag = "3")]
    pub(super) severity_text: String,
    #[prost(message, optional, tag = "5")]
    pub(super) body: Option<AnyValue>,
    #[prost(message, repeated, tag = "6")]
    pub(super) attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct KeyValue {
    #[prost(string, tag = "1")]
    pub(super) key: String,
    #[prost(message, optional, tag = "2")]
    pub(super) value: Option<AnyValue>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct AnyValue {
    #[prost(oneof = "Value", tags = "1, 3, 7")]
    pub(super) value: Option<Value>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(super) enum Value {
    #[prost(string, tag = "1")]
    Text(String),
    #[prost(int64, tag = "3")]
    Number(i64),
    #[prost(bytes = "vec", tag = "7")]
    Bytes(Vec<u8>),
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ExportLogsServiceResponse {
    #[prost(message, optional, tag = "1")]
    pub(super) partial_success: Option<PartialSuccess>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct PartialSuccess {
    #[prost(int64, tag = "1")]
    pub(super) rejected_log_records: i64,
    #[prost(string, tag = "2")]
    pub(super) error_message: String,
}

/// What a receiver says of a request that it could not take.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct RpcStatus {
    #[prost(string, tag = "2")]
    pub(super) message: String,
}

pub(super) fn body(node: &str, page: &Page) -> Vec<u8> {
    let resource_logs = page.parts.iter().map(|part| of_part(node, part)).collect();
    ExportLogsServiceRequest { resource_logs }.encode_to_vec()
}

fn of_part(node: &str, part: &Part) -> ResourceLogs {
    let log_records = part.lines().map(|(line, text)| record(line, text)).collect();
    let scope = Scope { name: "sampan".into(), version: env!("CARGO_PKG_VERSION").into() };
    ResourceLogs {
        resource: Some(Resource { attributes: resource(node, &part.source, part.attempt()) }),
        scope_logs: vec![ScopeLogs { scope: Some(scope), log_records }],
    }
}

fn text(key: &str, value: &str) -> KeyValue {
    pair(key, Value::Text(value.to_owned()))
}

fn pair(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }) }
}

fn resource(node: &str, source: &Source, attempt: u32) -> Vec<KeyValue> {
    let pod = &source.pod;
    let own_name = pod.labels.get("app.kubernetes.io/name").map(String::as_str);
    let workload = pod.workload.as_ref();
    let service = own_name.or(workload.map(|own| own.name.as_str())).unwrap_or(&pod.pod);
    let mut attributes = vec![
        text("service.name", service),
        text("k8s.node.name", node),
        text("k8s.namespace.name", &pod.namespace),
        text("k8s.pod.name", &pod.pod),
        text("k8s.pod.uid", &pod.uid),
        text("k8s.container.name", &source.container),
        pair("k8s.container.restart_count", Value::Number(attempt.into())),
    ];
    for own in [&pod.workload, &pod.owner].into_iter().flatten() {
        let key = format!("k8s.{}.name", own.kind.to_ascii_lowercase());
        if attributes.iter().all(|known| known.key != key) {
            attributes.push(text(&key, &own.name));
        }
    }
    attributes.extend(pod.labels.iter().map(|(name, value)| text(&format!("k8s.pod.label.{name}"), value)));
    attributes
}

fn record(line: crate::block::Line, own: &[u8]) -> LogRecord {
    let time = u64::try_from(line.time).unwrap_or(0);
    let body = match std::str::from_utf8(own) {
        Ok(text) => Value::Text(text.to_owned()),
        Err(_) => Value::Bytes(own.to_owned()),
    };
    let mut attributes = vec![text("log.iostream", if line.is_stderr() { "stderr" } else { "stdout" })];
    if line.is_partial() {
        // As containerd's parsers in collectors name it.
        attributes.push(text("logtag", "P"));
    }
    LogRecord {
        time_unix_nano: time,
        observed_time_unix_nano: time,
        severity_number: severity(line.level()),
        severity_text: line.level().name().to_ascii_uppercase(),
        body: Some(AnyValue { value: Some(body) }),
        attributes,
    }
}

fn severity(level: Level) -> i32 {
    match level {
        Level::None => 0,
        Level::Trace => 1,
        Level::Debug => 5,
        Level::Info => 9,
        Level::Warn => 13,
        Level::Error => 17,
        Level::Fatal => 21,
    }
}

#[cfg(test)]
mod tests {
    use super::super::batch::tests::{page, taken};
    use super::*;

    fn shown(attributes: &[KeyValue]) -> String {
        let value = |own: &KeyValue| match own.value.clone().and_then(|any| any.value) {
            Some(Value::Text(text)) => text,
            other => format!("{other:?}"),
        };
        let shown: Vec<_> = attributes.iter().map(|own| format!("{}={}", own.key, value(own))).collect();
        shown.join(" ")
    }

    #[test]
    fn lines_are_records_of_their_pods() {
        let lines: [&[u8]; 2] =
            [b"1970-01-01T00:00:01.5Z stderr F level=error broken", b"1970-01-01T00:00:02Z stdout P \xff\x00"];
        let body = body("n1", &page(vec![taken("web-1", &lines, 0)]));
        let request = ExportLogsServiceRequest::decode(body.as_slice()).unwrap();
        let own = &request.resource_logs[0];
        assert_eq!(
            shown(&own.resource.as_ref().unwrap().attributes),
            "service.name=web k8s.node.name=n1 k8s.namespace.name=shop k8s.pod.name=web-1 k8s.pod.uid=uid-web-1 \
             k8s.container.name=main k8s.container.restart_count=Some(Number(2)) k8s.deployment.name=web \
             k8s.pod.label.app=web"
        );
        let [first, second] = own.scope_logs[0].log_records.as_slice() else { panic!("{own:?}") };
        assert_eq!((first.time_unix_nano, first.severity_number), (1_500_000_000, 17));
        assert_eq!((first.severity_text.as_str(), shown(&first.attributes)), ("ERROR", "log.iostream=stderr".into()));
        let body = |record: &LogRecord| record.body.clone().unwrap().value.unwrap();
        assert_eq!(body(first), Value::Text("level=error broken".into()));
        assert_eq!(body(second), Value::Bytes(b"\xff\x00".to_vec()));
        assert_eq!(shown(&second.attributes), "log.iostream=stdout logtag=P");
    }
}
