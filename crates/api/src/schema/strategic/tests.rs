//! Documented behaviours of strategic merge, and laws that hold for all patches.

use super::*;
use proptest::prelude::*;
use serde_json::json;

const POD: &str = "k8s.io.api.core.v1.Pod";
const DEPLOYMENT: &str = "k8s.io.api.apps.v1.Deployment";
const SERVICE: &str = "k8s.io.api.core.v1.Service";

fn merged(message: &str, original: Value, patch: Value) -> Value {
    strategic_merge(message, original, patch).unwrap_or_else(|error| panic!("{error}"))
}

fn error(message: &str, original: Value, patch: Value) -> String {
    strategic_merge(message, original, patch).expect_err("must fail").to_string()
}

/// A pod with these containers.
fn pod(containers: Value) -> Value {
    json!({"spec": {"containers": containers}})
}

#[test]
fn lists_merge_by_key_and_keep_the_rest() {
    let cases = [
        // A named element merges.
        (
            json!([{"name": "a", "image": "1"}, {"name": "b"}]),
            json!([{"name": "a", "image": "2"}]),
            json!([{"name": "a", "image": "2"}, {"name": "b"}]),
        ),
        // A new one is added; those of the server interleave by their own order.
        (
            json!([{"name": "a"}, {"name": "b"}]),
            json!([{"name": "c"}]),
            json!([{"name": "c"}, {"name": "a"}, {"name": "b"}]),
        ),
        // The patch's order wins among what it names.
        (
            json!([{"name": "a"}, {"name": "x"}, {"name": "b"}]),
            json!([{"name": "b", "tty": true}, {"name": "a"}]),
            json!([{"name": "x"}, {"name": "b", "tty": true}, {"name": "a"}]),
        ),
        (json!([{"name": "a"}, {"name": "b"}]), json!([{"name": "a", "$patch": "delete"}]), json!([{"name": "b"}])),
        (json!([{"name": "a"}, {"name": "b"}]), json!([{"$patch": "replace"}, {"name": "c"}]), json!([{"name": "c"}])),
        (json!([{"name": "a"}]), json!([{"$patch": "replace"}]), json!([])),
        // Lists within elements merge too.
        (
            json!([{"name": "a", "env": [{"name": "X", "value": "1"}], "args": ["a"]}]),
            json!([{"name": "a", "env": [{"name": "Y", "value": "2"}], "args": ["b"]}]),
            json!([{"name": "a", "env": [{"name": "Y", "value": "2"}, {"name": "X", "value": "1"}], "args": ["b"]}]),
        ),
    ];
    for (original, patch, expected) in cases {
        assert_eq!(merged(POD, pod(original), pod(patch.clone())), pod(expected), "{patch}");
    }
    let ports = |list: Value| json!({"spec": {"ports": list}});
    assert_eq!(
        merged(SERVICE, ports(json!([{"port": 80}, {"port": 443}])), ports(json!([{"port": 80, "nodePort": 30080}]))),
        ports(json!([{"port": 80, "nodePort": 30080}, {"port": 443}]))
    );
}

#[test]
fn nulls_delete_and_leave_no_trace() {
    let original = json!({"metadata": {"labels": {"a": "1", "b": "2"}}, "spec": {"nodeName": "n"}});
    let patch = json!({"metadata": {"labels": {"a": null, "c": null}, "annotations": {"x": null, "y": "z"}}, "spec": null, "status": null});
    assert_eq!(merged(POD, original, patch), json!({"metadata": {"labels": {"b": "2"}, "annotations": {"y": "z"}}}));
}

#[test]
fn directives_on_maps_replace_and_delete() {
    let original = json!({"metadata": {"labels": {"a": "1"}, "annotations": {"k": "v"}}});
    let patch = json!({"metadata": {"labels": {"$patch": "replace", "b": "2"}, "annotations": {"$patch": "delete"}}});
    assert_eq!(merged(POD, original, patch), json!({"metadata": {"labels": {"b": "2"}, "annotations": {}}}));
    let added = json!({"metadata": {"annotations": {"$patch": "replace", "b": "2"}}, "spec": {"affinity": {"$patch": "delete"}}});
    assert_eq!(merged(POD, json!({}), added), json!({"metadata": {"annotations": {"b": "2"}}, "spec": {}}));
}

