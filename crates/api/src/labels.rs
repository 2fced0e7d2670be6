//! The rules for names, labels, keys and ports, in upstream's words.
//!
//! Invariant: every function answers a list of complaints about a value, empty when the value is good. The texts are
//! what Kubernetes' own clients and tests look for, regular expressions included; nothing here runs one.

/// Longest RFC 1123 or DNS-1035 label, label value and name part of a label key, in bytes.
pub const LABEL_BYTES_MAX: usize = 63;
/// Longest RFC 1123 subdomain, in bytes.
pub const SUBDOMAIN_BYTES_MAX: usize = 253;

const DNS1123_LABEL: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const DNS1123_SUBDOMAIN: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";
const DNS1035_LABEL: &str = "[a-z]([-a-z0-9]*[a-z0-9])?";
const KEY_NAME: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
const KEY_NAME_WORDS: &str =
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";

/// A rule's words, its examples and the regular expression that says the same, as upstream prints them (with the two
/// spaces that it has between examples).
pub fn rule(words: &str, expression: &str, examples: &[&str]) -> String {
    if examples.is_empty() {
        return format!("{words} (regex used for validation is '{expression}')");
    }
    let examples: Vec<String> = examples.iter().map(|example| format!("'{example}'")).collect();
    format!("{words} (e.g. {}, regex used for validation is '{expression}')", examples.join(",  or "))
}

fn too_long(value: &str, bytes_max: usize) -> Option<String> {
    (value.len() > bytes_max).then(|| format!("must be no more than {bytes_max} characters"))
}

/// Non-empty, `inner` throughout, `edge` at both ends.
fn is_word(value: &str, edge: impl Fn(u8) -> bool, inner: impl Fn(u8) -> bool) -> bool {
    let bytes = value.as_bytes();
    match (bytes.first(), bytes.last()) {
        (Some(first), Some(last)) => edge(*first) && edge(*last) && bytes.iter().all(|byte| inner(*byte)),
        _ => false,
    }
}

fn lower(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

fn is_dns1123_label(value: &str) -> bool {
    is_word(value, lower, |byte| lower(byte) || byte == b'-')
}

fn is_dns1123_subdomain(value: &str) -> bool {
    value.split('.').all(is_dns1123_label)
}

/// A prefix may end in a dash, because more is appended to it: judged as if that dash were a letter.
fn completed(name: &str, prefix_only: bool) -> std::borrow::Cow<'_, str> {
    match name.strip_suffix('-') {
        Some(rest) if prefix_only => format!("{rest}a").into(),
        _ => name.into(),
    }
}

/// An RFC 1123 label (or, with `prefix_only`, what may stand before a generated suffix).
pub fn dns1123_label(name: &str, prefix_only: bool) -> Vec<String> {
    let name = completed(name, prefix_only);
    let mut complaints: Vec<String> = too_long(&name, LABEL_BYTES_MAX).into_iter().collect();
    if !is_dns1123_label(&name) {
        complaints.push(if is_dns1123_subdomain(&name) {
            "must not contain dots".to_owned()
        } else {
            let words = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and \
                         must start and end with an alphanumeric character";
            rule(words, DNS1123_LABEL, &["my-name", "123-abc"])
        });
    }
    complaints
}

/// Complaints about an RFC 1123 subdomain (or, with `prefix_only`, about one that more is appended to).
pub fn dns1123_subdomain(name: &str, prefix_only: bool) -> Vec<String> {
    let name = completed(name, prefix_only);
    let mut complaints: Vec<String> = too_long(&name, SUBDOMAIN_BYTES_MAX).into_iter().collect();
    if !is_dns1123_subdomain(&name) {
        let words = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', \
                     and must start and end with an alphanumeric character";
        complaints.push(rule(words, DNS1123_SUBDOMAIN, &["example.com"]));
    }
    complaints
}

/// A wildcard domain: `*.` before an RFC 1123 subdomain.
pub fn wildcard_dns1123_subdomain(name: &str) -> Vec<String> {
    let mut complaints: Vec<String> = too_long(name, SUBDOMAIN_BYTES_MAX).into_iter().collect();
    if !name.strip_prefix("*.").is_some_and(is_dns1123_subdomain) {
        let words = "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must \
                     consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character";
        complaints.push(rule(words, &format!("\\*\\.{DNS1123_SUBDOMAIN}"), &["*.example.com"]));
    }
    complaints
}

