//! `up`, `server`, `join`, `resume`: a supervisor in the foreground, or in the background until it has said how it went.

use crate::cli::{JoinArgs, ResumeArgs, SuperviseArgs, UpArgs};
use crate::files;
use crate::instance::{self, Status};
use crate::restored;
use crate::roles::log_to_stderr;
use crate::settings::{Roles, Settings};
use crate::supervisor::{self, Ended, Word};
use anyhow::{Context, Result, bail};
use sd_notify::NotifyState;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
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
    let data_dir = &args.data_dir.data_dir;
    // The settings may be among what an interrupted restore has still to put in place.
    if let Some(_held) = instance::lock(data_dir)? {
        restored::finish(data_dir)?;
    }
    launch(Settings::load(data_dir)?, args.detach)
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
    let held = supervisor::hold(&settings.data_dir, None)?;
    in_foreground(settings, &own_program()?, held)
}

/// What the build that this one replaces executes in its own place.
pub(crate) fn supervise(args: &SuperviseArgs) -> Result<()> {
    log_to_stderr();
    let held = supervisor::hold(&args.data_dir.data_dir, Some(args.lock))?;
    in_foreground(Settings::load(&args.data_dir.data_dir)?, &args.program, held)
}

fn own_program() -> Result<PathBuf> {
    std::env::current_exe().context("finding our own program")
}

fn in_foreground(settings: Settings, program: &Path, held: supervisor::Held) -> Result<()> {
    let data_dir = settings.data_dir.clone();
    // The runtime is gone, and its threads with it, before another program takes our place.
    let ended = super::small_runtime()?.block_on(supervisor::run(settings, program, held, announce))?;
    match ended {
        Ended::Asked => Ok(()),
        Ended::Replaced(held) => match supervisor::execute(program, &data_dir, &held)? {},
    }
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
fn announce(word: Word) {
    let state = match word {
        Word::Ready => NotifyState::Ready,
        Word::Replacing => NotifyState::Reloading,
    };
    if let Err(error) = sd_notify::notify(false, &[state]) {
        tracing::warn!(%error, "telling systemd how we are");
    }
    // The parent may be gone, a terminal closed: nobody is owed this line.
    if word == Word::Ready && writeln!(std::io::stdout(), "ready").is_err() {
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
    kernel::descriptor::keep_to_ourselves()?;
    let mut child = Command::new(own_program()?)
        .args(arguments)
        // It outlives the service, if any, that this command is part of.
        .env_remove("NOTIFY_SOCKET")
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
pub(super) fn last_words(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().rev().take(3).collect();
    format!("{}\n(all of it: {})", lines.into_iter().rev().collect::<Vec<_>>().join("\n"), log.display())
}
