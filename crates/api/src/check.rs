//! Checks that many kinds share. Each adds what is wrong to a list, in upstream's words.

use crate::field::{FieldError, FieldErrorKind, FieldPath};
use crate::labels;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde::Serialize;
use std::collections::BTreeMap;

pub(crate) type Errors = Vec<FieldError>;

/// All the bytes that an object's annotations may have together.
const ANNOTATIONS_BYTES_MAX: usize = 256 * 1024;

const CONDITION_REASON_BYTES_MAX: usize = 1024;
const CONDITION_MESSAGE_BYTES_MAX: usize = 32 * 1024;

/// The protocols that a port may have.
pub(crate) const PROTOCOLS: &[&str] = &["SCTP", "TCP", "UDP"];

/// Each complaint about a value as an error of its own.
pub(crate) fn each(
    errors: &mut Errors,
    path: &FieldPath,
    value: &(impl Serialize + ?Sized),
    complaints: impl IntoIterator<Item = String>,
) {
    errors.extend(complaints.into_iter().map(|complaint| FieldError::invalid(path.clone(), value, complaint)));
}

/// That a text is there.
pub(crate) fn present(errors: &mut Errors, path: FieldPath, value: Option<&str>) {
    if value.unwrap_or_default().is_empty() {
        errors.push(FieldError::required(path, ""));
    }
}

/// That a value is one of those listed; upstream lists some by name and some by meaning, so the order given stays.
pub(crate) fn supported_if_set(errors: &mut Errors, path: &FieldPath, value: Option<&str>, values: &[&str]) {
    let Some(value) = value.filter(|value| !values.contains(value)) else { return };
    let quoted: Vec<String> = values.iter().map(|value| format!("{value:?}")).collect();
    errors.push(FieldError {
        path: path.clone(),
        kind: FieldErrorKind::NotSupported,
        value: Some(format!("{value:?}")),
        detail: format!("supported values: {}", quoted.join(", ")),
    });
}

/// As `supported_if_set`, and that there is a value.
pub(crate) fn supported(errors: &mut Errors, path: &FieldPath, value: Option<&str>, values: &[&str]) {
    match value.unwrap_or_default() {
        "" => errors.push(FieldError::required(path.clone(), "")),
        value => supported_if_set(errors, path, Some(value), values),
    }
}

pub(crate) fn non_negative(errors: &mut Errors, path: FieldPath, value: Option<impl Into<i64>>) {
    let value: i64 = value.map_or(0, Into::into);
    if value < 0 {
        errors.push(FieldError::invalid(path, &value, "must be greater than or equal to 0"));
    }
}

/// That a field did not change.
pub(crate) fn immutable<T: Serialize + PartialEq>(errors: &mut Errors, path: FieldPath, new: &T, old: &T) {
    if !same(new, old) {
        errors.push(FieldError::invalid(path, new, "field is immutable"));
    }
}

/// Whether two values mean the same: an empty list or map is as good as none, because many clients drop them.
pub(crate) fn same<T: Serialize + PartialEq>(a: &T, b: &T) -> bool {
    if a == b {
        return true;
    }
    match (serde_json::to_value(a), serde_json::to_value(b)) {
        (Ok(a), Ok(b)) => pruned(a) == pruned(b),
        _ => false,
    }
}

fn pruned(value: serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    let empty = |value: &Value| match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    };
    match value {
        Value::Array(list) => Value::Array(list.into_iter().map(pruned).collect()),
        Value::Object(map) => {
            let kept = map.into_iter().map(|(key, value)| (key, pruned(value)));
            Value::Object(kept.filter(|(_, value)| !empty(value)).collect())
        }
        other => other,
    }
}

pub(crate) fn label_key(errors: &mut Errors, path: &FieldPath, key: &str) {
    each(errors, path, key, labels::label_key(key));
}

pub(crate) fn dns1123_label(errors: &mut Errors, path: &FieldPath, value: &str) {
    each(errors, path, value, labels::dns1123_label(value, false));
}

pub(crate) fn dns1123_subdomain(errors: &mut Errors, path: &FieldPath, value: &str) {
    each(errors, path, value, labels::dns1123_subdomain(value, false));
}

pub(crate) fn ip(errors: &mut Errors, path: &FieldPath, value: &str) {
    each(errors, path, value, labels::ip(value));
}

pub(crate) fn cidr(errors: &mut Errors, path: &FieldPath, value: &str) {
    each(errors, path, value, labels::cidr(value));
}