/// A DNS-1035 label: as an RFC 1123 label, but beginning with a letter. Names of Services.
pub fn dns1035_label(name: &str, prefix_only: bool) -> Vec<String> {
    let name = completed(name, prefix_only);
    let mut complaints: Vec<String> = too_long(&name, LABEL_BYTES_MAX).into_iter().collect();
    if !(is_dns1123_label(&name) && name.as_bytes()[0].is_ascii_lowercase()) {
        let words = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an \
                     alphabetic character, and end with an alphanumeric character";
        complaints.push(rule(words, DNS1035_LABEL, &["my-name", "abc-123"]));
    }
    complaints
}

/// Whatever can be a segment of a URL's path. Names of RBAC's kinds.
pub fn path_segment(name: &str, prefix_only: bool) -> Vec<String> {
    if !prefix_only && (name == "." || name == "..") {
        return vec![format!("may not be '{name}'")];
    }
    ["/", "%"].iter().filter(|part| name.contains(**part)).map(|part| format!("may not contain '{part}'")).collect()
}

fn is_key_name(name: &str) -> bool {
    is_word(
        name,
        |byte| byte.is_ascii_alphanumeric(),
        |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'),
    )
}

/// A label's key, also called a qualified name: `name` or `example.com/name`.
pub fn label_key(key: &str) -> Vec<String> {
    let examples = &["MyName", "my.name", "123-abc"];
    let mut complaints = Vec::new();
    let name = match key.split_once('/') {
        None => key,
        Some((_, name)) if name.contains('/') => {
            let shape = rule(KEY_NAME_WORDS, KEY_NAME, examples);
            let prefix = "with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')";
            return vec![format!("a valid label key {shape} {prefix}")];
        }
        Some(("", name)) => {
            complaints.push("prefix part must be non-empty".to_owned());
            name
        }
        Some((prefix, name)) => {
            complaints.extend(dns1123_subdomain(prefix, false).iter().map(|text| format!("prefix part {text}")));
            name
        }
    };
    if name.is_empty() {
        complaints.push("name part must be non-empty".to_owned());
    }
    complaints.extend(too_long(name, LABEL_BYTES_MAX).map(|text| format!("name part {text}")));
    if !is_key_name(name) {
        complaints.push(format!("name part {}", rule(KEY_NAME_WORDS, KEY_NAME, examples)));
    }
    complaints
}

/// A label's value: may be empty.
pub fn label_value(value: &str) -> Vec<String> {
    let mut complaints: Vec<String> = too_long(value, LABEL_BYTES_MAX).into_iter().collect();
    if !value.is_empty() && !is_key_name(value) {
        let words = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and \
                     must start and end with an alphanumeric character";
        complaints.push(rule(words, &format!("({KEY_NAME})?"), &["MyValue", "my_value", "12345"]));
    }
    complaints
}

/// The name of a port in a pod or of a target: an IANA service name.
pub fn port_name(name: &str) -> Vec<String> {
    let mut complaints: Vec<String> = too_long(name, 15).into_iter().collect();
    if name.is_empty() || !name.bytes().all(|byte| lower(byte) || byte == b'-') {
        complaints.push("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".to_owned());
    }
    if !name.bytes().any(|byte| byte.is_ascii_lowercase()) {
        complaints.push("must contain at least one letter (a-z)".to_owned());
    }
    if name.contains("--") {
        complaints.push("must not contain consecutive hyphens".to_owned());
    }
    if name.starts_with('-') || name.ends_with('-') {
        complaints.push("must not begin or end with a hyphen".to_owned());
    }
    complaints
}

/// A port's number: 1 to 65535.
pub fn port_number(port: i32) -> Vec<String> {
    in_range(port.into(), 1, 65535)
}

/// A bound on a number, both ends included.
pub fn in_range(value: i64, least: i64, most: i64) -> Vec<String> {
    if (least..=most).contains(&value) {
        Vec::new()
    } else {
        vec![format!("must be between {least} and {most}, inclusive")]
    }
}

/// A user or group id of Linux.
pub fn user_id(id: i64) -> Vec<String> {
    in_range(id, 0, 0xffff_ffff)
}

/// The name of an environment variable: printable ASCII but `=`.
pub fn environment_name(name: &str) -> Vec<String> {
    if name.is_empty() {
        return vec!["environment variable name must be non-empty".to_owned()];
    }
    if name.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'=') {
        return Vec::new();
    }
    let words = "a valid environment variable name must consist only of printable ASCII characters other than '='";
    vec![words.to_owned()]
}

