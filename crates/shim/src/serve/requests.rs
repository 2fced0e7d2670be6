//! What clients ask.

use std::os::fd::{AsFd, OwnedFd};

use shim::protocol::*;

use super::{CONTAINERS_MAX, EXECS_MAX, Shim, Token};
use crate::attach::Watcher;
use crate::spawn;
use crate::sys::{self, WRITABLE};

/// A refusal: its kind, and in words.
type Refusal = (u8, String);

/// An answer with what goes along.
type Answer = Result<(Reply, Vec<OwnedFd>), Refusal>;

fn done() -> Answer {
    Ok((Reply::Done {}, Vec::new()))
}

fn failed(what: &str, error: &std::io::Error) -> Refusal {
    (ERROR_FAILED, format!("{what}: {error}"))
}

impl Shim {
    /// Answers one request, at once or when its process has begun.
    pub(super) fn answer(&mut self, client: u32, id: u32, message: &[u8]) {
        let answer = match decode::<Request>(message) {
            Err(error) => Err((ERROR_FAILED, error.to_string())),
            Ok(Request::Start { container }) => match self.start(client, id, &container) {
                Ok(()) => return,
                Err(refusal) => Err(refusal),
            },
            Ok(Request::Exec { container, process, streams }) => {
                match self.exec(client, id, &container, &process, streams) {
                    Ok(()) => return,
                    Err(refusal) => Err(refusal),
                }
            }
            Ok(request) => self.answer_now(client, request),
        };
        self.respond(client, id, answer);
    }

    pub(super) fn respond(&mut self, client: u32, id: u32, answer: Answer) {
        let (reply, fds) = answer.unwrap_or_else(|(kind, message)| (Reply::Error { kind, message }, Vec::new()));
        if let Some(connection) = self.connections.get_mut(&client) {
            connection.reply(id, &reply, fds);
        }
        self.flush(client);
    }

    fn answer_now(&mut self, client: u32, request: Request) -> Answer {
        match request {
            Request::Hello { .. } => {
                Ok((Reply::Hello { version: VERSION, pid: std::process::id() as i32 }, Vec::new()))
            }
            Request::State { subscribe } => self.state(client, subscribe),
            Request::Signal { container, signal } => self.signal(&container, signal),
            Request::SignalExec { exec, signal } => match self.execs.get(&exec) {
                Some(exec) => sys::signal_child(exec.pid, signal).map_err(|error| failed("signal", &error)),
                None => Err((ERROR_NOT_FOUND, format!("no exec {exec}"))),
            }
            .and_then(|()| done()),
            Request::Attach { container, streams } => self.attach(client, &container, streams),
            Request::CloseStdin { container } => {
                let number = self.find(&container)?;
                self.containers.entry(number).and_modify(|container| container.input = None);
                done()
            }
            Request::ReopenLog { container } => {
                let number = self.find(&container)?;
                match self.containers.get_mut(&number).map(|container| container.log.reopen()) {
                    Some(Err(error)) => Err(failed("reopen the log", &error)),
                    _ => done(),
                }
            }
            Request::Forget { container } => self.forget(&container),
            Request::Shutdown {} => {
                self.end();
                done()
            }
            Request::Start { .. } | Request::Exec { .. } => Err((ERROR_FAILED, "answered elsewhere".into())),
        }
    }

    /// The number of the container with this id.
    fn find(&self, id: &str) -> Result<u32, Refusal> {
        let found = self.containers.iter().find(|(_, container)| container.state.id == id);
        found.map(|(number, _)| *number).ok_or_else(|| (ERROR_NOT_FOUND, format!("no container {id}")))
    }

    fn state(&mut self, client: u32, subscribe: bool) -> Answer {
        let containers = self.containers.values().map(|container| container.report()).collect();
        let network = self.pod.network.try_clone().map_err(|error| failed("copy the network namespace", &error))?;
        if let Some(connection) = self.connections.get_mut(&client) {
            connection.subscribed |= subscribe;
        }
        Ok((Reply::State { containers }, vec![network]))
    }

    fn start(&mut self, client: u32, id: u32, spec: &ContainerSpec) -> Result<(), Refusal> {
        if self.ending {
            return Err((ERROR_STATE, "the pod is ending".into()));
        }
        if self.find(&spec.id).is_ok() {
            return Err((ERROR_STATE, format!("container {} was started already", spec.id)));
        }
        if self.containers.len() >= CONTAINERS_MAX {
            return Err((ERROR_LIMIT, format!("a pod keeps at most {CONTAINERS_MAX} containers")));
        }
        let target = match spec.pid_mode {
            PID_TARGET => self.containers.get(&self.find(&spec.pid_target)?).map(|container| container.state.pid),
            _ => None,
        };
        let (container, mut birth) =
            spawn::start(spec, &self.pod, target).map_err(|message| (ERROR_FAILED, message))?;
        let number = self.next_number();
        birth.expected_by(client, id);
        self.containers.insert(number, container);
        self.watch_birth(number, birth);
        Ok(())
    }

