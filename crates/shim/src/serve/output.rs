//! Containers' output, to their logs and to those who watch.

use std::os::fd::AsFd;

use super::{CHUNK_BYTES, Shim, Token};
use crate::attach::Taken;
use crate::sys::{self, READABLE};

/// What one read of a stream gave.
enum Got {
    Bytes,
    Nothing,
    End,
}

/// Reads at a container's end: as much as a pipe can be made to hold (`pipe-max-size`, 1 MiB), then the rest is left
/// to processes that outlive the first one.
const DRAIN_READS_MAX: usize = (1 << 20) / CHUNK_BYTES + 1;

impl Shim {
    /// Lets the loop tell when a stream has something, unless somebody is behind on it.
    pub(super) fn watch_output(&mut self, number: u32, stream: usize) {
        let Some(container) = self.containers.get_mut(&number) else { return };
        let behind = container.watchers.iter().any(|watcher| watcher.stream == stream && watcher.is_behind());
        let Some(output) = container.outputs[stream].as_mut().filter(|output| !behind && !output.watched) else {
            return;
        };
        let token = Token::Output(number, stream).code();
        // Where this fails, the stream is read at the container's end.
        output.watched = self.epoll.add(output.source.as_fd(), READABLE, token).is_ok();
    }

    /// A stream has something.
    pub(super) fn copy_output(&mut self, number: u32, stream: usize) {
        if let Got::End = self.read_output(number, stream) {
            self.close_output(number, stream);
        }
    }

    /// Reads everything that an ended container has left in its pipes.
    pub(super) fn drain_outputs(&mut self, number: u32) {
        for stream in 0..2 {
            for _ in 0..DRAIN_READS_MAX {
                match self.read_output(number, stream) {
                    Got::Bytes => {}
                    Got::Nothing => break,
                    Got::End => {
                        self.close_output(number, stream);
                        break;
                    }
                }
            }
        }
    }

    fn read_output(&mut self, number: u32, stream: usize) -> Got {
        let Some(container) = self.containers.get_mut(&number) else { return Got::Nothing };
        let Some(output) = container.outputs[stream].as_mut() else { return Got::Nothing };
        let bytes = match sys::read(output.source.as_fd(), &mut self.buffer) {
            Ok(0) => return Got::End,
            Ok(count) => &self.buffer[..count],
            Err(error) => match error.raw_os_error() {
                Some(libc::EAGAIN | libc::EINTR) => return Got::Nothing,
                // A terminal's master side reads EIO once nobody has the other side open.
                _ => return Got::End,
            },
        };
        container.log.write(&mut output.stream, bytes);
        let mut late = Vec::new();
        container.watchers.retain_mut(|watcher| {
            if watcher.stream != stream {
                return true;
            }
            let was_behind = watcher.is_behind();
            let taken = watcher.give(bytes);
            if taken == Taken::Part && !was_behind {
                late.push(watcher.number);
            }
            taken != Taken::Gone
        });
        if !late.is_empty() {
            self.hold_back(number, stream, &late);
        }
        Got::Bytes
    }

    /// Stops reading a stream until its watchers have caught up.
    fn hold_back(&mut self, number: u32, stream: usize, late: &[u32]) {
        let Some(container) = self.containers.get_mut(&number) else { return };
        if let Some(output) = container.outputs[stream].as_mut().filter(|output| output.watched) {
            output.watched = self.epoll.remove(output.source.as_fd()).is_err();
        }
        let Some(container) = self.containers.get(&number) else { return };
        let watchers = container.watchers.iter().filter(|watcher| late.contains(&watcher.number));
        let lost: Vec<u32> =
            watchers.filter(|watcher| self.await_watcher(watcher).is_err()).map(|watcher| watcher.number).collect();
        self.drop_watchers(number, &lost);
    }

    fn drop_watchers(&mut self, number: u32, gone: &[u32]) {
        if let Some(container) = self.containers.get_mut(&number) {
            container.watchers.retain(|watcher| !gone.contains(&watcher.number));
        }
    }

    /// A watcher that was behind takes more, or is gone.
    pub(super) fn catch_up(&mut self, watcher_number: u32) {
        let found = self.containers.iter_mut().find_map(|(number, container)| {
            let at = container.watchers.iter().position(|watcher| watcher.number == watcher_number)?;
            Some((*number, at))
        });
        let Some((number, at)) = found else { return };
        let Some(container) = self.containers.get_mut(&number) else { return };
        let stream = container.watchers[at].stream;
        let taken = container.watchers[at].go_on();
        if taken == Taken::Part {
            return;
        }
        let removed = self.epoll.remove(container.watchers[at].fd.as_fd());
        if taken == Taken::Gone || removed.is_err() || container.outputs[stream].is_none() {
            container.watchers.remove(at);
        }
        self.watch_output(number, stream);
    }

    /// Whether a container's last lines wait for room in its log.
    pub(super) fn is_holding_lines(&self) -> bool {
        self.containers.values().any(|container| container.log.is_holding())
    }

    pub(super) fn release_lines(&mut self) {
        self.containers.values_mut().for_each(|container| container.log.release(false));
    }

    /// A stream has ended: its last line is written, and its watchers see the end once they have caught up.
    fn close_output(&mut self, number: u32, stream: usize) {
        let Some(container) = self.containers.get_mut(&number) else { return };
        if let Some(mut output) = container.outputs[stream].take() {
            container.log.finish(&mut output.stream);
        }
        container.watchers.retain(|watcher| watcher.stream != stream || watcher.is_behind());
    }
}
