//! What a server says about bad bodies, and what it makes of odd good ones.

use super::*;
use proptest::prelude::*;

const POD: &str = "k8s.io.api.core.v1.Pod";
const DEPLOYMENT: &str = "k8s.io.api.apps.v1.Deployment";

/// The JSON and the complaints, or the error.
fn run(message: &str, json: &str) -> Result<(String, Vec<String>), String> {
    let checked = check(message, json.as_bytes()).map_err(|error| error.to_string())?;
    Ok((String::from_utf8(checked.json.into_owned()).expect("UTF-8"), checked.strict_errors))
}

fn json(message: &str, json: &str) -> String {
    let (out, complaints) = run(message, json).unwrap_or_else(|error| panic!("{json}: {error}"));
    assert_eq!(complaints, Vec::<String>::new(), "{json}");
    serde_json::from_str::<serde_json::Value>(&out).unwrap_or_else(|error| panic!("{out}: {error}"));
    out
}

fn complaints(message: &str, json: &str) -> Vec<String> {
    run(message, json).unwrap_or_else(|error| panic!("{json}: {error}")).1
}

fn error(message: &str, json: &str) -> String {
    run(message, json).expect_err(json)
}

#[test]
fn good_input_is_not_copied() {
    let text = br#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","labels":{"x":"y"}},"spec":{"containers":[
        {"name":"c","image":"i","resources":{"limits":{"cpu":"100m","memory":"1Gi"}},"ports":[{"containerPort":80}]}]}}"#;
    let checked = check(POD, text).expect("good");
    assert!(matches!(checked.json, Cow::Borrowed(_)));
    assert!(checked.strict_errors.is_empty());
}

