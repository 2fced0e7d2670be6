//! Tables of what is measured and what comes of it, with upstream's documented examples among them.

use super::limits::{Bounds, limited};
use super::memory::Memory;
use super::metric::{Reading, View, propose};
use super::plan::{self, Rescale, Start, Verdict};
use super::pods::{Measured, Sample, Samples, Use, measured, request};
use super::replicas::{Average, Goal, Tolerances, by_part, by_pods, by_total};
use super::report::Report;
use client::PodView;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::sync::Arc;

const USUAL: fn() -> Tolerances = || Tolerances::of(None);

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + second).unwrap()
}

/// Pods that use so many thousandths of a request of 1000.
fn using(counted: &[i64], unready: usize, missing: usize) -> Measured {
    let of = |milli: i64| Use { milli, request: 1000 };
    Measured {
        counted: counted.iter().map(|milli| of(*milli)).collect(),
        unready: vec![of(0); unready],
        missing: vec![of(0); missing],
    }
}

#[test]
fn a_share_of_the_request_asks_for_replicas() {
    let check = |counted: &[i64], (unready, missing), percent, current, want| {
        let got = by_pods(&using(counted, unready, missing), Goal::Percent(percent), USUAL(), current).unwrap().0;
        assert_eq!(got, want, "{counted:?} {unready} {missing} {percent}%");
    };
    let none = (0, 0);
    // Twice what is wanted doubles, half of it halves.
    check(&[1000, 1000], none, 50, 2, 4);
    check(&[250, 250, 250, 250], none, 50, 4, 2);
    check(&[300, 500, 700], none, 30, 3, 5);
    // A tenth more or less is nothing.
    check(&[1010, 1030, 1020], none, 100, 3, 3);
    check(&[890, 890], none, 100, 2, 2);
    check(&[1110, 1110], none, 100, 2, 3);
    // Unready pods count as idle on the way up, and not at all on the way down.
    check(&[500, 700], (1, 0), 30, 3, 4);
    check(&[400, 500, 700], (1, 0), 30, 4, 6);
    check(&[100], (2, 0), 50, 3, 1);
    // They do not turn the direction.
    check(&[600], (3, 0), 50, 4, 4);
    // Missing ones as idle on the way up, as fully busy on the way down.
    check(&[950, 950], (0, 1), 50, 3, 4);
    check(&[100, 100, 100], (0, 1), 50, 4, 3);
    check(&[100, 100], (0, 2), 50, 4, 4);
    // As what is wanted, if that is more than all.
    check(&[1000, 1000, 1000], (0, 1), 300, 4, 2);
}

#[test]
fn an_amount_asks_for_replicas() {
    let check = |counted: &[i64], (unready, missing), goal, current, want: (i32, i64)| {
        let got = by_pods(&using(counted, unready, missing), Goal::Milli(goal), USUAL(), current).unwrap();
        assert_eq!((got.0, got.1.milli), want, "{counted:?} {unready} {missing} {goal}");
    };
    check(&[20_000, 10_000, 30_000], (0, 0), 15_000, 3, (4, 20_000));
    check(&[12_000, 12_000, 12_000, 12_000, 12_000], (0, 0), 20_000, 5, (3, 12_000));
    check(&[20_000, 20_000], (0, 1), 15_000, 3, (3, 20_000));
    check(&[50_000, 10_000], (1, 0), 10_000, 3, (6, 30_000));
    check(&[5_000, 5_000], (0, 1), 10_000, 3, (2, 5_000));
}

#[test]
fn pods_that_nobody_measured_ask_for_nothing() {
    let refused = by_pods(&using(&[], 2, 1), Goal::Percent(50), USUAL(), 3).unwrap_err();
    assert_eq!(refused, "did not receive metrics for targeted pods (pods might be unready)");
    let known = by_pods(&using(&[333, 334], 0, 0), Goal::Percent(33), USUAL(), 2).unwrap();
    assert_eq!(known, (2, Average { percent: 33, milli: 333 }));
}