/// An address that others can reach: not unspecified, loopback, link-local.
pub(crate) fn reachable_ip(errors: &mut Errors, path: &FieldPath, text: &str) {
    let Ok(ip) = text.parse::<std::net::IpAddr>() else {
        errors.push(FieldError::invalid(path.clone(), text, "must be a valid IP address"));
        return;
    };
    let (link_local, link_local_multicast) = match ip {
        std::net::IpAddr::V4(ip) => (ip.is_link_local(), ip.octets()[..3] == [224, 0, 0]),
        std::net::IpAddr::V6(ip) => (ip.is_unicast_link_local(), ip.segments()[0] & 0xff0f == 0xff02),
    };
    for (is, detail) in [
        (ip.is_unspecified(), format!("may not be unspecified ({text})")),
        (ip.is_loopback(), "may not be in the loopback range (127.0.0.0/8, ::1/128)".to_owned()),
        (link_local, "may not be in the link-local range (169.254.0.0/16, fe80::/10)".to_owned()),
        (link_local_multicast, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)".to_owned()),
    ] {
        if is {
            errors.push(FieldError::invalid(path.clone(), text, detail));
        }
    }
}

pub(crate) fn port_or_name(errors: &mut Errors, path: &FieldPath, port: &IntOrString) {
    match port {
        IntOrString::Int(port) => each(errors, path, port, labels::port_number(*port)),
        IntOrString::String(name) => each(errors, path, name, labels::port_name(name)),
    }
}

/// A domain, a slash and a path: `example.com/controller`.
pub(crate) fn domain_prefixed_path(errors: &mut Errors, path: &FieldPath, value: &str) {
    const CHARACTERS: &str = "[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+";
    if value.is_empty() {
        errors.push(FieldError::required(path.clone(), ""));
        return;
    }
    let Some((host, rest)) = value.split_once('/').filter(|(host, rest)| !host.is_empty() && !rest.is_empty()) else {
        let detail = "must be a domain-prefixed path (such as \"acme.io/foo\")";
        errors.push(FieldError::invalid(path.clone(), value, detail));
        return;
    };
    dns1123_subdomain(errors, path, host);
    let is_path = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~%!$&'()*+,;=:".contains(&byte);
    if !rest.bytes().all(is_path) {
        errors.push(FieldError::invalid(path.clone(), rest, labels::rule("Invalid path", CHARACTERS, &[])));
    }
}

/// Whether a number or share is nothing.
pub(crate) fn is_nothing(value: &IntOrString) -> bool {
    match value {
        IntOrString::Int(count) => *count == 0,
        IntOrString::String(share) => share.trim_end_matches('%').parse::<i64>().is_ok_and(|share| share == 0),
    }
}

/// Where a balancer of load is reached.
pub(crate) fn reached_at(errors: &mut Errors, path: &FieldPath, address: Option<&str>, host: Option<&str>) {
    if let Some(address) = address.filter(|address| !address.is_empty()) {
        ip(errors, &path.child("ip"), address);
    }
    let Some(host) = host.filter(|host| !host.is_empty()) else { return };
    dns1123_subdomain(errors, &path.child("hostname"), host);
    if host.parse::<std::net::IpAddr>().is_ok() {
        let detail = "must be a DNS name, not an IP address";
        errors.push(FieldError::invalid(path.child("hostname"), host, detail));
    }
}

/// A number that is not negative, or a share such as `25%`.
pub(crate) fn count_or_percent(errors: &mut Errors, path: &FieldPath, value: &IntOrString) {
    match value {
        IntOrString::Int(count) => non_negative(errors, path.clone(), Some(*count)),
        IntOrString::String(share) => each(errors, path, share, labels::percent(share)),
    }
}

/// A share of more than all.
pub(crate) fn at_most_all(errors: &mut Errors, path: &FieldPath, value: &IntOrString) {
    if let IntOrString::String(share) = value
        && share.strip_suffix('%').and_then(|share| share.parse::<i64>().ok()).is_some_and(|share| share > 100)
    {
        errors.push(FieldError::invalid(path.clone(), share, "must not be greater than 100%"));
    }
}

pub(crate) fn label_map(errors: &mut Errors, path: &FieldPath, map: Option<&BTreeMap<String, String>>) {
    for (key, value) in map.into_iter().flatten() {
        label_key(errors, path, key);
        each(errors, path, value, labels::label_value(value));
    }
}

