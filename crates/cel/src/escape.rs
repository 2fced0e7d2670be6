//! The names that expressions use for fields whose own names are no identifiers: `foo-bar` is `foo__dash__bar`.

use api::cel_names::RESERVED;

/// Longest first: `__` is an escape itself.
const SEQUENCES: &[(&str, &str)] =
    &[("__", "__underscores__"), (".", "__dot__"), ("-", "__dash__"), ("/", "__slash__")];

/// The name by which expressions use a field, or none if they cannot.
pub fn escape(name: &str) -> Option<String> {
    if name.is_empty() || name.as_bytes()[0].is_ascii_digit() {
        return None;
    }
    if RESERVED.contains(&name) {
        return Some(format!("__{name}__"));
    }
    let mut escaped = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(character) = rest.chars().next() {
        if let Some((plain, sequence)) = SEQUENCES.iter().find(|(plain, _)| rest.starts_with(plain)) {
            escaped.push_str(sequence);
            rest = &rest[plain.len()..];
        } else if character.is_ascii_alphanumeric() || character == '_' {
            escaped.push(character);
            rest = &rest[1..];
        } else {
            return None;
        }
    }
    Some(escaped)
}

/// The field that a name in an expression means; a name that holds no escape means itself.
pub fn unescape(name: &str) -> String {
    if !name.contains("__") {
        return name.to_owned();
    }
    let whole = name.strip_prefix("__").and_then(|rest| rest.strip_suffix("__"));
    if let Some(word) = whole.filter(|word| RESERVED.contains(word)) {
        return word.to_owned();
    }
    let mut plain = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(character) = rest.chars().next() {
        if let Some((text, sequence)) = SEQUENCES.iter().find(|(_, sequence)| rest.starts_with(sequence)) {
            plain.push_str(text);
            rest = &rest[sequence.len()..];
        } else {
            plain.push(character);
            rest = &rest[character.len_utf8()..];
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_and_back() {
        for (plain, escaped) in [
            ("name", Some("name")),
            ("a.b-c/d", Some("a__dot__b__dash__c__slash__d")),
            ("a__b", Some("a__underscores__b")),
            ("_a", Some("_a")),
            ("namespace", Some("__namespace__")),
            ("for", Some("__for__")),
            ("1a", None),
            ("", None),
            ("a b", None),
            ("é", None),
        ] {
            assert_eq!(escape(plain).as_deref(), escaped, "{plain}");
            if let Some(escaped) = escaped {
                assert_eq!(unescape(escaped), plain);
            }
        }
    }
}