#[test]
fn lists_of_scalars_merge_and_delete() {
    let meta = |finalizers: Value| json!({"metadata": {"finalizers": finalizers}});
    assert_eq!(merged(POD, meta(json!(["a", "b"])), meta(json!(["c", "a"]))), meta(json!(["c", "a", "b"])));
    let patch = json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a", "z"]}});
    assert_eq!(merged(POD, meta(json!(["a", "b"])), patch.clone()), meta(json!(["b"])));
    assert_eq!(merged(POD, json!({"metadata": {}}), patch.clone()), json!({"metadata": {}}));
    let patch = json!({"metadata": {
        "$setElementOrder/finalizers": ["c", "b"], "$deleteFromPrimitiveList/finalizers": ["a"], "finalizers": ["c"]}});
    assert_eq!(merged(POD, meta(json!(["a", "b", "s"])), patch), meta(json!(["c", "b", "s"])));
    // Atomic lists are replaced.
    let args = |list: Value| pod(json!([{"name": "a", "args": list}]));
    assert_eq!(merged(POD, args(json!(["1", "2"])), args(json!(["3"]))), args(json!(["3"])));
}

#[test]
fn element_order_is_set() {
    let patch = json!({"spec": {
        "$setElementOrder/containers": [{"name": "b"}, {"name": "c"}, {"name": "a"}],
        "containers": [{"name": "c", "image": "new"}, {"name": "gone", "$patch": "delete"}]}});
    let original = pod(json!([{"name": "a"}, {"name": "gone"}, {"name": "b"}, {"name": "server"}]));
    assert_eq!(
        merged(POD, original, patch),
        pod(json!([{"name": "b"}, {"name": "c", "image": "new"}, {"name": "a"}, {"name": "server"}]))
    );
    let only_order = json!({"spec": {"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]}});
    assert_eq!(
        merged(POD, pod(json!([{"name": "a"}, {"name": "b"}])), only_order.clone()),
        pod(json!([{"name": "b"}, {"name": "a"}]))
    );
    assert_eq!(merged(POD, json!({}), only_order), json!({"spec": {}}));
}

#[test]
fn retained_keys_are_all_that_stays() {
    let strategy = |value: Value| json!({"spec": {"strategy": value}});
    let original = strategy(json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}));
    let patch = strategy(json!({"$retainKeys": ["type"], "type": "Recreate"}));
    assert_eq!(merged(DEPLOYMENT, original.clone(), patch), strategy(json!({"type": "Recreate"})));
    let bad = strategy(json!({"$retainKeys": ["rollingUpdate"], "type": "Recreate"}));
    assert_eq!(error(DEPLOYMENT, original, bad), "invalid patch format of retainKeys");
    let volumes = |list: Value| json!({"spec": {"volumes": list}});
    assert_eq!(
        merged(
            POD,
            volumes(json!([{"name": "v", "emptyDir": {}}])),
            volumes(json!([{"name": "v", "$retainKeys": ["name", "hostPath"], "hostPath": {"path": "/"}}]))
        ),
        volumes(json!([{"name": "v", "hostPath": {"path": "/"}}]))
    );
}

#[test]
fn errors_are_told_in_upstreams_words() {
    let a = || pod(json!([{"name": "a"}]));
    let cases = [
        (a(), pod(json!([{"image": "httpd"}])), "map: map[image:httpd] does not contain declared merge key: name"),
        (
            a(),
            pod(json!([{"name": "a", "$patch": "mend"}])),
            "unknown patch type: mend in map: map[$patch:mend name:a]",
        ),
        (a(), pod(json!([{"name": "a", "$patch": "merge"}])), "merging lists cannot yet be specified in the patch"),
        (a(), pod(json!([["x"]])), "lists of lists are not supported"),
        (a(), pod(json!(["x"])), "list element types are not identical: [[map[name:a]] [x]]"),
        (
            json!({"spec": {"foo": {}}}),
            json!({"spec": {"foo": {"a": 1}}}),
            "unable to find api field in struct PodSpec for the json field \"foo\"",
        ),
        (json!({}), json!({"$patch": "x"}), "unknown patch type: x in map: map[$patch:x]"),
        (json!([]), json!({}), "invalid JSON document"),
        (
            a(),
            json!({"spec": {"$setElementOrder/containers": "x"}}),
            "expected a []interface {}, but received a string",
        ),
        (
            a(),
            json!({"spec": {"$setElementOrder/containers": [{"name": "b"}], "containers": [{"name": "c"}]}}),
            "The order in patch list:\n[map[name:c]]\n doesn't match $setElementOrder list:\n[map[name:b]]\n",
        ),
        (
            json!({"metadata": {"finalizers": ["a"]}}),
            json!({"metadata": {"$deleteFromPrimitiveList/finalizers": "a"}}),
            "invalid patch format of primitive list",
        ),
    ];
    for (original, patch, expected) in cases {
        assert_eq!(error(POD, original, patch.clone()), expected, "{patch}");
    }
    assert!(strategic_merge("", json!({}), json!({})).is_err_and(|e| e == PatchError::UnsupportedMediaType));
    assert!(PatchError::BadRetainKeys.is_bad_request() && PatchError::ListOfLists.is_unprocessable());
}

#[test]
fn apply_sends_changes_additions_and_deletions() {
    let last = json!({"metadata": {"labels": {"a": "1", "old": "x"}}, "spec": {"replicas": 1, "template": {"spec": {
        "containers": [{"name": "app", "image": "v1", "env": [{"name": "X", "value": "1"}]}, {"name": "gone"}],
        "volumes": [{"name": "v", "emptyDir": {}}]}}}});
    let wanted = json!({"metadata": {"labels": {"a": "2"}}, "spec": {"template": {"spec": {
        "containers": [{"name": "app", "image": "v2", "env": [{"name": "Y", "value": "1"}]}, {"name": "new"}],
        "volumes": [{"name": "v", "hostPath": {"path": "/"}}]}}}});
    let live = json!({"metadata": {"labels": {"a": "1", "old": "x", "server": "y"}}, "spec": {"replicas": 3, "template": {"spec": {
        "containers": [{"name": "sidecar"}, {"name": "app", "image": "v1", "env": [{"name": "X", "value": "1"}, {"name": "S", "value": "s"}]}, {"name": "gone"}],
        "volumes": [{"name": "v", "emptyDir": {}}]}}}, "status": {"replicas": 3}});
    let patch = three_way(DEPLOYMENT, last, wanted.clone(), live.clone()).expect("a patch");
    assert_eq!(
        patch,
        json!({
            "metadata": {"labels": {"a": "2", "old": null}},
            "spec": {"replicas": null, "template": {"spec": {
                "$setElementOrder/containers": [{"name": "app"}, {"name": "new"}],
                "containers": [
                    {"name": "app", "image": "v2",
                     "$setElementOrder/env": [{"name": "Y"}],
                     "env": [{"name": "Y", "value": "1"}, {"name": "X", "$patch": "delete"}]},
                    {"name": "new"},
                    {"name": "gone", "$patch": "delete"}],
                "$setElementOrder/volumes": [{"name": "v"}],
                "volumes": [{"name": "v", "$retainKeys": ["hostPath", "name"], "emptyDir": null, "hostPath": {"path": "/"}}]}}}
        })
    );
    assert_eq!(
        merged(DEPLOYMENT, live, patch),
        json!({"metadata": {"labels": {"a": "2", "server": "y"}}, "spec": {"template": {"spec": {
            "containers": [{"name": "sidecar"},
                {"name": "app", "image": "v2", "env": [{"name": "Y", "value": "1"}, {"name": "S", "value": "s"}]}, {"name": "new"}],
            "volumes": [{"name": "v", "hostPath": {"path": "/"}}]}}}, "status": {"replicas": 3}})
    );
}

#[test]
fn apply_of_what_is_there_sends_nothing() {
    let wanted = json!({"metadata": {"name": "a"}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let live = json!({"metadata": {"name": "a", "uid": "u"}, "spec": {"containers": [{"name": "c", "image": "i", "imagePullPolicy": "Always"}]}});
    assert_eq!(three_way(POD, wanted.clone(), wanted.clone(), live.clone()), Ok(json!({})));
    assert_eq!(json_three_way(json!({"x": 1}), json!({"x": 1}), json!({"x": 1, "y": 2})), Ok(json!({})));
}

#[test]
fn merge_patches_for_kinds_without_schema_replace_lists() {
    let last = json!({"spec": {"a": 1, "gone": {"b": 1}, "list": [1]}});
    let wanted = json!({"spec": {"a": 2, "list": [1, 2], "null": null}});
    let live = json!({"spec": {"a": 1, "gone": {"b": 1}, "list": [1], "server": true}});
    assert_eq!(json_three_way(last, wanted, live), Ok(json!({"spec": {"gone": null, "a": 2, "list": [1, 2]}})));
}

/// Pods that differ in labels, finalizers, containers and their environment.
fn any_pod() -> impl Strategy<Value = Value> {
    let word = || prop::sample::select(vec!["a", "b", "c", "d"]);
    let words = || prop::collection::btree_map(word(), word(), 0..4);
    let named = prop::sample::subsequence(vec!["a", "b", "c", "d"], 0..4).prop_shuffle();
    let container = (word(), words(), prop::collection::vec(word(), 0..3));
    (words(), named.clone(), named, prop::collection::vec(container, 4)).prop_map(
        |(labels, finalizers, names, containers)| {
            let containers: Vec<Value> = names
                .iter()
                .zip(containers)
                .map(|(name, (image, env, args))| {
                    let env: Vec<Value> = env.iter().map(|(k, v)| json!({"name": k, "value": v})).collect();
                    json!({"name": name, "image": image, "env": env, "args": args})
                })
                .collect();
            json!({"metadata": {"labels": labels, "finalizers": finalizers}, "spec": {"containers": containers}})
        },
    )
}

/// Without order where the API has none of its own.
fn normal(mut value: Value) -> Value {
    value.sort_all_objects();
    value
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_patch_yields_what_it_was_made_from(from in any_pod(), to in any_pod()) {
        let patch = two_way(POD, from.clone(), to.clone()).expect("a patch");
        prop_assert_eq!(normal(merged(POD, from, patch.clone())), normal(to.clone()), "{}", patch);
        prop_assert_eq!(two_way(POD, to.clone(), to), Ok(json!({})));
    }

    #[test]
    fn applying_twice_is_applying_once(from in any_pod(), to in any_pod(), live in any_pod()) {
        let patch = three_way(POD, from, to.clone(), live.clone()).expect("a patch");
        let once = merged(POD, live, patch.clone());
        let twice = merged(POD, once.clone(), patch);
        prop_assert_eq!(normal(once.clone()), normal(twice));
        // What is left to send changes nothing: where the server added elements, upstream repeats the order each time.
        let rest = three_way(POD, to.clone(), to, once.clone()).expect("a patch");
        prop_assert_eq!(merged(POD, once.clone(), rest), once);
    }

    #[test]
    fn merging_an_object_into_itself_changes_nothing(pod in any_pod()) {
        prop_assert_eq!(normal(merged(POD, pod.clone(), pod.clone())), normal(pod));
    }

    #[test]
    fn any_patch_is_answered(original in any_pod(), key in "(\\$patch|\\$retainKeys|\\$setElementOrder/(containers|x)|\\$deleteFromPrimitiveList/.?|containers)",
        value in prop_oneof![Just(json!("delete")), Just(json!(["a"])), Just(json!([{"name": "a"}])), Just(json!([null])), Just(json!({"a": [[]]})), Just(Value::Null)]) {
        let patch = json!({"spec": {key.clone(): value.clone(), "nodeName": "n"}, "metadata": {key: value}});
        match strategic_merge(POD, original, patch) {
            Ok(result) => prop_assert!(!result.to_string().contains("\"$"), "{}", result),
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }
}
