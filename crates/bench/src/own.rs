//! A cluster of one's own: the binary under test in a data directory of its own, and what its processes use.
//!
//! Memory is RSS summed over the cluster's processes; a pod's shim is measured by PSS, as shims share their text.

use anyhow::{Context, Result, bail};
use client::{Client, Config, Remote};
use kernel::cgroup::Cgroup;
use kernel::process::Process;
use rustix::process::Signal;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::process::Command;

/// The supervisor gives its processes 15 s each.
const END_TIME_MAX: Duration = Duration::from_secs(40);

/// Which of the binary's commands, with the flags it is given.
#[derive(Clone, Copy, Debug)]
pub enum Role {
    /// A server without a node.
    Server(&'static [&'static str]),
    /// Server and node, in address ranges that a cluster of the machine's own does not have.
    Up(&'static [&'static str]),
}

/// The API's port is free; a kubelet's, of which there is one, is fixed.
const UP_FLAGS: [&str; 8] = [
    "--pod-cidr",
    "10.142.0.0/16",
    "--service-cidr",
    "10.143.0.0/16",
    "--kubelet-port",
    "10950",
    "--node-name",
    "bench",
];

pub struct OwnCluster {
    binary: PathBuf,
    data_dir: PathBuf,
    cgroup_root: String,
    port: u16,
    role: Role,
    stopped: bool,
}

impl Drop for OwnCluster {
    /// A measurement or test that failed leaves nothing behind either.
    fn drop(&mut self) {
        if self.stopped {
            return;
        }
        let mut reset = std::process::Command::new(&self.binary);
        match reset.args(["reset", "--yes", "--data-dir"]).arg(&self.data_dir).output() {
            Ok(output) if output.status.success() => {}
            Ok(output) => eprintln!("resetting: {}", String::from_utf8_lossy(&output.stderr)),
            Err(error) => eprintln!("resetting: {error}"),
        }
    }
}

impl OwnCluster {
    /// Returns when it is ready.
    ///
    /// # Errors
    /// What the command said.
    pub async fn start(binary: &Path, folder: &Path, role: Role) -> Result<OwnCluster> {
        let free = std::net::TcpListener::bind("127.0.0.1:0").context("finding a free port")?;
        let port = free.local_addr().context("finding a free port")?.port();
        drop(free);
        let cgroup_root = format!("/sampan-bench-{port}");
        let cluster = OwnCluster {
            binary: binary.to_owned(),
            data_dir: folder.join("data"),
            cgroup_root,
            port,
            role,
            stopped: false,
        };
        cluster.up().await?;
        Ok(cluster)
    }

    /// Starts it, again if it was ended; returns when it is ready.
    ///
    /// # Errors
    /// What the command said.
    pub async fn up(&self) -> Result<()> {
        let (command, host, flags, own) = match self.role {
            Role::Server(flags) => ("server", "127.0.0.1", flags, &[][..]),
            // Pods reach it too.
            Role::Up(flags) => ("up", "0.0.0.0", flags, &UP_FLAGS[..]),
        };
        let listen = format!("{host}:{}", self.port);
        let common = [command, "--detach", "--listen", &listen, "--cgroup-root", &self.cgroup_root];
        let arguments: Vec<&str> = common.into_iter().chain(own.iter().copied()).chain(flags.iter().copied()).collect();
        self.command(&arguments).await.map(drop)
    }

