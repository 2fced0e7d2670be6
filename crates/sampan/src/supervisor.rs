//! The small parent of server and node: starts them, restarts each alone, ends both.
//!
//! On SIGUSR2 it ends both and executes, in its own place, the program that it was started from, as that file is now:
//! so a build is replaced by another under the same pid, and nobody else can take the data directory meanwhile.
//!
//! A role tells of itself on its standard output, a line each: `ready`, or `failed REASON` before it exits. Containers
//! are no children of ours: they live on whatever happens here.

use crate::cli::RoleName;
use crate::instance::{self, RoleStatus, Status};
use crate::roles::background;
use crate::settings::Settings;
use crate::{build, engine, restored};
use anyhow::{Context, Result, anyhow, bail};
use nix::fcntl::Flock;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use std::convert::Infallible;
use std::fs::File;
use std::os::fd::RawFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// A first start takes well under a second; a recovery of 100,000 objects, some.
const READY_TIME_MAX: Duration = Duration::from_secs(60);
const STOP_TIME_MAX: Duration = Duration::from_secs(15);
const RESTART_FIRST: Duration = Duration::from_millis(100);
const RESTART_MOST: Duration = Duration::from_secs(2);
/// A role that ran this long starts its back-off anew.
const RESTART_FORGET: Duration = Duration::from_secs(5);

/// A data directory that is ours until we end.
pub(crate) type Held = Flock<File>;

/// Why a supervisor ended.
pub(crate) enum Ended {
    Asked,
    /// To be continued by `execute`.
    Replaced(Held),
}

/// Takes the data directory, unless an earlier build passed it on.
pub(crate) fn hold(data_dir: &Path, inherited: Option<RawFd>) -> Result<Held> {
    let held = match inherited {
        Some(number) => instance::inherited_lock(number)?,
        None => instance::lock(data_dir)?.with_context(|| {
            format!("a sampan runs in {} already: see `sampan status --data-dir {0}`", data_dir.display())
        })?,
    };
    restored::finish(data_dir)?;
    Ok(held)
}

/// Runs until SIGTERM, SIGINT or SIGUSR2. `program` is the file to continue from; `announce` is told how it goes.
pub(crate) async fn run(settings: Settings, program: &Path, held: Held, announce: impl Fn(Word)) -> Result<Ended> {
    engine::check(&settings)?;
    settings.save()?;
    let board = Arc::new(Board::new(&settings, program)?);
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    let mut replace = signal(SignalKind::user_defined2()).context("listening for SIGUSR2")?;
    let mut keepers = Vec::new();
    let started = tokio::select! {
        started = start(&settings, &board, &mut keepers) => started.map(|()| announce(Word::Ready)),
        _ = terminate.recv() => Err(anyhow!("ended before it was ready")),
    };
    let mut ended = Ended::Asked;
    if started.is_ok() {
        background::settle();
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = replace.recv() => {
                announce(Word::Replacing);
                board.leave();
                ended = Ended::Replaced(held);
            }
        }
    }
    // The node first: it tells the server what it can of its end.
    while let Some(keeper) = keepers.pop() {
        keeper.stop().await;
    }
    started.map(|()| ended)
}

/// What a supervisor has to say to whoever started it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    Ready,
    Replacing,
}

/// Executes the program in our place, or where it cannot be, the build that we are. Returns only when neither works.
pub(crate) fn execute(program: &Path, data_dir: &Path, held: &Held) -> Result<Infallible> {
    let lock = kernel::descriptor::pass_on(&**held)?;
    let execute = |file: &Path| {
        let mut command = std::process::Command::new(file);
        command.arg0("sampan").arg("supervise").arg("--data-dir").arg(data_dir);
        command.arg("--program").arg(program).arg("--lock").arg(lock.to_string()).exec()
    };
    let error = execute(program);
    tracing::error!(program = %program.display(), %error, "cannot be executed: this build goes on");
    Err(execute(Path::new("/proc/self/exe"))).context("executing our own program")
}

/// The server, and when it is ready the node.
async fn start(settings: &Settings, board: &Arc<Board>, keepers: &mut Vec<Keeper>) -> Result<()> {
    for (wanted, name) in [(settings.roles.server(), RoleName::Server), (settings.roles.node(), RoleName::Node)] {
        if wanted {
            let (keeper, ready) = Keeper::spawn(name, board.clone());
            keepers.push(keeper);
            ready.await.context("the supervisor's own task ended")??;
        }
    }
    Ok(())
}

/// The status as others read it from disk.
struct Board {
    status: Mutex<Status>,
    /// This build is about to be replaced: whatever its roles still say, it is not ready again.
    leaving: AtomicBool,
    data_dir: PathBuf,
}

impl Board {
    fn new(settings: &Settings, program: &Path) -> Result<Board> {
        let status = Status {
            version: build::version().to_owned(),
            pid: std::process::id(),
            address: settings.public_url(),
            program: program.to_owned(),
            managed: std::env::var_os("NOTIFY_SOCKET").is_some(),
            // Both from the beginning, so that one which has not been heard of yet is not ready.
            server: settings.roles.server().then(RoleStatus::default),
            node: settings.roles.node().then(RoleStatus::default),
            ready: false,
        };
        status.save(&settings.data_dir)?;
        Ok(Board { status: Mutex::new(status), leaving: AtomicBool::new(false), data_dir: settings.data_dir.clone() })
    }

    fn report(&self, name: RoleName, role: RoleStatus) {
        self.change(|status| {
            match name {
                RoleName::Server => status.server = Some(role),
                RoleName::Node => status.node = Some(role),
            }
            let ready = [&status.server, &status.node].into_iter().flatten().all(|role| role.ready);
            status.ready = ready && !self.leaving.load(Ordering::Relaxed);
        });
    }

