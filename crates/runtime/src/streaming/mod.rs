//! The server behind the URLs of exec, attach and port-forward: loopback only, one token per stream, used once.

mod ending;
mod offers;
mod port_forward;
mod remote_command;
mod server;

pub(crate) use server::Streaming;

use ::shim::protocol::{STDERR, STDIN, STDOUT};
use cri::v1;
use tonic::Status;

use crate::container::refused;
use crate::embedded::Parts;
use crate::shim::ClientError;
use offers::Offer;

impl Parts {
    /// A URL that runs a command.
    pub(crate) fn offer_exec(&self, request: v1::ExecRequest) -> Result<String, Status> {
        let streams = streams(request.stdin, request.stdout, request.stderr, request.tty)?;
        let (shim, container, process) = self.command(&request.container_id, request.cmd, request.tty)?;
        self.streaming.offer(Offer::Exec { shim, container, process: Box::new(process), streams })
    }

    /// A URL that attaches to a container's program.
    pub(crate) fn offer_attach(&self, request: v1::AttachRequest) -> Result<String, Status> {
        let streams = streams(request.stdin, request.stdout, request.stderr, request.tty)?;
        let container = self.running_container(&request.container_id)?;
        let sandbox = self.sandbox(&container.record.sandbox)?;
        let shim = sandbox.shim.clone().ok_or(ClientError::Gone).map_err(|error| refused("attach", error))?;
        let stdin_once = container.record.config.0.stdin_once;
        self.streaming.offer(Offer::Attach { shim, container: container.record.id.clone(), streams, stdin_once })
    }

    /// A URL that forwards connections into a sandbox. Ports are named by the streams.
    pub(crate) fn offer_port_forward(&self, request: v1::PortForwardRequest) -> Result<String, Status> {
        let sandbox = self.sandbox(&request.pod_sandbox_id)?;
        let network = sandbox.network.clone().ok_or_else(|| Status::failed_precondition("sandbox is not running"))?;
        self.streaming.offer(Offer::PortForward { sandbox: request.pod_sandbox_id, network })
    }
}

/// As upstream checks it: some stream, and with a terminal no separate standard error.
fn streams(stdin: bool, stdout: bool, stderr: bool, tty: bool) -> Result<u8, Status> {
    if tty && stderr {
        return Err(Status::invalid_argument("tty and stderr cannot both be true"));
    }
    let wanted = [(stdin, STDIN), (stdout, STDOUT), (stderr, STDERR)];
    match wanted.iter().filter(|(on, _)| *on).fold(0, |all, (_, bit)| all | bit) {
        0 => Err(Status::invalid_argument("one of stdin, stdout, or stderr must be set")),
        streams => Ok(streams),
    }
}
