//! Loki's push API: `logproto.PushRequest`, compressed by snappy. Names and numbers are the protocol's.

use super::batch::Page;
use crate::search::Source;
use crate::time::Nanoseconds;
use prost::Message;
use std::collections::BTreeMap;

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct PushRequest {
    #[prost(message, repeated, tag = "1")]
    pub(super) streams: Vec<Stream>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Stream {
    /// As a selector is written.
    #[prost(string, tag = "1")]
    pub(super) labels: String,
    #[prost(message, repeated, tag = "2")]
    pub(super) entries: Vec<Entry>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Entry {
    #[prost(message, optional, tag = "1")]
    pub(super) timestamp: Option<Timestamp>,
    /// Text only: bytes that are none are replaced.
    #[prost(string, tag = "2")]
    pub(super) line: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Timestamp {
    #[prost(int64, tag = "1")]
    pub(super) seconds: i64,
    #[prost(int32, tag = "2")]
    pub(super) nanos: i32,
}

const SECOND: i64 = 1_000_000_000;

/// # Errors
/// It cannot be compressed.
pub(super) fn body(node: &str, page: &Page) -> Result<Vec<u8>, snap::Error> {
    let mut streams: BTreeMap<String, Stream> = BTreeMap::new();
    for part in &page.parts {
        let labels = [false, true].map(|stderr| labels(node, &part.source, stderr));
        let mut before: [(Nanoseconds, i64); 2] = [(i64::MIN, 0); 2];
        for (line, text) in part.lines() {
            let which = usize::from(line.is_stderr());
            let (time, same) = before[which];
            // Loki takes equal lines of one time for one line: they are told apart by a nanosecond each.
            before[which] = (line.time, if time == line.time { same + 1 } else { 0 });
            let time = line.time.saturating_add(before[which].1);
            let timestamp = Timestamp { seconds: time.div_euclid(SECOND), nanos: time.rem_euclid(SECOND) as i32 };
            let entry = Entry { timestamp: Some(timestamp), line: String::from_utf8_lossy(text).into_owned() };
            let stream = match streams.get_mut(&labels[which]) {
                Some(stream) => stream,
                None => streams
                    .entry(labels[which].clone())
                    .or_insert(Stream { labels: labels[which].clone(), entries: Vec::new() }),
            };
            stream.entries.push(entry);
        }
    }
    let request = PushRequest { streams: streams.into_values().collect() };
    snap::raw::Encoder::new().compress_vec(&request.encode_to_vec())
}

/// Few, as each combination of values is a stream of Loki's.
fn labels(node: &str, source: &Source, stderr: bool) -> String {
    let pod = &source.pod;
    let workload = pod.workload.as_ref().map(|own| format!("{}/{}", own.kind, own.name));
    let pairs = [
        ("container", &*source.container),
        ("namespace", &pod.namespace),
        ("node", node),
        ("pod", &pod.pod),
        ("stream", if stderr { "stderr" } else { "stdout" }),
        ("workload", workload.as_deref().unwrap_or_default()),
    ];
    let pairs = pairs.iter().filter(|(_, value)| !value.is_empty());
    let pairs: Vec<String> = pairs.map(|(name, value)| format!("{name}={value:?}")).collect();
    format!("{{{}}}", pairs.join(", "))
}

#[cfg(test)]
mod tests {
    use super::super::batch::tests::{page, taken};
    use super::*;

    #[test]
    fn containers_are_streams() {
        let lines: [&[u8]; 5] = [
            b"1970-01-01T00:00:01.5Z stderr F broken",
            b"1970-01-01T00:00:02Z stdout F same",
            b"1970-01-01T00:00:02Z stdout F same",
            b"1970-01-01T00:00:02Z stdout F same",
            b"1970-01-01T00:00:01Z stdout F \xff",
        ];
        let body = body("n1", &page(vec![taken("web-1", &lines, 0)])).unwrap();
        let plain = snap::raw::Decoder::new().decompress_vec(&body).unwrap();
        let request = PushRequest::decode(plain.as_slice()).unwrap();
        let shown = |stream: &Stream| -> Vec<String> {
            let entry = |own: &Entry| {
                let at = own.timestamp.as_ref().unwrap();
                format!("{}.{:09} {}", at.seconds, at.nanos, own.line)
            };
            [stream.labels.clone()].into_iter().chain(stream.entries.iter().map(entry)).collect()
        };
        let shown: Vec<_> = request.streams.iter().map(shown).collect();
        let labels = |stream: &str| {
            format!(
                "{{container=\"main\", namespace=\"shop\", node=\"n1\", pod=\"web-1\", stream=\"{stream}\", \
                 workload=\"Deployment/web\"}}"
            )
        };
        assert_eq!(shown[0], [labels("stderr"), "1.500000000 broken".into()]);
        let times = ["2.000000000 same", "2.000000001 same", "2.000000002 same", "1.000000000 \u{fffd}"];
        assert_eq!(shown[1], [vec![labels("stdout")], times.map(str::to_owned).to_vec()].concat());
    }
}
