//! Golden samples both ways, and laws for what no sample has.

use super::*;
use crate::schema::{Message, message, messages};
use proptest::prelude::*;
use serde_json::json;
use std::collections::BTreeMap;
use std::io::Read as _;

const SAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/wire/v1.36.0.tar.gz");

/// Samples by name, without their extension.
fn samples() -> Option<BTreeMap<String, (Vec<u8>, Vec<u8>)>> {
    let Ok(file) = std::fs::File::open(SAMPLES) else {
        eprintln!("skipped: {SAMPLES} is absent");
        return None;
    };
    let mut samples: BTreeMap<String, (Vec<u8>, Vec<u8>)> = BTreeMap::new();
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(file));
    for entry in archive.entries().expect("an archive") {
        let mut entry = entry.expect("an entry");
        let path = entry.path().expect("a path").into_owned();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).expect("readable");
        let (Some(stem), Some(extension)) = (path.file_stem(), path.extension()) else { continue };
        let sample = samples.entry(stem.to_string_lossy().into_owned()).or_default();
        if extension == "json" { sample.0 = bytes } else { sample.1 = bytes }
    }
    Some(samples)
}

/// The message of a sample: its group names the package, except where it does not.
fn message_of(api_version: &str, kind: &str) -> Option<&'static Message> {
    let (group, version) = api_version.split_once('/').unwrap_or(("core", api_version));
    let package = match group {
        "internal.apiserver.k8s.io" => "apiserverinternal",
        other => other.split('.').next().unwrap_or_default(),
    };
    [format!("k8s.io.api.{package}.{version}.{kind}"), format!("k8s.io.apimachinery.pkg.apis.meta.v1.{kind}")]
        .iter()
        .find_map(|name| message(name))
}

/// Samples of 1.36 with what 1.37 has no more.
const EXCEPTIONS: [(&str, &str); 6] = [
    ("core.v1.Pod", "status.nodeAllocatableResourceClaimStatuses[].resources"),
    ("resource.k8s.io.v1.ResourceSlice", "spec.devices[].nodeAllocatableResourceMappings"),
    ("resource.k8s.io.v1beta1.ResourceSlice", "spec.devices[].basic.nodeAllocatableResourceMappings"),
    ("resource.k8s.io.v1beta2.ResourceSlice", "spec.devices[].nodeAllocatableResourceMappings"),
    ("scheduling.k8s.io.v1alpha2.PodGroup", "the group version"),
    ("scheduling.k8s.io.v1alpha2.Workload", "the group version"),
];

/// How a sample differs from what becomes of it, either way.
fn complaint(name: &str, json: &[u8], protobuf: &[u8]) -> Option<String> {
    let (api_version, kind) = type_meta(protobuf).expect("an envelope");
    // A watch event has no type of its own.
    let kind = if kind.is_empty() { "WatchEvent".to_owned() } else { kind };
    let Some(message) = message_of(&api_version, &kind) else {
        return Some(format!("{name}: no message for {api_version} {kind}"));
    };
    let full_name = message.full_name();
    let value: Value = serde_json::from_slice(json).expect("JSON");
    let decoded = decode(&full_name, protobuf).unwrap_or_else(|error| panic!("{name}: {error}"));
    if decoded != value {
        return Some(format!("{name}: decoded differs at {}", difference(&decoded, &value, "")));
    }
    let encoded = encode(&full_name, &value).unwrap_or_else(|error| panic!("{name}: {error}"));
    (encoded != protobuf).then(|| {
        let again = decode(&full_name, &encoded).expect("ours");
        format!("{name}: {} bytes, not {}; {}", encoded.len(), protobuf.len(), difference(&again, &value, ""))
    })
}

#[test]
fn golden_samples_encode_and_decode() {
    let Some(samples) = samples() else { return };
    assert_eq!(samples.len(), 190);
    let mut wrong = Vec::new();
    for (name, (json, protobuf)) in &samples {
        let is_exception = EXCEPTIONS.iter().any(|(exception, _)| exception == name);
        match complaint(name, json, protobuf) {
            Some(complaint) if !is_exception => wrong.push(complaint),
            None if is_exception => wrong.push(format!("{name} is no exception")),
            _ => {}
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), samples.len(), wrong.join("\n"));
}

/// Kinds of the table that have no sample: two whose types are not among upstream's built-in ones, and those that had
/// no first version in 1.36.
const WITHOUT_SAMPLES: [&str; 6] = [
    "CustomResourceDefinition",
    "APIService",
    "ClusterTrustBundle",
    "PodCertificateRequest",
    "DeviceTaintRule",
    "StorageVersionMigration",
];

/// Samples that change on the way, and why: their structs write the type of a template's claims, as upstream's defaults
/// do; what a version measures is kept in an annotation too; a time that is null is no time to the struct.
const CHANGED: [&str; 3] =
    ["apps.v1.StatefulSet", "autoscaling.v1.HorizontalPodAutoscaler", "policy.v1.PodDisruptionBudget"];

