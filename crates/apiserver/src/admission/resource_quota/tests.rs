//! What objects use, and what a book says to writes.

use super::book::{Ask, Book};
use super::measure::{Measured, kind_of, measure};
use api::{Kind, Object};
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, ResourceQuota, Service};
use k8s_openapi::api::resource::v1::ResourceClaim;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use registry::Revision;
use serde_json::{Value, json};

fn now() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

fn of<K: Kind>(value: &Value) -> K {
    serde_json::from_value(value.clone()).unwrap()
}

fn measured<K: Kind>(object: &K) -> Measured {
    measure(&K::DEF, Some(object), now())
}

#[track_caller]
fn check<K: Kind>(object: Value, expected: &[&str]) {
    let amounts = measured::<K>(&of(&object)).now.amounts;
    let texts: Vec<String> = amounts.iter().map(|(name, amount)| format!("{name}={amount}")).collect();
    assert_eq!(texts, expected, "{object}");
}

fn pod(resources: Value) -> Value {
    json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "resources": resources}]}})
}

#[test]
fn a_pod_uses_what_its_containers_ask_for() {
    check::<Pod>(pod(json!({})), &["count/pods=1", "pods=1"]);
    check::<Pod>(
        pod(json!({"requests": {"cpu": "100m", "memory": "1Gi", "hugepages-2Mi": "2Mi", "nvidia.com/gpu": "1"},
                   "limits": {"cpu": "1", "ephemeral-storage": "1Gi", "hugepages-2Mi": "2Mi", "nvidia.com/gpu": "1"}})),
        &[
            "count/pods=1",
            "cpu=100m",
            "hugepages-2Mi=2Mi",
            "limits.cpu=1",
            "limits.ephemeral-storage=1Gi",
            "memory=1Gi",
            "pods=1",
            "requests.cpu=100m",
            "requests.hugepages-2Mi=2Mi",
            "requests.memory=1Gi",
            "requests.nvidia.com/gpu=1",
        ],
    );
    let mut whole = pod(json!({"requests": {"cpu": "100m"}, "limits": {"cpu": "200m"}}));
    whole["spec"]["resources"] = json!({"requests": {"cpu": "2"}});
    whole["spec"]["overhead"] = json!({"cpu": "50m", "memory": "1Mi"});
    let used = [
        "count/pods=1",
        "cpu=2050m",
        "limits.cpu=250m",
        "memory=1Mi",
        "pods=1",
        "requests.cpu=2050m",
        "requests.memory=1Mi",
    ];
    check::<Pod>(whole, &used);
}

#[test]
fn a_pod_that_is_resized_uses_the_most_of_what_it_has_and_wants() {
    let mut resized = pod(json!({"requests": {"cpu": "1"}}));
    resized["status"] = json!({"containerStatuses": [{"name": "c", "image": "", "imageID": "", "ready": true,
        "restartCount": 0, "allocatedResources": {"cpu": "2"}, "resources": {"requests": {"cpu": "3"}}}]});
    check::<Pod>(resized.clone(), &["count/pods=1", "cpu=3", "pods=1", "requests.cpu=3"]);
    resized["spec"]["containers"][0]["resources"]["requests"]["cpu"] = json!("9");
    check::<Pod>(resized.clone(), &["count/pods=1", "cpu=9", "pods=1", "requests.cpu=9"]);
    resized["status"]["conditions"] = json!([{"type": "PodResizePending", "status": "True", "reason": "Infeasible"}]);
    check::<Pod>(resized, &["count/pods=1", "cpu=3", "pods=1", "requests.cpu=3"]);
}

#[test]
fn an_ended_pod_keeps_its_place_in_the_store_only() {
    let mut ended = pod(json!({"requests": {"cpu": "1"}}));
    ended["status"] = json!({"phase": "Succeeded"});
    check::<Pod>(ended, &["count/pods=1"]);
    let mut ending = pod(json!({"requests": {"cpu": "1"}}));
    ending["metadata"]["deletionTimestamp"] = json!("2025-12-31T23:59:50Z");
    ending["metadata"]["deletionGracePeriodSeconds"] = json!(30);
    check::<Pod>(ending.clone(), &["count/pods=1", "cpu=1", "pods=1", "requests.cpu=1"]);
    let (at, later) = measured::<Pod>(&of(&ending)).later.unwrap();
    assert_eq!(at, now() + SignedDuration::from_secs(20));
    assert_eq!(Vec::from_iter(later.amounts.keys()), ["count/pods"]);
    ending["metadata"]["deletionGracePeriodSeconds"] = json!(5);
    check::<Pod>(ending, &["count/pods=1"]);
}

