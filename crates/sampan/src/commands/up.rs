//! `up`, `server`, `join`, `resume`: a supervisor in the foreground, or in the background until it has said how it went.

use crate::cli::{JoinArgs, ResumeArgs, UpArgs};
use crate::files;
use crate::instance::Status;
use crate::roles::log_to_stderr;
use crate::settings::{Roles, Settings};
use crate::supervisor;
use anyhow::{Context, Result, bail};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

pub(crate) fn up(args: &UpArgs, roles: Roles) -> Result<()> {
    launch(Settings::from_up(args, roles)?, args.detach)
}

pub(crate) fn join(args: &JoinArgs) -> Result<()> {
    let settings = Settings::from_join(args)?;
    files::private_dir(&settings.data_dir)?;
    files::write_private(&settings.data_dir.join("join-token"), args.token.trim().as_bytes())?;
    launch(settings, args.up.detach)
}

pub(crate) fn resume(args: &ResumeArgs) -> Result<()> {
    launch(Settings::load(&args.data_dir.data_dir)?, args.detach)
}

fn launch(settings: Settings, detach: bool) -> Result<()> {
    if !nix::unistd::geteuid().is_root() {
        bail!("run as root: containers need namespaces, mounts and cgroups");
    }
    files::private_dir(&settings.data_dir)?;
    if let Some(running) = Status::of(&settings.data_dir)? {
        return already(&running, detach, &settings.data_dir);
    }
    if detach {
        return in_background(&settings);
    }
    log_to_stderr();
    let runtime = super::small_runtime()?;
    runtime.block_on(supervisor::run(settings, announce))
}

/// Started twice: no error in the background, where the wish is that it runs.
fn already(running: &Status, detach: bool, data_dir: &Path) -> Result<()> {
    if detach && running.ready {
        println!("already running: pid {}, {}", running.pid, running.address);
        return Ok(());
    }
    bail!("a sampan runs in {} already (pid {}): `sampan status` tells more", data_dir.display(), running.pid)
}

/// Tells whoever started us: systemd, and the parent of `--detach` over our standard output.
fn announce(word: &str) {
    if let Err(error) = sd_notify::notify(false, &[sd_notify::NotifyState::Ready]) {
        tracing::warn!(%error, "telling systemd that we are ready");
    }
    // The parent may be gone, a terminal closed: nobody is owed this line.
    if writeln!(std::io::stdout(), "{word}").is_err() {
        tracing::debug!("nobody listens on standard output");
    }
}

/// Starts ourselves again in a session of its own, and waits for its word.
fn in_background(settings: &Settings) -> Result<()> {
    let log_path = settings.data_dir.join("sampan.log");
    let log = File::options().create(true).append(true).open(&log_path);
    let log = log.with_context(|| format!("opening {}", log_path.display()))?;
    let mut arguments: Vec<std::ffi::OsString> = std::env::args_os().skip(1).collect();
    arguments.retain(|argument| argument != "--detach");
    let mut child = Command::new(std::env::current_exe().context("finding our own program")?)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .process_group(0)
        .spawn()
        .context("starting in the background")?;
    let output = child.stdout.take().context("the child's output is piped")?;
    let mut word = String::new();
    BufReader::new(output).read_line(&mut word).context("waiting for the cluster")?;
    if word.trim() == "ready" {
        println!(
            "ready: {} (pid {}), kubeconfig {}",
            settings.public_url(),
            child.id(),
            settings.data_dir.join("admin.kubeconfig").display()
        );
        return Ok(());
    }
    let status = child.wait().context("waiting for the cluster")?;
    bail!("the cluster did not start ({status}): {}", last_words(&log_path))
}

/// The end of the log, which has the reason.
fn last_words(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().rev().take(3).collect();
    format!("{}\n(all of it: {})", lines.into_iter().rev().collect::<Vec<_>>().join("\n"), log.display())
}