pub(crate) fn annotations(errors: &mut Errors, path: &FieldPath, map: Option<&BTreeMap<String, String>>) {
    let mut bytes = 0;
    for (key, value) in map.into_iter().flatten() {
        // Upper case is allowed even in the domain, unlike in labels.
        each(errors, path, key, labels::label_key(&key.to_lowercase()));
        bytes += key.len() + value.len();
    }
    if bytes > ANNOTATIONS_BYTES_MAX {
        errors.push(FieldError::too_long(path.clone(), ANNOTATIONS_BYTES_MAX));
    }
}

pub(crate) fn label_selector(errors: &mut Errors, path: &FieldPath, selector: &LabelSelector) {
    label_map(errors, &path.child("matchLabels"), selector.match_labels.as_ref());
    for (index, expression) in selector.match_expressions.iter().flatten().enumerate() {
        let path = path.child("matchExpressions").index(index);
        let values = expression.values.as_deref().unwrap_or_default();
        values_suit_operator(errors, &path, &expression.operator, values);
        label_key(errors, &path.child("key"), &expression.key);
        for (index, value) in values.iter().enumerate() {
            each(errors, &path.child("values").index(index), value, labels::label_value(value));
        }
    }
}

/// That conditions of the common shape are whole, each of a type of its own.
pub(crate) fn conditions(errors: &mut Errors, path: &FieldPath, conditions: &[Condition]) {
    for (index, condition) in conditions.iter().enumerate() {
        let path = path.index(index);
        if conditions[..index].iter().any(|other| other.type_ == condition.type_) {
            errors.push(FieldError::duplicate(path.child("type"), &condition.type_));
        }
        label_key(errors, &path.child("type"), &condition.type_);
        supported_if_set(errors, &path.child("status"), Some(&condition.status), &["False", "True", "Unknown"]);
        if let Some(generation) = condition.observed_generation.filter(|generation| *generation < 0) {
            let detail = "must be greater than or equal to zero";
            errors.push(FieldError::invalid(path.child("observedGeneration"), &generation, detail));
        }
        condition_reason(errors, &path.child("reason"), &condition.reason);
        if condition.message.len() > CONDITION_MESSAGE_BYTES_MAX {
            errors.push(FieldError::too_long(path.child("message"), CONDITION_MESSAGE_BYTES_MAX));
        }
    }
}

fn condition_reason(errors: &mut Errors, path: &FieldPath, reason: &str) {
    if reason.is_empty() {
        errors.push(FieldError::required(path.clone(), "must be set"));
        return;
    }
    each(errors, path, reason, labels::condition_reason(reason));
    if reason.len() > CONDITION_REASON_BYTES_MAX {
        errors.push(FieldError::too_long(path.clone(), CONDITION_REASON_BYTES_MAX));
    }
}

/// That `In` and `NotIn` have values, and `Exists` and `DoesNotExist` none.
pub(crate) fn values_suit_operator(errors: &mut Errors, path: &FieldPath, operator: &str, values: &[String]) {
    match operator {
        "In" | "NotIn" if values.is_empty() => {
            let detail = "must be specified when `operator` is 'In' or 'NotIn'";
            errors.push(FieldError::required(path.child("values"), detail));
        }
        "Exists" | "DoesNotExist" if !values.is_empty() => {
            let detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
            errors.push(FieldError::forbidden(path.child("values"), detail));
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
        other => errors.push(FieldError::invalid(path.child("operator"), other, "not a valid selector operator")),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The errors as texts, one a line, for tables of validation tests.
    pub(crate) fn texts(errors: &[FieldError]) -> Vec<String> {
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn empty_is_as_good_as_none() {
        let none = LabelSelector::default();
        let empty = LabelSelector { match_labels: Some(BTreeMap::new()), match_expressions: Some(Vec::new()) };
        assert!(same(&none, &empty));
        let some = LabelSelector { match_labels: Some([("a".to_owned(), String::new())].into()), ..none.clone() };
        assert!(!same(&none, &some));
    }

    #[test]
    fn special_addresses_are_refused() {
        for (ip, refused) in [
            ("10.0.0.1", false),
            ("fd00::1", false),
            ("0.0.0.0", true),
            ("127.1.2.3", true),
            ("169.254.0.1", true),
            ("224.0.0.9", true),
            ("ff02::1", true),
            ("x", true),
        ] {
            let mut errors = Errors::new();
            reachable_ip(&mut errors, &FieldPath::new("ip"), ip);
            assert_eq!(!errors.is_empty(), refused, "{ip}: {errors:?}");
        }
    }
}
