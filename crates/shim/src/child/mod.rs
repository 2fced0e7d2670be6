//! What a new process does between its clone and its program: the only code that runs inside a container.
//!
//! Invariants: it talks to the shim through one socket, which exec closes; it never returns; an error names the step
//! that failed. Up to the change of identity it is root with everything, so nothing before that trusts a path of the
//! container's: all are resolved below the new root by the kernel.

mod dev;
mod identity;
mod mounts;
mod program;
mod rootfs;
mod target;

use std::convert::Infallible;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use shim::protocol::{ChildMessage, ContainerSpec, Encode, Identity, ProcessSpec};

use crate::sys;

/// A failed step: what was tried, and why not.
#[derive(Debug)]
pub(crate) struct Failure(String);

/// Result of a step.
pub(crate) type Step<T> = Result<T, Failure>;

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Names the step in an error.
pub(crate) trait During<T> {
    fn during(self, what: impl FnOnce() -> String) -> Step<T>;
}

impl<T> During<T> for io::Result<T> {
    fn during(self, what: impl FnOnce() -> String) -> Step<T> {
        self.map_err(|error| {
            let text = error.to_string();
            // "No such file or directory (os error 2)": the number says nothing more.
            let reason = text.split(" (os error").next().unwrap_or(&text);
            Failure(format!("{}: {reason}", what()))
        })
    }
}

/// Where a new process gets its streams from.
pub(crate) enum Streams {
    /// A terminal made in the container's own devpts.
    Terminal,
    /// Standard input, output and error; `None` is `/dev/null`.
    Given([Option<OwnedFd>; 3]),
}

/// A container's first process. Its new mount and process namespaces are there already.
pub(crate) fn run_container(
    spec: &ContainerSpec,
    shm: Option<BorrowedFd<'_>>,
    streams: &Streams,
    shim: BorrowedFd<'_>,
) -> ! {
    let failure = prepare_container(spec, shm).and_then(|()| become_program(&spec.process, streams, shim, true));
    report_failure(failure, shim)
}

/// The namespaces of a running container.
pub(crate) struct Inside {
    pub(crate) mounts: OwnedFd,
    pub(crate) cgroups: Option<OwnedFd>,
}

/// One more process in a running container. Its process namespace is that container's already.
pub(crate) fn run_exec(
    process: &ProcessSpec,
    join: &[String],
    inside: &Inside,
    streams: &Streams,
    shim: BorrowedFd<'_>,
) -> ! {
    let failure = prepare_exec(process, join, inside).and_then(|()| become_program(process, streams, shim, false));
    report_failure(failure, shim)
}

/// Nobody can be told when the socket fails: the shim sees a child that ended without a word.
fn report_failure(failure: Step<Infallible>, shim: BorrowedFd<'_>) -> ! {
    let Err(Failure(message)) = failure;
    tell(shim, &ChildMessage::Failed { message }, None).ok();
    sys::exit(128)
}

fn prepare_container(spec: &ContainerSpec, shm: Option<BorrowedFd<'_>>) -> Step<()> {
    begin(&spec.process, &spec.cgroup.join)?;
    rootfs::enter(spec, shm)
}

fn prepare_exec(process: &ProcessSpec, join: &[String], inside: &Inside) -> Step<()> {
    begin(process, join)?;
    if let Some(cgroups) = &inside.cgroups {
        sys::enter(cgroups.as_fd(), libc::CLONE_NEWCGROUP).during(|| "enter the cgroup namespace".into())?;
    }
    sys::enter(inside.mounts.as_fd(), libc::CLONE_NEWNS).during(|| "enter the mount namespace".into())
}

/// Session, cgroups, keyring and score: what needs the host's files.
fn begin(process: &ProcessSpec, join: &[String]) -> Step<()> {
    sys::new_session().during(|| "begin a session".into())?;
    for file in join {
        std::fs::write(file, "0").during(|| format!("join the cgroup {file}"))?;
    }
    match sys::new_keyring() {
        // A kernel without keys has none to hide; a filter around the node may forbid the call.
        Err(error) if !matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) => {
            return Err(error).during(|| "make a session keyring".into());
        }
        _ => {}
    }
    match process.oom_score_adj {
        Some(score) => set_oom_score(score),
        None => Ok(()),
    }
}

/// Sets the score; without CAP_SYS_RESOURCE the kernel refuses one below what was set last, which then stays.
pub(crate) fn set_oom_score(score: i32) -> Step<()> {
    let file = "/proc/self/oom_score_adj";
    match std::fs::write(file, score.to_string()) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        result => result.during(|| format!("write {score} to {file}")),
    }
}

/// Streams, identity, limits, program. Returns only to say why not.
fn become_program(process: &ProcessSpec, streams: &Streams, shim: BorrowedFd<'_>, console: bool) -> Step<Infallible> {
    let user = identity::resolve(process)?;
    let master = connect(streams, user.identity.uid, console)?;
    // The socket and everything else from 3 on closes when the program begins.
    sys::close_others_on_exec().during(|| "close descriptors".into())?;
    tell_ready(shim, &user.identity, master)?;
    let program = program::Program::find(process, &user)?;
    identity::assume(process, &user.identity)?;
    Err(program.run())
}

/// Connects the standard streams; answers a terminal's master side.
fn connect(streams: &Streams, uid: u32, console: bool) -> Step<Option<OwnedFd>> {
    let master = match streams {
        Streams::Terminal => {
            let (master, terminal) = sys::open_terminal().during(|| "make a terminal".into())?;
            sys::control_terminal(terminal.as_fd()).during(|| "take the terminal".into())?;
            for stream in 0..3 {
                sys::replace_standard(terminal.as_fd(), stream).during(|| "connect the terminal".into())?;
            }
            if console {
                dev::console(terminal.as_fd())?;
            }
            Some(master)
        }
        Streams::Given(fds) => {
            for (stream, fd) in fds.iter().enumerate() {
                connect_one(fd.as_ref(), stream as i32)?;
            }
            None
        }
    };
    // So that `/dev/stdout` can be opened by name, also by users other than root.
    for stream in 0..3 {
        let fd = sys::standard(stream);
        let mode = sys::stat(fd).during(|| "look at a stream".into())?.st_mode & libc::S_IFMT;
        if mode == libc::S_IFIFO || master.is_some() {
            sys::change_owner(fd, uid).during(|| "give a stream to the user".into())?;
        }
    }
    Ok(master)
}

fn connect_one(fd: Option<&OwnedFd>, stream: i32) -> Step<()> {
    match fd {
        Some(fd) => sys::replace_standard(fd.as_fd(), stream).during(|| "connect a stream".into()),
        None => {
            let null = sys::open("/dev/null", libc::O_RDWR).during(|| "open /dev/null".into())?;
            sys::replace_standard(null.as_fd(), stream).during(|| "connect a stream".into())
        }
    }
}

fn tell_ready(shim: BorrowedFd<'_>, identity: &Identity, master: Option<OwnedFd>) -> Step<()> {
    let ready = ChildMessage::Ready { identity: identity.clone() };
    tell(shim, &ready, master).during(|| "tell the shim".into())
}

fn tell(shim: BorrowedFd<'_>, message: &ChildMessage, fd: Option<OwnedFd>) -> io::Result<()> {
    let mut bytes = Vec::new();
    message.encode(&mut bytes);
    // A socket that keeps messages apart sends all or nothing.
    sys::send(shim, &bytes, fd.as_ref().map(|fd| fd.as_fd()).as_slice()).map(drop)
}
