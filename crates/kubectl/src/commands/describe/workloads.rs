//! What makes pods: deployments, replica sets, stateful sets, daemon sets, jobs, replication controllers.

use super::page::{Page, controller, items, number, or_none, pairs, time};
use super::template;
use crate::calls::text;
use crate::print::display;
use crate::workload::selector_of;
use serde_json::{Value, json};

const CONDITIONS: [(&str, &str); 3] = [("Type", "/type"), ("Status", "/status"), ("Reason", "/reason")];

/// A selector as upstream writes it; `<none>` where it selects nothing.
pub(super) fn selector_text(selector: &Value) -> String {
    selector_of(&json!({"spec": {"selector": selector}})).unwrap_or_else(|| "<none>".to_owned())
}

fn selector(object: &Value) -> String {
    selector_text(&object["spec"]["selector"])
}

pub(super) fn deployment(object: &Value, replica_sets: &[Value], page: &mut Page) {
    page.name(object);
    page.pair(0, "CreationTimestamp", time(text(object, "/metadata/creationTimestamp")));
    page.labels_and_annotations(object);
    page.pair(0, "Selector", selector(object));
    let status = |member: &str| number(object, &format!("/status/{member}"));
    page.pair(
        0,
        "Replicas",
        format_args!(
            "{} desired | {} updated | {} total | {} available | {} unavailable",
            number(object, "/spec/replicas"),
            status("updatedReplicas"),
            status("replicas"),
            status("availableReplicas"),
            status("unavailableReplicas")
        ),
    );
    page.pair(0, "StrategyType", text(object, "/spec/strategy/type"));
    page.pair(0, "MinReadySeconds", number(object, "/spec/minReadySeconds"));
    if let Some(rolling) = object.pointer("/spec/strategy/rollingUpdate") {
        let (unavailable, surge) = (display(&rolling["maxUnavailable"]), display(&rolling["maxSurge"]));
        page.pair(0, "RollingUpdateStrategy", format_args!("{unavailable} max unavailable, {surge} max surge"));
    }
    template::describe(&object["spec"]["template"], page);
    page.conditions(object, true, &CONDITIONS);
    let (new, old) = by_age(object, replica_sets);
    if new.is_none() && old.is_empty() {
        return;
    }
    page.pair(0, "OldReplicaSets", or_none(&old.iter().map(|one| created(one)).collect::<Vec<_>>().join(", ")));
    page.pair(0, "NewReplicaSet", new.map_or_else(|| "<none>".to_owned(), created));
}

fn created(replica_set: &Value) -> String {
    let (name, made) = (text(replica_set, "/metadata/name"), number(replica_set, "/status/replicas"));
    format!("{name} ({made}/{} replicas created)", number(replica_set, "/spec/replicas"))
}

/// The replica set of the deployment's present template (the oldest of several), and those of earlier ones by age.
fn by_age<'a>(deployment: &Value, replica_sets: &'a [Value]) -> (Option<&'a Value>, Vec<&'a Value>) {
    let uid = text(deployment, "/metadata/uid");
    let is_own = |set: &&Value| items(set, "/metadata/ownerReferences").iter().any(|owner| owner["uid"] == uid);
    let mut own: Vec<&Value> = replica_sets.iter().filter(is_own).collect();
    own.sort_by_key(|set| (text(set, "/metadata/creationTimestamp"), text(set, "/metadata/name")));
    let template = &deployment["spec"]["template"];
    let new = own.iter().position(|set| crate::commands::rollout::template_of(set) == *template);
    let new = new.map(|at| own.remove(at));
    (new, own)
}

pub(super) fn replica_set(object: &Value, pods: &[Value], page: &mut Page) {
    page.name(object);
    page.pair(0, "Selector", selector(object));
    page.labels_and_annotations(object);
    controlled(object, page);
    let (current, desired) = (number(object, "/status/replicas"), number(object, "/spec/replicas"));
    page.pair(0, "Replicas", format_args!("{current} current / {desired} desired"));
    pods_status(object, pods, page);
    template::describe(&object["spec"]["template"], page);
    page.conditions(object, true, &CONDITIONS);
}

