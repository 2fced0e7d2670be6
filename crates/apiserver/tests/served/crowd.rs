//! The life of an operator with very many kinds: 200 definitions with schemas of hundreds of lines come at once, are
//! published, used and taken away.
//!
//! Invariants: a kind that is Established is in discovery and in OpenAPI version 3, at the first look. Bounds, in a build
//! without optimization: all of that is answered and read within `PUBLISHED_TIME_MAX`, and within `ALONE_TIME_MAX` where
//! nothing else goes on; the process, clients of the test included, grows by no more than `GROWTH_BYTES_MAX`.

use crate::cluster::Cluster;
use crate::custom::{DEFINITIONS, condition, until};
use crate::watches::Lines;
use futures::stream::{StreamExt, iter};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

const KINDS: usize = 200;
const GROUPS: usize = 20;
/// Requests under way at once, as an installer makes them.
const IN_FLIGHT: usize = 16;
/// For the answers to come and to be read, while other kinds are being installed.
const PUBLISHED_TIME_MAX: Duration = Duration::from_secs(20);
/// Kinds that come one by one when 200 are there, and the processor's time until the middle one of them is published: on
/// a machine that does nothing else no more time than that goes by.
const ALONE: usize = 5;
const ALONE_TIME_MAX: Duration = Duration::from_secs(1);
const GROWTH_BYTES_MAX: usize = 256 << 20;
const TIME_MAX: Duration = Duration::from_secs(180);
/// Of so many kinds one is looked for in OpenAPI at once: each time a document of ten kinds is made.
const DESCRIBED_EACH: usize = 10;

fn plural(index: usize) -> String {
    format!("parts{index}")
}

fn group(index: usize) -> String {
    format!("group{}.example.com", index % GROUPS)
}

fn path(index: usize) -> String {
    format!("/apis/{}/v1/namespaces/default/{}", group(index), plural(index))
}

/// One field as generators of operators write it.
fn field(index: usize) -> Value {
    let about = format!("Field {index} says how the part behaves when it is scaled, moved or taken out of service.");
    match index % 6 {
        0 => json!({"type": "string", "description": about, "maxLength": 253, "pattern": "^[a-z0-9.-]*$"}),
        1 => json!({"type": "integer", "format": "int32", "description": about, "minimum": 0, "default": 1}),
        2 => json!({"type": "string", "description": about, "enum": ["Always", "Never", "IfNotPresent"]}),
        3 => json!({"type": "object", "description": about, "additionalProperties": {"type": "string"}}),
        4 => json!({"type": "array", "description": about, "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name"], "maxItems": 16, "items": {"type": "object", "required": ["name"],
                "properties": {"name": {"type": "string"}, "value": {"type": "string", "maxLength": 1024}}}}),
        _ => json!({"description": about, "x-kubernetes-int-or-string": true,
            "anyOf": [{"type": "integer"}, {"type": "string"}]}),
    }
}

fn fields(count: usize) -> Map<String, Value> {
    (0..count).map(|index| (format!("field{index}"), field(index))).collect()
}

/// Of 300 to 1,000 lines when it is printed.
fn schema(index: usize) -> Value {
    let size = 24 + index * 7 % 64;
    let mut spec = fields(size);
    spec.insert("replicas".to_owned(), json!({"type": "integer", "minimum": 0, "maximum": 1000}));
    spec.insert("template".to_owned(), json!({"type": "object", "properties": fields(size / 3)}));
    let condition = json!({"type": "object", "required": ["type", "status"], "properties": {
        "type": {"type": "string", "maxLength": 316}, "status": {"type": "string", "enum": ["True", "False", "Unknown"]},
        "lastTransitionTime": {"type": "string", "format": "date-time"}, "reason": {"type": "string"},
        "message": {"type": "string", "maxLength": 32768}}});
    json!({"type": "object", "description": "A part of a machine.", "properties": {
        "apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"},
        "spec": {"type": "object", "properties": spec, "x-kubernetes-validations": [
            {"rule": "!has(self.replicas) || self.replicas != 13", "message": "13 brings bad luck"}]},
        "status": {"type": "object", "properties": {"replicas": {"type": "integer"}, "conditions": {"type": "array",
            "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"], "items": condition}}}}})
}

fn definition(index: usize) -> Value {
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{}.{}", plural(index), group(index))},
        "spec": {"group": group(index), "scope": "Namespaced",
            "names": {"plural": plural(index), "kind": format!("Part{index}"), "shortNames": [format!("p{index}")]},
            "versions": [{"name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": schema(index)}, "subresources": {"status": {}},
                "additionalPrinterColumns": [
                    {"name": "Replicas", "type": "integer", "jsonPath": ".spec.replicas"},
                    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}]}]}})
}

