//! Frames and descriptors over the shim's socket.

use std::collections::VecDeque;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use ::shim::protocol::{FRAME_FDS_MAX, unframe};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
};
use tokio::io::Interest;
use tokio::net::UnixStream;

/// Bytes read at once.
const CHUNK_BYTES: usize = 16 << 10;

/// Sends a whole frame, its descriptors with the first byte.
pub(super) async fn send(stream: &UnixStream, bytes: &[u8], fds: &[OwnedFd]) -> io::Result<()> {
    let mut sent = 0;
    while sent < bytes.len() {
        sent += stream
            .async_io(Interest::WRITABLE, || {
                let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FRAME_FDS_MAX))];
                let mut control = SendAncillaryBuffer::new(&mut space);
                let borrowed: Vec<_> = fds.iter().map(|fd| fd.as_fd()).collect();
                if sent == 0 && !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(&borrowed)) {
                    return Err(io::Error::from(io::ErrorKind::InvalidInput));
                }
                let part = [IoSlice::new(&bytes[sent..])];
                Ok(rustix::net::sendmsg(stream, &part, &mut control, SendFlags::NOSIGNAL)?)
            })
            .await?;
    }
    Ok(())
}

/// What has been received and not been used.
#[derive(Default)]
pub(super) struct Inbox {
    bytes: Vec<u8>,
    fds: VecDeque<OwnedFd>,
}

impl Inbox {
    /// The next frame as id and message. Safe to cancel: nothing received is lost.
    pub(super) async fn next(&mut self, stream: &UnixStream) -> io::Result<(u32, Vec<u8>)> {
        loop {
            let frame = unframe(&mut self.bytes).map_err(io::Error::other)?;
            if let Some(frame) = frame {
                return Ok(frame);
            }
            stream.readable().await?;
            let received = stream.try_io(Interest::READABLE, || self.receive(stream));
            match received {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                _ => {}
            }
        }
    }

    /// The next descriptor that came with a message that has one.
    pub(super) fn take_fd(&mut self) -> io::Result<OwnedFd> {
        self.fds.pop_front().ok_or_else(|| io::Error::other("a shim's message came without its descriptor"))
    }

    fn receive(&mut self, stream: &UnixStream) -> io::Result<usize> {
        let mut chunk = [0; CHUNK_BYTES];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FRAME_FDS_MAX))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut parts = [IoSliceMut::new(&mut chunk)];
        let received = rustix::net::recvmsg(stream, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC)?;
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(fds) = message {
                self.fds.extend(fds);
            }
        }
        self.bytes.extend_from_slice(&chunk[..received.bytes]);
        Ok(received.bytes)
    }
}