#[test]
fn services_claims_and_others_use_what_they_will_be_given() {
    let ports = json!([{"port": 1}, {"port": 2, "nodePort": 30000}]);
    let service = |kind: &str, allocates: bool| json!({"metadata": {"name": "s"}, "spec": {"type": kind, "ports": ports, "allocateLoadBalancerNodePorts": allocates}});
    let used = |ports: u8, balancers: u8| {
        [
            "count/services=1".to_owned(),
            "services=1".to_owned(),
            format!("services.loadbalancers={balancers}"),
            format!("services.nodeports={ports}"),
        ]
    };
    for (kind, allocates, expected) in [
        ("ClusterIP", true, used(0, 0)),
        ("NodePort", true, used(2, 0)),
        ("LoadBalancer", true, used(2, 1)),
        ("LoadBalancer", false, used(1, 1)),
    ] {
        check::<Service>(service(kind, allocates), &expected.each_ref().map(String::as_str));
    }
    check::<PersistentVolumeClaim>(
        json!({"metadata": {"name": "c"}, "spec": {"storageClassName": "gold", "resources": {"requests": {"storage": "1Gi"}}},
               "status": {"allocatedResources": {"storage": "2Gi"}}}),
        &[
            "count/persistentvolumeclaims=1",
            "gold.storageclass.storage.k8s.io/persistentvolumeclaims=1",
            "gold.storageclass.storage.k8s.io/requests.storage=2Gi",
            "persistentvolumeclaims=1",
            "requests.storage=2Gi",
        ],
    );
    check::<ConfigMap>(json!({"metadata": {"name": "m"}}), &["configmaps=1", "count/configmaps=1"]);
    check::<ResourceClaim>(
        json!({"metadata": {"name": "r"}, "spec": {"devices": {"requests": [
            {"name": "a", "exactly": {"deviceClassName": "gpu", "allocationMode": "ExactCount", "count": 2}},
            {"name": "b", "exactly": {"deviceClassName": "nic", "allocationMode": "All"}},
            {"name": "c", "firstAvailable": [
                {"name": "x", "deviceClassName": "gpu", "count": 3}, {"name": "y", "deviceClassName": "gpu", "count": 1}]}]}}}),
        &[
            "count/resourceclaims.resource.k8s.io=1",
            "gpu.deviceclass.resource.k8s.io/devices=5",
            "nic.deviceclass.resource.k8s.io/devices=32",
        ],
    );
}

#[test]
fn a_name_bounds_one_kind() {
    for (name, kind) in [
        ("pods", Some(("", "pods"))),
        ("limits.memory", Some(("", "pods"))),
        ("requests.nvidia.com/gpu", Some(("", "pods"))),
        ("requests.storage", Some(("", "persistentvolumeclaims"))),
        ("gold.storageclass.storage.k8s.io/requests.storage", Some(("", "persistentvolumeclaims"))),
        ("services.nodeports", Some(("", "services"))),
        ("secrets", Some(("", "secrets"))),
        ("count/widgets.example.com", Some(("example.com", "widgets"))),
        ("count/events", None),
        ("storage", None),
    ] {
        assert_eq!(kind_of(name), kind, "{name}");
    }
}

fn quota(hard: Value, scopes: Value) -> ResourceQuota {
    of(&json!({"metadata": {"name": "q"}, "spec": {"hard": hard, "scopes": scopes}}))
}

fn book(hard: Value, scopes: Value) -> Book {
    let mut book = Book::default();
    assert!(book.set_quota("q", quota(hard, scopes)));
    book
}

fn id(name: &str) -> super::book::ObjectId {
    (("", "pods"), name.into())
}

/// Judges a pod, and claims what it uses if it fits.
fn ask(book: &mut Book, number: u64, name: &str, new: &Value, old: Option<&Value>) -> Result<bool, String> {
    let object: Pod = of(new);
    let old = old.map(|old| measured::<Pod>(&of(old)).now);
    let usage = measured(&object).now;
    let asked = Ask { id: id(name), object: &object as &dyn Object, new: usage.clone(), old };
    let uses_more = book.judge(&asked)?;
    if uses_more {
        book.claim(number, id(name), usage);
    }
    Ok(uses_more)
}

fn used(book: &Book) -> Vec<String> {
    let reports = book.reports().flat_map(|(_, status)| status.used.unwrap_or_default());
    reports.map(|(name, amount)| format!("{name}={}", amount.0)).collect()
}

