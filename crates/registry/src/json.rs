//! Finding one's way in JSON bytes without decoding them, and putting `metadata` where the splice needs it.
//!
//! Invariants: input is valid JSON of our own encoder; a scan is linear and allocates nothing.

use api::Object;

/// The length of the JSON value that `json` starts with, no blanks before it.
pub(crate) fn value_len(json: &[u8]) -> usize {
    match json.first() {
        Some(b'"') => string_len(json),
        Some(b'{' | b'[') => nested_len(json),
        _ => json.iter().position(|byte| matches!(byte, b',' | b'}' | b']')).unwrap_or(json.len()),
    }
}

fn string_len(json: &[u8]) -> usize {
    let mut at = 1;
    while let Some(found) = memchr::memchr2(b'"', b'\\', &json[at.min(json.len())..]) {
        at += found;
        if json[at] == b'"' {
            return at + 1;
        }
        at += 2;
    }
    json.len()
}

fn nested_len(json: &[u8]) -> usize {
    let mut depth = 0usize;
    let mut at = 0;
    while at < json.len() {
        match json[at] {
            b'"' => {
                at += string_len(&json[at..]);
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
        at += 1;
    }
    json.len()
}

/// A member of an object: where it (its quote) begins, its name as it is escaped, and its value.
pub(crate) struct Member<'a> {
    start: usize,
    pub(crate) name: &'a [u8],
    pub(crate) value: &'a [u8],
}

/// The members of an object, in their order.
pub(crate) fn members(json: &[u8]) -> impl Iterator<Item = Member<'_>> {
    let mut at = 1;
    std::iter::from_fn(move || {
        if json.get(at) != Some(&b'"') {
            return None;
        }
        let (start, name_len) = (at, string_len(&json[at..]));
        let value = json.get(at + name_len + 1..)?;
        let length = value_len(value);
        at += name_len + 1 + length + 1;
        Some(Member { start, name: &json[start + 1..start + name_len - 1], value: &value[..length] })
    })
}

/// Where a top-level field (its quote) begins, and where its value does.
fn top_level(json: &[u8], field: &str) -> Option<(usize, usize)> {
    let found = members(json).find(|member| member.name == field.as_bytes())?;
    Some((found.start, found.start + found.name.len() + 3))
}

/// Where the metadata's first field begins, wherever the metadata is; `None` without any.
pub(crate) fn metadata_start(json: &[u8]) -> Option<usize> {
    let (_, value) = top_level(json, "metadata")?;
    (json.get(value) == Some(&b'{') && json.get(value + 1) == Some(&b'"')).then_some(value + 1)
}

/// How many bytes `apiVersion` and `kind` take, commas included, where the object begins with them and `metadata` is next.
pub(crate) fn type_len(json: &[u8]) -> usize {
    let mut members = members(json);
    let mut starts_of = |name: &str| members.next().filter(|own| own.name == name.as_bytes()).map(|own| own.start);
    match ["apiVersion", "kind", "metadata"].map(&mut starts_of) {
        [Some(first), Some(_), Some(metadata)] => metadata - first,
        _ => 0,
    }
}

const MANAGED_FIELDS: &[u8] = b"\"managedFields\":";

/// The object as it is stored: no `resourceVersion`, `metadata` right after `apiVersion` and `kind`, and in it the
/// managed fields (their JSON array, empty for none) before all else. The object itself has none.
pub(crate) fn stored(object: &mut dyn Object, managed_fields: &[u8]) -> Result<Vec<u8>, serde_json::Error> {
    object.meta_mut().resource_version = None;
    Ok(with_managed_fields(object.encode()?, managed_fields))
}

/// An object's JSON with `metadata` where the splice needs it, and in it these managed fields before all else.
pub(crate) fn with_managed_fields(json: Vec<u8>, managed_fields: &[u8]) -> Vec<u8> {
    let mut json = metadata_first(json);
    match metadata_start(&json) {
        Some(start) if !managed_fields.is_empty() => {
            let mut out = Vec::with_capacity(json.len() + MANAGED_FIELDS.len() + managed_fields.len() + 1);
            out.extend_from_slice(&json[..start]);
            out.extend_from_slice(MANAGED_FIELDS);
            out.extend_from_slice(managed_fields);
            // Metadata is never empty: every object has a name.
            out.push(b',');
            out.extend_from_slice(&json[start..]);
            out
        }
        _ => {
            // It stays for as long as the object does; what the encoder's buffer has beyond it would too.
            json.shrink_to_fit();
            json
        }
    }
}

/// The managed fields of stored metadata (from its first member on): their JSON array, empty for none, and how many
/// bytes they take with their name and the comma behind them.
pub(crate) fn managed_fields(metadata: &[u8]) -> (&[u8], usize) {
    let Some(value) = metadata.strip_prefix(MANAGED_FIELDS) else { return (&[], 0) };
    let value = &value[..value_len(value)];
    (value, MANAGED_FIELDS.len() + value.len() + 1)
}

/// Moves `metadata` behind `kind`: several kinds' structs put fields with earlier letters before it.
fn metadata_first(json: Vec<u8>) -> Vec<u8> {
    let Some((_, kind)) = top_level(&json, "kind") else { return json };
    let insert = kind + value_len(&json[kind..]);
    let Some((start, value)) = top_level(&json, "metadata") else { return json };
    if start == insert + 1 {
        return json;
    }
    let end = value + value_len(&json[value..]);
    let mut out = Vec::with_capacity(json.len());
    out.extend_from_slice(&json[..insert]);
    // The comma before the field moves with it.
    out.extend_from_slice(&json[start - 1..end]);
    out.extend_from_slice(&json[insert..start - 1]);
    out.extend_from_slice(&json[end..]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_moves_behind_kind() {
        for (given, wanted) in [
            (
                r#"{"apiVersion":"v1","kind":"ConfigMap","data":{"a":"\"metadata\":{}","b":"]}\\"},"metadata":{"name":"x"}}"#,
                r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x"},"data":{"a":"\"metadata\":{}","b":"]}\\"}}"#,
            ),
            (
                r#"{"apiVersion":"v1","kind":"K","n":3,"metadata":{"name":"x"},"z":[{"metadata":{}}]}"#,
                r#"{"apiVersion":"v1","kind":"K","metadata":{"name":"x"},"n":3,"z":[{"metadata":{}}]}"#,
            ),
            (
                r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"x"},"spec":{}}"#,
                r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"x"},"spec":{}}"#,
            ),
        ] {
            assert_eq!(String::from_utf8(metadata_first(given.as_bytes().to_vec())).unwrap(), wanted);
        }
    }

    #[test]
    fn metadata_is_found_wherever_it_stands() {
        let json = br#"{"kind":"A","data":{"metadata":{"no":1}},"metadata":{"name":"x"}}"#;
        let start = metadata_start(json).unwrap();
        assert!(json[start..].starts_with(br#""name":"x""#));
        assert_eq!(metadata_start(br#"{"kind":"A","metadata":{}}"#), None);
        assert_eq!(metadata_start(br#"{"kind":"A"}"#), None);
    }

    #[test]
    fn the_type_is_measured_where_it_comes_first() {
        let json = br#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"x"}}"#;
        assert_eq!(&json[1..=type_len(json)], br#""apiVersion":"v1","kind":"Pod","#);
        assert_eq!(type_len(br#"{"kind":"Pod","apiVersion":"v1","metadata":{}}"#), 0);
        assert_eq!(type_len(br#"{"apiVersion":"v1","kind":"Pod","data":{},"metadata":{}}"#), 0);
    }
}