/// What the process has in memory.
fn resident_bytes() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// The time that this process has had of processors.
fn processor_time() -> Duration {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap();
    // Behind the program's name, which may have spaces: in user mode and in the kernel, in hundredths of a second.
    let fields: Vec<&str> = text.rsplit(')').next().unwrap().split_whitespace().collect();
    Duration::from_millis(fields[11..13].iter().map(|ticks| ticks.parse::<u64>().unwrap() * 10).sum())
}

fn names(list: &Value, pointer: &str, name: &str) -> Vec<String> {
    let list = list.pointer(pointer).and_then(Value::as_array).cloned().unwrap_or_default();
    list.iter().filter_map(|own| own.pointer(name)?.as_str().map(str::to_owned)).collect()
}

async fn is_published(cluster: &Cluster, index: usize) -> bool {
    let (group, plural) = (group(index), plural(index));
    let list = cluster.get(&format!("/apis/{group}/v1")).await.json();
    let listed = names(&list, "/resources", "/name").contains(&plural);
    let aggregated = [("accept", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList")];
    let groups = cluster.send("GET", "/apis", &aggregated, "").await.expect(200).json();
    let own = groups["items"].as_array().unwrap().iter().find(|own| own["metadata"]["name"] == group);
    let discovered = own.is_some_and(|own| names(own, "/versions/0/resources", "/resource").contains(&plural));
    let described = !index.is_multiple_of(DESCRIBED_EACH) || is_described(cluster, index).await;
    listed && discovered && described
}

async fn is_described(cluster: &Cluster, index: usize) -> bool {
    let document = cluster.get(&format!("/openapi/v3/apis/{}/v1", group(index))).await;
    let name = format!("com.example.group{}.v1.Part{index}", index % GROUPS);
    document.code == 200 && document.json()["components"]["schemas"].get(&name).is_some()
}

/// Creates all, and looks at each as soon as it is Established; how long the looks took.
async fn install(cluster: &Cluster, told: &mut Lines, indexes: std::ops::Range<usize>) -> Vec<Duration> {
    let create = |index: usize| async move {
        cluster.post(DEFINITIONS, definition(index)).await.expect(201);
    };
    let creates = iter(indexes.clone()).for_each_concurrent(IN_FLIGHT, create);
    let looks = async {
        let mut missing: BTreeSet<usize> = indexes.clone().collect();
        let mut took = Vec::new();
        while !missing.is_empty() {
            let event = told.next().await.unwrap();
            let name = event["object"]["spec"]["names"]["plural"].as_str().unwrap();
            let index: usize = name.trim_start_matches("parts").parse().unwrap();
            if condition(&event["object"], "Established")["status"] != "True" || !missing.remove(&index) {
                continue;
            }
            let established = Instant::now();
            assert!(is_published(cluster, index).await, "{name} is not published");
            took.push(established.elapsed());
        }
        took
    };
    let ((), took) =
        tokio::time::timeout(TIME_MAX, futures::future::join(creates, looks)).await.expect("all are established");
    let longest = took.iter().max().unwrap();
    assert!(*longest < PUBLISHED_TIME_MAX, "published after {longest:?}");
    took
}

/// Waits until so many definitions are gone.
async fn gone(told: &mut Lines, mut left: usize) {
    let ends = async {
        while left > 0 {
            left -= usize::from(told.next().await.unwrap()["type"] == "DELETED");
        }
    };
    tokio::time::timeout(TIME_MAX, ends).await.expect("all are gone");
}

/// One object from its creation to its deletion, as its list and its watch tell of it.
async fn use_kind(cluster: &Cluster, index: usize) {
    let path = path(index);
    let mut watch = Lines::of(cluster, &format!("{path}?watch=true"), "application/json").await;
    let object = json!({"apiVersion": format!("{}/v1", group(index)), "kind": format!("Part{index}"),
        "metadata": {"name": "own"}, "spec": {"replicas": 3}});
    let created = cluster.post(&path, object.clone()).await.expect(201).json();
    assert_eq!(created["spec"]["field1"], 1, "defaults of its own schema");
    let mut unlucky = object;
    unlucky["spec"]["replicas"] = json!(13);
    unlucky["metadata"]["name"] = json!("other");
    let refused = cluster.post(&path, unlucky).await.expect(422).message();
    assert!(refused.ends_with("13 brings bad luck"), "{refused}");
    let listed = cluster.get(&path).await.expect(200).json();
    assert_eq!(names(&listed, "/items", "/metadata/name"), ["own"]);
    cluster.delete(&format!("{path}/own")).await.expect(200);
    for kind in ["ADDED", "DELETED"] {
        let event = watch.next().await.unwrap();
        assert_eq!((&event["type"], &event["object"]["metadata"]["name"]), (&json!(kind), &json!("own")));
    }
    cluster.post(&path, json!({"metadata": {"name": "left"}, "spec": {}})).await.expect(201);
}

fn told(what: &str, begun: Instant) {
    eprintln!("{what}: {:?}, {} MiB", begun.elapsed(), resident_bytes() >> 20);
}

/// Installs further kinds, one after another while nothing else goes on; how much of the processor's time each took from
/// its creation until it was in discovery, plain and aggregated, and in OpenAPI version 3, the shortest first.
async fn install_alone(cluster: &Cluster, told: &mut Lines) -> Vec<Duration> {
    let mut all = Vec::new();
    for index in KINDS..KINDS + ALONE {
        let (begun, spent) = (Instant::now(), processor_time());
        cluster.post(DEFINITIONS, definition(index)).await.expect(201);
        while !(is_published(cluster, index).await && is_described(cluster, index).await) {
            assert!(begun.elapsed() < TIME_MAX, "{} is not published", plural(index));
        }
        all.push(processor_time() - spent);
        let mut is_told = false;
        while !is_told {
            let event = tokio::time::timeout(TIME_MAX, told.next()).await.expect("it is told of").unwrap();
            is_told = event["object"]["spec"]["names"]["plural"] == plural(index)
                && condition(&event["object"], "Established")["status"] == "True";
        }
    }
    all.sort();
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_kinds_come_are_used_and_go() {
    let lines = |index: usize| serde_json::to_string_pretty(&schema(index)).unwrap().lines().count();
    let (least, most) = ((0..KINDS).map(lines).min().unwrap(), (0..KINDS).map(lines).max().unwrap());
    assert!((300..=1000).contains(&least) && (600..=1500).contains(&most), "{least} to {most} lines");
    let cluster = Cluster::start().await;
    let before = resident_bytes();
    let begun = Instant::now();
    told("before", begun);
    let cluster = &cluster;
    let mut definitions = Lines::of(cluster, &format!("{DEFINITIONS}?watch=true"), "application/json").await;
    let took = install(cluster, &mut definitions, 0..KINDS).await;
    told("installed and published", begun);
    eprintln!("seen to be published within {:?}", took.iter().max().unwrap());
    for index in 0..GROUPS {
        assert!(is_described(cluster, index).await && is_described(cluster, KINDS - 1 - index).await);
    }
    for (what, path) in [("OpenAPI 2", "/openapi/v2"), ("OpenAPI 3", "/openapi/v3"), ("discovery", "/apis")] {
        let begun = Instant::now();
        let answer = cluster.get(path).await.expect(200);
        told(&format!("{what} of {} KiB", answer.body.len() >> 10), begun);
        let json = answer.json();
        if path == "/openapi/v2" {
            let own = json["definitions"].as_object().unwrap().keys().filter(|name| name.contains("Part"));
            assert_eq!(own.filter(|name| !name.ends_with("List")).count(), KINDS);
        }
    }
    let alone = install_alone(cluster, &mut definitions).await;
    eprintln!("one more is published within {alone:?} of the processor");
    assert!(alone[ALONE / 2] < ALONE_TIME_MAX, "one more is published within {alone:?} of the processor");
    let begun = Instant::now();
    iter(0..KINDS).for_each_concurrent(IN_FLIGHT, |index| use_kind(cluster, index)).await;
    told("used", begun);
    let grown = resident_bytes() - before;
    eprintln!("grown by {} MiB", grown >> 20);
    assert!(grown < GROWTH_BYTES_MAX, "grown by {} MiB", grown >> 20);
    let begun = Instant::now();
    cluster.delete(DEFINITIONS).await.expect(200);
    gone(&mut definitions, KINDS + ALONE).await;
    until(cluster, "/apis", "the end of all groups", |_, groups| {
        !names(groups, "/groups", "/name").iter().any(|name| name.ends_with("example.com"))
    })
    .await;
    told("gone", begun);
    // What is left in the store would come back with its kind.
    install(cluster, &mut definitions, 7..8).await;
    assert_eq!(cluster.get(&path(7)).await.expect(200).json()["items"], json!([]));
}
