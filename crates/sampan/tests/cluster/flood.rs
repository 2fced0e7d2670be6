//! A container that writes more than anybody wants to read: the disk stays bounded, others are heard, and its last
//! lines are there.

use crate::cluster_logs::logs;
use crate::harness::{Cluster, Machine, Runtime, on_each_runtime, possible};
use crate::image;
use std::path::Path;
use std::time::Instant;

/// Of five megabytes each, at most ten in a second.
const CHUNKS: usize = 160;
const ARCHIVE_MIB: u64 = 64;
/// Of all that is kept of logs: the archive, rotated files that wait for it, and what is written between two looks.
/// containerd writes as fast as its containers do.
const MOST_MIB: [(Runtime, u64); 2] = [(Runtime::Embedded, 256), (Runtime::Containerd, 600)];

const PODS: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: quiet}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: user-center:v1.0
    command: [sh, -c, "i=0; while :; do echo line $i; i=$((i+1)); sleep 0.1; done"]
---
apiVersion: v1
kind: Pod
metadata: {name: flood}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: user-center:v1.0
    command:
    - sh
    - -c
    - |
      busybox awk 'BEGIN{for(i=0;i<5000;i++){s="";for(j=0;j<100;j++)s=s sprintf("%09d ",rand()*1e9);print s}}' >/tmp/chunk
      i=0
      while [ $i -lt CHUNKS ]; do cat /tmp/chunk; sleep 0.1; i=$((i+1)); done
      echo the last words
      exit 3
"#;

on_each_runtime! {
    fn a_flood_fills_no_disk_and_drowns_nobody(runtime) {
        if !possible() {
            return;
        }
        let cluster = Cluster::up_on(runtime, &["--log-archive-mib", &ARCHIVE_MIB.to_string()]);
        let machine = cluster.first();
        image::import(machine, "v1.0");
        machine.apply(&PODS.replace("CHUNKS", &CHUNKS.to_string()));
        machine.kubectl("wait --for=condition=Ready pod/quiet --timeout=60s");
        let most = MOST_MIB.iter().find(|(own, _)| *own == runtime).unwrap().1 << 20;
        until_over(machine, most);
        the_last_words_are_there(machine);
        nothing_is_missing_of_the_other(machine);
        cluster.finish();
    }
}

/// The number of the last line that the quiet pod wrote.
fn last_of_the_other(machine: &Machine) -> Result<usize, String> {
    let text = machine.kubectl("logs quiet --tail=1");
    let number = text.trim().strip_prefix("line ").and_then(|number| number.parse().ok());
    number.ok_or(text)
}

/// Measures all the while, and asserts that the other is heard all the while.
fn until_over(machine: &Machine, most: u64) {
    let (begun, mut largest, mut heard) = (Instant::now(), 0, None);
    loop {
        let phase = machine.kubectl("get pod flood -o jsonpath={.status.phase}");
        largest = largest.max(bytes_kept(machine));
        if phase == "Failed" {
            break;
        }
        heard = Some(machine.until("another line of the quiet pod", |machine| match last_of_the_other(machine)? {
            number if Some(number) > heard => Ok(number),
            number => Err(format!("line {number} still")),
        }));
    }
    eprintln!("{CHUNKS} chunks in {:?}; at most {} MiB were kept", begun.elapsed(), largest >> 20);
    assert!(largest < most, "{largest} bytes of logs");
    let code = "jsonpath={.status.containerStatuses[0].state.terminated.exitCode}";
    assert_eq!(machine.kubectl_args(&["get", "pod", "flood", "-o", code]), "3");
}

fn the_last_words_are_there(machine: &Machine) {
    assert_eq!(machine.kubectl("logs flood --tail=1"), "the last words\n");
    machine.until("they are found", |machine| {
        let lines = logs(machine, "flood --tail 1 -o raw");
        if lines == ["the last words"] { Ok(()) } else { Err(format!("{lines:?}")) }
    });
}

fn nothing_is_missing_of_the_other(machine: &Machine) {
    let text = machine.kubectl("logs quiet");
    let lines: Vec<&str> = text.lines().collect();
    let wanted: Vec<String> = (0..lines.len()).map(|number| format!("line {number}")).collect();
    assert!(lines == wanted && !lines.is_empty(), "{lines:?}");
}

/// Of all that the node keeps of what containers wrote.
fn bytes_kept(machine: &Machine) -> u64 {
    let folder = machine.data_dir.join("kubelet");
    ["pod-logs", "pod-logs-ended", "log-archive"].iter().map(|name| bytes_below(&folder.join(name))).sum()
}

/// What goes meanwhile counts nothing.
fn bytes_below(path: &Path) -> u64 {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(about) if about.is_dir() => bytes_below(&entry.path()),
        Ok(about) => about.len(),
        Err(_) => 0,
    };
    entries.map(size).sum()
}