pub(super) fn stateful_set(object: &Value, pods: &[Value], page: &mut Page) {
    page.name(object);
    page.pair(0, "CreationTimestamp", time(text(object, "/metadata/creationTimestamp")));
    page.pair(0, "Selector", selector(object));
    page.labels_and_annotations(object);
    page.pair_of(0, "Service Name", object, "/spec/serviceName");
    page.pair_of(0, "Pod Management Policy", object, "/spec/podManagementPolicy");
    let (desired, total) = (number(object, "/spec/replicas"), number(object, "/status/replicas"));
    page.pair(0, "Replicas", format_args!("{desired} desired | {total} total"));
    page.pair(0, "Update Strategy", text(object, "/spec/updateStrategy/type"));
    let rolling = &object["spec"]["updateStrategy"]["rollingUpdate"];
    page.pair_of(1, "Partition", rolling, "/partition");
    page.pair_of(1, "MaxUnavailable", rolling, "/maxUnavailable");
    if let Some(policy) = object.pointer("/spec/persistentVolumeClaimRetentionPolicy") {
        page.line(0, "Persistent Volume Claim Retention Policy:");
        page.pair_of(1, "WhenDeleted", policy, "/whenDeleted");
        page.pair_of(1, "WhenScaled", policy, "/whenScaled");
    }
    pods_status(object, pods, page);
    template::describe(&object["spec"]["template"], page);
    claims(items(object, "/spec/volumeClaimTemplates"), page);
}

fn claims(templates: &[Value], page: &mut Page) {
    if templates.is_empty() {
        return page.pair(0, "Volume Claims", "<none>");
    }
    page.line(0, "Volume Claims:");
    for claim in templates {
        page.pair(1, "Name", text(claim, "/metadata/name"));
        page.pair(1, "StorageClass", text(claim, "/spec/storageClassName"));
        page.labels("  Labels", claim.pointer("/metadata/labels"));
        page.labels("  Annotations", claim.pointer("/metadata/annotations"));
        let capacity = claim.pointer("/spec/resources/requests/storage").map(display);
        page.pair(1, "Capacity", capacity.as_deref().unwrap_or("<default>"));
        page.pair(1, "Access Modes", display(&claim["spec"]["accessModes"]));
    }
}

pub(super) fn daemon_set(object: &Value, pods: &[Value], page: &mut Page) {
    page.name(object);
    page.pair(0, "Selector", selector(object));
    page.pair(0, "Node-Selector", pairs(object.pointer("/spec/template/spec/nodeSelector")));
    page.labels_and_annotations(object);
    for (words, member) in [
        ("Desired Number of Nodes Scheduled", "desiredNumberScheduled"),
        ("Current Number of Nodes Scheduled", "currentNumberScheduled"),
        ("Number of Nodes Scheduled with Up-to-date Pods", "updatedNumberScheduled"),
        ("Number of Nodes Scheduled with Available Pods", "numberAvailable"),
        ("Number of Nodes Misscheduled", "numberMisscheduled"),
    ] {
        page.line(0, format_args!("{words}: {}", number(object, &format!("/status/{member}"))));
    }
    pods_status(object, pods, page);
    template::describe(&object["spec"]["template"], page);
}

pub(super) fn job(object: &Value, _: &[Value], page: &mut Page) {
    page.name(object);
    page.pair(0, "Selector", selector(object));
    page.labels_and_annotations(object);
    controlled(object, page);
    let spec = &object["spec"];
    page.pair_of(0, "Parallelism", spec, "/parallelism");
    page.pair(0, "Completions", spec.get("completions").map_or_else(|| "<unset>".to_owned(), display));
    page.pair_of(0, "Completion Mode", spec, "/completionMode");
    page.pair_of(0, "Suspend", spec, "/suspend");
    page.pair_of(0, "Backoff Limit", spec, "/backoffLimit");
    page.pair_of(0, "TTL Seconds After Finished", spec, "/ttlSecondsAfterFinished");
    let (started, completed) = (text(object, "/status/startTime"), text(object, "/status/completionTime"));
    if !started.is_empty() {
        page.pair(0, "Start Time", time(started));
    }
    if !completed.is_empty() {
        page.pair(0, "Completed At", time(completed));
    }
    if let (Ok(from), Ok(to)) = (started.parse::<jiff::Timestamp>(), completed.parse::<jiff::Timestamp>()) {
        page.pair(0, "Duration", api::table::duration(to.as_second() - from.as_second()));
    }
    if let Some(seconds) = spec.get("activeDeadlineSeconds") {
        page.pair(0, "Active Deadline Seconds", format_args!("{}s", display(seconds)));
    }
    let status = |member: &str| number(object, &format!("/status/{member}"));
    let ready = object.pointer("/status/ready").map(|ready| format!(" ({} Ready)", display(ready))).unwrap_or_default();
    let (active, succeeded, failed) = (status("active"), status("succeeded"), status("failed"));
    page.pair(0, "Pods Statuses", format_args!("{active} Active{ready} / {succeeded} Succeeded / {failed} Failed"));
    if text(spec, "/completionMode") == "Indexed" {
        page.pair(0, "Completed Indexes", or_none(text(object, "/status/completedIndexes")));
    }
    template::describe(&spec["template"], page);
}