#[test]
fn a_claim_counts_until_it_is_released_and_never_twice() {
    let mut book = book(json!({"pods": "2"}), json!([]));
    let plain = pod(json!({}));
    assert_eq!(ask(&mut book, 1, "a", &plain, None), Ok(true));
    assert_eq!(ask(&mut book, 2, "b", &plain, None), Ok(true));
    let full = "exceeded quota: q, requested: pods=1, used: pods=2, limited: pods=2";
    assert_eq!(ask(&mut book, 3, "c", &plain, None), Err(full.to_owned()));
    book.set(id("a"), Revision(5), measured::<Pod>(&of(&plain)));
    assert_eq!(ask(&mut book, 3, "c", &plain, None), Err(full.to_owned()), "applied, and still claimed: one pod");
    book.release(1, &id("a"));
    assert_eq!(used(&book), ["pods=1"], "the status tells of what is there");
    assert_eq!(ask(&mut book, 3, "c", &plain, None), Err(full.to_owned()));
    book.release(2, &id("b"));
    assert_eq!(ask(&mut book, 3, "c", &plain, None), Ok(true), "given up");
    book.remove(&id("a"));
    book.release(3, &id("c"));
    assert_eq!(used(&book), ["pods=0"]);
}

#[test]
fn a_change_is_charged_with_the_difference() {
    let mut book = book(json!({"requests.cpu": "3", "limits.cpu": "9"}), json!([]));
    let sized = |cpu: &str| pod(json!({"requests": {"cpu": cpu}, "limits": {"cpu": cpu}}));
    book.set(id("a"), Revision(5), measured::<Pod>(&of(&sized("2"))));
    assert_eq!(ask(&mut book, 1, "a", &sized("1"), Some(&sized("2"))), Ok(false));
    assert_eq!(
        ask(&mut book, 1, "a", &sized("4"), Some(&sized("2"))),
        Err("exceeded quota: q, requested: requests.cpu=2, used: requests.cpu=2, limited: requests.cpu=3".to_owned())
    );
    assert_eq!(ask(&mut book, 1, "a", &sized("3"), Some(&sized("2"))), Ok(true));
    let full = ask(&mut book, 2, "b", &sized("1m"), None).unwrap_err();
    assert_eq!(full, "exceeded quota: q, requested: requests.cpu=1m, used: requests.cpu=3, limited: requests.cpu=3");
}

#[test]
fn what_is_bounded_must_be_said_and_scopes_choose_whose() {
    let mut strict = book(json!({"limits.cpu": "3", "requests.memory": "1Gi"}), json!([]));
    assert_eq!(
        ask(&mut strict, 1, "a", &pod(json!({})), None),
        Err("failed quota: q: must specify limits.cpu for: c; requests.memory for: c".to_owned())
    );
    let mut bounded = pod(json!({}));
    bounded["spec"]["activeDeadlineSeconds"] = json!(5);
    let mut scoped = book(json!({"pods": "0"}), json!(["Terminating"]));
    assert_eq!(ask(&mut scoped, 1, "a", &pod(json!({})), None), Ok(false));
    assert!(ask(&mut scoped, 1, "a", &bounded, None).unwrap_err().starts_with("exceeded quota: q"));
}

#[test]
fn a_pod_ceases_to_count_when_its_grace_is_over() {
    let mut book = book(json!({"pods": "1"}), json!([]));
    let mut ending = pod(json!({}));
    ending["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    ending["metadata"]["deletionGracePeriodSeconds"] = json!(30);
    book.set(id("a"), Revision(5), measured::<Pod>(&of(&ending)));
    assert_eq!(used(&book), ["pods=1"]);
    let ends = book.next_ending().unwrap();
    book.pass(ends);
    assert_eq!(used(&book), ["pods=1"], "not yet");
    book.pass(ends + SignedDuration::from_secs(1));
    assert_eq!((used(&book), book.next_ending()), (vec!["pods=0".to_owned()], None));
}

#[test]
fn a_quota_that_changes_counts_what_is_there() {
    let mut book = book(json!({"pods": "1"}), json!([]));
    book.set(id("a"), Revision(5), measured::<Pod>(&of(&pod(json!({"requests": {"cpu": "2"}})))));
    assert!(!book.set_quota("q", quota(json!({"pods": "1"}), json!([]))), "only its status");
    assert!(book.set_quota("q", quota(json!({"requests.cpu": "1", "x.example.com/y": "1"}), json!([]))));
    assert_eq!(used(&book), ["requests.cpu=2"]);
}
