//! Links of a page that passes by: read tag by tag, so that a page of any length flows.
//!
//! Only values of attributes that hold addresses change; every other byte stays as it is. Scripts and styles are not
//! looked into.

use super::rewrite::Rewrite;
use bytes::Bytes;

/// A longer tag is handed on as it is.
const TAG_BYTES_MAX: usize = 64 << 10;

/// Attributes that hold addresses, of any element: their names mean the same everywhere.
const ADDRESSES: &[&str] = &[
    "action",
    "background",
    "cite",
    "classid",
    "codebase",
    "data",
    "formaction",
    "href",
    "icon",
    "longdesc",
    "manifest",
    "poster",
    "profile",
    "src",
    "usemap",
];

/// Elements whose text is no markup, and how it ends.
const RAW: &[(&str, &[u8])] =
    &[("script", b"</script"), ("style", b"</style"), ("textarea", b"</textarea"), ("title", b"</title")];

#[derive(Clone, Copy)]
enum Place {
    Text,
    /// Until these bytes, in any case.
    Until(&'static [u8]),
}

pub(super) struct Rewriter {
    rewrite: Rewrite,
    /// What has come and cannot be handed on before its end has.
    pending: Vec<u8>,
    place: Place,
}

impl Rewriter {
    pub(super) fn new(rewrite: Rewrite) -> Rewriter {
        Rewriter { rewrite, pending: Vec::new(), place: Place::Text }
    }

    pub(super) fn push(&mut self, chunk: &[u8]) -> Bytes {
        self.pending.extend_from_slice(chunk);
        let mut out = Vec::with_capacity(self.pending.len() + 256);
        let input = std::mem::take(&mut self.pending);
        let mut rest = &input[..];
        while !rest.is_empty() {
            let Some(taken) = self.step(rest, &mut out) else { break };
            rest = &rest[taken..];
        }
        self.pending = rest.to_vec();
        out.into()
    }

    pub(super) fn finish(&mut self) -> Bytes {
        std::mem::take(&mut self.pending).into()
    }

    /// Hands on the next piece and answers its length; `None` when its end has not come yet.
    fn step(&mut self, rest: &[u8], out: &mut Vec<u8>) -> Option<usize> {
        match self.place {
            Place::Until(end) => {
                let found = rest.windows(end.len()).position(|window| window.eq_ignore_ascii_case(end));
                // The end itself may be cut in two: so much waits.
                let taken = found.unwrap_or(rest.len().saturating_sub(end.len() - 1));
                out.extend_from_slice(&rest[..taken]);
                if found.is_some() {
                    self.place = Place::Text;
                    return Some(taken);
                }
                (taken > 0).then_some(taken)
            }
            Place::Text => {
                let start = rest.iter().position(|byte| *byte == b'<').unwrap_or(rest.len());
                if start > 0 {
                    out.extend_from_slice(&rest[..start]);
                    return Some(start);
                }
                self.markup(rest, out)
            }
        }
    }

    /// What begins with `<`.
    fn markup(&mut self, rest: &[u8], out: &mut Vec<u8>) -> Option<usize> {
        const COMMENT: &[u8] = b"<!--";
        if rest.len() < COMMENT.len() && COMMENT.starts_with(rest) {
            return None;
        }
        if rest.starts_with(COMMENT) {
            out.extend_from_slice(COMMENT);
            self.place = Place::Until(b"-->");
            return Some(COMMENT.len());
        }
        let Some(length) = tag_length(rest) else {
            if rest.len() <= TAG_BYTES_MAX {
                return None;
            }
            out.extend_from_slice(rest);
            return Some(rest.len());
        };
        let tag = &rest[..length];
        let name: String = tag[1..]
            .iter()
            .take_while(|byte| byte.is_ascii_alphanumeric())
            .map(|byte| char::from(byte.to_ascii_lowercase()))
            .collect();
        if let Some((_, end)) = RAW.iter().find(|(raw, _)| *raw == name) {
            self.place = Place::Until(end);
        }
        self.tag(tag, out);
        Some(length)
    }

