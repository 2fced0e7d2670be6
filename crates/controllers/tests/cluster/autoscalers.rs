//! Autoscalers, from metrics that are served to the scale of what they name.

use crate::Cluster;
use api::k8s_openapi::api::apps::v1::Deployment;
use api::k8s_openapi::api::autoscaling::v2::{HorizontalPodAutoscaler, HorizontalPodAutoscalerStatus};
use api::k8s_openapi::api::core::v1::{Event, Pod};
use api::k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use api::metrics::PodMetrics;
use api::{ResourceDef, Subresource};
use client::{Request, Verb};
use serde_json::{Value, json};

/// A deployment whose pods the test makes itself: no node runs them, and nobody counts them.
async fn deployment(cluster: &Cluster, app: &str, replicas: i32) {
    let labels = json!({"app": app});
    cluster
        .create::<Deployment>(json!({"metadata": {"name": app, "namespace": "default"}, "spec": {
            "replicas": replicas, "paused": true, "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": []}}}}))
        .await;
}

/// Pods that have run for long, each of which uses so many thousandths of a processor, of 100 that it asks for.
async fn pods(cluster: &Cluster, app: &str, count: usize, cpu_milli: Option<i64>) {
    for name in (0..count).map(|n| format!("{app}-{n}")) {
        let metadata = json!({"name": name, "namespace": "default", "labels": {"app": app}});
        let container = json!({"name": "c", "resources": {"requests": {"cpu": "100m"}}});
        cluster
            .create::<Pod>(json!({"metadata": metadata, "spec": {"nodeName": "n", "containers": [container]}}))
            .await;
        let status = json!({"status": {"phase": "Running", "startTime": "2025-12-31T00:00:00Z", "conditions": [
            {"type": "Ready", "status": "True", "lastTransitionTime": "2025-12-31T00:00:01Z"}]}});
        cluster.merge::<Pod>("default", &name, Some(Subresource::Status), status).await;
        if let Some(milli) = cpu_milli {
            let used = json!({"name": "c", "usage": {"cpu": format!("{milli}m")}});
            cluster
                .create::<PodMetrics>(json!({"metadata": metadata, "timestamp": "2026-01-01T00:00:00Z",
                    "window": "10s", "containers": [used]}))
                .await;
        }
    }
}

/// All pods use so much from now on.
async fn load(cluster: &Cluster, count: usize, cpu_milli: i64) {
    for name in (0..count).map(|n| format!("web-{n}")) {
        let used = json!([{"name": "c", "usage": {"cpu": format!("{cpu_milli}m")}}]);
        cluster.merge::<PodMetrics>("default", &name, None, json!({"containers": used})).await;
    }
}

async fn autoscaler(cluster: &Cluster, name: &str, spec: Value) {
    let mut value = json!({"metadata": {"name": name, "namespace": "default"}, "spec": {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}, "maxReplicas": 10,
        "metrics": [{"type": "Resource", "resource": {"name": "cpu",
            "target": {"type": "Utilization", "averageUtilization": 50}}}]}});
    for (field, own) in spec.as_object().unwrap() {
        value["spec"][field] = own.clone();
    }
    cluster.create::<HorizontalPodAutoscaler>(value).await;
}

fn status(cluster: &Cluster, name: &str) -> HorizontalPodAutoscalerStatus {
    cluster.get::<HorizontalPodAutoscaler>("default", name).unwrap().status.unwrap_or_default()
}

/// A condition's status, reason and message.
fn condition(cluster: &Cluster, name: &str, type_: &str) -> String {
    let status = status(cluster, name);
    let found = status.conditions.iter().flatten().find(|own| own.type_ == type_);
    found.map_or_else(String::new, |own| {
        format!("{} {}: {}", own.status, own.reason.as_deref().unwrap(), own.message.as_deref().unwrap())
    })
}

fn replicas(cluster: &Cluster) -> i32 {
    cluster.get::<Deployment>("default", "web").unwrap().spec.replicas.unwrap()
}

/// What the first event for this reason said.
fn told(cluster: &Cluster, reason: &str) -> Option<String> {
    let written = cluster.fake.history::<Event>().into_iter().filter_map(|(_, new)| new);
    written.into_iter().find(|event| event.reason.as_deref() == Some(reason)).and_then(|event| event.message)
}

