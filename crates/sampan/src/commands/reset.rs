//! `reset`: ends everything of a data directory and removes it without trace.
//!
//! Done twice, or after a `kill -9` of anything, it still ends with nothing left.

use crate::cli::ResetArgs;
use crate::instance::{self, Status};
use crate::roles::{BootstrapFile, base_options, cgroup_root, cluster_id, run_dir};
use crate::settings::Settings;
use anyhow::{Context, Result, bail};
use kernel::cgroup::Cgroup;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{BufRead, IsTerminal, Write};
use std::path::Path;
use std::time::{Duration, Instant};

/// The supervisor gives its processes 15 s each.
const SUPERVISOR_TIME_MAX: Duration = Duration::from_secs(40);
const KILL_TIME_MAX: Duration = Duration::from_secs(20);

pub(crate) fn reset(args: &ResetArgs) -> Result<()> {
    let data_dir = &args.data_dir.data_dir;
    if !data_dir.exists() {
        println!("{} does not exist: nothing to do", data_dir.display());
        return Ok(());
    }
    if !args.yes && !confirmed(data_dir)? {
        bail!("nothing was changed");
    }
    let data_dir = std::fs::canonicalize(data_dir).with_context(|| format!("finding {}", data_dir.display()))?;
    stop_supervisor(&data_dir)?;
    // A directory whose start failed before it had settings holds nothing but files.
    if data_dir.join("settings.json").exists() {
        end_node(&Settings::load(&data_dir)?)?;
    }
    unmount_below(&data_dir)?;
    remove(&data_dir)
}

fn confirmed(data_dir: &Path) -> Result<bool> {
    if !std::io::stdin().is_terminal() {
        bail!("this ends every container and deletes all of {}: say --yes", data_dir.display());
    }
    print!("End every container and delete all of {}? [y/N] ", data_dir.display());
    std::io::stdout().flush().context("asking")?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).context("reading the answer")?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Ends the supervisor and with it server and node; its lock tells when all have gone.
fn stop_supervisor(data_dir: &Path) -> Result<()> {
    let Some(status) = Status::of(data_dir)? else { return Ok(()) };
    let pid = Pid::from_raw(i32::try_from(status.pid).context("the supervisor's pid")?);
    match kill(pid, Signal::SIGTERM) {
        Ok(()) | Err(nix::errno::Errno::ESRCH) => {}
        Err(errno) => return Err(errno).with_context(|| format!("ending the supervisor, pid {pid}")),
    }
    let process = kernel::process::Process::open(pid.as_raw())?;
    let ended = match process {
        Some(process) => process.wait(SUPERVISOR_TIME_MAX)?,
        None => true,
    };
    if !ended || instance::lock(data_dir)?.is_none() {
        bail!("the supervisor, pid {pid}, did not end within {SUPERVISOR_TIME_MAX:?}");
    }
    Ok(())
}

/// Containers and shims by their cgroup, then what they were connected with.
fn end_node(settings: &Settings) -> Result<()> {
    if !settings.roles.node() {
        return Ok(());
    }
    let Some(bootstrap) = BootstrapFile::saved(settings)? else { return Ok(()) };
    let cluster = cluster_id(&bootstrap.ca_pem)?;
    let root = Cgroup::at(cgroup_root(settings, &cluster))?;
    if root.exists() {
        root.end(KILL_TIME_MAX).context("ending the containers")?;
    }
    super::small_runtime()?.block_on(podnet::reset(&base_options(settings, cluster)))?;
    let run_dir = run_dir(settings);
    if run_dir.exists() {
        unmount_below(&run_dir)?;
        remove(&run_dir)?;
    }
    Ok(())
}

/// The innermost first. A mount may hang on for as long as a namespace that had it ends.
fn unmount_below(folder: &Path) -> Result<()> {
    let mut mounts: Vec<_> =
        kernel::mount::table()?.into_iter().filter(|mount| mount.target.starts_with(folder)).collect();
    mounts.reverse();
    for mount in mounts {
        kernel::mount::unmount(&mount.target)?;
    }
    Ok(())
}

/// Removes a tree; tries again while processes that are ending still write into it.
fn remove(folder: &Path) -> Result<()> {
    let deadline = Instant::now() + KILL_TIME_MAX;
    loop {
        match std::fs::remove_dir_all(folder) {
            Err(error) if error.kind() == std::io::ErrorKind::DirectoryNotEmpty && Instant::now() < deadline => {}
            removed => return removed.with_context(|| format!("removing {}", folder.display())),
        }
    }
}
