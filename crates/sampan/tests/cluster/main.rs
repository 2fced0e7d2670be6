//! The product as a user has it: the real binary, real `kubectl`, real containers, in network namespaces of the
//! tests' own. Each test makes its cluster and checks that nothing of it is left.
#![allow(clippy::unwrap_used)] // Whatever fails in a test's helpers fails the test.

mod access;
mod backup;
mod bad_input;
mod containerd;
mod datastore;
mod departments;
mod foreign_runtime;
mod harness;
mod https;
mod image;
mod kubectl_verbs;
mod main_job;
mod manifests;
mod nodes;
mod pod_features;
mod pods;
mod restarts;
mod server;
mod simulated;
mod upgrade;