    /// What the command printed.
    ///
    /// # Errors
    /// What it said when it failed.
    pub async fn command(&self, arguments: &[&str]) -> Result<String> {
        let output = Command::new(&self.binary).args(arguments).arg("--data-dir").arg(&self.data_dir).output().await;
        let output = output.with_context(|| format!("running {}", self.binary.display()))?;
        if !output.status.success() {
            bail!("sampan {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// As the administrator.
    ///
    /// # Errors
    /// A kubeconfig that cannot be read.
    pub fn config(&self) -> Result<Config> {
        Ok(Config::from_kubeconfig(&self.data_dir.join("admin.kubeconfig"), None)?)
    }

    /// A client with a connection of its own.
    ///
    /// # Errors
    /// As `config`.
    pub fn client(&self) -> Result<Client> {
        Ok(Client::new(Arc::new(Remote::new(self.config()?)?)))
    }

    /// The newest lines of its log.
    pub fn log(&self) -> String {
        let text = std::fs::read_to_string(self.data_dir.join("sampan.log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(60)..].join("\n")
    }

    /// Of the supervisor, and of each of its processes that runs.
    ///
    /// # Errors
    /// A status that cannot be read.
    pub fn pids(&self) -> Result<Vec<u32>> {
        let [supervisor, server, node] = ["", "server", "node"].map(|which| self.pid(which));
        Ok([Some(supervisor?), server.ok(), node.ok()].into_iter().flatten().collect())
    }

    /// Of `server` or `node`; empty: of the supervisor.
    ///
    /// # Errors
    /// No such process.
    pub fn pid(&self, which: &str) -> Result<u32> {
        let text = std::fs::read(self.data_dir.join("status.json")).context("reading the status")?;
        let status: serde_json::Value = serde_json::from_slice(&text)?;
        let pid = if which.is_empty() { &status["pid"] } else { &status[which]["pid"] };
        pid.as_u64()
            .and_then(|pid| u32::try_from(pid).ok())
            .with_context(|| format!("no pid of {which:?} in the status"))
    }

    /// Ends the processes and keeps the data.
    ///
    /// # Errors
    /// One that does not end.
    pub async fn down(&self) -> Result<()> {
        let pid = self.pid("")?.cast_signed();
        let Some(process) = Process::open(pid)? else { return Ok(()) };
        process.signal(Signal::TERM)?;
        let ended = tokio::task::spawn_blocking(move || process.wait(END_TIME_MAX)).await.context("waiting")??;
        if !ended {
            bail!("the supervisor, pid {pid}, did not end within {END_TIME_MAX:?}");
        }
        Ok(())
    }

    /// Ends everything without a trace.
    ///
    /// # Errors
    /// What the command said.
    pub async fn stop(mut self) -> Result<()> {
        self.command(&["reset", "--yes"]).await?;
        self.stopped = true;
        Ok(())
    }

    /// Of all shims together, and how many there are.
    ///
    /// # Errors
    /// A cgroup or process that cannot be read.
    pub fn shims_pss_mib(&self) -> Result<(f64, usize)> {
        let shims = Cgroup::at(format!("{}/shims", self.cgroup_root))?.processes()?;
        let sum =
            shims.iter().map(|pid| memory_mib(&format!("/proc/{pid}/smaps_rollup"), "Pss:")).sum::<Result<f64>>()?;
        Ok((sum, shims.len()))
    }
}

/// RSS of one process.
///
/// # Errors
/// No such process.
pub fn rss_mib(pid: u32) -> Result<f64> {
    memory_mib(&format!("/proc/{pid}/status"), "VmRSS:")
}

fn memory_mib(path: &str, field: &str) -> Result<f64> {
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {path}"))?;
    let line =
        text.lines().find_map(|line| line.strip_prefix(field)).with_context(|| format!("{path} has no {field}"))?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse().with_context(|| format!("reading {path}"))?;
    Ok(kib / 1024.0)
}

/// Processor time that a process's threads have used, in seconds. The scheduler's own account: the ticks of
/// `/proc/PID/stat` miss what is shorter than they are, as all of an idle process's work is.
///
/// # Errors
/// No such process.
pub fn cpu_seconds(pid: u32) -> Result<f64> {
    let path = format!("/proc/{pid}/task");
    let threads = std::fs::read_dir(&path).with_context(|| format!("reading {path}"))?;
    let mut nanoseconds = 0.0;
    for thread in threads {
        let path = thread.with_context(|| format!("reading {path}"))?.path().join("schedstat");
        // A thread may have ended meanwhile.
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        let used = text.split(' ').next().and_then(|field| field.parse::<f64>().ok());
        nanoseconds += used.with_context(|| format!("reading {}", path.display()))?;
    }
    Ok(nanoseconds / 1e9)
}
