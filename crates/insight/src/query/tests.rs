//! Questions over a history, and what those see who may see a part.

use super::*;
use crate::sample::{ContainerSample, NodeSample, PodSample};
use crate::{Metric, Reading};

/// Two namespaces whose pods use half a processor each, measured every 10 s from 10 s to 300 s.
fn history(folder: &std::path::Path) -> History {
    let history = History::open(&folder.join("history"), 4 << 20).unwrap();
    for step in 1..=30 {
        let mut reading = Reading::default();
        reading.set(Metric::CpuUsage, step * 5_000_000);
        reading.set(Metric::MemoryWorkingSet, 4096 * step);
        let pod = |namespace: &str| PodSample {
            namespace: namespace.into(),
            name: "web".into(),
            // The second half is another pod of the same name.
            uid: format!("{namespace}-{}", step / 16),
            reading,
            containers: vec![ContainerSample { name: "c".into(), reading, ..ContainerSample::default() }],
            ..PodSample::default()
        };
        let pods = vec![pod("sales"), pod("shop")];
        history.record(&NodeSample { node: "n1".into(), time_ms: step as i64 * 10_000, reading, pods }).unwrap();
    }
    history
}

fn ask(history: &History, path: &str, parameters: &[(&str, &str)], sight: &Sight) -> (u16, serde_json::Value) {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let parameters: Vec<_> = parameters.iter().map(own).collect();
    let allowance = Allowance::new(Instant::now() + Duration::from_secs(600), &|| false);
    let (code, body) = answer(history, path, &parameters, sight, 300_000, &allowance);
    (code, serde_json::from_slice(&body).unwrap())
}

#[test]
fn queries_are_answered_in_prometheus_form() {
    let folder = tempfile::tempdir().unwrap();
    let history = history(folder.path());
    let check = |path: &str, parameters: &[(&str, &str)], wanted: serde_json::Value| {
        let (code, got) = ask(&history, path, parameters, &Sight::Everything);
        assert_eq!((code, &got["status"]), (200, &"success".into()), "{got}");
        assert_eq!(got["data"], wanted, "{path} {parameters:?}");
    };
    let rate = "sum by (namespace) (rate(container_cpu_usage_seconds_total{container!=\"\"}[1m]))";
    check(
        "query",
        &[("query", rate), ("time", "300.5")],
        to_json!({"resultType": "vector", "result": [
            {"metric": {"namespace": "sales"}, "value": [300.5, "0.5"]},
            {"metric": {"namespace": "shop"}, "value": [300.5, "0.5"]},
        ]}),
    );
    check(
        "query_range",
        &[
            ("query", "container_memory_working_set_bytes{namespace=\"shop\",container=\"c\"}"),
            ("start", "140"),
            ("end", "170"),
            ("step", "15s"),
        ],
        to_json!({"resultType": "matrix", "result": [{
            "metric": {"__name__": "container_memory_working_set_bytes", "container": "c", "namespace": "shop",
                "node": "n1", "pod": "web"},
            "values": [[140, "57344"], [155, "61440"], [170, "69632"]],
        }]}),
    );
    check("query", &[("query", "1+1"), ("time", "7")], to_json!({"resultType": "scalar", "result": [7, "2"]}));
    check(
        "query",
        &[("query", "node_cpu_usage_seconds_total offset 1h")],
        to_json!({"resultType": "vector", "result": []}),
    );
    check("label/namespace/values", &[], to_json!(["sales", "shop"]));
    check(
        "label/__name__/values",
        &[("match[]", "{container=\"\",node=\"n1\",pod=\"web\",__name__=~\".*cpu_usage.*\"}")],
        to_json!(["container_cpu_usage_seconds_total"]),
    );
    check("labels", &[("match[]", "node_memory_working_set_bytes")], to_json!(["__name__", "instance", "node"]));
    check(
        "series",
        &[("match[]", "node_cpu_usage_seconds_total")],
        to_json!([{"__name__": "node_cpu_usage_seconds_total", "instance": "n1", "node": "n1"}]),
    );
    // What clients ask when they begin, of what is not kept here.
    check("rules", &[], to_json!({"groups": []}));
    check("alerts", &[], to_json!({"alerts": []}));
    check("query_exemplars", &[("query", "up"), ("start", "0"), ("end", "300")], to_json!([]));
    let (_, metadata) = ask(&history, "metadata", &[("metric", "container_threads")], &Sight::Everything);
    assert_eq!(metadata["data"]["container_threads"][0]["type"], "gauge");
    assert_eq!(ask(&history, "status/buildinfo", &[], &Sight::Everything).1["data"]["version"], "3.0.0");
}

