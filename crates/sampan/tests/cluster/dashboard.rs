//! The web UI in a real browser on a real cluster: what `ui/tests/drive.mjs` does there, with pictures of the pages that it sees.

use crate::harness::{Cluster, Machine, run, said};
use crate::image;
use std::path::{Path, PathBuf};
use std::process::Command;

const BROWSER: &str = "/usr/bin/chromium";

const SHOP: &str = include_str!("dashboard/shop.yaml");

fn ui() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ui")
}

/// Whether this machine and this build can drive a browser; says why not.
fn possible() -> bool {
    let lacks = [
        (!Path::new(BROWSER).exists(), "chromium is not installed"),
        (Command::new("node").arg("--version").output().is_err(), "node is not installed"),
        (!ui().join("node_modules/playwright-core").exists(), "ui/node_modules is not there: `make ui`"),
        (!ui().join("dist/index.html").exists(), "the UI is not built: `make ui`"),
    ];
    for (_, why) in lacks.iter().filter(|(lacks, _)| *lacks) {
        eprintln!("SKIPPED: {why}");
    }
    lacks.iter().all(|(lacks, _)| !lacks)
}

/// The link as another machine opens it: the administrator's own kubeconfig names the loopback.
fn link(machine: &Machine) -> String {
    let printed = machine.sampan(&["dashboard", "--no-open"]);
    printed.trim().replace("127.0.0.1", &machine.address)
}

/// Runs a script of `ui/tests` and shows what it said; the pictures that it takes are kept until it runs again.
fn drive(script: &str, mut driver: Command) {
    let shots = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../ui-screenshots").join(script);
    if shots.exists() {
        std::fs::remove_dir_all(&shots).unwrap();
    }
    std::fs::create_dir_all(&shots).unwrap();
    let shots = shots.canonicalize().unwrap();
    eprintln!("pictures of the pages: {}", shots.display());
    driver
        .arg(format!("tests/{script}.mjs"))
        .current_dir(ui())
        .env("SAMPAN_UI_BROWSER", BROWSER)
        .env("SAMPAN_UI_SHOTS", shots);
    let driven = run(&mut driver);
    eprintln!("{}", said(&driven));
    assert!(driven.status.success(), "the browser's way through the UI");
}

#[test]
fn people_see_and_steer_the_cluster_in_a_browser() {
    if !possible() || !crate::harness::possible() {
        return;
    }
    // The browser has a machine of its own: it gives up its connections whenever an interface comes or goes.
    let cluster = Cluster::machines(2);
    let machine = cluster.first();
    machine.up(&[]);
    image::import(machine, "v1");
    machine.apply(SHOP);
    let token = machine.kubectl("create token clerk -n shop");
    let mut driver = cluster.machines[1].inside("node");
    driver
        .env("SAMPAN_UI_LINK", link(machine))
        .env("SAMPAN_UI_SECOND_LINK", link(machine))
        .env("SAMPAN_UI_KUBECONFIG", machine.data_dir.join("admin.kubeconfig"))
        .env("SAMPAN_UI_LIMITED_TOKEN", token.trim())
        .env("SAMPAN_UI_IMAGE", "user-center:v1");
    drive("drive", driver);
    cluster.finish();
}

#[test]
fn five_thousand_pods_stay_smooth_in_a_browser() {
    if possible() {
        drive("many", Command::new("node"));
    }
}
