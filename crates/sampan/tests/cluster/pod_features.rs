//! What a pod's specification promises, kept by real containers.

mod contents;
mod lifecycle;
mod limits;
mod probes;

use crate::harness::{Cluster, Machine, possible, said};
use crate::image;

/// One node that has the image; each part of a test makes pods of its own.
fn with_node(parts: &[fn(&Machine)]) {
    if !possible() {
        return;
    }
    let cluster = Cluster::up(&[]);
    let machine = cluster.first();
    image::import(machine, "v1.0");
    for part in parts {
        part(machine);
    }
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
