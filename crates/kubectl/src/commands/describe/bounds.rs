//! Namespaces, and what bounds the use of them: quotas and limit ranges.

use super::page::{Page, items, sorted};
use crate::calls::{name_of, text};
use crate::print::display;
use serde_json::Value;
use std::collections::BTreeSet;

const LIMITS: &str = "Type\tResource\tMin\tMax\tDefault Request\tDefault Limit\tMax Limit/Request Ratio";
const UNDERLINED: &str = "----\t--------\t---\t---\t---------------\t-------------\t-----------------------";
/// What upstream says of a quota's scope.
const SCOPES: [(&str, &str); 4] = [
    (
        "Terminating",
        "Matches all pods that have an active deadline. These pods have a limited lifespan on a node before being actively terminated by the system.",
    ),
    (
        "NotTerminating",
        "Matches all pods that do not have an active deadline. These pods usually include long running pods whose container command is not expected to terminate.",
    ),
    (
        "BestEffort",
        "Matches all pods that do not have resource requirements set. These pods have a best effort quality of service.",
    ),
    (
        "NotBestEffort",
        "Matches all pods that have at least one resource requirement set. These pods have a burstable or guaranteed quality of service.",
    ),
];

pub(super) fn namespace(namespace: &Value, related: &[Value], page: &mut Page) {
    page.pair(0, "Name", name_of(namespace));
    page.labels_and_annotations(namespace);
    page.pair(0, "Status", text(namespace, "/status/phase"));
    page.conditions(
        namespace,
        true,
        &[
            ("Type", "/type"),
            ("Status", "/status"),
            ("LastTransitionTime", "/lastTransitionTime"),
            ("Reason", "/reason"),
            ("Message", "/message"),
        ],
    );
    let of = |kind: &str| related.iter().filter(|one| one["kind"] == kind).collect::<Vec<_>>();
    page.line(0, "");
    quotas(of("ResourceQuota"), page);
    page.line(0, "");
    limit_ranges(&of("LimitRange"), page);
}

fn quotas(mut quotas: Vec<&Value>, page: &mut Page) {
    if quotas.is_empty() {
        return page.line(0, "No resource quota.");
    }
    quotas.sort_by_key(|quota| name_of(quota));
    page.line(0, "Resource Quotas");
    for quota in quotas {
        page.pair(1, "Name", name_of(quota));
        scopes(quota, 1, "* ", page);
        page.line(1, "Resource\tUsed\tHard");
        page.line(1, "--------\t---\t---");
        used(quota, 1, page);
    }
}

fn scopes(quota: &Value, level: usize, bullet: &str, page: &mut Page) {
    let mut scopes: Vec<&str> = items(quota, "/spec/scopes").iter().filter_map(Value::as_str).collect();
    scopes.sort_unstable();
    if scopes.is_empty() {
        return;
    }
    page.pair(level, "Scopes", scopes.join(", "));
    let meant = scopes.iter().filter_map(|scope| SCOPES.iter().find(|(known, _)| known == scope));
    meant.for_each(|(_, words)| page.line(level, format_args!("{bullet}{words}")));
}

fn used(quota: &Value, level: usize, page: &mut Page) {
    for (resource, hard) in sorted(quota.pointer("/status/hard")) {
        let used = quota.pointer("/status/used").and_then(|used| used.get(resource));
        let used = used.map_or_else(|| "0".to_owned(), display);
        page.line(level, format_args!("{resource}\t{used}\t{}", display(hard)));
    }
}

pub(super) fn quota(quota: &Value, _: &[Value], page: &mut Page) {
    page.name(quota);
    scopes(quota, 0, " * ", page);
    page.line(0, "Resource\tUsed\tHard");
    page.line(0, "--------\t----\t----");
    used(quota, 0, page);
}

fn limit_ranges(ranges: &[&Value], page: &mut Page) {
    if ranges.is_empty() {
        return page.line(0, "No LimitRange resource.");
    }
    page.line(0, "Resource Limits");
    page.line(0, format_args!(" {LIMITS}"));
    page.line(0, format_args!(" {UNDERLINED}"));
    ranges.iter().for_each(|range| limits(range, " ", page));
}

pub(super) fn limit_range(range: &Value, _: &[Value], page: &mut Page) {
    page.name(range);
    page.line(0, LIMITS);
    page.line(0, UNDERLINED);
    limits(range, "", page);
}

fn limits(range: &Value, indent: &str, page: &mut Page) {
    const COLUMNS: [&str; 5] = ["min", "max", "defaultRequest", "default", "maxLimitRequestRatio"];
    for item in items(range, "/spec/limits") {
        let resources: BTreeSet<&String> =
            COLUMNS.iter().flat_map(|column| sorted(item.get(*column))).map(|(resource, _)| resource).collect();
        for resource in resources {
            let cell = |column: &&str| item[*column].get(resource).map_or_else(|| "-".to_owned(), display);
            let cells: Vec<String> = COLUMNS.iter().map(cell).collect();
            page.line(0, format_args!("{indent}{}\t{resource}\t{}", text(item, "/type"), cells.join("\t")));
        }
    }
}
