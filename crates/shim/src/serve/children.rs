//! Births and ends of processes.

use std::os::fd::AsFd;

use shim::protocol::*;

use super::{Shim, Token};
use crate::container::Output;
use crate::spawn::{Birth, News};
use crate::sys::{self, READABLE};

impl Shim {
    /// Waits for a new process to say whether it became what it was made for.
    pub(super) fn watch_birth(&mut self, number: u32, birth: Birth) {
        let watched = self.epoll.add(birth.socket.as_fd(), READABLE, Token::Birth(number).code());
        self.births.insert(number, birth);
        if watched.is_err() {
            // Without its word it counts as failed, and its end clears up.
            self.births.entry(number).and_modify(|birth| birth.failure = Some("the shim cannot watch it".into()));
        }
    }

    /// Hears what a new process says.
    pub(super) fn hear_birth(&mut self, number: u32) {
        let Some(birth) = self.births.get_mut(&number) else { return };
        match birth.hear() {
            News::Nothing => {}
            News::Failed => self.fail_birth(number),
            News::Begun => self.finish_birth(number),
        }
    }

    /// A process failed before it began: the client is told, and nothing of it is kept.
    fn fail_birth(&mut self, number: u32) {
        let Some(birth) = self.births.remove(&number) else { return };
        self.containers.remove(&number);
        self.execs.remove(&number);
        let message = birth.failure.unwrap_or_else(|| "it was killed before it began".into());
        self.respond(birth.client, birth.request, Err((ERROR_FAILED, message)));
    }

    /// A process runs its program now.
    fn finish_birth(&mut self, number: u32) {
        let Some(birth) = self.births.remove(&number) else { return };
        let (client, request) = (birth.client, birth.request);
        let reply = match self.execs.get(&number) {
            Some(exec) => {
                let terminal = birth.master.is_some();
                let reply = Reply::ExecStarted { exec: number, pid: exec.pid, terminal };
                (reply, birth.master.into_iter().collect())
            }
            None => {
                self.begin_container(number, birth);
                let Some(container) = self.containers.get(&number) else { return };
                let state = container.report();
                self.publish(&Event::Started { state: state.clone() });
                (Reply::Started { state }, Vec::new())
            }
        };
        self.respond(client, request, Ok(reply));
    }

    fn begin_container(&mut self, number: u32, birth: Birth) {
        let Some(container) = self.containers.get_mut(&number) else { return };
        container.state.phase = PHASE_RUNNING;
        container.state.started_ns = sys::now_ns();
        container.state.identity = birth.identity.unwrap_or_default();
        if let Some(master) = birth.master {
            // A copy to read from, one to write to. Without a second one, what it says matters more.
            container.input = master.try_clone().ok();
            container.outputs[0] = Output::new(master, "stdout").ok();
        }
        for stream in 0..2 {
            self.watch_output(number, stream);
        }
    }

    /// Reaps every child that has ended.
    pub(super) fn reap(&mut self) {
        // Several ends make one signal: its descriptor is emptied first, then all are taken.
        while sys::read(self.pod.children.as_fd(), &mut [0; 128]).is_ok() {}
        while let Some((pid, exit_code)) = sys::reap() {
            self.bury(pid, exit_code);
        }
    }

    fn bury(&mut self, pid: i32, exit_code: i32) {
        // One that ends at once may not have been heard yet.
        let birth = self.births.iter().find(|(_, birth)| birth.pid == pid).map(|(number, _)| *number);
        if let Some(number) = birth {
            self.hear_birth(number);
            self.fail_birth(number);
        }
        if let Some(number) = self.execs.iter().find(|(_, exec)| exec.pid == pid).map(|(number, _)| *number)
            && let Some(exec) = self.execs.remove(&number)
        {
            self.tell(exec.client, &Event::ExecExited { exec: number, exit_code });
            return;
        }
        let container = self
            .containers
            .iter()
            .find(|(_, container)| container.state.pid == pid && container.state.phase == PHASE_RUNNING);
        if let Some(number) = container.map(|(number, _)| *number) {
            self.end_container(number, exit_code);
        }
    }

    fn end_container(&mut self, number: u32, exit_code: i32) {
        if let Some(container) = self.containers.get_mut(&number) {
            container.exited(exit_code);
        }
        // What it said last is in the log before its end is known.
        self.drain_outputs(number);
        if let Some(container) = self.containers.get_mut(&number) {
            container.log.release(true);
            let state = container.report();
            self.publish(&Event::Exited { state });
        }
    }
}
