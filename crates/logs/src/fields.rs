//! Whether a line has a field of a value: a JSON object's, by a path, or logfmt's.

use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::HashMap;

type Members<'a> = HashMap<Cow<'a, str>, &'a RawValue>;

/// A path's parts are joined by dots; a member whose name has dots itself counts too. Texts are compared without their
/// quotes, all else as it is written.
pub(crate) fn has(line: &[u8], path: &str, value: &str) -> bool {
    let line = line.trim_ascii();
    if line.first() != Some(&b'{') {
        return in_logfmt(line, path, value);
    }
    if is_absent(line, value) {
        return false;
    }
    std::str::from_utf8(line).is_ok_and(|text| in_json(text, path, value))
}

/// Whether a value is certainly in none of the lines. One with an escape in it may be spelled in many ways.
pub(crate) fn is_absent(texts: &[u8], value: &str) -> bool {
    let is_plain = value.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\' | b'/'));
    is_plain && memchr::memmem::find(texts, value.as_bytes()).is_none() && memchr::memmem::find(texts, b"\\u").is_none()
}

fn in_json(object: &str, path: &str, value: &str) -> bool {
    let Ok(members) = serde_json::from_str::<Members<'_>>(object) else { return false };
    if members.get(path).is_some_and(|own| equals(own.get(), value)) {
        return true;
    }
    let dots = path.match_indices('.');
    dots.into_iter().any(|(dot, _)| {
        members
            .get(&path[..dot])
            .is_some_and(|own| own.get().starts_with('{') && in_json(own.get(), &path[dot + 1..], value))
    })
}

fn equals(raw: &str, value: &str) -> bool {
    if raw.starts_with('"') {
        return serde_json::from_str::<Cow<'_, str>>(raw).is_ok_and(|own| own == value);
    }
    raw == value
}

fn in_logfmt(line: &[u8], key: &str, value: &str) -> bool {
    let key = key.as_bytes();
    memchr::memmem::find_iter(line, key).any(|at| {
        let begins = at == 0 || line[at - 1].is_ascii_whitespace();
        let Some(rest) = line[at + key.len()..].strip_prefix(b"=").filter(|_| begins) else { return false };
        match rest.strip_prefix(b"\"") {
            Some(quoted) => quoted_is(quoted, value.as_bytes()),
            None => {
                let end = rest.iter().position(u8::is_ascii_whitespace).unwrap_or(rest.len());
                &rest[..end] == value.as_bytes()
            }
        }
    })
}

/// `quoted` is what follows the opening quote.
fn quoted_is(quoted: &[u8], value: &[u8]) -> bool {
    let mut plain = Vec::with_capacity(value.len());
    let mut bytes = quoted.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return plain == value,
            b'\\' => plain.extend(bytes.next()),
            _ => plain.push(*byte),
        }
        if plain.len() > value.len() {
            return false;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_their_paths() {
        let json = r#"{"user":"ann","http":{"status":404,"path":"\/a"},"k8s.pod":"p","ok":true,"n":null}"#;
        for (path, value, found) in [
            ("user", "ann", true),
            ("user", "an", false),
            ("http.status", "404", true),
            ("http.path", "/a", true),
            ("k8s.pod", "p", true),
            ("ok", "true", true),
            ("n", "null", true),
            ("http.user", "ann", false),
            ("status", "404", false),
        ] {
            assert_eq!(has(json.as_bytes(), path, value), found, "{path}={value}");
        }
        let logfmt = br#"time=x user=ann msg="a \"b\" c" superuser=root"#;
        for (path, value, found) in
            [("user", "ann", true), ("user", "root", false), ("msg", "a \"b\" c", true), ("msg", "a", false)]
        {
            assert_eq!(has(logfmt, path, value), found, "{path}={value}");
        }
        assert!(!has(b"{broken", "user", "ann") && !has(b"\xff\xfe", "user", "ann"));
    }
}
