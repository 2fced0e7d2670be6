//! `upgrade`: another build in place of the one that runs, under the same supervisor's pid; containers live on.
//!
//! Invariants: the program's file is the old build or the new one, never half of one. A build that does not run, or
//! cannot read this cluster's settings, is refused before anything is touched; one that does not get ready is replaced
//! by the old one again, by us, who are neither.

use super::up::last_words;
use crate::cli::{DataDir, UpgradeArgs};
use crate::descriptor::waitable;
use crate::files::{self, Draft};
use crate::folder::FolderWatch;
use crate::instance::{self, Status};
use crate::settings::Settings;
use crate::{build, commands};
use anyhow::{Context, Result, bail};
use kernel::process::Process;
use rustix::process::Signal;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

/// What `check-build` prints before its version: any program prints something.
const BUILD: &str = "sampan-build ";
const CHECK_TIME_MAX: Duration = Duration::from_secs(20);
/// Both processes' end (15 s each) and both starts (60 s each).
const UPGRADE_TIME_MAX: Duration = Duration::from_secs(160);

/// Asked of another build: whether it could go on here, and which it is.
pub(crate) fn check_build(args: &DataDir) -> Result<()> {
    Settings::load(&args.data_dir)?;
    println!("{BUILD}{}", build::version());
    Ok(())
}

pub(crate) fn upgrade(args: &UpgradeArgs) -> Result<()> {
    let data_dir = std::path::absolute(&args.data_dir.data_dir).context("the data directory's path")?;
    let Some(before) = Status::of(&data_dir)? else {
        bail!("nothing runs in {}: `FILE resume` starts what ran there, with the other build", data_dir.display());
    };
    let supervisor = before.process()?.context("the supervisor has just ended")?;
    super::small_runtime()?.block_on(replace(&args.file, &data_dir, &before, supervisor))
}

async fn replace(file: &Path, data_dir: &Path, before: &Status, supervisor: Process) -> Result<()> {
    let program = &before.program;
    let new = copy(file, program)?;
    let version =
        check(new.temporary(), data_dir).await.with_context(|| format!("{} cannot go on here", file.display()))?;
    // Of the process, not the file: somebody may have replaced that since.
    let running = PathBuf::from(format!("/proc/{}/exe", before.pid));
    let old = copy(&running, &previous(program))?;
    let place = Place { data_dir, program };
    new.publish()?;
    println!("upgrading {} from {} to {version}", program.display(), before.version);
    let Err(error) = place.take_over(supervisor).await else {
        println!("{version} is ready, pid {}", Status::read(data_dir)?.pid);
        return Ok(());
    };
    eprintln!("{version} failed: {error:#}\ngoing back to {}", before.version);
    place
        .go_back(old, before)
        .await
        .with_context(|| format!("{version} failed ({error:#}), and going back did too"))?;
    bail!("{version} failed, and {} runs again: {error:#}", before.version)
}

fn previous(program: &Path) -> PathBuf {
    program.with_added_extension("previous")
}

/// A program beside the one that it may replace, under a name of its own until then.
fn copy(from: &Path, to: &Path) -> Result<Draft> {
    let mut source = std::fs::File::open(from).with_context(|| format!("reading {}", from.display()))?;
    let mut draft = Draft::create(to, 0o755)?;
    std::io::copy(&mut source, &mut draft.file).with_context(|| format!("copying {}", from.display()))?;
    draft.file.sync_all().with_context(|| format!("copying {}", from.display()))?;
    // The kernel executes nothing that is open for writing.
    draft.file =
        std::fs::File::open(draft.temporary()).with_context(|| format!("reading {}", draft.temporary().display()))?;
    Ok(draft)
}

