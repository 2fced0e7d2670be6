//! Measures the embedded engine: `cargo run --release -p store --example bench [DIRECTORY]`.
//!
//! One JSON line a figure. The directory (default: the current one) decides which disk is measured; a temporary
//! directory is made in it and removed.
#![expect(clippy::print_stdout, reason = "its output is what it is for")]

use bytes::Bytes;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use store::{Embedded, Op, Options, Store, StoreError, Txn};

const POD_BYTES: usize = 2_800;
const OBJECTS: u64 = 100_000;
const RUN: Duration = Duration::from_secs(4);

type Failure = Box<dyn std::error::Error>;

/// CPU time of this process so far. The kernel counts it in ticks of 10 ms.
fn cpu() -> Result<Duration, Failure> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // The name in parentheses may hold anything; the fields after it are numbered from 3.
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or("").split(' ').collect();
    let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
    Ok(Duration::from_millis(ticks * 10))
}

fn rss_mib() -> Result<u64, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.split_whitespace().nth(1).ok_or("no VmRSS")?.parse::<u64>()? / 1024)
}

fn size_on_disk(dir: &Path) -> Result<u64, Failure> {
    let mut size = 0;
    for entry in std::fs::read_dir(dir)? {
        // A segment may be removed between the listing and the look.
        size += entry?.metadata().map_or(0, |metadata| metadata.len());
    }
    Ok(size)
}

fn put(key: String, bytes: usize, content: u64) -> Txn {
    let op = Op::Put { key: key.into(), value: Bytes::from(vec![content as u8; bytes]) };
    Txn { checks: Vec::new(), ops: vec![op] }
}

/// Lets `writers` tasks commit what `txn` gives for 0, 1, 2… and returns each commit's latency, sorted.
async fn drive(
    store: &Arc<Embedded>,
    writers: usize,
    go_on: impl Fn(u64) -> bool + Send + Sync + Copy + 'static,
    txn: impl Fn(u64) -> Txn + Send + Sync + Copy + 'static,
) -> Result<Vec<Duration>, Failure> {
    let next = Arc::new(AtomicU64::new(0));
    let mut tasks = Vec::new();
    for _ in 0..writers {
        let (store, next) = (store.clone(), next.clone());
        tasks.push(tokio::spawn(async move {
            let mut latencies = Vec::new();
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if !go_on(n) {
                    return Ok::<_, StoreError>(latencies);
                }
                let started = Instant::now();
                store.commit(txn(n)).await?;
                latencies.push(started.elapsed());
            }
        }));
    }
    let mut latencies = Vec::new();
    for task in tasks {
        latencies.extend(task.await??);
    }
    latencies.sort_unstable();
    Ok(latencies)
}

async fn commits(dir: &Path, what: &str, writers: usize, keys: u64) -> Result<(), Failure> {
    let dir = tempfile::tempdir_in(dir)?;
    let store = Arc::new(Embedded::open(dir.path(), Options::default())?);
    let (started, cpu_before) = (Instant::now(), cpu()?);
    let txn = move |n: u64| put(format!("/pods/default/web-{:08}", n % keys), POD_BYTES, n);
    let latencies = drive(&store, writers, move |_| started.elapsed() < RUN, txn).await?;
    let (elapsed, cpu) = (started.elapsed(), cpu()? - cpu_before);
    let stats = store.stats();
    let commits = latencies.len();
    let percentile = |p: usize| latencies[(commits - 1) * p / 100].as_micros();
    println!(
        "{{\"figure\":\"{what}\",\"writers\":{writers},\"commits_per_second\":{:.0},\"p50_us\":{},\"p99_us\":{},\
         \"cpu_us_per_commit\":{:.1},\"log_bytes_per_commit\":{:.0},\"snapshot_bytes_per_commit\":{:.0},\
         \"commits_per_sync\":{:.1},\"rss_mib\":{}}}",
        commits as f64 / elapsed.as_secs_f64(),
        percentile(50),
        percentile(99),
        cpu.as_micros() as f64 / commits as f64,
        stats.log_bytes_written as f64 / commits as f64,
        stats.snapshot_bytes_written as f64 / commits as f64,
        commits as f64 / stats.syncs as f64,
        rss_mib()?,
    );
    Ok(())
}

/// Fills a store with many objects, and opens it as restarts do: in processes of their own.
async fn recovery(dir: &Path) -> Result<(), Failure> {
    let dir = tempfile::tempdir_in(dir)?;
    let store = Arc::new(Embedded::open(dir.path(), Options::default())?);
    let txn = |n| put(format!("/pods/default/web-{n:08}"), POD_BYTES, n);
    drive(&store, 64, |n| n < OBJECTS, txn).await?;
    drop(store);
    for _ in 0..3 {
        let status = Command::new(std::env::current_exe()?).arg("--open").arg(dir.path()).status()?;
        if !status.success() {
            return Err("the store did not open again".into());
        }
    }
    Ok(())
}

fn open(dir: &Path) -> Result<(), Failure> {
    let (started, rss_before) = (Instant::now(), rss_mib()?);
    let store = Embedded::open(dir, Options::default())?;
    println!(
        "{{\"figure\":\"recovery\",\"objects\":{},\"object_bytes\":{POD_BYTES},\"milliseconds\":{},\"cpu_ms\":{},\
         \"rss_bytes_per_object\":{},\"disk_mib\":{}}}",
        store.stats().keys,
        started.elapsed().as_millis(),
        cpu()?.as_millis(),
        ((rss_mib()? - rss_before) << 20) / OBJECTS,
        size_on_disk(dir)? >> 20,
    );
    Ok(())
}

/// Leases overwritten a million times, as sixteen nodes do in a week. The disk's largest size after half of them and
/// after all shows whether it grows.
async fn churn(dir: &Path) -> Result<(), Failure> {
    let dir = tempfile::tempdir_in(dir)?;
    let store = Arc::new(Embedded::open(dir.path(), Options::default())?);
    let (mut largest, mut written) = (0, 0);
    let mut largest_of_half = 0;
    for round in 0..20 {
        let txn = |n| put(format!("/leases/kube-node-lease/node-{}", n % 5_000), 500, n);
        drive(&store, 64, |n| n < 50_000, txn).await?;
        largest = largest.max(size_on_disk(dir.path())?);
        if round < 10 {
            largest_of_half = largest;
        }
        written = store.stats().log_bytes_written;
    }
    let stats = store.stats();
    println!(
        "{{\"figure\":\"churn\",\"commits\":{},\"log_mib_written\":{},\"snapshot_mib_written\":{},\"largest_disk_mib_of_half\":{},\
         \"largest_disk_mib\":{},\
         \"history_mib\":{},\"rss_mib\":{}}}",
        stats.commits,
        written >> 20,
        stats.snapshot_bytes_written >> 20,
        largest_of_half >> 20,
        largest >> 20,
        stats.history_bytes >> 20,
        rss_mib()?,
    );
    Ok(())
}

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<(), Failure> {
    let dir = std::env::args().nth(1).unwrap_or_else(|| ".".to_owned());
    if let (true, Some(store)) = (dir == "--open", std::env::args().nth(2)) {
        return open(Path::new(&store));
    }
    let dir = Path::new(&dir);
    for writers in [1, 16, 64] {
        commits(dir, "create", writers, u64::MAX).await?;
    }
    commits(dir, "overwrite_10000", 64, 10_000).await?;
    churn(dir).await?;
    recovery(dir).await
}
