//! The folders that are watched: manifests are applied and taken back, images imported.

use crate::harness::{Cluster, Machine, possible, said};
use crate::image;
use crate::restarts::{kill_9, ready_again};
use std::path::PathBuf;

fn config_map(name: &str, data: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: dropped}}\ndata: {{{data}}}\n---\n")
}

const NAMESPACE: &str = "apiVersion: v1\nkind: Namespace\nmetadata: {name: dropped}\n---\n";

fn put(machine: &Machine, file: &str, text: &str) -> PathBuf {
    let path = machine.data_dir.join("manifests").join(file);
    std::fs::write(&path, text).unwrap();
    path
}

/// Waits for the configmaps of the namespace and their data.
fn until(machine: &Machine, what: &str, expected: &[(&str, &str)]) {
    let lines =
        "jsonpath={range .items[?(@.metadata.name!=\"kube-root-ca.crt\")]}{.metadata.name}={.data}{\"\\n\"}{end}";
    machine.until(what, |machine| {
        let output = machine.try_kubectl(&["get", "configmaps", "-n", "dropped", "-o", lines]);
        let expected: String = expected.iter().map(|(name, data)| format!("{name}={data}\n")).collect();
        if output.status.success() && output.stdout == expected.as_bytes() { Ok(()) } else { Err(said(&output)) }
    });
}

#[test]
fn manifests_are_applied_changed_complained_about_and_taken_back() {
    if !possible() {
        return;
    }
    let cluster = Cluster::machines(1);
    let machine = cluster.first();
    machine.up_server();
    let text = format!("{NAMESPACE}{}{}", config_map("one", "a: '1'"), config_map("two", "b: '1'"));
    let first = put(machine, "first.yaml", &text);
    until(machine, "a dropped file", &[("one", r#"{"a":"1"}"#), ("two", r#"{"b":"1"}"#)]);

    // What others set stays; what the file lost goes, fields and objects.
    machine.kubectl(r#"patch configmap one -n dropped --type=merge -p {"data":{"other":"x"}}"#);
    let text = format!("{NAMESPACE}{}{}", config_map("one", "c: '2'"), config_map("three", "d: '3'"));
    put(machine, "first.yaml", &text);
    until(machine, "a changed file", &[("one", r#"{"c":"2","other":"x"}"#), ("three", r#"{"d":"3"}"#)]);

    // A broken file is complained about by name, hurts nobody else, and is applied when it is mended.
    let broken = put(machine, "second.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: [\n");
    machine.until("the event about a broken file", |machine| {
        let events = machine
            .kubectl("get events -n default --field-selector reason=ManifestFailed -o jsonpath={.items[*].message}");
        if events.contains(broken.to_str().unwrap()) { Ok(()) } else { Err(events) }
    });
    put(machine, "second.yaml", &config_map("mended", "e: '4'"));
    until(
        machine,
        "a mended file",
        &[("mended", r#"{"e":"4"}"#), ("one", r#"{"c":"2","other":"x"}"#), ("three", r#"{"d":"3"}"#)],
    );

    // Taken away while nobody looks.
    machine.stop();
    std::fs::remove_file(&broken).unwrap();
    machine.up_again();
    until(
        machine,
        "a file that went while the server was away",
        &[("one", r#"{"c":"2","other":"x"}"#), ("three", r#"{"d":"3"}"#)],
    );
    std::fs::remove_file(first).unwrap();
    machine.until("a removed file's namespace is gone", |machine| {
        let output = machine.try_kubectl(&["get", "namespace", "dropped"]);
        if said(&output).contains("NotFound") { Ok(()) } else { Err(said(&output)) }
    });
    cluster.finish();
}

#[test]
fn a_dropped_archive_is_imported_once() {
    if !possible() {
        return;
    }
    let cluster = Cluster::up(&[]);
    let machine = cluster.first();
    let archive = image::archive(&machine.data_dir, "v1.0");
    let has = |name: &str| machine.sampan(&["image", "ls"]).contains(name);
    assert!(!has("user-center:v1.0"));
    std::fs::rename(archive, machine.data_dir.join("images/user-center.tar")).unwrap();
    let imported = |machine: &Machine, name: &str| {
        machine.until(name, |_| if has(name) { Ok(()) } else { Err(machine.sampan(&["image", "ls"])) });
    };
    imported(machine, "user-center:v1.0");
    machine.sampan(&["image", "rm", "user-center:v1.0"]);
    kill_9(machine, "node");
    ready_again(machine, "node", 1);
    // In the order of their names: when the second is there, the first was looked at.
    let archive = image::archive(&machine.data_dir, "v2.0");
    std::fs::rename(archive, machine.data_dir.join("images/zz.tar")).unwrap();
    imported(machine, "user-center:v2.0");
    assert!(!has("user-center:v1.0"), "what was removed stays removed");
    cluster.finish();
}
