//! The product as a user has it: the real binary, real `kubectl`, real containers, in network namespaces of the
//! tests' own. Each test makes its cluster and checks that nothing of it is left.
#![allow(clippy::unwrap_used)] // Whatever fails in a test's helpers fails the test.

mod absent_servers;
mod access;
mod aggregated;
mod autoscaling;
mod backup;
mod bad_input;
mod cgroup_v2;
mod cluster_logs;
mod containerd;
mod dashboard;
mod datastore;
mod departments;
mod encryption;
mod flood;
mod foreign_runtime;
mod harness;
mod helm;
mod https;
mod image;
mod kubectl_verbs;
mod log_export;
mod main_job;
mod manifests;
mod metrics;
mod moving;
mod nodes;
mod outside_access;
mod pod_features;
mod pods;
mod renewal;
mod restarts;
mod server;
mod simulated;
mod two_servers;
mod upgrade;
