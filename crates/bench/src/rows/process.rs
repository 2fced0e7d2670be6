//! Rows of our own processes: start, restart, idle memory and CPU.

use crate::figure::{Reporter, median};
use crate::rows::pods;
use crate::target::Target;
use anyhow::{Context, Result};
use bench::own::{OwnCluster, Role, cpu_seconds};
use std::path::Path;
use std::time::{Duration, Instant};

const STARTS: usize = 5;
const IDLE_TIME: Duration = Duration::from_secs(10);

/// From nothing at all: certificates are made, stores too. The image is brought in between, untimed.
pub(crate) async fn starts(binary: &Path, reporter: &Reporter) -> Result<()> {
    let mut times = Vec::new();
    for _ in 0..STARTS {
        let folder = tempfile::tempdir().context("making a data directory")?;
        let started = Instant::now();
        let own = OwnCluster::start(binary, folder.path(), Role::Server(&[])).await?;
        times.push(started.elapsed());
        own.stop().await?;
    }
    reporter.report("start_to_readyz", median(times).as_secs_f64(), "s");
    let mut times = Vec::new();
    for _ in 0..STARTS {
        let folder = tempfile::tempdir().context("making a data directory")?;
        let started = Instant::now();
        let own = OwnCluster::start(binary, folder.path(), Role::Up(&[])).await?;
        let up = started.elapsed();
        let target = Target::of_own(own, 0)?;
        target.import_image().await?;
        times.push(up + pods::one(&target).await?);
        target.stop().await?;
    }
    reporter.report("start_to_first_pod_running", median(times).as_secs_f64(), "s");
    Ok(())
}

/// Nothing where the processes are not ours.
pub(crate) async fn restart(target: &Target, reporter: &Reporter, pods: usize) -> Result<()> {
    let figure = format!("restart_with_{pods}_pods");
    let Some(own) = target.own.as_ref().filter(|_| reporter.wants(&figure)) else { return Ok(()) };
    let mut times = Vec::new();
    for _ in 0..3 {
        own.down().await?;
        let started = Instant::now();
        own.up().await?;
        times.push(started.elapsed());
    }
    reporter.report(&figure, median(times).as_secs_f64(), "s");
    Ok(())
}

/// Server and node, without pods.
pub(crate) async fn idle(target: &Target, reporter: &Reporter) -> Result<()> {
    let pids = target.own()?.pids()?;
    let used = || pids.iter().map(|pid| cpu_seconds(*pid)).sum::<Result<f64>>();
    let before = used()?;
    tokio::time::sleep(IDLE_TIME).await;
    reporter.report("idle_cpu", (used()? - before) / IDLE_TIME.as_secs_f64() * 100.0, "% of a core");
    if let Some(memory) = target.memory_mib()? {
        reporter.report("idle_memory", memory, "MiB");
    }
    Ok(())
}
