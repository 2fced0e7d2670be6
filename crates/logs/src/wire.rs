//! Found lines as they travel: one JSON object a line.
//!
//! Invariants: `time` comes first and has a fixed width, so that streams are merged by comparing bytes; a line that is no
//! UTF-8 is readable in `line` and whole in `raw`.

use crate::level::Level;
use crate::search::Entry;
use crate::time;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// A line of a container's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine<'a> {
    /// RFC 3339 in UTC, nine digits.
    #[serde(borrow)]
    pub time: Cow<'a, str>,
    pub node: Cow<'a, str>,
    pub namespace: Cow<'a, str>,
    pub pod: Cow<'a, str>,
    pub uid: Cow<'a, str>,
    pub container: Cow<'a, str>,
    /// `Kind/name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workload: Option<Cow<'a, str>>,
    /// `stdout` or `stderr`.
    pub stream: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "is_none")]
    pub level: Level,
    /// It goes on in the next line of its stream.
    #[serde(default, skip_serializing_if = "is_false")]
    pub partial: bool,
    pub line: Cow<'a, str>,
    /// Base64 of a line that is no UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<Cow<'a, str>>,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature.
fn is_none(level: &Level) -> bool {
    *level == Level::None
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature.
fn is_false(value: &bool) -> bool {
    !value
}

/// What stands in one line of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Message<'a> {
    #[serde(borrow)]
    Line(Box<LogLine<'a>>),
    /// Something is missing from the answer, and why.
    Warning { warning: Cow<'a, str> },
    /// From here on lines come as they are written.
    Live { live: bool },
}

impl LogLine<'_> {
    /// The line as the container wrote it, without a newline.
    pub fn bytes(&self) -> Cow<'_, [u8]> {
        let raw = self.raw.as_deref().and_then(|raw| STANDARD.decode(raw).ok());
        raw.map_or(Cow::Borrowed(self.line.as_bytes()), Cow::Owned)
    }
}

/// Appends a found line.
pub fn write(out: &mut Vec<u8>, node: &str, entry: &Entry<'_>) -> serde_json::Result<()> {
    let stamp = time::format(entry.time);
    let pod = &*entry.source.pod;
    let workload = pod.workload.as_ref().map(|own| Cow::Owned(format!("{}/{}", own.kind, own.name)));
    let (line, raw) = match std::str::from_utf8(entry.text) {
        Ok(text) => (Cow::Borrowed(text), None),
        Err(_) => (String::from_utf8_lossy(entry.text), Some(Cow::Owned(STANDARD.encode(entry.text)))),
    };
    let line = LogLine {
        time: String::from_utf8_lossy(&stamp),
        node: node.into(),
        namespace: pod.namespace.as_str().into(),
        pod: pod.pod.as_str().into(),
        uid: pod.uid.as_str().into(),
        container: (&*entry.source.container).into(),
        workload,
        stream: if entry.stderr { "stderr" } else { "stdout" }.into(),
        level: entry.level,
        partial: entry.partial,
        line,
        raw,
    };
    serde_json::to_writer(&mut *out, &line)?;
    out.push(b'\n');
    Ok(())
}

/// Appends a warning.
pub fn write_warning(out: &mut Vec<u8>, warning: &str) -> serde_json::Result<()> {
    serde_json::to_writer(&mut *out, &Message::Warning { warning: warning.into() })?;
    out.push(b'\n');
    Ok(())
}

/// What stands between what was there and what comes.
pub const LIVE: &[u8] = b"{\"live\":true}\n";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{Identity, Workload};
    use crate::search::Source;
    use std::sync::Arc;

    fn written(text: &[u8], level: Level, partial: bool) -> String {
        let owner = Workload { kind: "DaemonSet".into(), name: "agent".into() };
        let pod = Identity::new("a", "p", "u", Default::default(), Some(owner));
        let source = Arc::new(Source { pod: Arc::new(pod), container: "c".into() });
        let entry = Entry { source: &source, time: 1_500_000_000, stderr: true, partial, level, text };
        let mut out = Vec::new();
        write(&mut out, "n1", &entry).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn lines_travel_whole() {
        let plain = written(b"say \"hi\"", Level::Warn, false);
        assert_eq!(
            plain,
            concat!(
                r#"{"time":"1970-01-01T00:00:01.500000000Z","node":"n1","namespace":"a","pod":"p","uid":"u","#,
                r#""container":"c","workload":"DaemonSet/agent","stream":"stderr","level":"warn","line":"say \"hi\""}"#,
                "\n"
            )
        );
        let junk = written(b"\xff\x00", Level::None, true);
        let Message::Line(line) = serde_json::from_str(&junk).unwrap() else { panic!("{junk}") };
        assert_eq!(
            (line.line.as_ref(), line.bytes().as_ref(), line.partial),
            ("\u{fffd}\0", b"\xff\x00".as_slice(), true)
        );
    }

    #[test]
    fn other_messages_are_told_from_lines() {
        let mut out = Vec::new();
        write_warning(&mut out, "node n2 is down").unwrap();
        let Message::Warning { warning } = serde_json::from_slice(&out).unwrap() else { panic!("{out:?}") };
        assert_eq!(warning, "node n2 is down");
        assert_eq!(serde_json::from_slice::<Message<'_>>(LIVE).unwrap(), Message::Live { live: true });
    }
}
