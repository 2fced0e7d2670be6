//! What the API says about its messages and fields, for `explain`.
//!
//! Invariants: compressed in the binary and read for one document at a time, never kept: a server needs it seldom.

use flate2::read::DeflateDecoder;
use std::collections::HashMap;
use std::io::Read as _;

/// Made by `cargo xtask schema` from the sources of `k8s-openapi`: Kubernetes' own API documentation (Apache-2.0).
static COMPRESSED: &[u8] = include_bytes!("docs.deflate");

pub(super) struct Descriptions {
    text: String,
    /// Where a definition's lines begin and end in `text`.
    definitions: HashMap<String, std::ops::Range<usize>>,
}

impl Descriptions {
    pub(super) fn read() -> Descriptions {
        let mut text = String::new();
        DeflateDecoder::new(COMPRESSED).read_to_string(&mut text).expect("the committed file decompresses: tested");
        let mut definitions = HashMap::new();
        let mut at = 0;
        let mut open: Option<(String, usize)> = None;
        for line in text.split_inclusive('\n') {
            if let Some(head) = line.strip_prefix("M ") {
                if let Some((name, start)) = open.take() {
                    definitions.insert(name, start..at);
                }
                open = head.split('\t').next().map(|name| (name.to_owned(), at));
            }
            at += line.len();
        }
        definitions.extend(open.map(|(name, start)| (name, start..at)));
        Descriptions { text, definitions }
    }

    /// The description of a definition, such as `io.k8s.api.core.v1.Pod`.
    pub(super) fn definition(&self, name: &str) -> Option<String> {
        match self.lines(name) {
            Some(mut lines) => lines.next().and_then(|line| unescaped(line.split_once('\t')?.1)),
            None => listed(name).map(|kind| format!("{kind}List is a list of {kind}.")),
        }
    }

    pub(super) fn field(&self, definition: &str, field: &str) -> Option<String> {
        if let Some(mut lines) = self.lines(definition) {
            return unescaped(lines.find_map(|line| line.strip_prefix(field)?.strip_prefix('\t'))?);
        }
        // The source has one type for all lists, without their texts.
        let kind = listed(definition)?;
        match field {
            "items" => Some(format!("items is the list of {kind} objects.")),
            _ => self.field("io.k8s.apimachinery.pkg.apis.meta.v1.Status", field),
        }
    }

    fn lines(&self, definition: &str) -> Option<std::str::Lines<'_>> {
        Some(self.text[self.definitions.get(definition)?.clone()].lines())
    }
}

/// The kind that a list's definition is of.
fn listed(definition: &str) -> Option<&str> {
    definition.rsplit_once('.')?.1.strip_suffix("List")
}

fn unescaped(literal: &str) -> Option<String> {
    if literal.is_empty() {
        return None;
    }
    // The generator checked that each is the inside of a JSON string.
    serde_json::from_str(&format!("\"{literal}\"")).ok()
}
