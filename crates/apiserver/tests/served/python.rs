//! The official Python client, its typed and its dynamic interfaces: a script each, which prints what it has behind it.

use crate::cluster::Cluster;
use crate::programs::tools;
use std::path::Path;
use tokio::process::Command;

/// Runs a script against a cluster of its own; it prints a line for each area that held.
async fn check(script: &str, areas: &[&str]) {
    let library = tools().join("python-client");
    if !library.exists() {
        return eprintln!("SKIPPED: the Python client is not at {} (scripts/tools.sh)", library.display());
    }
    let cluster = Cluster::start().await;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/served/python").join(script);
    let mut python = Command::new("python3");
    python.env("PYTHONPATH", &library).env("PYTHONDONTWRITEBYTECODE", "1").kill_on_drop(true);
    python.arg(script).arg(cluster.kubeconfig()).arg(cluster.dir.path().join("discovered.json"));
    let output = python.output().await.unwrap();
    let held = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "after {held}: {}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(held.lines().collect::<Vec<_>>(), areas);
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_typed_interfaces() {
    let areas = [
        "core_objects",
        "pages",
        "app_objects",
        "batch_objects",
        "access_objects",
        "defined_objects",
        "watches",
        "informers",
        "refusals",
    ];
    check("typed.py", &areas).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dynamic_client() {
    check("dynamic.py", &["discovery", "built_in_kinds", "applies", "defined_kinds"]).await;
}