    fn leave(&self) {
        self.leaving.store(true, Ordering::Relaxed);
        self.change(|status| status.ready = false);
    }

    /// A status that cannot be written is a full disk: what runs goes on, and the log says it.
    fn change(&self, change: impl FnOnce(&mut Status)) {
        let mut status = self.status.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        change(&mut status);
        if let Err(error) = status.save(&self.data_dir) {
            tracing::error!("{error:#}");
        }
    }
}

/// The task that keeps one role running.
struct Keeper {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Keeper {
    /// The receiver hears how the first start went; after a good one the role is kept, however often it ends.
    fn spawn(name: RoleName, board: Arc<Board>) -> (Keeper, oneshot::Receiver<Result<()>>) {
        let (stop, stopping) = watch::channel(false);
        let (ready, first) = oneshot::channel();
        let task = tokio::spawn(async move { keep(name, &board, ready, stopping).await });
        (Keeper { stop, task }, first)
    }

    async fn stop(self) {
        self.stop.send_replace(true);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "a supervisor's task failed");
        }
    }
}

async fn keep(name: RoleName, board: &Board, first: oneshot::Sender<Result<()>>, mut stop: watch::Receiver<bool>) {
    let mut first = Some(first);
    let (mut restarts, mut back_off) = (0, RESTART_FIRST);
    loop {
        let begun = Instant::now();
        // It ends the process itself when told to stop: it must not be dropped half way.
        let ended = live(name, board, restarts, &mut first, stop.clone()).await;
        if let Err(error) = ended {
            tracing::error!(role = name.name(), "{error:#}");
            if let Some(first) = first.take() {
                // Nobody listens only when the supervisor ends, and then the reason is in the log.
                if first.send(Err(error)).is_err() {
                    tracing::debug!("the supervisor is ending");
                }
                return;
            }
        }
        if *stop.borrow() {
            return;
        }
        board.report(name, RoleStatus { pid: 0, ready: false, restarts });
        back_off = if begun.elapsed() > RESTART_FORGET { RESTART_FIRST } else { back_off };
        // A back-off: what failed at once would fail at once again.
        tokio::select! {
            () = tokio::time::sleep(back_off) => {}
            _ = stop.changed() => return,
        }
        (restarts, back_off) = (restarts + 1, (back_off * 2).min(RESTART_MOST));
    }
}

/// One process of a role, from its start to its end; ends it when told to stop.
async fn live(
    name: RoleName,
    board: &Board,
    restarts: u32,
    first: &mut Option<oneshot::Sender<Result<()>>>,
    mut stop: watch::Receiver<bool>,
) -> Result<()> {
    let mut role = Role::start(name, board)?;
    board.report(name, RoleStatus { pid: role.pid(), ready: false, restarts });
    let ready = tokio::select! {
        ready = role.ready() => ready,
        _ = stop.changed() => {
            role.stop().await;
            return Ok(());
        }
    };
    if ready.is_err() {
        role.stop().await;
        return ready;
    }
    board.report(name, RoleStatus { pid: role.pid(), ready: true, restarts });
    if first.take().is_some_and(|first| first.send(Ok(())).is_err()) {
        tracing::debug!("the supervisor is ending");
    }
    tokio::select! {
        status = role.child.wait() => {
            let status = status.with_context(|| format!("waiting for the {} process", name.name()))?;
            tracing::error!(role = name.name(), %status, "a process ended and is restarted");
        }
        _ = stop.changed() => role.stop().await,
    }
    Ok(())
}

/// A role's process.
struct Role {
    name: RoleName,
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Role {
    fn start(name: RoleName, board: &Board) -> Result<Role> {
        // Not by its path: the file there may have been replaced since, and a role is of its supervisor's build.
        let mut child = Command::new("/proc/self/exe")
            .arg0("sampan")
            .arg("role")
            .arg(name.name())
            .arg("--data-dir")
            .arg(&board.data_dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting the {} process", name.name()))?;
        let output = child.stdout.take().context("a role's output is piped")?;
        Ok(Role { name, child, lines: BufReader::new(output).lines() })
    }

    fn pid(&self) -> u32 {
        self.child.id().unwrap_or_default()
    }

    /// Waits for the role's word.
    async fn ready(&mut self) -> Result<()> {
        let name = self.name.name();
        let line = tokio::time::timeout(READY_TIME_MAX, self.lines.next_line())
            .await
            .with_context(|| format!("the {name} process was not ready within {READY_TIME_MAX:?}; its log says why"))?;
        match line.with_context(|| format!("listening to the {name} process"))?.as_deref() {
            Some("ready") => Ok(()),
            Some(line) => bail!("{}", line.strip_prefix("failed ").unwrap_or(line)),
            None => bail!("the {name} process ended before it was ready"),
        }
    }

    /// Asks it to end, and makes it when it takes too long.
    async fn stop(&mut self) {
        if let Some(pid) = self.child.id().and_then(|pid| i32::try_from(pid).ok())
            && let Err(error) = nix::sys::signal::kill(Pid::from_raw(pid), Signal::SIGTERM)
        {
            tracing::debug!(%error, "a process ended by itself");
        }
        if tokio::time::timeout(STOP_TIME_MAX, self.child.wait()).await.is_err() {
            tracing::warn!(role = self.name.name(), "a process did not end in {STOP_TIME_MAX:?} and is killed");
            if let Err(error) = self.child.kill().await {
                tracing::error!(%error, "killing a process");
            }
        }
    }
}
