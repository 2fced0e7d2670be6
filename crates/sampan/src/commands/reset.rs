//! `reset`: ends everything of a data directory and removes it without trace.
//!
//! Done twice, or after a `kill -9` of anything, it still ends with nothing left.

use crate::cli::ResetArgs;
use crate::files;
use crate::instance::{self, Status};
use crate::roles::{BootstrapFile, base_options, cgroup_root, cluster_id, control_socket, run_dir};
use crate::settings::Settings;
use anyhow::{Context, Result, bail};
use kernel::cgroup::Cgroup;
use std::io::{BufRead, IsTerminal, Write};
use std::path::Path;
use std::time::{Duration, Instant};

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
        let settings = Settings::load(&data_dir)?;
        end_node(&settings)?;
        files::remove_if_there(&control_socket(&settings))?;
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

fn stop_supervisor(data_dir: &Path) -> Result<()> {
    let Some(status) = Status::of(data_dir)? else { return Ok(()) };
    if status.managed {
        bail!("a service manager runs it and would start it again: `sampan service uninstall` first");
    }
    match status.process()? {
        Some(supervisor) => instance::stop(&supervisor, data_dir),
        // It ended between our two looks.
        None => Ok(()),
    }
}

/// Containers and shims by their cgroup, then what they were connected with. Another runtime is asked to end its pods
/// first: it would go on keeping books of them.
fn end_node(settings: &Settings) -> Result<()> {
    if !settings.roles.node() {
        return Ok(());
    }
    let Some(bootstrap) = BootstrapFile::saved(settings)? else { return Ok(()) };
    let cluster = cluster_id(&bootstrap.ca_pem)?;
    if let Some(endpoint) = &settings.container_runtime_endpoint {
        super::small_runtime()?.block_on(end_foreign_pods(endpoint, &settings.data_dir));
    }
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

/// Without the runtime's help everything else can still be taken away.
async fn end_foreign_pods(endpoint: &str, data_dir: &Path) {
    let ended = match cri::Remote::new(endpoint) {
        Ok(remote) => kubelet::end_pods(&remote, &data_dir.join("kubelet")).await.map_err(|status| status.to_string()),
        Err(error) => Err(error.to_string()),
    };
    if let Err(error) = ended {
        eprintln!("{endpoint} did not remove all of this node's pods, and keeps what it knows of them: {error}");
    }
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
