//! `make bench`: one JSON line per figure, of clusters of our own or of any Kubernetes by its kubeconfig.
//!
//! Rules: TLS, no compression; the client checks the status and reads the whole body; latencies are of single requests
//! as one client task sees them; memory is RSS. A group of rows has a fresh cluster of our own, so that groups do not
//! meet what others left.
#![allow(clippy::print_stdout)] // The figures are the output.

mod figure;
mod following;
mod load;
mod rows;
mod target;

use anyhow::{Context, Result};
use bench::own::{OwnCluster, Role};
use clap::Parser;
use client::Config;
use figure::Reporter;
use rows::{GROUPS, Group, Measure};
use std::path::PathBuf;
use std::process::ExitCode;
use target::Target;

/// Sampan's own: with the C library's the clients take a good part of the two cores for their buffers.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
struct Args {
    /// Measure this cluster instead of starting our own; rows that start and end processes are left out
    #[arg(long)]
    kubeconfig: Option<PathBuf>,
    /// With --kubeconfig: processes whose memory is the cluster's
    #[arg(long, value_delimiter = ',')]
    pid: Vec<u32>,
    /// With --kubeconfig: what real pods run; it must end by itself or run for ever, as `pause` does
    #[arg(long, default_value = "registry.k8s.io/pause:3.10")]
    image: String,
    /// The binary that is measured
    #[arg(long, env = "SAMPAN", default_value = "target/release/sampan")]
    sampan: PathBuf,
    /// Pods that the API rows create
    #[arg(long, default_value_t = 10_000)]
    pods: usize,
    /// Only rows whose name contains this
    #[arg(long, default_value = "")]
    only: String,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let reporter = match Reporter::new(args.only.clone()) {
        Ok(reporter) => reporter,
        Err(error) => {
            eprintln!("{error:#}");
            return ExitCode::FAILURE;
        }
    };
    let mut outcome = ExitCode::SUCCESS;
    for group in GROUPS.iter().filter(|group| group.figures.iter().any(|figure| reporter.may_want(figure))) {
        if let Err(error) = measure(&args, group, &reporter).await {
            eprintln!("{}: {error:#}", group.figures.join(", "));
            outcome = ExitCode::FAILURE;
        }
    }
    outcome
}

async fn measure(args: &Args, group: &Group, reporter: &Reporter) -> Result<()> {
    let (role, rows) = match (&group.measure, &args.kubeconfig) {
        (Measure::Own(_, _) | Measure::Processes(_), Some(_)) => return Ok(()),
        (Measure::Processes(rows), None) => return rows(&args.sampan, reporter).await,
        (Measure::Api(flags, rows), None) => (Role::Server(flags), rows),
        (Measure::Pods(rows), None) => (Role::Up(&["--max-pods", "1020"]), rows),
        (Measure::Own(role, rows), None) => (*role, rows),
        (Measure::Api(_, rows) | Measure::Pods(rows), Some(path)) => {
            let config = Config::from_kubeconfig(path, None)?;
            let target = Target::of_others(config, args.pods, args.pid.clone(), args.image.clone());
            return rows(&target, reporter).await;
        }
    };
    let folder = tempfile::tempdir().context("making a data directory")?;
    let own = OwnCluster::start(&args.sampan, folder.path(), role).await?;
    let target = Target::of_own(own, args.pods)?;
    rows(&target, reporter).await?;
    target.stop().await
}