pub(super) fn cron_job(object: &Value, _: &[Value], page: &mut Page) {
    page.name(object);
    page.labels_and_annotations(object);
    let spec = &object["spec"];
    let unset = |value: Option<&Value>, unit: &str| {
        value.map_or_else(|| "<unset>".to_owned(), |value| format!("{}{unit}", display(value)))
    };
    page.pair(0, "Schedule", text(spec, "/schedule"));
    page.pair(0, "Concurrency Policy", text(spec, "/concurrencyPolicy"));
    let suspend = spec.get("suspend").map(|suspend| if *suspend == true { "True" } else { "False" });
    page.pair(0, "Suspend", suspend.unwrap_or("<unset>"));
    page.pair(0, "Time Zone", unset(spec.get("timeZone"), ""));
    page.pair(0, "Successful Job History Limit", unset(spec.get("successfulJobsHistoryLimit"), ""));
    page.pair(0, "Failed Job History Limit", unset(spec.get("failedJobsHistoryLimit"), ""));
    page.pair(0, "Starting Deadline Seconds", unset(spec.get("startingDeadlineSeconds"), "s"));
    let job = &spec["jobTemplate"]["spec"];
    let selector = if job["selector"].is_null() { "<unset>".to_owned() } else { selector_text(&job["selector"]) };
    page.pair(0, "Selector", selector);
    page.pair(0, "Parallelism", unset(job.get("parallelism"), ""));
    page.pair(0, "Completions", unset(job.get("completions"), ""));
    if job.get("activeDeadlineSeconds").is_some() {
        page.pair(0, "Active Deadline Seconds", unset(job.get("activeDeadlineSeconds"), "s"));
    }
    template::describe(&job["template"], page);
    let last = text(object, "/status/lastScheduleTime");
    page.pair(0, "Last Schedule Time", if last.is_empty() { "<unset>".to_owned() } else { time(last) });
    let active: Vec<&str> = items(object, "/status/active").iter().map(|job| text(job, "/name")).collect();
    page.pair(0, "Active Jobs", or_none(&active.join(", ")));
}

pub(super) fn replication_controller(object: &Value, pods: &[Value], page: &mut Page) {
    page.name(object);
    page.pair(0, "Selector", selector(object));
    page.labels_and_annotations(object);
    let (current, desired) = (number(object, "/status/replicas"), number(object, "/spec/replicas"));
    page.pair(0, "Replicas", format_args!("{current} current / {desired} desired"));
    pods_status(object, pods, page);
    template::describe(&object["spec"]["template"], page);
    page.conditions(object, true, &CONDITIONS);
}

pub(super) fn controlled(object: &Value, page: &mut Page) {
    if let Some(controller) = controller(object) {
        page.pair(0, "Controlled By", controller);
    }
}

fn pods_status(object: &Value, pods: &[Value], page: &mut Page) {
    let uid = text(object, "/metadata/uid");
    let is_own = |pod: &&Value| {
        items(pod, "/metadata/ownerReferences").iter().any(|owner| owner["uid"] == uid && owner["controller"] == true)
    };
    let own: Vec<&Value> = pods.iter().filter(is_own).collect();
    let count = |phase: &str| own.iter().filter(|pod| text(pod, "/status/phase") == phase).count();
    let (running, waiting) = (count("Running"), count("Pending"));
    let (succeeded, failed) = (count("Succeeded"), count("Failed"));
    let counted = format!("{running} Running / {waiting} Waiting / {succeeded} Succeeded / {failed} Failed");
    page.pair(0, "Pods Status", counted);
}
