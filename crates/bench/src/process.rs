//! Rows of our own process: start, restart, idle memory and CPU.

use crate::figure::{Reporter, median};
use anyhow::{Context, Result, bail};
use client::Config;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::process::Command;

const STARTS: usize = 5;
const IDLE_TIME: Duration = Duration::from_secs(10);

/// A server without a node, on a loopback port.
pub(crate) struct OwnServer {
    binary: PathBuf,
    data_dir: PathBuf,
    port: u16,
}

impl OwnServer {
    pub(crate) async fn start(binary: &Path, folder: &Path) -> Result<OwnServer> {
        let free = std::net::TcpListener::bind("127.0.0.1:0").context("finding a free port")?;
        let port = free.local_addr().context("finding a free port")?.port();
        drop(free);
        let server = OwnServer { binary: binary.to_owned(), data_dir: folder.join("data"), port };
        server.up().await?;
        Ok(server)
    }

    async fn up(&self) -> Result<()> {
        let listen = format!("127.0.0.1:{}", self.port);
        self.command(&["server", "--detach", "--listen", &listen]).await.map(drop)
    }

    /// What the command printed.
    async fn command(&self, arguments: &[&str]) -> Result<String> {
        let output = Command::new(&self.binary).args(arguments).arg("--data-dir").arg(&self.data_dir).output().await;
        let output = output.with_context(|| format!("running {}", self.binary.display()))?;
        if !output.status.success() {
            bail!("sampan {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    async fn status(&self) -> Result<serde_json::Value> {
        Ok(serde_json::from_str(&self.command(&["status", "-o", "json"]).await?)?)
    }

    pub(crate) fn config(&self) -> Result<Config> {
        Ok(Config::from_kubeconfig(&self.data_dir.join("admin.kubeconfig"), None)?)
    }

    fn read_pid(&self, which: &str) -> Result<u32> {
        let text = std::fs::read(self.data_dir.join("status.json")).context("reading the status")?;
        let status: serde_json::Value = serde_json::from_slice(&text)?;
        let pid = if which.is_empty() { &status["pid"] } else { &status[which]["pid"] };
        pid.as_u64().and_then(|pid| u32::try_from(pid).ok()).context("no pid in the status")
    }

    pub(crate) fn server_pid(&self) -> Result<u32> {
        self.read_pid("server")
    }

    /// Ends the processes and keeps the data.
    async fn down(&self) -> Result<()> {
        let pid = self.read_pid("")?;
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid.cast_signed()), nix::sys::signal::SIGTERM)
            .context("ending the server")?;
        while self.status().await.is_ok() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Ok(())
    }

    pub(crate) async fn stop(&self) -> Result<()> {
        self.command(&["reset", "--yes"]).await.map(drop)
    }
}

pub(crate) async fn start_rows(binary: &Path, reporter: &Reporter) -> Result<()> {
    if !reporter.wants("start_to_readyz") {
        return Ok(());
    }
    let mut times = Vec::new();
    for _ in 0..STARTS {
        let folder = tempfile::tempdir().context("making a data directory")?;
        let started = Instant::now();
        let server = OwnServer::start(binary, folder.path()).await?;
        times.push(started.elapsed());
        server.stop().await?;
    }
    reporter.report("start_to_readyz", median(times).as_secs_f64(), "s");
    Ok(())
}

pub(crate) async fn restart_row(server: &mut OwnServer, reporter: &Reporter) -> Result<()> {
    if !reporter.wants("restart_with_data") {
        return Ok(());
    }
    server.down().await?;
    let started = Instant::now();
    server.up().await?;
    reporter.report("restart_with_data", started.elapsed().as_secs_f64(), "s");
    Ok(())
}

pub(crate) async fn idle_rows(server: &OwnServer, reporter: &Reporter) -> Result<()> {
    if !reporter.wants("idle") {
        return Ok(());
    }
    let pids = [server.read_pid("")?, server.server_pid()?];
    let before: f64 = pids.iter().map(|pid| cpu_seconds(*pid)).sum::<Result<f64>>()?;
    tokio::time::sleep(IDLE_TIME).await;
    let after: f64 = pids.iter().map(|pid| cpu_seconds(*pid)).sum::<Result<f64>>()?;
    reporter.report("idle_cpu_without_node", (after - before) / IDLE_TIME.as_secs_f64() * 100.0, "% of a core");
    let memory: f64 = pids.iter().map(|pid| rss_mib(*pid)).sum::<Result<f64>>()?;
    reporter.report("idle_memory_without_node", memory, "MiB");
    Ok(())
}

pub(crate) fn rss_mib(pid: u32) -> Result<f64> {
    let path = format!("/proc/{pid}/status");
    let text = std::fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    let line =
        text.lines().find_map(|line| line.strip_prefix("VmRSS:")).with_context(|| format!("{path} has no VmRSS"))?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse().with_context(|| format!("reading {path}"))?;
    Ok(kib / 1024.0)
}

fn cpu_seconds(pid: u32) -> Result<f64> {
    let path = format!("/proc/{pid}/stat");
    let text = std::fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    // The command's name, in parentheses, may hold spaces; utime and stime are the 12th and 13th field after it.
    let fields: Vec<&str> = text.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok());
    let total =
        ticks(11).zip(ticks(12)).map(|(user, system)| user + system).with_context(|| format!("reading {path}"))?;
    Ok(total / 100.0)
}
