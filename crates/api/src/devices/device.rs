//! One device of a ResourceSlice: its attributes, capacities and what it takes from shared counters.

use super::checks;
use crate::check::{self, Errors};
use crate::core::pod::scheduling;
use crate::field::{FieldError, FieldPath};
use k8s_openapi::api::resource::v1::{Counter, CounterSet, Device, DeviceAttribute};
use std::collections::BTreeMap;

/// Attributes and capacities together.
const ATTRIBUTES_MAX: usize = 32;
const TEXT_BYTES_MAX: usize = 64;
const TAINTS_MAX: usize = 16;
const COUNTERS_MAX: usize = 32;
const ONE_NODE_CHOICE: &str = "exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required when \
                               `perDeviceNodeSelection` is set to true in the ResourceSlice spec";

pub(super) fn device(errors: &mut Errors, path: &FieldPath, device: &Device, chooses_nodes: bool) {
    check::dns1123_label(errors, &path.child("name"), &device.name);
    let attributes = device.attributes.iter().flatten();
    let capacities = device.capacity.iter().flatten();
    let count = attributes.clone().count() + capacities.clone().count();
    if count > ATTRIBUTES_MAX {
        let detail = format!("the total number of attributes and capacities must not exceed {ATTRIBUTES_MAX}");
        errors.push(FieldError::invalid(path.clone(), &count, detail));
    }
    for (name, attribute) in attributes {
        let path = path.child("attributes").key(name);
        checks::qualified(errors, &path, name, true);
        self::attribute(errors, &path, attribute);
    }
    for (name, _) in capacities {
        checks::qualified(errors, &path.child("capacity").key(name), name, true);
    }
    let taints = device.taints.as_deref().unwrap_or_default();
    checks::at_most(errors, &path.child("taints"), taints.len(), TAINTS_MAX);
    for (index, taint) in taints.iter().enumerate() {
        checks::taint(errors, &path.child("taints").index(index), taint);
    }
    let consumed = device.consumes_counters.as_deref().unwrap_or_default();
    let own = path.child("consumesCounters");
    checks::unique(errors, &own, consumed.iter().map(|own| own.counter_set.as_str()));
    for (index, consumption) in consumed.iter().enumerate() {
        let path = own.index(index);
        check::dns1123_label(errors, &path.child("counterSet"), &consumption.counter_set);
        counters(errors, &path.child("counters"), &consumption.counters);
    }
    nodes(errors, path, device, chooses_nodes);
}

/// Exactly one value.
fn attribute(errors: &mut Errors, path: &FieldPath, attribute: &DeviceAttribute) {
    let set = [
        attribute.bool.is_some(),
        attribute.int.is_some(),
        attribute.string.is_some(),
        attribute.version.is_some(),
        attribute.bools.is_some(),
        attribute.ints.is_some(),
        attribute.strings.is_some(),
        attribute.versions.is_some(),
    ];
    match set.iter().filter(|set| **set).count() {
        0 => errors.push(FieldError::required(path.clone(), "exactly one value must be specified")),
        1 => {}
        _ => {
            let detail = "exactly one value must be specified";
            errors.push(FieldError::invalid(path.clone(), attribute, detail));
        }
    }
    for (field, text) in [("string", &attribute.string), ("version", &attribute.version)] {
        if text.as_ref().is_some_and(|text| text.len() > TEXT_BYTES_MAX) {
            errors.push(FieldError::too_long(path.child(field), TEXT_BYTES_MAX));
        }
    }
    if let Some(version) = attribute.version.as_ref().filter(|version| !is_semantic_version(version)) {
        let detail = "must be a string compatible with semver.org spec 2.0.0";
        errors.push(FieldError::invalid(path.child("version"), version, detail));
    }
}

/// Devices choose their nodes only where the slice leaves it to them.
fn nodes(errors: &mut Errors, path: &FieldPath, device: &Device, chooses: bool) {
    let given = [
        ("nodeName", device.node_name.is_some()),
        ("nodeSelector", device.node_selector.is_some()),
        ("allNodes", device.all_nodes.is_some()),
    ];
    let set = given.iter().filter(|(_, set)| *set);
    if !chooses {
        for (field, _) in set {
            let detail = format!(
                "`{field}` can only be set if `perDeviceNodeSelection` is set to true in the ResourceSlice spec"
            );
            errors.push(FieldError::invalid(path.child(field), &serde_json::Value::Null, detail));
        }
        return;
    }
    match set.count() {
        0 => errors.push(FieldError::required(path.clone(), ONE_NODE_CHOICE)),
        1 => {}
        _ => {
            let detail = format!("{ONE_NODE_CHOICE}, but multiple fields are set");
            errors.push(FieldError::invalid(path.clone(), &serde_json::Value::Null, detail));
        }
    }
    if let Some(selector) = &device.node_selector {
        scheduling::node_selector(errors, &path.child("nodeSelector"), selector);
    }
}

fn counters(errors: &mut Errors, path: &FieldPath, counters: &BTreeMap<String, Counter>) {
    if counters.is_empty() {
        errors.push(FieldError::required(path.clone(), ""));
    }
    checks::at_most(errors, path, counters.len(), COUNTERS_MAX);
    for name in counters.keys() {
        check::dns1123_label(errors, &path.key(name), name);
    }
}

/// Counters that several devices take from.
pub(super) fn counter_set(errors: &mut Errors, path: &FieldPath, set: &CounterSet) {
    match set.name.as_str() {
        "" => errors.push(FieldError::required(path.child("name"), "")),
        name => check::dns1123_label(errors, &path.child("name"), name),
    }
    counters(errors, &path.child("counters"), &set.counters);
}

/// `1.2.3-rc.1+build`: three numbers without leading zeros, and what may stand behind them.
fn is_semantic_version(text: &str) -> bool {
    let (rest, build) = text.split_once('+').map_or((text, None), |(rest, build)| (rest, Some(build)));
    let (core, before) = rest.split_once('-').map_or((rest, None), |(core, before)| (core, Some(before)));
    let is_number = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()) && (part == "0" || !part.starts_with('0'))
    };
    let is_word =
        |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let is_identifier =
        |part: &str| is_word(part) && (is_number(part) || !part.bytes().all(|byte| byte.is_ascii_digit()));
    core.split('.').count() == 3
        && core.split('.').all(is_number)
        && before.is_none_or(|before| before.split('.').all(is_identifier))
        && build.is_none_or(|build| build.split('.').all(is_word))
}

#[cfg(test)]
mod tests {
    use super::is_semantic_version;

    #[test]
    fn versions_of_devices() {
        for (text, is) in [
            ("1.2.3", true),
            ("0.0.1-rc.1+build.7", true),
            ("1.2", false),
            ("01.2.3", false),
            ("1.2.3-01", false),
            ("1.2.3-", false),
            ("v1.2.3", false),
            ("1.2.3+", false),
        ] {
            assert_eq!(is_semantic_version(text), is, "{text}");
        }
    }
}