    fn exec(
        &mut self,
        client: u32,
        id: u32,
        container: &str,
        process: &ProcessSpec,
        streams: u8,
    ) -> Result<(), Refusal> {
        // Taken off even when the request is refused: they belong to no other.
        let mut fds = [None, None, None];
        for (at, bit) in [STDIN, STDOUT, STDERR].into_iter().enumerate().filter(|(_, bit)| streams & bit != 0) {
            let fd = self.connections.get_mut(&client).and_then(|connection| connection.take_fd());
            fds[at] = Some(fd.ok_or_else(|| (ERROR_FAILED, format!("stream {bit} came without its descriptor")))?);
        }
        let number = self.find(container)?;
        let container = self.containers.get(&number).filter(|container| container.state.phase == PHASE_RUNNING);
        let container = container.ok_or_else(|| (ERROR_STATE, "container not running".to_owned()))?;
        if self.execs.len() >= EXECS_MAX {
            return Err((ERROR_LIMIT, format!("a pod runs at most {EXECS_MAX} commands beside its containers")));
        }
        let mut birth = spawn::exec(container, process, &self.pod, fds).map_err(|message| (ERROR_FAILED, message))?;
        let number = self.next_number();
        birth.expected_by(client, id);
        self.execs.insert(number, super::Exec { pid: birth.pid, client });
        self.watch_birth(number, birth);
        Ok(())
    }

    fn signal(&mut self, id: &str, signal: i32) -> Answer {
        let container = &self.containers[&self.find(id)?];
        if container.state.phase == PHASE_EXITED || container.state.pid == 0 {
            return done();
        }
        sys::signal_child(container.state.pid, signal).map_err(|error| failed("signal", &error))?;
        done()
    }

    fn attach(&mut self, client: u32, id: &str, streams: u8) -> Answer {
        let mut fds = Vec::new();
        for (stream, bit) in [STDOUT, STDERR].into_iter().enumerate().filter(|(_, bit)| streams & bit != 0) {
            let fd = self.connections.get_mut(&client).and_then(|connection| connection.take_fd());
            fds.push((stream, fd.ok_or_else(|| (ERROR_FAILED, format!("stream {bit} came without its descriptor")))?));
        }
        let number = self.find(id)?;
        for (stream, fd) in fds {
            let watcher = Watcher::new(self.next_number(), stream, fd).map_err(|error| failed("attach", &error))?;
            if let Some(container) = self.containers.get_mut(&number) {
                container.watchers.push(watcher);
            }
        }
        let container = self.containers.get(&number).filter(|container| container.state.phase == PHASE_RUNNING);
        let container = container.ok_or_else(|| (ERROR_STATE, "container not running".to_owned()))?;
        let input = container.input.as_ref().map(|fd| fd.try_clone()).transpose();
        let input = input.map_err(|error| failed("copy the standard input", &error))?;
        Ok((Reply::Attached { terminal: container.terminal, has_stdin: input.is_some() }, input.into_iter().collect()))
    }

    fn forget(&mut self, id: &str) -> Answer {
        let Ok(number) = self.find(id) else { return done() };
        if self.containers[&number].state.phase != PHASE_EXITED {
            return Err((ERROR_STATE, format!("container {id} has not exited")));
        }
        self.containers.remove(&number);
        done()
    }

    /// Kills everything; the loop ends when all of it is reaped.
    fn end(&mut self) {
        self.ending = true;
        let containers = self.containers.values().filter(|container| container.state.phase != PHASE_EXITED);
        let births = self.births.values().map(|birth| birth.pid);
        let pids = containers.map(|container| container.state.pid).chain(self.execs.values().map(|exec| exec.pid));
        let inert = self.pod.inert.as_ref().map(|(pid, _)| *pid);
        for pid in pids.chain(births).chain(inert).filter(|pid| *pid > 1) {
            // One that has ended by now is reaped by the loop.
            sys::signal_child(pid, libc::SIGKILL).ok();
        }
    }

    /// Lets the loop go on with a watcher that is behind.
    pub(super) fn await_watcher(&self, watcher: &Watcher) -> std::io::Result<()> {
        self.epoll.add(watcher.fd.as_fd(), WRITABLE, Token::Watcher(watcher.number).code())
    }
}
