//! Commands beside a container's program.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use ::shim::protocol::{ProcessSpec, STDERR, STDOUT};
use cri::v1;
use tonic::Status;

use super::{internal, refused, spec};
use crate::descriptor::Descriptor;
use crate::embedded::Parts;
use crate::record::ContainerRecord;
use crate::shim::{Client, ClientError, Exec};

/// Output kept of each stream; what comes after it is read and dropped. A gRPC message holds no more.
const OUTPUT_BYTES_MAX: usize = 16 << 20;
/// Bytes read from a stream at once.
const CHUNK_BYTES: usize = 16 << 10;
/// How long the end of a killed command is awaited: one that the kernel holds is not waited for.
const KILL_TIMEOUT: Duration = Duration::from_secs(2);

/// The process of a command in a container: like its first one, with other arguments.
fn process_spec(record: &ContainerRecord, seccomp: Vec<Vec<u8>>, args: Vec<String>, terminal: bool) -> ProcessSpec {
    let mut process = spec::process(&record.plan, seccomp, terminal, spec::oom_score(record));
    process.args = args;
    if let Some(identity) = &record.identity {
        // As it was found at the start, whatever has become of /etc/passwd since.
        process.user = format!("{}:{}", identity.uid, identity.gid);
        process.groups.clone_from(&identity.groups);
        process.image_groups = false;
    }
    if terminal && !process.env.iter().any(|entry| entry.starts_with("TERM=")) {
        process.env.push("TERM=xterm".into());
    }
    process
}

impl Parts {
    /// A running container's shim and a command's process.
    pub(crate) fn command(
        &self,
        id: &str,
        args: Vec<String>,
        terminal: bool,
    ) -> Result<(Client, String, ProcessSpec), Status> {
        let container = self.running_container(id)?;
        let sandbox = self.sandbox(&container.record.sandbox)?;
        let shim = sandbox.shim.clone().ok_or(ClientError::Gone).map_err(|error| refused("exec", error))?;
        let programs = self.programs(&container.record.plan)?;
        Ok((shim, container.record.id.clone(), process_spec(&container.record, programs, args, terminal)))
    }

    /// Runs a command to its end.
    pub(crate) async fn exec_sync(&self, request: v1::ExecSyncRequest) -> Result<v1::ExecSyncResponse, Status> {
        let (shim, id, process) = self.command(&request.container_id, request.cmd, false)?;
        let (out_reader, out_writer) = io::pipe().map_err(|error| internal("make a pipe", error))?;
        let (err_reader, err_writer) = io::pipe().map_err(|error| internal("make a pipe", error))?;
        let fds = vec![OwnedFd::from(out_writer), OwnedFd::from(err_writer)];
        let exec =
            shim.exec(&id, process, STDOUT | STDERR, fds).await.map_err(|error| refused("exec in container", error))?;
        let number = exec.number;
        let mut finished = Box::pin(finish(exec, out_reader.into(), err_reader.into()));
        let Ok(seconds) = u64::try_from(request.timeout) else {
            return Err(Status::invalid_argument("timeout must not be negative"));
        };
        if seconds == 0 {
            return finished.await;
        }
        match tokio::time::timeout(Duration::from_secs(seconds), &mut finished).await {
            Ok(answer) => answer,
            Err(_) => {
                match shim.signal_exec(number, libc::SIGKILL).await {
                    // Whoever is told that it was too late may count on its being gone.
                    Ok(()) => {
                        if tokio::time::timeout(KILL_TIMEOUT, finished).await.is_err() {
                            tracing::warn!(container = id, "a killed command has not ended yet");
                        }
                    }
                    // It ended in this very moment.
                    Err(ClientError::NotFound(_) | ClientError::Gone) => {}
                    Err(error) => tracing::warn!(container = id, %error, "late command not killed"),
                }
                let text =
                    format!("failed to exec in container: timeout {seconds}s exceeded: context deadline exceeded");
                Err(Status::deadline_exceeded(text))
            }
        }
    }
}

/// Collects output until the command has ended.
async fn finish(mut exec: Exec, out: OwnedFd, err: OwnedFd) -> Result<v1::ExecSyncResponse, Status> {
    let broken = |error: io::Error| internal("read the command's output", error);
    let mut out = Collector::new(out).map_err(broken)?;
    let mut err = Collector::new(err).map_err(broken)?;
    let exit_code = loop {
        tokio::select! {
            code = &mut exec.exit => {
                break code.map_err(|_| refused("exec in container", ClientError::Gone))?;
            }
            read = out.read(), if !out.ended => read.map_err(broken)?,
            read = err.read(), if !err.ended => read.map_err(broken)?,
        }
    };
    // What it wrote is in the pipes by now. Their end may never come: a background process can hold them open.
    out.drain().map_err(broken)?;
    err.drain().map_err(broken)?;
    Ok(v1::ExecSyncResponse { stdout: out.bytes, stderr: err.bytes, exit_code })
}

/// One stream of a command.
struct Collector {
    pipe: Descriptor,
    bytes: Vec<u8>,
    ended: bool,
}

impl Collector {
    fn new(fd: OwnedFd) -> io::Result<Collector> {
        Ok(Collector { pipe: Descriptor::new(fd)?, bytes: Vec::new(), ended: false })
    }

    async fn read(&mut self) -> io::Result<()> {
        let mut chunk = vec![0; CHUNK_BYTES];
        let count = self.pipe.read(&mut chunk).await?;
        self.keep(&chunk[..count]);
        Ok(())
    }

    /// Takes what is there.
    fn drain(&mut self) -> io::Result<()> {
        let mut chunk = vec![0; CHUNK_BYTES];
        while !self.ended {
            match self.pipe.read_now(&mut chunk)? {
                Some(count) => self.keep(&chunk[..count]),
                None => break,
            }
        }
        Ok(())
    }

    fn keep(&mut self, chunk: &[u8]) {
        self.ended = chunk.is_empty();
        let room = OUTPUT_BYTES_MAX.saturating_sub(self.bytes.len());
        self.bytes.extend_from_slice(&chunk[..chunk.len().min(room)]);
    }
}
