//! Named formats of texts: `format.dns1123Label().validate(name)`.

use super::urls::Url;
use super::{NO_OVERLOAD, Result};
use crate::functions::Row;
use crate::value::{Opaque, Text, TimestampValue, Value};
use api::labels;

pub(crate) const ROWS: &[Row] = &[
    ("format.named", "format-named", "(string) optional(Format)", named),
    ("validate", "format-validate", "Format.(string) optional(list(string))", validate),
    ("format.dns1123Label", "format.dns1123Label", "() Format", |_| constant("dns1123Label")),
    ("format.dns1123Subdomain", "format.dns1123Subdomain", "() Format", |_| constant("dns1123Subdomain")),
    ("format.dns1035Label", "format.dns1035Label", "() Format", |_| constant("dns1035Label")),
    ("format.qualifiedName", "format.qualifiedName", "() Format", |_| constant("qualifiedName")),
    ("format.dns1123LabelPrefix", "format.dns1123LabelPrefix", "() Format", |_| constant("dns1123LabelPrefix")),
    ("format.dns1123SubdomainPrefix", "format.dns1123SubdomainPrefix", "() Format", |_| {
        constant("dns1123SubdomainPrefix")
    }),
    ("format.dns1035LabelPrefix", "format.dns1035LabelPrefix", "() Format", |_| constant("dns1035LabelPrefix")),
    ("format.labelValue", "format.labelValue", "() Format", |_| constant("labelValue")),
    ("format.uri", "format.uri", "() Format", |_| constant("uri")),
    ("format.uuid", "format.uuid", "() Format", |_| constant("uuid")),
    ("format.byte", "format.byte", "() Format", |_| constant("byte")),
    ("format.date", "format.date", "() Format", |_| constant("date")),
    ("format.datetime", "format.datetime", "() Format", |_| constant("datetime")),
];

/// A format, and what is wrong with a text by it.
#[derive(Debug)]
pub struct Format {
    pub(crate) name: &'static str,
    complaints: fn(&str) -> Vec<String>,
    /// How long upstream takes the pattern behind it to be.
    pub(crate) pattern_length: u64,
}

const FORMATS: &[Format] = &[
    Format { name: "dns1123Label", complaints: |text| labels::dns1123_label(text, false), pattern_length: 30 },
    Format { name: "dns1123Subdomain", complaints: |text| labels::dns1123_subdomain(text, false), pattern_length: 60 },
    Format { name: "dns1035Label", complaints: |text| labels::dns1035_label(text, false), pattern_length: 30 },
    Format { name: "qualifiedName", complaints: labels::label_key, pattern_length: 60 },
    Format { name: "dns1123LabelPrefix", complaints: |text| labels::dns1123_label(text, true), pattern_length: 30 },
    Format {
        name: "dns1123SubdomainPrefix",
        complaints: |text| labels::dns1123_subdomain(text, true),
        pattern_length: 60,
    },
    Format { name: "dns1035LabelPrefix", complaints: |text| labels::dns1035_label(text, true), pattern_length: 30 },
    Format { name: "labelValue", complaints: labels::label_value, pattern_length: 40 },
    Format { name: "uri", complaints: |text| Url::parse(text).err().into_iter().collect(), pattern_length: 1000 },
    Format {
        name: "uuid",
        complaints: |text| unless(is_uuid(text), "does not match the UUID format"),
        pattern_length: 80,
    },
    Format { name: "byte", complaints: |text| unless(is_base64(text), "invalid base64"), pattern_length: 88 },
    Format {
        name: "date",
        complaints: |text| unless(TimestampValue::parse_date(text).is_some(), "invalid date"),
        pattern_length: 88,
    },
    Format {
        name: "datetime",
        complaints: |text| unless(TimestampValue::parse(text).is_some(), "invalid datetime"),
        pattern_length: 88,
    },
];

fn unless(valid: bool, complaint: &str) -> Vec<String> {
    if valid { Vec::new() } else { vec![complaint.to_owned()] }
}

/// With or without hyphens.
fn is_uuid(text: &str) -> bool {
    let digits: String = text.chars().filter(|character| *character != '-').collect();
    let hyphens: Vec<usize> = text.match_indices('-').map(|(at, _)| at).collect();
    digits.len() == 32
        && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
        && (hyphens.is_empty() || hyphens == [8, 13, 18, 23])
}

fn is_base64(text: &str) -> bool {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.decode(text).is_ok()
}

fn find(name: &str) -> Option<&'static Format> {
    FORMATS.iter().find(|format| format.name == name)
}

fn constant<'v>(name: &str) -> Result<'v> {
    find(name).map(|format| Value::Opaque(Opaque::Format(format))).ok_or(NO_OVERLOAD)
}

fn named<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    match arguments {
        [Value::String(name)] => {
            let found = find(name).map(|format| Value::Opaque(Opaque::Format(format)));
            Ok(found.map_or(Value::Optional(None), Value::some))
        }
        _ => Err(NO_OVERLOAD),
    }
}

fn validate<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    let [Value::Opaque(Opaque::Format(format)), Value::String(text)] = arguments else { return Err(NO_OVERLOAD) };
    let complaints = (format.complaints)(text);
    if complaints.is_empty() {
        return Ok(Value::Optional(None));
    }
    let complaints = complaints.into_iter().map(|complaint| Value::String(Text::from(complaint)));
    Ok(Value::some(Value::list(complaints.collect())))
}
