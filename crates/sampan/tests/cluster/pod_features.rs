//! What a pod's specification promises, kept by real containers.

mod contents;
mod lifecycle;
mod limits;
mod probes;

use crate::harness::{Cluster, Machine, Runtime, possible, said};
use crate::image;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Most of a part is waiting; more at a time would only take turns on the processors.
const PARTS_AT_ONCE: usize = 4;

/// One node that has the image; each part of a test makes pods of its own, beside others.
fn with_node(runtime: Runtime, parts: &[fn(&Machine)]) {
    if !possible() {
        return;
    }
    let cluster = Cluster::up_on(runtime, &[]);
    let machine = cluster.first();
    image::import(machine, "v1.0");
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..PARTS_AT_ONCE {
            scope.spawn(|| {
                while let Some(part) = parts.get(next.fetch_add(1, Ordering::Relaxed)) {
                    part(machine);
                }
            });
        }
    });
    cluster.finish();
}

/// A pod of this specification, whose lines are indented by two.
fn pod(machine: &Machine, name: &str, specification: &str) {
    machine.apply(&format!(
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: {name}\n  labels: {{app: {name}}}\n  annotations: {{note: noted}}\n\
         spec:\n  terminationGracePeriodSeconds: 1\n{specification}"
    ));
}

/// A field of an object by its JSON path.
fn field(machine: &Machine, object: &str, path: &str) -> String {
    machine.kubectl_args(&["get", object, "-o", &format!("jsonpath={{{path}}}")])
}

fn until_field(machine: &Machine, object: &str, path: &str, expected: &str) {
    machine.until(&format!("{path} of {object} is {expected:?}"), |machine| {
        let output = machine.try_kubectl(&["get", object, "-o", &format!("jsonpath={{{path}}}")]);
        let holds = output.status.success() && output.stdout == expected.as_bytes();
        if holds { Ok(()) } else { Err(said(&output)) }
    });
}

fn until_ready(machine: &Machine, name: &str) {
    machine.kubectl(&format!("wait --for=condition=Ready pod/{name} --timeout=30s"));
}

/// What a command in the pod's first container prints.
fn inside(machine: &Machine, name: &str, script: &str) -> String {
    machine.kubectl_args(&["exec", name, "--", "sh", "-c", script])
}

/// The reasons of the events of an object.
fn reasons(machine: &Machine, name: &str) -> Vec<String> {
    let text = machine.kubectl_args(&[
        "get",
        "events",
        "--field-selector",
        &format!("involvedObject.name={name}"),
        "-o",
        "jsonpath={.items[*].reason}",
    ]);
    text.split(' ').map(str::to_owned).collect()
}

fn until_event(machine: &Machine, name: &str, reason: &str) {
    machine.until(&format!("{name} has an event {reason}"), |machine| {
        let seen = reasons(machine, name);
        if seen.iter().any(|own| own == reason) { Ok(()) } else { Err(format!("{seen:?}")) }
    });
}
