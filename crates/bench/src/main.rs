//! `make bench`: one JSON line per figure, of a server of our own or of any Kubernetes by its kubeconfig.
//!
//! Rules: TLS, no compression; the client checks the status and reads the whole body; latencies are of single requests
//! as one client task sees them; memory is RSS.
#![allow(clippy::print_stdout)] // The figures are the output.

mod api_rows;
mod cluster_rows;
mod figure;
mod load;
mod process;
mod watch_rows;

use anyhow::{Context, Result};
use clap::Parser;
use client::{Client, Config, Remote};
use figure::Reporter;
use std::path::PathBuf;
use std::sync::Arc;

#[derive(Parser)]
struct Args {
    /// Measure this cluster instead of starting a server; rows that need the process are left out
    #[arg(long)]
    kubeconfig: Option<PathBuf>,
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

/// What every row works with: a server and how to reach it.
pub(crate) struct Target {
    pub(crate) config: Config,
    pub(crate) pods: usize,
    /// Of our own server, for memory; `None` for a cluster given by kubeconfig.
    pub(crate) server_pid: Option<u32>,
}

impl Target {
    /// A client with a connection of its own.
    pub(crate) fn client(&self) -> Result<Client> {
        Ok(Client::new(Arc::new(Remote::new(self.config.clone())?)))
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    let reporter = Reporter::new(args.only.clone())?;
    if let Some(path) = &args.kubeconfig {
        let config = Config::from_kubeconfig(path, None)?;
        return measure(&Target { config, pods: args.pods, server_pid: None }, &reporter).await;
    }
    process::start_rows(&args.sampan, &reporter).await?;
    let folder = tempfile::tempdir().context("making a data directory")?;
    let mut server = process::OwnServer::start(&args.sampan, folder.path()).await?;
    process::idle_rows(&server, &reporter).await?;
    let target = Target { config: server.config()?, pods: args.pods, server_pid: Some(server.server_pid()?) };
    let measured = measure(&target, &reporter).await;
    let restarted = process::restart_row(&mut server, &reporter).await;
    server.stop().await?;
    measured.and(restarted)
}

async fn measure(target: &Target, reporter: &Reporter) -> Result<()> {
    let namespace = api_rows::make_namespace(target).await?;
    api_rows::measure(target, &namespace, reporter).await?;
    watch_rows::measure(target, &namespace, reporter).await?;
    api_rows::delete_all(target, &namespace, reporter).await?;
    cluster_rows::measure(target, reporter).await
}
