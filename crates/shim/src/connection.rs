//! One client: frames in, frames out, with their descriptors.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use shim::protocol::{Encode, FRAME_FDS_MAX, Reply, frame, unframe};

use crate::sys;

/// Bytes that wait for a client that does not read; beyond it the client is dropped, and asks for the state anew
/// when it is back.
const OUTBOUND_BYTES_MAX: usize = 256 << 10;
/// Bytes taken from a client at once.
const CHUNK_BYTES: usize = 16 << 10;

/// The client is gone, or speaks nonsense.
pub(crate) struct Gone;

/// A connected client.
pub(crate) struct Connection {
    pub(crate) socket: OwnedFd,
    /// Whether it wants events.
    pub(crate) subscribed: bool,
    /// Whether the event loop watches for room to write.
    pub(crate) waiting: bool,
    inbound: Vec<u8>,
    fds: VecDeque<OwnedFd>,
    outbound: VecDeque<Outbound>,
    queued: usize,
}

struct Outbound {
    bytes: Vec<u8>,
    sent: usize,
    fds: Vec<OwnedFd>,
}

impl Connection {
    pub(crate) fn new(socket: OwnedFd) -> Connection {
        Connection {
            socket,
            subscribed: false,
            waiting: false,
            inbound: Vec::new(),
            fds: VecDeque::new(),
            outbound: VecDeque::new(),
            queued: 0,
        }
    }

    /// Reads what there is; answers whole frames as id and message.
    pub(crate) fn receive(&mut self) -> Result<Vec<(u32, Vec<u8>)>, Gone> {
        let mut chunk = [0; CHUNK_BYTES];
        let mut fds = Vec::new();
        loop {
            match sys::receive(self.socket.as_fd(), &mut chunk, &mut fds) {
                Ok(0) => return Err(Gone),
                Ok(count) => self.inbound.extend_from_slice(&chunk[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Err(Gone),
            }
            self.fds.extend(fds.drain(..));
            if self.fds.len() > FRAME_FDS_MAX {
                return Err(Gone);
            }
            // One frame at a time keeps the buffer within a frame's bound.
            if let Some(frame) = unframe(&mut self.inbound).map_err(|_| Gone)? {
                return self.more(frame);
            }
        }
        Ok(Vec::new())
    }

    fn more(&mut self, first: (u32, Vec<u8>)) -> Result<Vec<(u32, Vec<u8>)>, Gone> {
        let mut frames = vec![first];
        while let Some(frame) = unframe(&mut self.inbound).map_err(|_| Gone)? {
            frames.push(frame);
        }
        if self.inbound.is_empty() {
            self.inbound = Vec::new();
        }
        Ok(frames)
    }

    /// The next descriptor that came with a request.
    pub(crate) fn take_fd(&mut self) -> Option<OwnedFd> {
        self.fds.pop_front()
    }

    /// Queues an answer to the request `id`.
    pub(crate) fn reply(&mut self, id: u32, reply: &Reply, fds: Vec<OwnedFd>) {
        self.push(id, reply, fds);
    }

    /// Queues a message.
    pub(crate) fn push(&mut self, id: u32, message: &impl Encode, fds: Vec<OwnedFd>) {
        let bytes = frame(id, message);
        self.queued += bytes.len();
        self.outbound.push_back(Outbound { bytes, sent: 0, fds });
    }

    /// Sends what the client takes; answers whether something is left.
    pub(crate) fn flush(&mut self) -> Result<bool, Gone> {
        while let Some(next) = self.outbound.front_mut() {
            let fds: Vec<_> = next.fds.iter().map(|fd| fd.as_fd()).collect();
            match sys::send(self.socket.as_fd(), &next.bytes[next.sent..], &fds) {
                Ok(count) => {
                    next.sent += count;
                    // Descriptors go with the first byte.
                    next.fds.clear();
                    if next.sent == next.bytes.len() {
                        self.queued -= next.bytes.len();
                        self.outbound.pop_front();
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => return Err(Gone),
            }
        }
        if self.queued > OUTBOUND_BYTES_MAX { Err(Gone) } else { Ok(!self.outbound.is_empty()) }
    }
}