#[test]
fn totals_ask_for_replicas() {
    let ready = |count: usize| move || Ok(count);
    assert_eq!(by_total(3, 20_000, 10_000, USUAL(), ready(3)), Ok(6));
    assert_eq!(by_total(3, 10_500, 10_000, USUAL(), ready(3)), Ok(3));
    assert_eq!(by_total(4, 5_000, 10_000, USUAL(), ready(2)), Ok(1));
    assert_eq!(by_total(0, 1, 10_000, USUAL(), ready(0)), Ok(1), "from nothing, every bit counts");
    assert_eq!(by_total(0, 0, 10_000, USUAL(), ready(0)), Ok(0));
    assert!(by_total(1, 50, 1, USUAL(), || Err("none".to_owned())).is_err());
    assert_eq!(by_total(1, i64::MAX, 1, USUAL(), ready(1)), Ok(i32::MAX));
    assert_eq!(by_part(3, 60_000, 15_000, USUAL()), (4, 20_000));
    assert_eq!(by_part(4, 62_000, 15_000, USUAL()), (4, 15_500));
    assert_eq!(by_part(0, 30_000, 15_000, USUAL()), (2, 30_000));
}

#[test]
fn an_autoscaler_may_have_tolerances_of_its_own() {
    let behavior = json!({"scaleUp": {"tolerance": "50m"}, "scaleDown": {"tolerance": "0.3"}});
    let own = Tolerances::of(Some(&serde_json::from_value(behavior).unwrap()));
    let check = |counted: i64, want| {
        assert_eq!(by_pods(&using(&[counted; 4], 0, 0), Goal::Percent(100), own, 4).unwrap().0, want, "{counted}");
    };
    check(1040, 4);
    check(1060, 5);
    check(710, 4);
    check(690, 3);
}

fn pod(status: Value) -> Arc<PodView> {
    let spec = json!({"containers": [{"name": "a", "resources": {"requests": {"cpu": "1"}}}]});
    let value = json!({"metadata": {"name": "p", "namespace": "d"}, "spec": spec, "status": status});
    Arc::new(serde_json::from_value(value).unwrap())
}

/// A pod that started and last became ready or unready at seconds of the test's time.
fn running(started: i64, ready: bool, since: i64) -> Arc<PodView> {
    let status = if ready { "True" } else { "False" };
    pod(json!({"phase": "Running", "startTime": at(started).to_string(), "conditions": [
        {"type": "Ready", "status": status, "lastTransitionTime": at(since).to_string()}]}))
}

#[test]
fn pods_count_once_they_have_started() {
    let window = SignedDuration::from_secs(30);
    let check = |pod: Arc<PodView>, resource: &str, sampled: i64, want: &str| {
        let samples = Samples::from([("p".to_owned(), Sample { milli: 1, at: at(sampled), window })]);
        let found = measured(&[pod], &samples, resource, at(1000), |_| Ok(1)).unwrap();
        assert_eq!(if found.counted.len() == 1 { "counted" } else { "not" }, want, "{resource} {sampled}");
    };
    // While a pod may be starting, only what was measured wholly after it became ready counts.
    check(running(900, true, 960), "cpu", 995, "counted");
    check(running(900, true, 980), "cpu", 995, "not");
    check(running(900, false, 910), "cpu", 995, "not");
    // Later a pod counts unless it has never been ready.
    check(running(0, true, 999), "cpu", 995, "counted");
    check(running(0, false, 29), "cpu", 995, "not");
    check(running(0, false, 400), "cpu", 995, "counted");
    // Of other resources all count.
    check(running(990, false, 995), "memory", 995, "counted");
    check(pod(json!({"phase": "Running"})), "cpu", 995, "not");
    check(pod(json!({"phase": "Pending"})), "memory", 995, "not");
    check(pod(json!({"phase": "Failed"})), "memory", 995, "not");
}