#[test]
fn errors_have_their_types() {
    let folder = tempfile::tempdir().unwrap();
    let history = history(folder.path());
    let check = |path: &str, parameters: &[(&str, &str)], code: u16, kind: &str| {
        let (got, body) = ask(&history, path, parameters, &Sight::Everything);
        assert_eq!((got, body["errorType"].as_str()), (code, Some(kind)), "{body}");
    };
    check("query", &[], 400, "bad_data");
    check("query", &[("query", "sum(")], 400, "bad_data");
    check("query", &[("query", "1"), ("time", "soon")], 400, "bad_data");
    check("query_range", &[("query", "1"), ("start", "0"), ("end", "1e6"), ("step", "1")], 400, "bad_data");
    for step in ["", "0", "-5s", "often"] {
        check("query_range", &[("query", "1"), ("start", "0"), ("end", "60"), ("step", step)], 400, "bad_data");
    }
    check("query_range", &[("query", "1"), ("start", "60"), ("end", "0"), ("step", "1")], 400, "bad_data");
    check("query", &[("query", "sort_by_label(vector(1), \"a\")")], 400, "bad_data");
    let twice = "container_memory_working_set_bytes / on (node) container_memory_working_set_bytes";
    check("query", &[("query", twice)], 422, "execution");
    check("series", &[], 400, "bad_data");
    check("nonsense", &[], 404, "not_found");
}

#[test]
fn no_kind_of_question_outlives_its_deadline() {
    let folder = tempfile::tempdir().unwrap();
    let history = history(folder.path());
    let past = Allowance::new(Instant::now(), &|| false);
    let all = ("match[]".to_owned(), "{__name__!=\"\"}".to_owned());
    let asked = [all, ("query".to_owned(), "node_cpu_usage_seconds_total".to_owned())];
    for path in ["query", "labels", "series", "label/pod/values"] {
        let (code, body) = answer(&history, path, &asked, &Sight::Everything, 300_000, &past);
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((code, body["errorType"].as_str()), (503, Some("timeout")), "{path}: {body}");
    }
}

#[test]
fn a_question_names_its_own_timeout_up_to_the_longest() {
    let within = |text: &str| {
        let asked = Instant::now();
        let deadline = deadline(&[("timeout".to_owned(), text.to_owned())]).unwrap();
        deadline.saturating_duration_since(asked).as_secs()
    };
    assert_eq!(within("30s"), 30);
    assert_eq!(within("1h"), 120);
    assert_eq!(within("0"), 0);
    assert_eq!(deadline(&[("timeout".to_owned(), "soon".to_owned())]).unwrap_err().0, 400);
    assert_eq!(deadline(&[("timeout".to_owned(), "-1".to_owned())]).unwrap_err().0, 400);
}

#[test]
fn who_may_see_a_part_sees_that_part() {
    let folder = tempfile::tempdir().unwrap();
    let history = history(folder.path());
    let shop = Sight::Some { namespaces: ["shop".to_owned()].into(), nodes: false };
    let (_, values) = ask(&history, "label/namespace/values", &[], &shop);
    assert_eq!(values["data"], to_json!(["shop"]));
    let (_, all) = ask(&history, "query", &[("query", "count({__name__=~\".*working_set_bytes\"})")], &shop);
    assert_eq!(all["data"]["result"][0]["value"][1], "2", "the pod and its container: {all}");
    let (_, nodes) = ask(&history, "series", &[("match[]", "{__name__=~\"node_.*\"}")], &shop);
    assert_eq!(nodes["data"], to_json!([]));
    let nobody = Sight::Some { namespaces: Default::default(), nodes: true };
    let (_, nodes) = ask(&history, "label/__name__/values", &[], &nobody);
    assert_eq!(nodes["data"].as_array().unwrap().len(), 2, "{nodes}");
}
