//! The small parent of server and node: starts them, restarts each alone, ends both.
//!
//! A role tells of itself on its standard output, a line each: `ready`, or `failed REASON` before it exits. Containers
//! are no children of ours: they live on whatever happens here.

use crate::cli::RoleName;
use crate::instance::{self, Process, Status};
use crate::settings::Settings;
use anyhow::{Context, Result, bail};
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

/// A first start takes well under a second; a recovery of 100,000 objects, some.
const READY_TIME_MAX: Duration = Duration::from_secs(60);
const STOP_TIME_MAX: Duration = Duration::from_secs(15);
const RESTART_FIRST: Duration = Duration::from_millis(100);
const RESTART_MOST: Duration = Duration::from_secs(10);
/// A role that ran this long starts its back-off anew.
const RESTART_FORGET: Duration = Duration::from_secs(60);

/// Runs until SIGTERM or SIGINT. `announce` is told `ready` once, when the first start is done.
pub(crate) async fn run(settings: Settings, announce: impl Fn(&str)) -> Result<()> {
    crate::files::private_dir(&settings.data_dir)?;
    let Some(_lock) = instance::lock(&settings.data_dir)? else {
        bail!("a sampan runs in {} already: see `sampan status --data-dir {0}`", settings.data_dir.display());
    };
    settings.save()?;
    let mut supervisor = Supervisor::new(&settings)?;
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    let ended = tokio::select! {
        ended = supervisor.supervise(&announce) => ended,
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    };
    supervisor.stop().await;
    ended
}

struct Supervisor {
    status: Status,
    settings: Settings,
    server: Option<Role>,
    node: Option<Role>,
}

struct Role {
    name: RoleName,
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    started: Instant,
    restarts: u32,
    back_off: Duration,
}

impl Supervisor {
    fn new(settings: &Settings) -> Result<Supervisor> {
        let status = Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            address: settings.public_url(),
            ..Status::default()
        };
        status.save(&settings.data_dir)?;
        Ok(Supervisor { status, settings: settings.clone(), server: None, node: None })
    }

    async fn supervise(&mut self, announce: &impl Fn(&str)) -> Result<()> {
        if self.settings.roles.server() {
            self.server = Some(Role::start(RoleName::Server, &self.settings.data_dir)?);
            self.server.as_mut().expect("just set").ready().await?;
        }
        if self.settings.roles.node() {
            self.node = Some(Role::start(RoleName::Node, &self.settings.data_dir)?);
            self.node.as_mut().expect("just set").ready().await?;
        }
        self.report(true)?;
        announce("ready");
        loop {
            let ended = tokio::select! {
                name = ended(&mut self.server) => name,
                name = ended(&mut self.node) => name,
            };
            self.report(false)?;
            let slot = match ended {
                RoleName::Server => &mut self.server,
                RoleName::Node => &mut self.node,
            };
            if let Some(role) = slot {
                role.restart(&self.settings.data_dir).await?;
            }
            self.report(true)?;
        }
    }

    /// Writes the status: all ready, or one of them on its way back.
    fn report(&mut self, ready: bool) -> Result<()> {
        let process = |role: &Option<Role>| {
            role.as_ref().map(|role| Process {
                pid: role.child.id().unwrap_or_default(),
                ready,
                restarts: role.restarts,
            })
        };
        self.status.server = process(&self.server);
        self.status.node = process(&self.node);
        self.status.ready = ready;
        self.status.save(&self.settings.data_dir)
    }

    /// The node first: it tells the server what it can of its end.
    async fn stop(&mut self) {
        for role in [self.node.take(), self.server.take()].into_iter().flatten() {
            role.stop().await;
        }
    }
}

/// The role that ended; never, for one that is not there.
async fn ended(role: &mut Option<Role>) -> RoleName {
    match role {
        Some(role) => {
            role.ended().await;
            role.name
        }
        None => std::future::pending().await,
    }
}

impl Role {
    fn start(name: RoleName, data_dir: &Path) -> Result<Role> {
        let mut child = Command::new(std::env::current_exe().context("finding our own program")?)
            .arg("role")
            .arg(role_argument(name))
            .arg("--data-dir")
            .arg(data_dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting the {} process", role_argument(name)))?;
        let output = child.stdout.take().context("a role's output is piped")?;
        let lines = BufReader::new(output).lines();
        Ok(Role { name, child, lines, started: Instant::now(), restarts: 0, back_off: RESTART_FIRST })
    }

    /// Waits for the role's word.
    async fn ready(&mut self) -> Result<()> {
        let name = role_argument(self.name);
        let line = tokio::time::timeout(READY_TIME_MAX, self.lines.next_line())
            .await
            .with_context(|| format!("the {name} process was not ready within {READY_TIME_MAX:?}; its log says why"))?;
        match line.with_context(|| format!("listening to the {name} process"))?.as_deref() {
            Some("ready") => Ok(()),
            Some(line) => bail!("{}", line.strip_prefix("failed ").unwrap_or(line)),
            None => bail!("the {name} process ended before it was ready; its log says why"),
        }
    }

    async fn ended(&mut self) {
        match self.child.wait().await {
            Ok(status) => tracing::error!(role = role_argument(self.name), %status, "a process ended and is restarted"),
            Err(error) => {
                tracing::error!(role = role_argument(self.name), %error, "a process is lost and is restarted")
            }
        }
    }

    /// Starts it again, as often as it takes.
    async fn restart(&mut self, data_dir: &Path) -> Result<()> {
        if self.started.elapsed() > RESTART_FORGET {
            self.back_off = RESTART_FIRST;
        }
        loop {
            // A back-off: what failed at once would fail at once again.
            tokio::time::sleep(self.back_off).await;
            let (restarts, back_off) = (self.restarts + 1, (self.back_off * 2).min(RESTART_MOST));
            *self = Role { restarts, back_off, ..Role::start(self.name, data_dir)? };
            match self.ready().await {
                Ok(()) => return Ok(()),
                Err(error) => {
                    tracing::error!(role = role_argument(self.name), %error, "a process did not come back");
                    self.end().await;
                }
            }
        }
    }

    async fn stop(mut self) {
        if let Some(pid) = self.child.id().and_then(|pid| i32::try_from(pid).ok())
            && let Err(error) = nix::sys::signal::kill(Pid::from_raw(pid), Signal::SIGTERM)
        {
            tracing::debug!(%error, "a process ended by itself");
        }
        self.end().await;
    }

    /// Waits for the end, and makes it when it takes too long.
    async fn end(&mut self) {
        if tokio::time::timeout(STOP_TIME_MAX, self.child.wait()).await.is_err() {
            tracing::warn!(role = role_argument(self.name), "a process did not end in {STOP_TIME_MAX:?} and is killed");
            if let Err(error) = self.child.kill().await {
                tracing::error!(%error, "killing a process");
            }
        }
    }
}

fn role_argument(name: RoleName) -> &'static str {
    match name {
        RoleName::Server => "server",
        RoleName::Node => "node",
    }
}