#[test]
fn unknown_fields_are_named_by_path_in_order_and_dropped() {
    let text = r#"{"spec":{"foo":1,"containers":[{"name":"a"},{"imagee":"x","name":"b","bar":{"z":[1]}}],"baz":null},"top":[]}"#;
    let (out, complaints) = run(POD, text).expect("lenient");
    assert_eq!(
        complaints,
        [
            r#"unknown field "spec.foo""#,
            r#"unknown field "spec.containers[1].imagee""#,
            r#"unknown field "spec.containers[1].bar""#,
            r#"unknown field "spec.baz""#,
            r#"unknown field "top""#,
        ]
    );
    assert_eq!(out, r#"{"spec":{"containers":[{"name":"a"},{"name":"b"}]}}"#);
}

#[test]
fn duplicate_fields_are_named_once_each_and_interleaved() {
    let text = r#"{"metadata":{"name":"a","name":"b","name":"c","labels":{"x":"1","x":"2"}},"zz":1,"kind":"Pod","kind":"Pod","metadata":{}}"#;
    assert_eq!(
        complaints(POD, text),
        [
            r#"duplicate field "metadata.name""#,
            r#"duplicate field "metadata.labels.x""#,
            r#"unknown field "zz""#,
            r#"duplicate field "kind""#,
            r#"duplicate field "metadata""#,
        ]
    );
    let many: String = (0..20).map(|n| format!("\"k{n}\":\"\",")).collect();
    let text = format!(r#"{{"data":{{{many}"k3":"","k19":""}}}}"#);
    assert_eq!(
        complaints("k8s.io.api.core.v1.ConfigMap", &text),
        [r#"duplicate field "data.k3""#, r#"duplicate field "data.k19""#]
    );
}

#[test]
fn names_are_compared_by_case_and_by_meaning() {
    assert_eq!(complaints(POD, r#"{"Spec":{}}"#), [r#"unknown field "Spec""#]);
    assert_eq!(json(POD, r#"{"sp\u0065c":{}}"#), r#"{"sp\u0065c":{}}"#);
    assert_eq!(complaints(POD, r#"{"a\"b":1}"#), [r#"unknown field "a\"b""#]);
}

#[test]
fn wrong_types_are_told_as_go_tells_them() {
    let cases = [
        (
            DEPLOYMENT,
            r#"{"spec":{"replicas":"two"}}"#,
            "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            POD,
            r#"{"spec":{"containers":"x"}}"#,
            "json: cannot unmarshal string into Go struct field PodSpec.spec.containers of type []v1.Container",
        ),
        (
            POD,
            r#"{"spec":{"containers":[{"name":1}]}}"#,
            "json: cannot unmarshal number into Go struct field Container.spec.containers.name of type string",
        ),
        (
            POD,
            r#"{"spec":{"containers":["a"]}}"#,
            "json: cannot unmarshal string into Go struct field PodSpec.spec.containers of type v1.Container",
        ),
        (
            POD,
            r#"{"metadata":{"labels":{"a":true}}}"#,
            "json: cannot unmarshal bool into Go struct field ObjectMeta.metadata.labels of type string",
        ),
        (
            POD,
            r#"{"metadata":{"labels":[]}}"#,
            "json: cannot unmarshal array into Go struct field ObjectMeta.metadata.labels of type map[string]string",
        ),
        (
            DEPLOYMENT,
            r#"{"spec":{"replicas":1.5,"paused":"no"}}"#,
            "json: cannot unmarshal number 1.5 into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            DEPLOYMENT,
            r#"{"spec":{"replicas":3000000000}}"#,
            "json: cannot unmarshal number 3000000000 into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            POD,
            r#"{"spec":{"containers":[{"resources":{"limits":{"cpu":"x"}}}]}}"#,
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
        ),
        (
            POD,
            r#"{"metadata":{"creationTimestamp":"now"}}"#,
            r#"parsing time "now" as "2006-01-02T15:04:05Z07:00": cannot parse "now" as "2006""#,
        ),
        (
            "k8s.io.api.core.v1.Service",
            r#"{"spec":{"ports":[{"targetPort":true}]}}"#,
            "json: cannot unmarshal bool into Go struct field ServicePort.spec.ports.targetPort of type int32",
        ),
        ("k8s.io.api.core.v1.Secret", r#"{"data":{"a":"*"}}"#, "illegal base64 data at input byte 0"),
        (POD, "[]", "json: cannot unmarshal array into Go value of type v1.Pod"),
    ];
    for (message, text, expected) in cases {
        assert_eq!(error(message, text), expected, "{text}");
    }
}

#[test]
fn malformed_json_is_told_as_go_tells_it_before_anything_else() {
    let cases = [
        ("", "unexpected end of JSON input"),
        ("{", "unexpected end of JSON input"),
        (r#"{"spec":{"containers":5},}"#, "invalid character '}' looking for beginning of object key string"),
        ("{a:1}", "invalid character 'a' looking for beginning of object key string"),
        (r#"{"kind" 1}"#, "invalid character '1' after object key"),
        (r#"{"kind":"a" "b"}"#, "invalid character '\"' after object key:value pair"),
        (r#"{"x":[1 2]}"#, "invalid character '2' after array element"),
        (r#"{"x":[1,]}"#, "invalid character ']' looking for beginning of value"),
        ("{} x", "invalid character 'x' after top-level value"),
        (r#"{"x":nul}"#, "invalid character '}' in literal null (expecting 'l')"),
        (r#"{"x":01}"#, "invalid character '1' after object key:value pair"),
        (r#"{"x":1.}"#, "invalid character '}' after decimal point in numeric literal"),
        (r#"{"x":1ez}"#, "invalid character 'z' in exponent of numeric literal"),
        (r#"{"x":-}"#, "invalid character '}' in numeric literal"),
        (r#"{"x":"\q"}"#, "invalid character 'q' in string escape code"),
        (r#"{"x":"\u12g4"}"#, "invalid character 'g' in \\u hexadecimal character escape"),
        ("{\"x\":\"a\nb\"}", "invalid character '\\n' in string literal"),
        ("{\"kind\":\"abcdefghijk\tb\"}", "invalid character '\\t' in string literal"),
    ];
    for (text, expected) in cases {
        assert_eq!(error(POD, text), expected, "{text}");
    }
}

#[test]
fn nulls_leave_fields_out_and_elements_zero() {
    let text = r#"{"metadata":{"name":null,"labels":{"a":null},"finalizers":null},"spec":{"nodeName":null,"containers":[null]},"status":null}"#;
    assert_eq!(json(POD, text), r#"{"metadata":{"labels":{"a":""}},"spec":{"containers":[{}]}}"#);
    assert_eq!(json(POD, r#"{ "status" : null }"#), "{  }");
    assert_eq!(json(POD, r#"{"kind":null,"status":null,"spec":{}}"#), r#"{"spec":{}}"#);
    let text = r#"{"spec":{"hard":{"pods":null}}}"#;
    assert_eq!(json("k8s.io.api.core.v1.ResourceQuota", text), r#"{"spec":{"hard":{"pods":"0"}}}"#);
}

#[test]
fn leaves_become_canonical() {
    let text = r#"{"spec":{"overhead":{"cpu":0.5,"memory":"1024Mi","a":2,"b":" 1 "}},"metadata":{"creationTimestamp":"2024-01-01T00:00:00+01:00","generation":-0}}"#;
    assert_eq!(
        json(POD, text),
        r#"{"spec":{"overhead":{"cpu":"500m","memory":"1Gi","a":"2","b":"1"}},"metadata":{"creationTimestamp":"2023-12-31T23:00:00Z","generation":0}}"#
    );
    let text = r#"{"spec":{"ports":[{"targetPort":"http"},{"targetPort":80}]}}"#;
    assert_eq!(json("k8s.io.api.core.v1.Service", text), text);
    let text = r#"{"spec":{"acquireTime":"2024-01-01T00:00:00Z"}}"#;
    assert_eq!(
        json("k8s.io.api.coordination.v1.Lease", text),
        r#"{"spec":{"acquireTime":"2024-01-01T00:00:00.000000Z"}}"#
    );
    assert_eq!(json("k8s.io.api.core.v1.Secret", r#"{"data":{"a":"YR=="}}"#), r#"{"data":{"a":"YQ=="}}"#);
}

#[test]
fn raw_values_pass_whole() {
    let text = r#"{"data":{"anything":[1,null,{"a":1,"a":2}]},"revision":1}"#;
    assert_eq!(json("k8s.io.api.apps.v1.ControllerRevision", text), text);
}

#[test]
fn strings_that_are_no_unicode_are_mended() {
    let half = r#"{"metadata":{"name":"\ud800x","labels":{"\udc00":"\ud83d\ude00"}},"spec":{"schedulerName":"\ud800\ud83d\ude00"}}"#;
    let mended: serde_json::Value = serde_json::from_str(&json(POD, half)).expect("JSON");
    assert_eq!(mended["metadata"]["name"], "\u{fffd}x");
    assert_eq!(mended["metadata"]["labels"]["\u{fffd}"], "\u{1f600}");
    assert_eq!(mended["spec"]["schedulerName"], "\u{fffd}\u{1f600}");
    let checked = check(POD, b"{\"metadata\":{\"name\":\"a\xff\"}}").expect("mended");
    assert_eq!(checked.json, "{\"metadata\":{\"name\":\"a\u{fffd}\"}}".as_bytes());
}

#[test]
fn bounds_hold() {
    let deep = |n: usize| format!(r#"{{"x":{}{}}}"#, "[".repeat(n), "]".repeat(n));
    assert_eq!(error(POD, &deep(1000)), "exceeded max depth");
    assert_eq!(complaints(POD, &deep(100)), [r#"unknown field "x""#]);
    assert_eq!(check(POD, &vec![b' '; SIZE_MAX + 1]), Err(DecodeError::Size));
    let many: Vec<String> = (0..300).map(|n| format!("\"x{n}\":1")).collect();
    assert_eq!(complaints(POD, &format!("{{{}}}", many.join(","))).len(), STRICT_ERRORS_MAX);
    assert_eq!(error("no.such.Message", "{}"), "no schema for no.such.Message");
}

#[test]
fn custom_objects_are_checked_for_metadata_and_duplicates() {
    let text =
        r#"{"apiVersion":"a/v1","kind":"K","metadata":{"nam":"x","name":"y"},"spec":{"a":[{"b":1,"b":2}],"c":null}}"#;
    let checked = check_custom(text.as_bytes()).expect("lenient");
    assert_eq!(checked.strict_errors, [r#"unknown field "metadata.nam""#, r#"duplicate field "spec.a[0].b""#]);
    let json: serde_json::Value = serde_json::from_slice(&checked.json).expect("JSON");
    assert_eq!(json["spec"]["c"], serde_json::Value::Null);
    assert_eq!(json["metadata"], serde_json::json!({"name": "y"}));
}

/// JSON that is mostly a pod, with anything anywhere.
fn podlike() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i32>().prop_map(Into::into),
        "[a-z0-9.]{0,6}".prop_map(Into::into),
        "\\PC{0,4}".prop_map(Into::into),
    ];
    let key = prop_oneof![
        Just("spec"),
        Just("metadata"),
        Just("containers"),
        Just("name"),
        Just("labels"),
        Just("resources"),
        Just("limits"),
        Just("cpu"),
        Just("ports"),
        Just("volumes"),
        Just("emptyDir"),
        Just("x"),
        Just("status"),
    ];
    leaf.prop_recursive(6, 48, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::Array),
            prop::collection::vec((key.clone(), inner), 0..5)
                .prop_map(|members| members.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// What comes out is a fixed point that the typed decoder takes.
    #[test]
    fn checked_json_decodes_and_is_checked_already(value in podlike()) {
        let text = serde_json::to_string_pretty(&value).expect("JSON");
        if let Ok(checked) = check(POD, text.as_bytes()) {
            let again = check(POD, &checked.json).expect("checked once");
            prop_assert_eq!(&again.json, &checked.json);
            prop_assert!(again.strict_errors.is_empty());
            if value.is_object() {
                let decoded = serde_json::from_slice::<k8s_openapi::api::core::v1::Pod>(
                    &with_kind(&checked.json));
                prop_assert!(decoded.is_ok(), "{:?}", decoded.err());
            }
        }
    }

    #[test]
    fn agrees_with_serde_json_on_what_is_json(bytes in prop::collection::vec(prop_oneof![
        Just(b'{'), Just(b'}'), Just(b'"'), Just(b':'), Just(b','), Just(b'['), Just(b']'), Just(b'\\'), Just(b'1'),
        Just(b'-'), Just(b'e'), Just(b'.'), Just(b'a'), Just(b' '), Just(b'u'), Just(b'0'), Just(b'\n')], 0..24)) {
        let ours = !matches!(check(POD, &bytes), Err(DecodeError::Syntax(_)));
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let theirs = serde_json::from_str::<Box<serde_json::value::RawValue>>(&text).is_ok();
        prop_assert_eq!(ours, theirs, "{}", text);
    }
}

fn with_kind(json: &[u8]) -> Vec<u8> {
    let mut value: serde_json::Value = serde_json::from_slice(json).expect("JSON");
    if let Some(members) = value.as_object_mut() {
        members.insert("apiVersion".into(), "v1".into());
        members.insert("kind".into(), "Pod".into());
    }
    serde_json::to_vec(&value).expect("JSON")
}