/// What a kind's struct makes of a golden sample: all of it, but for what 1.37 has no more.
#[test]
fn every_kind_of_the_table_keeps_its_golden_sample() {
    let Some(samples) = samples() else { return };
    let mut without = Vec::new();
    let mut wrong = Vec::new();
    // The samples are those of upstream's documents, which lack the metrics.
    for row in crate::object::builtin().iter().filter(|row| row.def().group != crate::metrics::GROUP) {
        let def = row.def();
        let group = if def.group.is_empty() { "core" } else { def.group };
        let name = format!("{group}.{}.{}", def.version, def.kind);
        let Some((json, _)) = samples.get(&name) else {
            without.push(def.kind);
            continue;
        };
        let value: Value = serde_json::from_slice(json).expect("JSON");
        let is_exception =
            CHANGED.contains(&name.as_str()) || EXCEPTIONS.iter().any(|(exception, _)| *exception == name);
        let checked = crate::schema::check(def.message, json).expect("of the kind");
        if !checked.strict_errors.is_empty() && !is_exception {
            wrong.push(format!("{name}: {}", checked.strict_errors.join(", ")));
        }
        let object = match row.decode(&checked.json) {
            Ok(object) => object,
            Err(_) if is_exception => continue,
            Err(error) => {
                wrong.push(format!("{name}: {error}"));
                continue;
            }
        };
        let stored = object.encode().expect("encodes");
        let kept = if row.stored().is_some() { row.present(&stored).expect("converts") } else { stored };
        let kept: Value = serde_json::from_slice(&kept).expect("JSON");
        if kept != value && !is_exception {
            wrong.push(format!("{name}: {}", difference(&kept, &value, "")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    without.retain(|kind| !WITHOUT_SAMPLES.contains(kind));
    assert_eq!(without, Vec::<&str>::new(), "kinds without a sample");
}

fn difference(left: &Value, right: &Value, path: &str) -> String {
    match (left, right) {
        (Value::Object(l), Value::Object(r)) => {
            for key in l.keys().chain(r.keys()) {
                if l.get(key) != r.get(key) {
                    let (l, r) = (l.get(key).unwrap_or(&Value::Null), r.get(key).unwrap_or(&Value::Null));
                    return difference(l, r, &format!("{path}.{key}"));
                }
            }
            format!("{path}: equal")
        }
        (Value::Array(l), Value::Array(r)) if l.len() == r.len() => {
            let at = l.iter().zip(r).position(|(l, r)| l != r);
            at.map_or(format!("{path}: equal"), |at| difference(&l[at], &r[at], &format!("{path}[{at}]")))
        }
        _ => format!("{path}: {left} is not {right}"),
    }
}

const POD: &str = "k8s.io.api.core.v1.Pod";

#[test]
fn zeros_that_go_always_writes_are_left_out_and_zeros_that_count_are_kept() {
    let object = json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "a", "generateName": "", "generation": 0},
        "spec": {"replicas": 0, "paused": false, "minReadySeconds": 0, "template": {"spec": {"containers": [], "priority": 0}}}});
    let bytes = encode("k8s.io.api.apps.v1.Deployment", &object).expect("encodes");
    assert_eq!(
        decode("k8s.io.api.apps.v1.Deployment", &bytes),
        Ok(json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"},
            "spec": {"replicas": 0, "template": {"spec": {"priority": 0}}}}))
    );
}

#[test]
fn schemas_of_custom_resources_go_both_ways() {
    let message = "k8s.io.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition";
    let object = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "x.example.com"},
        "spec": {"group": "example.com", "versions": [{"name": "v1", "served": true, "storage": false, "schema": {"openAPIV3Schema": {
            "type": "object", "$ref": "#/x", "default": {"a": [1, null]}, "enum": [1, "a"], "maximum": 1.5, "minimum": 0,
            "additionalProperties": false, "x-kubernetes-list-map-keys": ["k"], "x-kubernetes-preserve-unknown-fields": true,
            "properties": {"spec": {"items": {"type": "string"}, "additionalProperties": {"type": "integer"}}},
            "dependencies": {"a": ["b", "c"], "d": {"type": "object"}},
            "items": [{"type": "string"}, {"type": "integer"}]}}}]}});
    let bytes = encode(message, &object).expect("encodes");
    assert_eq!(decode(message, &bytes), Ok(object));
}

#[test]
fn watch_frames_are_measured_and_bare() {
    let frame = watch_frame("ADDED", b"k8s\0x");
    assert_eq!(frame, b"\0\0\0\x10\x0a\x05ADDED\x12\x07\x0a\x05k8s\0x");
}