/// The version of a build that runs on this machine and understands this data directory.
async fn check(program: &Path, data_dir: &Path) -> Result<String> {
    let mut command = Command::new(program);
    command.arg("check-build").arg("--data-dir").arg(data_dir).stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(CHECK_TIME_MAX, command.output()).await;
    let output = output.with_context(|| format!("it does not answer within {CHECK_TIME_MAX:?}"))?;
    let output = output.context("it does not run on this machine")?;
    let said = String::from_utf8_lossy(&output.stdout);
    match said.trim().strip_prefix(BUILD) {
        Some(version) if output.status.success() => Ok(version.to_owned()),
        _ => bail!("it is not a sampan for this cluster: {}", String::from_utf8_lossy(&output.stderr).trim()),
    }
}

/// What the supervisor does, compared with the program's file. It takes back that all is well before it executes that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    OtherBuild,
    Starting,
    Ready,
}

/// Where builds follow each other.
struct Place<'a> {
    data_dir: &'a Path,
    program: &'a Path,
}

impl Place<'_> {
    /// Has the supervisor execute what the program's file is now, and waits until that is ready.
    async fn take_over(&self, supervisor: Process) -> Result<()> {
        let mut changes = FolderWatch::open(self.data_dir)?;
        supervisor.signal(Signal::USR2)?;
        let ended = waitable(supervisor).context("watching the supervisor")?;
        let ready = async {
            let mut at_work = false;
            loop {
                match self.stage()? {
                    Stage::Ready => return Ok(()),
                    Stage::Starting => at_work = true,
                    Stage::OtherBuild if at_work => bail!("the supervisor could not execute it; its log says why"),
                    Stage::OtherBuild => {}
                }
                tokio::select! {
                    change = changes.next() => drop(change?),
                    _ = ended.readable() => bail!("it ended: {}", last_words(&self.data_dir.join("sampan.log"))),
                }
            }
        };
        let within = tokio::time::timeout(UPGRADE_TIME_MAX, ready).await;
        within.with_context(|| format!("it was not ready within {UPGRADE_TIME_MAX:?}"))?
    }

    fn stage(&self) -> Result<Stage> {
        let status = Status::read(self.data_dir)?;
        let file = std::fs::metadata(self.program).with_context(|| format!("reading {}", self.program.display()))?;
        Ok(match std::fs::metadata(format!("/proc/{}/exe", status.pid)) {
            Ok(_) if !status.ready => Stage::Starting,
            Ok(running) if (running.dev(), running.ino()) == (file.dev(), file.ino()) => Stage::Ready,
            Ok(_) => Stage::OtherBuild,
            // The process is gone: whoever watches it hears so.
            Err(_) => Stage::Starting,
        })
    }

    /// Puts the old build back, and starts it if nobody else will.
    async fn go_back(&self, old: Draft, before: &Status) -> Result<()> {
        let mut changes = FolderWatch::open(self.data_dir)?;
        old.publish()?;
        std::fs::rename(previous(self.program), self.program).context("putting the old build back")?;
        files::sync_names(self.program.parent())?;
        if let Some(status) = Status::of(self.data_dir)?
            && let Some(supervisor) = status.process()?
            && let Err(error) = instance::stop(&supervisor, self.data_dir)
        {
            commands::complain(&error);
            supervisor.signal(Signal::KILL)?;
        }
        if !before.managed {
            return self.resume().await;
        }
        let ready = async {
            while self.stage()? != Stage::Ready {
                changes.next().await?;
            }
            Ok(())
        };
        let within = tokio::time::timeout(UPGRADE_TIME_MAX, ready).await;
        within.with_context(|| format!("the service manager did not start it within {UPGRADE_TIME_MAX:?}"))?
    }

    async fn resume(&self) -> Result<()> {
        let mut command = Command::new(self.program);
        command.args(["resume", "--detach", "--data-dir"]).arg(self.data_dir).stdin(Stdio::null());
        let status = command.status().await.context("starting the old build")?;
        if !status.success() {
            bail!("the old build did not start: {status}");
        }
        Ok(())
    }
}