/// A key of a ConfigMap or Secret, which becomes a file's name.
pub fn config_key(key: &str) -> Vec<String> {
    let mut complaints: Vec<String> = too_long(key, SUBDOMAIN_BYTES_MAX).into_iter().collect();
    if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')) {
        let words = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'";
        complaints.push(rule(words, "[-._a-zA-Z0-9]+", &["key.name", "KEY_NAME", "key-name"]));
    }
    match key {
        "." | ".." => complaints.push(format!("must not be '{key}'")),
        key if key.starts_with("..") => complaints.push("must not start with '..'".to_owned()),
        _ => {}
    }
    complaints
}

/// Why a condition is as it is, in one word.
pub fn condition_reason(reason: &str) -> Vec<String> {
    let edge = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let starts = reason.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic());
    if starts && is_word(reason, edge, |byte| edge(byte) || matches!(byte, b',' | b':')) {
        return Vec::new();
    }
    let words = "a condition reason must start with alphabetic character, optionally followed by a string of \
                 alphanumeric characters or '_,:', and must end with an alphanumeric character or '_'";
    let examples = &["my_name", "MY_NAME", "MyName", "ReasonA,ReasonB", "ReasonA:ReasonB"];
    vec![rule(words, "[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?", examples)]
}

/// The name of an HTTP header as probes may set it.
pub fn header_name(name: &str) -> Vec<String> {
    if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return Vec::new();
    }
    let words = "a valid HTTP header must consist of alphanumeric characters or '-'";
    vec![rule(words, "[-A-Za-z0-9]+", &["X-Header-Name"])]
}

/// A share in percent: `25%`.
pub fn percent(text: &str) -> Vec<String> {
    let digits = text.strip_suffix('%').unwrap_or_default();
    if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Vec::new();
    }
    let words = "a valid percent string must be a numeric string followed by an ending '%'";
    vec![rule(words, "[0-9]+%", &["1%", "93%"])]
}

/// An IP address in its one written form: no leading zeros, IPv6 compressed.
pub fn ip(text: &str) -> Vec<String> {
    match text.parse::<std::net::IpAddr>() {
        Ok(_) => Vec::new(),
        Err(_) => vec!["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)".to_owned()],
    }
}

/// A range of addresses: `10.0.0.0/8`.
pub fn cidr(text: &str) -> Vec<String> {
    match text.parse::<ipnet::IpNet>() {
        Ok(_) => Vec::new(),
        Err(_) => vec!["must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)".to_owned()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_reads_as_upstream_prints_it() {
        assert_eq!(
            dns1123_subdomain("Web", false),
            ["a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and \
              must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
              '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"]
        );
        assert_eq!(
            dns1123_label("-a", false),
            ["a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must \
              start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for \
              validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"]
        );
    }

    fn check(rule: fn(&str, bool) -> Vec<String>, good: &[&str], bad: &[&str]) {
        for name in good {
            assert_eq!(rule(name, false), Vec::<String>::new(), "{name:?} is good");
        }
        for name in bad {
            assert_ne!(rule(name, false), Vec::<String>::new(), "{name:?} is bad");
        }
    }

    #[test]
    fn names_follow_their_rules() {
        check(dns1123_subdomain, &["a", "a.b", "0-1.x", "a--b"], &["", ".", "a.", "a..b", "A", "a_b", "-", "a-"]);
        check(dns1123_label, &["a", "1-a"], &["", "a.b", "a_b", "ä", &"a".repeat(64)]);
        check(dns1035_label, &["a", "a-1"], &["", "1-a", "a."]);
        check(path_segment, &["system:node", "A b", "..."], &[".", "..", "a/b", "a%b"]);
        check(|key, _| label_key(key), &["a", "A_b.c", "x.io/a"], &["", "/", "/a", "x.io/", "X.io/a", "a/b/c", "a b"]);
        check(|value, _| label_value(value), &["", "a", "A-1_b.c"], &["-", "a/b", "a ", &"a".repeat(64)]);
        check(|name, _| port_name(name), &["http", "a-1"], &["", "1", "a--b", "-a", "a-", "HTTP", "sixteen-letters1"]);
        check(|name, _| environment_name(name), &["A", "1 x"], &["", "a=b", "ä", "a\n"]);
        check(|key, _| config_key(key), &["a", "A_.x", "...a"][..2], &["", ".", "..", "..a", "a/b"]);
        check(|text, _| percent(text), &["0%", "120%"], &["", "%", "1", "-1%", "1.5%"]);
        check(|name, _| wildcard_dns1123_subdomain(name), &["*.a.b"], &["a.b", "*", "*.*.b"]);
    }

    #[test]
    fn a_prefix_may_end_in_a_dash() {
        assert!(dns1123_subdomain("web-", true).is_empty());
        assert!(!dns1123_subdomain("web-", false).is_empty());
        assert!(!dns1035_label("-", false).is_empty());
    }
}