#[test]
fn bad_bytes_are_refused() {
    assert_eq!(decode(POD, b"{}"), Err(ProtoError::NoMagic));
    assert_eq!(decode(POD, b"k8s\0\x12\x05"), Err(ProtoError::Truncated));
    assert_eq!(decode(POD, b"k8s\0\x13"), Err(ProtoError::WireType(3)));
    assert_eq!(decode(POD, b"k8s\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), Err(ProtoError::Overflow));
    assert_eq!(decode("x.Y", b""), Err(ProtoError::UnknownMessage("x.Y".to_owned())));
    let error = encode(POD, &json!({"metadata": {"name": 1}})).expect_err("unchecked");
    assert_eq!(error.to_string(), "ObjectMeta.name: cannot be encoded: not a string");
}

/// A value that a field of this type may have.
fn filled(kind: crate::schema::Type, depth: u32) -> Option<Value> {
    use crate::schema::{Codec, Type};
    Some(match kind {
        Type::String => "text".into(),
        Type::Bytes => "AQID".into(),
        Type::Int32 => (-5).into(),
        Type::Int64 => i64::MIN.into(),
        Type::Bool => true.into(),
        Type::Double => 2.5.into(),
        Type::Message(id) => match id.get().codec {
            Codec::Object if depth == 0 => return None,
            Codec::Object => filled_message(id.get(), depth - 1),
            Codec::Quantity => "1536Mi".into(),
            Codec::Time => "2024-01-02T03:04:05Z".into(),
            Codec::MicroTime => "2024-01-02T03:04:05.000006Z".into(),
            Codec::Duration => "1m30s".into(),
            Codec::IntOrString => "10%".into(),
            Codec::Items => json!(["a", "b"]),
            Codec::Raw if id.get().name.starts_with("JSONSchemaPropsOr") => json!({"type": "string"}),
            Codec::Raw => json!({"any": [1, "thing"]}),
        },
    })
}

fn filled_message(message: &'static Message, depth: u32) -> Value {
    use crate::schema::Shape;
    let mut members = serde_json::Map::new();
    // What has no number, or none behind its inline field, has no protobuf form.
    let is_encoded = |field: &crate::schema::Field| field.number != 0;
    for field in message.fields.iter().filter(|field| !field.inline && is_encoded(field)) {
        let Some(value) = filled(field.kind, depth) else { continue };
        let value = match field.shape {
            Shape::One => value,
            Shape::List => json!([value, value]),
            Shape::Map => json!({"k": value, "a": value}),
        };
        members.insert(field.name.to_owned(), value);
    }
    Value::Object(members)
}

#[test]
fn every_field_with_a_number_survives_and_passes_the_check() {
    let mut seen = 0;
    for message in messages().filter(|message| message.codec == crate::schema::Codec::Object) {
        let name = message.full_name();
        let mut object = filled_message(message, 3);
        // The envelope carries the type; a message without kind has nothing to carry.
        let fields = object.as_object_mut().expect("an object");
        let clashes = fields.contains_key("kind") || fields.contains_key("apiVersion");
        if clashes {
            continue;
        }
        seen += 1;
        let bytes = encode(&name, &object).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(decode(&name, &bytes), Ok(object.clone()), "{name}");
        let text = object.to_string();
        let checked = crate::schema::check(&name, text.as_bytes()).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(checked.strict_errors, Vec::<String>::new(), "{name}");
        assert_eq!(checked.json, text.as_bytes(), "{name}");
    }
    assert!(seen > 1000, "{seen}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_answered(mut bytes in prop::collection::vec(any::<u8>(), 0..200), flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6)) {
        let pod = json!({"metadata": {"name": "a", "labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
        let mut good = encode(POD, &pod).expect("encodes");
        for (at, byte) in flips {
            let at = at.index(good.len());
            good[at] = byte;
        }
        bytes.splice(0..0, MAGIC);
        for input in [good, bytes] {
            if let Ok(decoded) = decode(POD, &input) {
                prop_assert!(decoded.is_object());
            }
        }
    }
}

/// Found by the fuzzer: a time of a year that no clock shows, and then the zero time.
#[test]
fn a_time_that_is_none_is_not_there() {
    const LEASE: &str = "k8s.io.api.coordination.v1.Lease";
    let spec = |times: &[&[u8]]| {
        let times: Vec<u8> = times.iter().flat_map(|time| [&[34, time.len() as u8], *time].concat()).collect();
        let raw = [&[18, times.len() as u8], times.as_slice()].concat();
        let unknown = [&[18, raw.len() as u8], raw.as_slice()].concat();
        let value = decode(LEASE, &[&MAGIC[..], &unknown].concat()).unwrap();
        assert_eq!(decode(LEASE, &encode(LEASE, &value).unwrap()).as_ref(), Ok(&value));
        value["spec"]["renewTime"].clone()
    };
    let (no_year, now): (&[u8], &[u8]) = (&[8, 212, 141, 128, 148, 239, 58], &[8, 1]);
    assert_eq!(spec(&[no_year]), Value::Null);
    assert_eq!(spec(&[now]), "1970-01-01T00:00:01.000000Z");
    assert_eq!(spec(&[now, &[]]), Value::Null, "the last one counts");
    assert_eq!(spec(&[&[], now]), "1970-01-01T00:00:01.000000Z");
}