#[tokio::test(start_paused = true)]
async fn load_scales_up_and_five_minutes_without_it_down() {
    let cluster = Cluster::start();
    deployment(&cluster, "web", 2).await;
    cluster.node("n").await;
    pods(&cluster, "web", 2, Some(125)).await;
    autoscaler(&cluster, "h", json!({})).await;
    cluster.fake.until("as many as the load needs", |_| replicas(&cluster) == 4).await;
    cluster.settle().await;
    let found = status(&cluster, "h");
    assert!(found.last_scale_time.is_some() && found.observed_generation == Some(1));
    let current = &found.current_metrics.as_ref().unwrap()[0].resource.as_ref().unwrap().current;
    assert_eq!((current.average_utilization, current.average_value.as_ref().unwrap().0.as_str()), (Some(125), "125m"));
    assert_eq!(
        told(&cluster, "SuccessfulRescale").unwrap(),
        "New size: 4; reason: cpu resource utilization (percentage of request) above target"
    );
    // The pods that were asked for never come, so that the two use no less: five times what is wanted is 5.
    cluster.fake.until("the rest", |_| replicas(&cluster) == 5).await;
    load(&cluster, 2, 10).await;
    let before = cluster.fake.now();
    cluster.fake.until("as few as the load needs", |_| replicas(&cluster) == 1).await;
    let waited = cluster.fake.now().duration_since(before).as_secs();
    assert!((285..=320).contains(&waited), "{waited}");
    cluster.settle().await;
    assert_eq!((status(&cluster, "h").current_replicas, status(&cluster, "h").desired_replicas), (Some(1), 1));
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_known_is_said_and_changes_nothing() {
    let cluster = Cluster::start();
    autoscaler(&cluster, "h", json!({})).await;
    cluster.settle().await;
    assert_eq!(
        condition(&cluster, "h", "AbleToScale"),
        "False FailedGetScale: the HPA controller was unable to get the target's current scale: deployments.apps \
         \"web\" not found"
    );
    deployment(&cluster, "web", 2).await;
    cluster.node("n").await;
    pods(&cluster, "web", 2, None).await;
    cluster.settle().await;
    assert_eq!(
        condition(&cluster, "h", "ScalingActive"),
        "False FailedGetResourceMetric: the HPA was unable to compute the replica count: failed to get cpu \
         utilization: unable to get metrics for resource cpu: no metrics returned from resource metrics API"
    );
    assert_eq!(
        told(&cluster, "FailedComputeMetricsReplicas").unwrap(),
        "invalid metrics (1 invalid out of 1), first error is: failed to get cpu resource metric value: failed to \
         get cpu utilization: unable to get metrics for resource cpu: no metrics returned from resource metrics API"
    );
    let other = json!({"kind": "Gadget", "apiVersion": "example.com/v1", "name": "g"});
    autoscaler(&cluster, "odd", json!({"scaleTargetRef": other})).await;
    cluster.settle().await;
    assert!(
        condition(&cluster, "odd", "AbleToScale").ends_with("no matches for kind \"Gadget\" in group \"example.com\"")
    );
    assert_eq!(replicas(&cluster), 2);
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn two_autoscalers_of_the_same_pods_both_stand_still() {
    let cluster = Cluster::start();
    deployment(&cluster, "web", 2).await;
    cluster.node("n").await;
    pods(&cluster, "web", 2, Some(50)).await;
    autoscaler(&cluster, "one", json!({})).await;
    autoscaler(&cluster, "two", json!({})).await;
    cluster.settle().await;
    load(&cluster, 2, 500).await;
    cluster.settle().await;
    let message = "pods by selector app=web are controlled by multiple HPAs: [{one default} {two default}]";
    for name in ["one", "two"] {
        assert_eq!(condition(&cluster, name, "ScalingActive"), format!("False AmbiguousSelector: {message}"));
    }
    assert_eq!(replicas(&cluster), 2);
    cluster.delete::<HorizontalPodAutoscaler>("default", "two", None).await;
    cluster.fake.until("the one that is left acts", |_| replicas(&cluster) > 2).await;
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn nobody_scales_from_anothers_zero_and_bounds_hold_without_metrics() {
    let cluster = Cluster::start();
    deployment(&cluster, "web", 0).await;
    autoscaler(&cluster, "h", json!({"minReplicas": 3})).await;
    cluster.settle().await;
    assert_eq!(
        condition(&cluster, "h", "ScalingActive"),
        "False ScalingDisabled: scaling is disabled since the replica count of the target is zero"
    );
    cluster.merge::<Deployment>("default", "web", None, json!({"spec": {"replicas": 1}})).await;
    cluster.fake.until("the least", |_| replicas(&cluster) == 3).await;
    cluster.settle().await;
    assert_eq!(
        told(&cluster, "SuccessfulRescale").unwrap(),
        "New size: 3; reason: Current number of replicas below Spec.MinReplicas"
    );
    assert_eq!(
        condition(&cluster, "h", "ScaledToZero"),
        "False NotScaledToZero: the HPA controller did not scale the workload to zero"
    );
    cluster.stop().await;
}

fn external() -> Value {
    json!([{"type": "External", "external": {"metric": {"name": "queue", "selector": {"matchLabels": {"of": "web"}}},
        "target": {"type": "AverageValue", "averageValue": "10"}}}])
}

#[tokio::test(start_paused = true)]
async fn other_servers_metrics_scale_to_zero_and_back() {
    let cluster = Cluster::start();
    deployment(&cluster, "web", 1).await;
    let down =
        json!({"stabilizationWindowSeconds": 0, "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}]});
    let up = json!({"policies": [{"type": "Pods", "value": 9, "periodSeconds": 15}]});
    let behavior = json!({"scaleDown": down, "scaleUp": up});
    autoscaler(&cluster, "h", json!({"minReplicas": 0, "metrics": external(), "behavior": behavior})).await;
    cluster.settle().await;
    assert!(condition(&cluster, "h", "ScalingActive").ends_with(
        "unable to fetch metrics from external metrics API: the server could not find the requested resource (get \
         queue.external.metrics.k8s.io)"
    ));
    let length = std::sync::Arc::new(std::sync::atomic::AtomicI64::new(35));
    let served = length.clone();
    cluster.fake.set_foreign(move |read| {
        let path: Vec<_> = read.segments().collect();
        assert_eq!(path.join("/"), "apis/external.metrics.k8s.io/v1beta1/namespaces/default/queue");
        assert_eq!(read.query, [("labelSelector", "of=web".to_owned())]);
        let value = served.load(std::sync::atomic::Ordering::Relaxed).to_string();
        Ok(Some(json!({"items": [{"metricName": "queue", "metricLabels": {}, "timestamp": "2026-01-01T00:00:00Z",
            "value": value}]})))
    });
    cluster.fake.until("one for each ten", |_| replicas(&cluster) == 4).await;
    length.store(0, std::sync::atomic::Ordering::Relaxed);
    cluster.fake.until("none", |_| replicas(&cluster) == 0).await;
    cluster.settle().await;
    assert!(condition(&cluster, "h", "ScaledToZero").starts_with("True ScaledToZero"));
    assert_eq!(replicas(&cluster), 0);
    length.store(12, std::sync::atomic::Ordering::Relaxed);
    cluster.fake.until("two again", |_| replicas(&cluster) == 2).await;
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn custom_metrics_are_asked_for_by_pod_and_by_object() {
    let cluster = Cluster::start();
    deployment(&cluster, "web", 2).await;
    cluster.node("n").await;
    pods(&cluster, "web", 2, None).await;
    let target = |value: &str| json!({"type": "AverageValue", "averageValue": value});
    let metrics = json!([
        {"type": "Pods", "pods": {"metric": {"name": "requests"}, "target": target("10")}},
        {"type": "Object", "object": {"metric": {"name": "hits"}, "target": {"type": "Value", "value": "100"},
            "describedObject": {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "name": "front"}}}]);
    autoscaler(&cluster, "h", json!({"metrics": metrics})).await;
    cluster.settle().await;
    assert!(condition(&cluster, "h", "ScalingActive").starts_with("False FailedGetPodsMetric: "));
    assert!(
        condition(&cluster, "h", "ScalingActive").ends_with("no custom metrics API (custom.metrics.k8s.io) registered")
    );
    cluster.fake.set_foreign(|read| {
        if read.version == "v1beta2" {
            return Ok(None);
        }
        let item = |name: &str, value: &str| {
            json!({"describedObject": {"kind": "Pod", "name": name}, "metricName": "m",
            "timestamp": "2026-01-01T00:00:00Z", "value": value})
        };
        let path: Vec<_> = read.segments().skip(4).collect();
        match path.join("/").as_str() {
            "default/pods/*/requests" => {
                assert_eq!(read.query, [("labelSelector", "app=web".to_owned())]);
                Ok(Some(json!({"items": [item("web-0", "20"), item("web-1", "10")]})))
            }
            "default/ingresses.networking.k8s.io/front/hits" => Ok(Some(json!({"items": [item("front", "200")]}))),
            other => Err(api::Status::internal(other)),
        }
    });
    cluster.fake.until("what the ingress asks for, which is more", |_| replicas(&cluster) == 4).await;
    cluster.settle().await;
    let found = status(&cluster, "h").current_metrics.unwrap();
    assert_eq!(found[0].pods.as_ref().unwrap().current.average_value.as_ref().unwrap().0, "15");
    assert_eq!(found[1].object.as_ref().unwrap().current.value.as_ref().unwrap().0, "200");
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn autoscalers_of_a_namespace_share_one_list_of_its_metrics() {
    let cluster = Cluster::start();
    cluster.node("n").await;
    for app in (0..20).map(|n| format!("app{n}")) {
        deployment(&cluster, &app, 2).await;
        pods(&cluster, &app, 2, Some(50)).await;
        let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": app});
        autoscaler(&cluster, &app, json!({"scaleTargetRef": target})).await;
    }
    cluster.settle().await;
    let calls = || {
        let what = ["list pods", "get deployments/scale", "update horizontalpodautoscalers/status"];
        what.map(|what| cluster.fake.calls(what))
    };
    let before = calls();
    tokio::time::sleep(std::time::Duration::from_secs(150)).await;
    let after = calls();
    assert_eq!([0, 1, 2].map(|place| after[place] - before[place]), [10, 200, 0], "in ten rounds");
    for n in 0..20 {
        assert!(condition(&cluster, &format!("app{n}"), "ScalingActive").starts_with("True ValidMetricFound"));
    }
    cluster.stop().await;
}

/// An object of a kind that has a scale and no row, and pods that it selects; the autoscaler follows their load.
async fn scales_any_kind(cluster: &Cluster, def: &'static ResourceDef) {
    cluster.node("n").await;
    pods(cluster, "web", 2, Some(100)).await;
    let version = format!("{}/{}", def.group, def.version);
    let object = json!({"apiVersion": version, "kind": def.kind, "metadata": {"name": "web", "namespace": "default"},
        "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "web"}}}});
    let body = serde_json::to_vec(&object).unwrap();
    cluster.client.call(Request::new(Verb::Create, def, "default", "").body(body)).await.unwrap();
    // Whichever version of the group is named.
    let target = json!({"apiVersion": format!("{}/v0", def.group), "kind": def.kind, "name": "web"});
    autoscaler(cluster, "h", json!({"scaleTargetRef": target})).await;
    cluster.settle().await;
    assert!(condition(cluster, "h", "ScalingActive").starts_with("True ValidMetricFound"));
    let answer = cluster.client.call(Request::new(Verb::Get, def, "default", "web")).await.unwrap();
    let object: Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!(object["spec"]["replicas"], 4, "twice the load that is wanted");
}

#[tokio::test(start_paused = true)]
async fn custom_kinds_with_a_scale_are_scaled_and_others_are_not() {
    let cluster = Cluster::start();
    let definition = |kind: &str, subresources: Value| {
        let plural = format!("{}s", kind.to_lowercase());
        json!({"metadata": {"name": format!("{plural}.example.com")}, "spec": {"group": "example.com",
            "scope": "Namespaced", "names": {"plural": plural, "singular": plural, "kind": kind},
            "versions": [{"name": "v1", "served": true, "storage": true, "subresources": subresources}]}})
    };
    let scale = json!({"scale": {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}});
    let mut rows = Vec::new();
    for (kind, subresources) in [("Fleet", scale), ("Rock", json!({}))] {
        let made: CustomResourceDefinition = cluster.create(definition(kind, subresources)).await;
        let established = json!({"status": {"conditions": [{"type": "Established", "status": "True"}]}});
        let name = made.metadata.name.as_deref().unwrap();
        cluster.merge::<CustomResourceDefinition>("", name, Some(Subresource::Status), established).await;
        rows.push(api::custom::row_of(&made).unwrap().unwrap());
    }
    let target = json!({"apiVersion": "example.com/v1", "kind": "Rock", "name": "web"});
    autoscaler(&cluster, "rock", json!({"scaleTargetRef": target})).await;
    scales_any_kind(&cluster, rows[0]).await;
    let why = condition(&cluster, "rock", "AbleToScale");
    assert!(why.ends_with("the server could not find the requested resource"), "{why}");
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn kinds_of_other_servers_are_scaled() {
    let cluster = Cluster::start();
    let scope = api::resource::Scope::Namespaced;
    let def = api::custom::foreign_row(("wardle.example.com", "v1alpha1"), "Flunder", "flunders", scope).unwrap();
    let kinds = Some(vec![client::Foreign { def, verbs: vec!["get".to_owned()] }]);
    let group_version = "wardle.example.com/v1alpha1".to_owned();
    cluster.fake.set_aggregated(vec![client::Aggregated { group_version, kinds }]);
    let target = json!({"apiVersion": "wardle.example.com/v1alpha1", "kind": "Fischer", "name": "web"});
    autoscaler(&cluster, "unknown", json!({"scaleTargetRef": target})).await;
    scales_any_kind(&cluster, def).await;
    let why = condition(&cluster, "unknown", "AbleToScale");
    assert!(why.ends_with("no matches for kind \"Fischer\" in group \"wardle.example.com\""), "{why}");
    cluster.stop().await;
}
