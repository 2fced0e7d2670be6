//! The processes that a supervisor starts: how one begins, tells of itself, and ends.

pub(crate) mod background;
mod bootstrap;
mod cluster_id;
mod cni;
mod components;
mod datastore;
mod encryption;
mod front;
mod insight;
mod known_servers;
mod leader;
mod leases;
mod node;
mod pod_network;
mod renewal;
mod server;
mod server_token;
mod servers;
mod shared_keys;

pub(crate) use bootstrap::{BootstrapFile, authority_of, authority_pin};
pub(crate) use cluster_id::{base_options, cgroup_root, cluster_id, control_socket, run_dir};
pub(crate) use shared_keys::{KEYS, OWNER, owner};

use crate::cli::RoleName;
use crate::instance;
use crate::settings::Settings;
use anyhow::{Context, Result};
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

/// Logs go to standard error: the journal's, or the file of `--detach`. `SAMPAN_LOG` filters, as `kubelet=debug`.
pub(crate) fn log_to_stderr() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("SAMPAN_LOG").unwrap_or_else(|_| "info".into());
    let ansi = std::io::IsTerminal::is_terminal(&std::io::stderr());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(ansi).init();
}

pub(crate) fn run(role: RoleName, data_dir: &Path) -> ExitCode {
    log_to_stderr();
    match start(role, data_dir) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            tell(&format!("failed {}", format!("{error:#}").replace('\n', " ")));
            ExitCode::FAILURE
        }
    }
}

fn start(role: RoleName, data_dir: &Path) -> Result<()> {
    // The supervisor's end is ours: a new supervisor could not start a second server over the same store.
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGTERM).context("tying our life to the supervisor's")?;
    let _only = instance::only_one(data_dir, role)?;
    let settings = Settings::load(data_dir)?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("starting the async runtime")?;
    runtime.block_on(async {
        match role {
            RoleName::Server => Box::pin(server::run(settings)).await,
            RoleName::Node => Box::pin(node::run(settings)).await,
        }
    })
}

/// A line to the supervisor.
pub(crate) fn tell(line: &str) {
    if let Err(error) = writeln!(std::io::stdout(), "{line}") {
        tracing::debug!(%error, "the supervisor is gone");
    }
}

/// Resolves when the process is asked to end.
pub(crate) async fn asked_to_end() -> Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
