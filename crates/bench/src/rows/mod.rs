//! The rows, in groups that share a cluster. A new row is a function of its group's file, or a line here.

mod api;
mod deployment;
mod endpoint;
mod lost;
mod pods;
mod process;
mod schedule;
mod watch;

use crate::figure::Reporter;
use crate::target::Target;
use anyhow::Result;
use bench::own::Role;
use futures::future::BoxFuture;
use std::path::Path;

pub(crate) struct Group {
    /// With what the names of its figures begin.
    pub(crate) figures: &'static [&'static str],
    pub(crate) measure: Measure,
}

pub(crate) type Rows = for<'a> fn(&'a Target, &'a Reporter) -> BoxFuture<'a, Result<()>>;

/// What a group needs, and its function.
pub(crate) enum Measure {
    /// Any API; our own has no node, and is started with these flags.
    Api(&'static [&'static str], Rows),
    /// Any cluster that runs pods; our own has one node.
    Pods(Rows),
    /// Only a cluster of our own, started with these flags.
    Own(Role, Rows),
    /// Starts and ends the binary itself.
    Processes(for<'a> fn(&'a Path, &'a Reporter) -> BoxFuture<'a, Result<()>>),
}

/// A range of pod addresses for each of thousands of nodes.
const ROOM_FOR_NODES: [&str; 4] = ["--pod-cidr", "10.0.0.0/8", "--service-cidr", "172.30.0.0/16"];

pub(crate) const GROUPS: &[Group] = &[
    Group {
        figures: &["start_to_readyz", "start_to_first_pod_running"],
        measure: Measure::Processes(|binary, reporter| Box::pin(process::starts(binary, reporter))),
    },
    Group {
        figures: &["idle_memory", "idle_cpu"],
        measure: Measure::Own(Role::Up(&[]), |target, reporter| Box::pin(process::idle(target, reporter))),
    },
    Group {
        figures: &[
            "create_pods_",
            "merge_patch_",
            "get_pod_",
            "list_10000_pods",
            "list_page_of_500",
            "watch_",
            "memory_at_10000_pods",
            "memory_per_pod",
            "restart_with_10000_pods",
            "delete_",
        ],
        measure: Measure::Api(&[], |target, reporter| Box::pin(api::measure(target, reporter))),
    },
    Group {
        figures: &["memory_at_50000_pods", "list_50000_pods", "restart_with_50000_pods"],
        measure: Measure::Api(&[], |target, reporter| Box::pin(api::measure_many(target, reporter))),
    },
    Group {
        figures: &["deployment_0_to_1000_pods"],
        measure: Measure::Api(&[], |target, reporter| Box::pin(deployment::measure(target, reporter))),
    },
    Group {
        figures: &["schedule_1000_nodes_"],
        measure: Measure::Api(&ROOM_FOR_NODES, |target, reporter| Box::pin(schedule::measure(target, reporter, 1_000))),
    },
    Group {
        figures: &["schedule_5000_nodes_"],
        measure: Measure::Api(&ROOM_FOR_NODES, |target, reporter| Box::pin(schedule::measure(target, reporter, 5_000))),
    },
    Group {
        figures: &["pod_create_to_running", "pods_50_to_running", "pods_1000_", "node_memory_per_pod", "shim_pss"],
        measure: Measure::Pods(|target, reporter| Box::pin(pods::measure(target, reporter))),
    },
    Group {
        figures: &["lost_100_of_1000_nodes"],
        measure: Measure::Own(Role::Server(&lost::FLAGS), |target, reporter| Box::pin(lost::measure(target, reporter))),
    },
    Group {
        figures: &["endpoint_change_at_10000_services"],
        measure: Measure::Own(Role::Up(&[]), |target, reporter| Box::pin(endpoint::measure(target, reporter))),
    },
];
