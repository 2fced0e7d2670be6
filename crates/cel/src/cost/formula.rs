//! What a call costs: a formula by function, counted from real sizes here and from estimated ones in `sizes`.

use super::{AUTHORIZATION, PATTERN, TRAVERSAL, share};
use crate::value::{Opaque, Value};

/// How a call's cost follows from the sizes of its arguments; a member's target is the first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Formula {
    Fixed(u64),
    /// Passes over a text once; whether the result is as long.
    Traversal {
        keeps_size: bool,
    },
    /// Passes over a text twice.
    TwoTraversals,
    Replace,
    Split,
    Join,
    /// `startsWith`, `endsWith`.
    Affix,
    Contains,
    Matches,
    Find,
    /// `in` a list.
    Search,
    /// The order of two texts.
    Order,
    Concat,
    ConcatLists,
    TextToBytes,
    BytesToText,
    /// A number, a flag or a time as text.
    ScalarToText,
    Quote,
    Format,
    /// `sum`, `min`, `indexOf`, …: looks at each item.
    Scan,
    Selector,
    ContainsIp {
        text: bool,
    },
    ContainsCidr {
        text: bool,
    },
    Validate,
    /// Each of one set with each of the other, so many times.
    Sets(u64),
}

impl Formula {
    /// The formula of an overload. Upstream tells most functions by their name alone.
    pub(crate) fn of(function: &str, overload: &str) -> Formula {
        match function {
            "check" => Formula::Fixed(AUTHORIZATION),
            "fieldSelector" | "labelSelector" => Formula::Selector,
            "isSorted" | "sum" | "max" | "min" | "indexOf" | "lastIndexOf" => Formula::Scan,
            "url" | "lowerAscii" | "upperAscii" | "substring" | "trim" | "jsonpatch.escapeKey" => {
                Formula::Traversal { keeps_size: true }
            }
            "cidr" | "isIP" | "isCIDR" | "quantity" | "isQuantity" | "semver" | "isSemver" => {
                Formula::Traversal { keeps_size: false }
            }
            "ip" if overload == "cidr_ip" => Formula::Fixed(1),
            "ip" => Formula::Traversal { keeps_size: false },
            "ip.isCanonical" => Formula::TwoTraversals,
            "replace" => Formula::Replace,
            "split" => Formula::Split,
            "join" => Formula::Join,
            "find" | "findAll" => Formula::Find,
            "containsIP" => Formula::ContainsIp { text: overload == "cidr_contains_ip_string" },
            "containsCIDR" => Formula::ContainsCidr { text: overload == "cidr_contains_cidr_string" },
            "validate" => Formula::Validate,
            "sets.contains" | "sets.intersects" => Formula::Sets(1),
            "sets.equivalent" => Formula::Sets(2),
            _ => Formula::of_overload(overload),
        }
    }

    fn of_overload(overload: &str) -> Formula {
        match overload {
            "starts_with_string" | "ends_with_string" => Formula::Affix,
            "string_to_bytes" => Formula::TextToBytes,
            "bytes_to_string" => Formula::BytesToText,
            "int64_to_string"
            | "uint64_to_string"
            | "double_to_string"
            | "bool_to_string"
            | "timestamp_to_string"
            | "duration_to_string" => Formula::ScalarToText,
            "strings_quote" => Formula::Quote,
            "string_format" => Formula::Format,
            "in_list" => Formula::Search,
            "matches" | "matches_string" => Formula::Matches,
            "contains_string" => Formula::Contains,
            "add_string" | "add_bytes" => Formula::Concat,
            "add_list" => Formula::ConcatLists,
            "less_string"
            | "greater_string"
            | "less_equals_string"
            | "greater_equals_string"
            | "less_bytes"
            | "greater_bytes"
            | "less_equals_bytes"
            | "greater_equals_bytes" => Formula::Order,
            _ => Formula::Fixed(1),
        }
    }

    /// What a call has cost.
    pub(crate) fn actual(&self, arguments: &[Value<'_>], result: &Value<'_>) -> u64 {
        let size = |index: usize| arguments.get(index).and_then(Value::size).unwrap_or(1);
        match self {
            Formula::Fixed(cost) => *cost,
            Formula::ScalarToText => 1,
            Formula::Traversal { .. }
            | Formula::TextToBytes
            | Formula::BytesToText
            | Formula::Quote
            | Formula::Format
            | Formula::Affix => share(size(0), TRAVERSAL),
            Formula::TwoTraversals | Formula::Replace | Formula::Split => share(size(0), 2.0 * TRAVERSAL),
            Formula::Join => share(result.size().unwrap_or(1), 2.0 * TRAVERSAL),
            Formula::Contains => share(size(0), TRAVERSAL).saturating_mul(share(size(1), TRAVERSAL)),
            Formula::Matches | Formula::Find => matching(size(0), size(1)),
            Formula::Search => size(1),
            Formula::Order => share(size(0).min(size(1)), TRAVERSAL),
            Formula::Concat => share(size(0).saturating_add(size(1)), TRAVERSAL),
            Formula::ConcatLists => 1,
            Formula::Scan => arguments.first().map_or(0, traversal),
            Formula::Selector => selector(size(1)),
            Formula::ContainsIp { text } => {
                share(2 * size(0), TRAVERSAL) + if *text { share(size(1), TRAVERSAL) } else { 0 }
            }
            Formula::ContainsCidr { text } => {
                let masked = share(2 * size(0), TRAVERSAL) + share(size(0), TRAVERSAL) + 1;
                masked + if *text { share(size(1), TRAVERSAL) } else { 0 }
            }
            Formula::Validate => match arguments.first() {
                Some(Value::Opaque(Opaque::Format(format))) => matching(size(1), format.pattern_length),
                _ => 1,
            },
            Formula::Sets(factor) => 1 + size(0).saturating_mul(size(1)).saturating_mul(*factor),
        }
    }
}

/// A text of so many code points against a pattern of so many. Even an empty text costs.
pub(crate) fn matching(text: u64, pattern: u64) -> u64 {
    share(text.saturating_add(1), TRAVERSAL).saturating_mul(share(pattern, PATTERN))
}

/// A selector is read, and each of its requirements, of two characters at least, is a list in a struct.
pub(crate) fn selector(length: u64) -> u64 {
    let requirements = share(length, 0.5);
    super::LIST_MADE + share(length, TRAVERSAL) + requirements.saturating_mul(super::LIST_MADE + super::STRUCT_MADE)
}

/// What `==` and `!=` cost. Opaque values cost 1, but for `!=`, which upstream counts by size.
pub(crate) fn equality(operands: &[Value<'_>; 2], negated: bool) -> u64 {
    if matches!(operands[0], Value::Opaque(_)) && !negated {
        return 1;
    }
    let size = |value: &Value<'_>| value.size().unwrap_or(1);
    share(size(&operands[0]).min(size(&operands[1])), TRAVERSAL)
}

/// Looking at all of a value.
fn traversal(value: &Value<'_>) -> u64 {
    match value {
        Value::String(text) => (text.len() as f64 * TRAVERSAL) as u64,
        Value::Bytes(bytes) => (bytes.len() as f64 * TRAVERSAL) as u64,
        Value::List(list) => list.iter().map(|item| traversal(&item)).sum(),
        Value::Map(map) => map.entries().iter().map(|(key, value)| traversal(key) + traversal(value)).sum(),
        _ => 1,
    }
}
