//! New processes, seen from the shim: cloned here, they do the rest in `child`.

use std::os::fd::{AsFd, OwnedFd};

use shim::protocol::*;

use crate::child::{self, Inside, Streams};
use crate::container::{Container, Output};
use crate::log::Log;
use crate::pod::Pod;
use crate::sys::{self, Side};

/// A process that has been cloned and has not begun its program yet.
pub(crate) struct Birth {
    pub(crate) pid: i32,
    /// It speaks here; exec closes the other end.
    pub(crate) socket: OwnedFd,
    /// Who waits for it, with which request.
    pub(crate) client: u32,
    pub(crate) request: u32,
    pub(crate) identity: Option<Identity>,
    /// Its terminal.
    pub(crate) master: Option<OwnedFd>,
    pub(crate) failure: Option<String>,
}

/// What a new process said.
pub(crate) enum News {
    /// Nothing that decides anything.
    Nothing,
    /// It failed, or ended without a word.
    Failed,
    /// It runs its program.
    Begun,
}

impl Birth {
    fn new(pid: i32, socket: OwnedFd) -> Birth {
        Birth { pid, socket, client: 0, request: 0, identity: None, master: None, failure: None }
    }

    /// Notes who is to be told.
    pub(crate) fn expected_by(&mut self, client: u32, request: u32) {
        (self.client, self.request) = (client, request);
    }

    /// Hears everything there is.
    pub(crate) fn hear(&mut self) -> News {
        // A failure's words fit easily; a message that does not is cut by the kernel and then malformed.
        let mut buffer = vec![0; 64 << 10];
        let mut fds = Vec::new();
        loop {
            match sys::receive(self.socket.as_fd(), &mut buffer, &mut fds) {
                Ok(0) if self.identity.is_some() => return News::Begun,
                Ok(0) => return News::Failed,
                Ok(count) => match decode(&buffer[..count]) {
                    Ok(ChildMessage::Ready { identity }) => {
                        self.identity = Some(identity);
                        self.master = fds.pop();
                    }
                    Ok(ChildMessage::Failed { message }) => {
                        self.failure = Some(message);
                        return News::Failed;
                    }
                    Err(error) => {
                        self.failure = Some(error.to_string());
                        return News::Failed;
                    }
                },
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return News::Nothing,
                Err(error) => {
                    self.failure = Some(error.to_string());
                    return News::Failed;
                }
            }
        }
    }
}

fn named<T>(what: &str, result: std::io::Result<T>) -> Result<T, String> {
    result.map_err(|error| format!("{what}: {error}"))
}

/// Clones a container's first process. `target` is the process whose namespace `PID_TARGET` means.
pub(crate) fn start(spec: &ContainerSpec, pod: &Pod, target: Option<i32>) -> Result<(Container, Birth), String> {
    let log = Log::open(&spec.log_path, pod.log_rate);
    let log = named(&format!("open the log {}", spec.log_path), log)?;
    let mut container = Container::new(spec, log);
    let streams = container_streams(spec, &mut container)?;
    let namespace = match spec.pid_mode {
        PID_POD => match &pod.inert {
            Some((_, namespace)) => Some(named("copy a descriptor", namespace.try_clone())?),
            None => return Err("the pod does not share a process namespace".into()),
        },
        PID_TARGET => Some(process_namespace(target.filter(|pid| *pid > 0).ok_or("the target container has ended")?)?),
        _ => None,
    };
    let own = if spec.pid_mode == PID_OWN { libc::CLONE_NEWPID } else { 0 };
    let (ours, theirs) = named("make a socket", sys::message_pair())?;
    let side = clone_into(pod, namespace, libc::CLONE_NEWNS | own, &spec.cgroup.unified)?;
    match side {
        Side::Child => {
            drop(ours);
            child::run_container(spec, pod.shm.as_ref().map(|fd| fd.as_fd()), &streams, theirs.as_fd())
        }
        Side::Parent(pid) => {
            container.state.pid = pid;
            named("make a socket", sys::set_nonblocking(ours.as_fd()))?;
            Ok((container, Birth::new(pid, ours)))
        }
    }
}

/// Clones one more process into a running container.
pub(crate) fn exec(
    container: &Container,
    process: &ProcessSpec,
    pod: &Pod,
    fds: [Option<OwnedFd>; 3],
) -> Result<Birth, String> {
    let pid = container.state.pid;
    let open = |kind: &str| {
        let path = format!("/proc/{pid}/ns/{kind}");
        named(&path, sys::open(&path, libc::O_RDONLY))
    };
    let cgroups = if container.own_cgroups { Some(open("cgroup")?) } else { None };
    let inside = Inside { mounts: open("mnt")?, cgroups };
    let streams = if process.terminal { Streams::Terminal } else { Streams::Given(fds) };
    let (ours, theirs) = named("make a socket", sys::message_pair())?;
    let namespace = Some(process_namespace(pid)?);
    match clone_into(pod, namespace, 0, &container.cgroup.unified)? {
        Side::Child => {
            drop(ours);
            child::run_exec(process, &container.cgroup.join, &inside, &streams, theirs.as_fd())
        }
        Side::Parent(pid) => {
            named("make a socket", sys::set_nonblocking(ours.as_fd()))?;
            Ok(Birth::new(pid, ours))
        }
    }
}

/// Makes a container's pipes; the shim's ends go to `container`.
fn container_streams(spec: &ContainerSpec, container: &mut Container) -> Result<Streams, String> {
    if spec.process.terminal {
        return Ok(Streams::Terminal);
    }
    let pipe = || named("make a pipe", sys::pipe());
    let (out, out_writer) = pipe()?;
    let (err, err_writer) = pipe()?;
    let output = |source, name| named("make a pipe", Output::new(source, name)).map(Some);
    container.outputs = [output(out, "stdout")?, output(err, "stderr")?];
    let input = match spec.stdin {
        true => {
            let (reader, writer) = pipe()?;
            container.input = Some(writer);
            Some(reader)
        }
        false => None,
    };
    Ok(Streams::Given([input, Some(out_writer), Some(err_writer)]))
}

fn process_namespace(pid: i32) -> Result<OwnedFd, String> {
    let path = format!("/proc/{pid}/ns/pid");
    named(&path, sys::open(&path, libc::O_RDONLY))
}

/// Clones into a process namespace and a v2 cgroup.
fn clone_into(pod: &Pod, namespace: Option<OwnedFd>, flags: libc::c_int, unified: &str) -> Result<Side, String> {
    let cgroup = if unified.is_empty() { None } else { Some(named(unified, sys::open_path(unified))?) };
    if let Some(namespace) = &namespace {
        named("enter the process namespace", sys::enter(namespace.as_fd(), libc::CLONE_NEWPID))?;
    }
    let side = sys::clone(flags, cgroup.as_ref().map(|fd| fd.as_fd()));
    if namespace.is_some() && !matches!(side, Ok(Side::Child)) {
        // The shim itself never left; this is about the children to come.
        named("return to the process namespace", sys::enter(pod.processes.as_fd(), libc::CLONE_NEWPID))?;
    }
    named("clone a process", side)
}