#[test]
fn requests_are_those_of_what_is_measured() {
    let check = |spec: Value, container: &str, want: Result<i64, &str>| {
        let pod: PodView =
            serde_json::from_value(json!({"metadata": {"name": "p", "namespace": "d"}, "spec": spec})).unwrap();
        assert_eq!(request(&pod, container, "cpu"), want.map_err(str::to_owned), "{spec} {container}");
    };
    let own = |name: &str, cpu: &str| json!({"name": name, "resources": {"requests": {"cpu": cpu}}});
    let sidecar = json!({"name": "s", "restartPolicy": "Always", "resources": {"requests": {"cpu": "10m"}}});
    let both = json!({"containers": [own("a", "100m"), own("b", "1")], "initContainers": [sidecar, own("i", "9")]});
    check(both.clone(), "", Ok(1110));
    check(both.clone(), "b", Ok(1000));
    check(both.clone(), "s", Ok(10));
    check(both, "i", Err("container i not found in Pod p"));
    check(
        json!({"containers": [own("a", "100m"), {"name": "b"}]}),
        "",
        Err("missing request for cpu in container b of Pod p"),
    );
    check(json!({"containers": [own("a", "100m"), {"name": "b"}]}), "a", Ok(100));
    let whole = json!({"requests": {"cpu": "2"}});
    check(json!({"resources": whole, "containers": [{"name": "b"}], "overhead": {"cpu": "5m"}}), "", Ok(2005));
    let other = json!({"requests": {"memory": "1Gi"}});
    check(
        json!({"resources": other, "containers": [{"name": "b"}]}),
        "",
        Err("missing pod-level request for cpu in Pod p"),
    );
}

/// The replicas after each of what is asked for, 15 seconds apart; what is done is remembered.
fn steps(behavior: Value, (min, max): (i32, i32), start: i32, asked: &[i32]) -> Vec<i32> {
    let behavior = serde_json::from_value(behavior).unwrap();
    let (mut memory, mut current, mut counts) = (Memory::default(), start, Vec::new());
    memory.begin(current, at(0));
    for (round, asked) in (0..).zip(asked) {
        let now = at(15 * round);
        let found = limited(Option::as_ref(&behavior), Bounds { current, min, max }, *asked, &mut memory, now);
        if found.replicas != current {
            memory.changed(current, found.replicas, now, SignedDuration::from_secs(3600));
        }
        current = found.replicas;
        counts.push(current);
    }
    counts
}

#[test]
fn without_a_behavior_counts_double_at_most_and_fall_after_five_minutes() {
    let none = Value::Null;
    assert_eq!(steps(none.clone(), (1, 100), 1, &[50, 50, 50, 50, 50]), [4, 8, 16, 32, 50]);
    assert_eq!(steps(none.clone(), (1, 10), 9, &[50]), [10]);
    let mut falling = vec![2; 20];
    falling.push(2);
    let counts = steps(none.clone(), (3, 10), 8, &falling);
    assert!(counts[..20].iter().all(|count| *count == 8), "{counts:?}");
    assert_eq!(counts[20], 3, "no fewer than there may be");
    let mut spikes = vec![2; 10];
    spikes.push(6);
    spikes.extend([2; 21]);
    let counts = steps(none, (1, 10), 8, &spikes);
    assert_eq!((counts[19], counts[20], counts[29], counts[30]), (8, 6, 6, 2), "the highest of five minutes");
}

