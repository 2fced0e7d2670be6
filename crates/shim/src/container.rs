//! What the shim keeps of a container: its state, its streams, what an exec in it needs.

use std::os::fd::{AsFd, OwnedFd};

use shim::protocol::{CgroupSpec, ContainerState, PHASE_EXITED};

use crate::attach::Watcher;
use crate::log::{Log, Stream};
use crate::sys;

/// One container, from its start until the node forgets it.
pub(crate) struct Container {
    pub(crate) state: ContainerState,
    pub(crate) cgroup: CgroupSpec,
    /// Whether it has a cgroup namespace, which an exec joins.
    pub(crate) own_cgroups: bool,
    pub(crate) terminal: bool,
    pub(crate) log: Log,
    /// Standard output and error; of a terminal, only the first.
    pub(crate) outputs: [Option<Output>; 2],
    /// What writes to its standard input: a pipe, or the terminal's master side.
    pub(crate) input: Option<OwnedFd>,
    pub(crate) watchers: Vec<Watcher>,
    oom_file: String,
    kill_list: String,
}

/// One stream of a container on its way to log and watchers.
pub(crate) struct Output {
    pub(crate) source: OwnedFd,
    pub(crate) stream: Stream,
    /// Whether the event loop watches it; not while a watcher is behind.
    pub(crate) watched: bool,
}

impl Output {
    /// Takes a pipe's reading end or a terminal's master side.
    pub(crate) fn new(source: OwnedFd, name: &'static str) -> std::io::Result<Output> {
        sys::set_nonblocking(source.as_fd())?;
        Ok(Output { source, stream: Stream::new(name), watched: false })
    }
}

impl Container {
    pub(crate) fn new(spec: &shim::protocol::ContainerSpec, log: Log) -> Container {
        Container {
            state: ContainerState { id: spec.id.clone(), ..ContainerState::default() },
            cgroup: spec.cgroup.clone(),
            own_cgroups: spec.cgroup_views.is_empty(),
            terminal: spec.process.terminal,
            log,
            outputs: [None, None],
            input: None,
            watchers: Vec::new(),
            oom_file: spec.oom_file.clone(),
            kill_list: spec.kill_list.clone(),
        }
    }

    /// Its state as the node is told.
    pub(crate) fn report(&self) -> ContainerState {
        ContainerState { log_lines_lost: self.log.lost(), ..self.state.clone() }
    }

    /// Its first process has ended: notes how, and ends what it leaves behind.
    pub(crate) fn exited(&mut self, exit_code: i32) {
        self.state.phase = PHASE_EXITED;
        self.state.exit_code = exit_code;
        self.state.finished_ns = sys::now_ns();
        self.state.oom_killed = self.out_of_memory();
        self.input = None;
        self.kill_rest();
    }

    /// Whether the kernel killed one of its processes for want of memory. Its group may be gone already, then it is
    /// the node that removed it and knows.
    fn out_of_memory(&self) -> bool {
        let Ok(text) = std::fs::read_to_string(&self.oom_file) else { return false };
        let count = text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse::<u64>().ok());
        count.unwrap_or(0) > 0
    }

    /// Kills what is left where the process namespace is shared and so lives on. Once: a process that forks faster
    /// than it is listed is the node's to kill, with the group frozen behind it.
    fn kill_rest(&self) {
        if self.kill_list.is_empty() {
            return;
        }
        let Ok(text) = std::fs::read_to_string(&self.kill_list) else { return };
        for pid in text.lines().filter_map(|line| line.parse::<i32>().ok()).filter(|pid| *pid > 1) {
            // It may have ended since it was listed.
            sys::signal_child(pid, libc::SIGKILL).ok();
        }
    }
}