    fn tag(&self, tag: &[u8], out: &mut Vec<u8>) {
        let mut copied = 0;
        for value in values(tag) {
            let Ok(url) = std::str::from_utf8(&tag[value.start..value.end]) else { continue };
            out.extend_from_slice(&tag[copied..value.start]);
            out.extend_from_slice(self.rewrite.url(url).as_bytes());
            copied = value.end;
        }
        out.extend_from_slice(&tag[copied..]);
    }
}

/// Up to and with the `>` that is in no quotes.
fn tag_length(rest: &[u8]) -> Option<usize> {
    let mut quote = None;
    for (at, byte) in rest.iter().enumerate() {
        match (quote, *byte) {
            (None, b'>') => return Some(at + 1),
            (None, b'"' | b'\'') => quote = Some(*byte),
            (Some(open), close) if open == close => quote = None,
            _ => {}
        }
    }
    None
}

/// Where in a tag the addresses are.
fn values(tag: &[u8]) -> Vec<std::ops::Range<usize>> {
    let mut found = Vec::new();
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b':' || byte == b'_';
    let skip =
        |from: usize, wanted: &dyn Fn(u8) -> bool| from + tag[from..].iter().take_while(|byte| wanted(**byte)).count();
    // Past the element's own name.
    let mut at = skip(1, &|byte| is_name(byte) || byte == b'/');
    while at < tag.len() {
        let start = skip(at, &|byte| !is_name(byte));
        let end = skip(start, &is_name);
        let equals = skip(end, &|byte| byte.is_ascii_whitespace());
        if end == start {
            return found;
        }
        if tag.get(equals) != Some(&b'=') {
            at = end;
            continue;
        }
        let begin = skip(equals + 1, &|byte| byte.is_ascii_whitespace());
        let value = match tag.get(begin) {
            Some(quote @ (b'"' | b'\'')) => begin + 1..skip(begin + 1, &|byte| byte != *quote),
            _ => begin..skip(begin, &|byte| !byte.is_ascii_whitespace() && byte != b'>'),
        };
        at = value.end + 1;
        let name = String::from_utf8_lossy(&tag[start..end]).to_ascii_lowercase();
        if ADDRESSES.contains(&name.as_str()) {
            found.push(value);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(page: &str, wanted: &str) {
        // However it is cut.
        for size in [1, 2, 3, 7, page.len()] {
            let mut rewriter = Rewriter::new(Rewrite { prefix: "/p".into(), backend: "b:80".into() });
            let mut out = Vec::new();
            for chunk in page.as_bytes().chunks(size) {
                out.extend_from_slice(&rewriter.push(chunk));
            }
            out.extend_from_slice(&rewriter.finish());
            assert_eq!(String::from_utf8(out).unwrap(), wanted, "in chunks of {size}");
        }
    }

    #[test]
    fn links_lead_through_the_proxy() {
        check("<a href=\"/rewriteme\">test</a>", "<a href=\"/p/rewriteme\">test</a>");
        check("<A class=x HREF='/a' id=y>", "<A class=x HREF='/p/a' id=y>");
        check("<img src=/a.png alt=\"href=/no\">", "<img src=/p/a.png alt=\"href=/no\">");
        check("<form action=\"http://b:80/send\">", "<form action=\"/p/send\">");
        check("<a href=\"http://other/x\" title='1 > 0'>/a</a>", "<a href=\"http://other/x\" title='1 > 0'>/a</a>");
        check("<a href>x<b/>", "<a href>x<b/>");
    }

    #[test]
    fn what_is_no_markup_stays() {
        check("<!-- <a href=\"/a\"> --><i href=/a>", "<!-- <a href=\"/a\"> --><i href=/p/a>");
        check(
            "<script src=\"/a.js\">'<a href=\"/a\">'</SCRIPT><a href=/b>",
            "<script src=\"/p/a.js\">'<a href=\"/a\">'</SCRIPT><a href=/p/b>",
        );
        check("a < b <", "a < b <");
        check("<a href=\"/never closed", "<a href=\"/never closed");
    }

    #[test]
    fn a_tag_without_end_is_not_kept_forever() {
        let mut rewriter = Rewriter::new(Rewrite { prefix: "/p".into(), backend: String::new() });
        let mut handed = 0;
        for _ in 0..100 {
            handed += rewriter.push(&[b'<'; 4 << 10]).len();
        }
        assert!(handed > 300 << 10, "{handed}");
        assert!(rewriter.pending.len() <= TAG_BYTES_MAX);
    }
}