#[test]
fn policies_limit_how_fast_counts_change() {
    let down = |rules: Value| json!({"scaleUp": {"stabilizationWindowSeconds": 0}, "scaleDown": rules});
    // Upstream's example: from 80, ten per cent or four pods a minute, whichever is more.
    let rules = json!({"stabilizationWindowSeconds": 0, "policies": [
        {"type": "Pods", "value": 4, "periodSeconds": 60}, {"type": "Percent", "value": 10, "periodSeconds": 60}]});
    let each_minute = |counts: Vec<i32>| counts.into_iter().step_by(4).collect::<Vec<_>>();
    assert_eq!(each_minute(steps(down(rules.clone()), (1, 100), 80, &[10; 20])), [72, 64, 57, 51, 45]);
    assert_eq!(steps(down(rules.clone()), (1, 100), 80, &[10; 4]), [72, 72, 72, 72], "once a period");
    let mut fewest = rules.clone();
    fewest["selectPolicy"] = "Min".into();
    assert_eq!(each_minute(steps(down(fewest), (1, 100), 80, &[10; 12])), [76, 72, 68]);
    let mut never = rules;
    never["selectPolicy"] = "Disabled".into();
    assert_eq!(steps(down(never), (1, 100), 80, &[10, 10]), [80, 80]);
    let up = json!({"scaleUp": {"stabilizationWindowSeconds": 0, "selectPolicy": "Max", "policies": [
        {"type": "Percent", "value": 100, "periodSeconds": 15}, {"type": "Pods", "value": 4, "periodSeconds": 15}]},
        "scaleDown": {"policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}]}});
    assert_eq!(steps(up, (1, 100), 1, &[90; 6]), [5, 10, 20, 40, 80, 90]);
}

#[test]
fn windows_hold_counts_between_what_was_asked_in_them() {
    let policies = json!([{"type": "Pods", "value": 9, "periodSeconds": 15}]);
    let both = json!({"scaleUp": {"stabilizationWindowSeconds": 30, "policies": policies},
        "scaleDown": {"stabilizationWindowSeconds": 60, "policies": policies}});
    assert_eq!(steps(both.clone(), (1, 20), 4, &[8, 8, 8]), [4, 4, 8], "up once it was asked for long enough");
    assert_eq!(steps(both, (1, 20), 4, &[2, 2, 2, 2, 2]), [4, 4, 4, 4, 2]);
}

fn autoscaler(spec: Value, status: Value) -> HorizontalPodAutoscaler {
    let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"});
    let mut value = json!({"metadata": {"name": "h", "namespace": "d"}, "status": status,
        "spec": {"scaleTargetRef": target, "maxReplicas": 10}});
    for (name, field) in spec.as_object().unwrap() {
        value["spec"][name] = field.clone();
    }
    serde_json::from_value(value).unwrap()
}

fn queue() -> Value {
    let target = json!({"type": "Value", "value": "1"});
    json!([{"type": "External", "external": {"metric": {"name": "queue"}, "target": target}}])
}

#[test]
fn bounds_come_before_metrics_and_a_zero_of_others_before_both() {
    let external = queue();
    let own = json!({"conditions": [{"type": "ScaledToZero", "status": "True"}]});
    let check = |spec: Value, status: Value, current: i32, want: Start| {
        assert_eq!(plan::start(&autoscaler(spec.clone(), status), current), want, "{spec} {current}");
    };
    check(json!({}), json!({}), 0, Start::Disabled);
    check(json!({"minReplicas": 0, "metrics": external}), json!({}), 0, Start::Disabled);
    check(json!({"minReplicas": 0, "metrics": external}), own.clone(), 0, Start::Measure);
    check(json!({"minReplicas": 2}), own, 0, Start::Measure);
    let above = Start::Forced { replicas: 10, why: "Current number of replicas above Spec.MaxReplicas" };
    check(json!({}), json!({}), 11, above);
    let below = Start::Forced { replicas: 3, why: "Current number of replicas below Spec.MinReplicas" };
    check(json!({"minReplicas": 3}), json!({}), 2, below);
    check(json!({"minReplicas": 3}), json!({}), 3, Start::Measure);
}

/// What comes of two metrics, the totals of which were read or not, at four replicas that each are to have 10.
fn judged(readings: [Result<i64, &str>; 2]) -> (Verdict, Report) {
    let metric = |name: &str| {
        json!({"type": "External", "external": {"metric": {"name": name},
        "target": {"type": "AverageValue", "averageValue": "10"}}})
    };
    let autoscaler = autoscaler(json!({"metrics": [metric("one"), metric("two")]}), json!({}));
    let view = View { namespace: "d", pods: &[], wanted: 4, present: 4, tolerances: USUAL(), now: at(400) };
    let specs = autoscaler.spec.metrics.iter().flatten();
    let proposals: Vec<_> = specs
        .zip(readings)
        .map(|(spec, reading)| {
            propose(spec, reading.map(|units| Reading::Total(units * 1000)).map_err(str::to_owned), &view)
        })
        .collect();
    let (mut memory, mut report) = (Memory::default(), Report::new(&autoscaler, at(400)));
    let verdict = plan::judge(&autoscaler, 4, &proposals, &mut memory, &mut report);
    (verdict, report)
}

fn condition(report: &Report, type_: &str) -> String {
    let found = report.status.conditions.iter().flatten().find(|own| own.type_ == type_).unwrap();
    format!("{} {}", found.status, found.reason.as_deref().unwrap())
}

#[test]
fn the_metric_that_asks_for_most_wins_and_a_failed_one_keeps_replicas() {
    let up = |replicas, metric: &str| {
        let why = format!("external metric {metric}(nil) above target");
        Verdict::Rescale(Rescale { replicas, why })
    };
    let (verdict, report) = judged([Ok(60), Ok(70)]);
    assert_eq!(verdict, up(7, "two"));
    assert_eq!(condition(&report, "ScalingActive"), "True ValidMetricFound");
    assert_eq!(condition(&report, "ScalingLimited"), "False DesiredWithinRange");
    let parts = report.status.current_metrics.unwrap();
    let part = |place: usize| parts[place].external.as_ref().unwrap().current.average_value.clone().unwrap().0;
    assert_eq!((part(0), part(1)), ("15".to_owned(), "17500m".to_owned()));

    let (verdict, report) = judged([Err("gone"), Ok(70)]);
    assert_eq!(verdict, up(7, "two"), "what can be read may still ask for more");
    assert_eq!(condition(&report, "ScalingActive"), "True ValidMetricFound");

    let (verdict, report) = judged([Err("gone"), Ok(10)]);
    assert_eq!(verdict, Verdict::Unknown, "but not for fewer");
    assert_eq!(condition(&report, "ScalingActive"), "False FailedGetExternalMetric");
    let told: Vec<_> = report.events.iter().map(|(_, reason, message)| format!("{reason}: {message}")).collect();
    assert_eq!(
        told,
        [
            "FailedGetExternalMetric: unable to get external metric d/one/nil: gone",
            "FailedComputeMetricsReplicas: invalid metrics (1 invalid out of 2), first error is: failed to get one \
             external metric value: failed to get one external metric: unable to get external metric d/one/nil: gone",
        ]
    );
    assert_eq!(
        judged([Ok(20), Ok(10)]).0,
        Verdict::Rescale(Rescale { replicas: 2, why: "All metrics below target".to_owned() })
    );
    assert_eq!(judged([Ok(40), Ok(10)]).0, Verdict::Stay);
}

#[test]
fn a_count_that_was_changed_is_told() {
    let external = queue();
    let autoscaler = autoscaler(json!({"minReplicas": 0, "metrics": external}), json!({}));
    let mut report = Report::new(&autoscaler, at(0));
    plan::rescaled(&autoscaler, 3, &Rescale { replicas: 0, why: "All metrics below target".to_owned() }, &mut report);
    assert_eq!(condition(&report, "ScaledToZero"), "True ScaledToZero");
    assert_eq!(report.events[0].2, "New size: 0; reason: All metrics below target");
    plan::rescaled(&autoscaler, 0, &Rescale { replicas: 2, why: "x".to_owned() }, &mut report);
    assert_eq!(condition(&report, "ScaledToZero"), "False NotScaledToZero");
    assert_eq!(condition(&report, "AbleToScale"), "True SucceededRescale");
}
