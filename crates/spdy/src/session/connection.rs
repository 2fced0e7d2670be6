//! What the loops and the handles of a connection share: the table of its streams, and frames that wait to be sent.
//!
//! Nothing here waits: the locks are held for a look at a table.

use super::inbox::{End, Inbox};
use crate::frame::{Frame, ID_MASK, Status};
use crate::headers::Headers;
use crate::limits::{CONTROLS_MAX, STREAMS_MAX};
use crate::session::OpenError;
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Client,
    Server,
}

impl Role {
    /// Ids of the peer's streams and pings are odd where it is the client.
    fn is_peers(self, id: u32) -> bool {
        (id % 2 == 1) == (self == Role::Server)
    }
}

type Reply = oneshot::Sender<Result<(), Status>>;

struct Entry {
    inbox: Arc<Inbox>,
    reply: Option<Reply>,
    local_done: bool,
    remote_done: bool,
}

struct Table {
    streams: HashMap<u32, Entry>,
    next_id: u32,
    /// The highest that the peer opened.
    last_peer_id: u32,
    gone_away: bool,
    lost: bool,
}

pub(super) struct Connection {
    role: Role,
    table: Mutex<Table>,
    controls: Mutex<VecDeque<Frame>>,
    wake: Notify,
    overflow: CancellationToken,
}

impl Connection {
    pub(super) fn new(role: Role) -> Connection {
        let next_id = if role == Role::Client { 1 } else { 2 };
        let table = Table { streams: HashMap::new(), next_id, last_peer_id: 0, gone_away: false, lost: false };
        Connection {
            role,
            table: Mutex::new(table),
            controls: Mutex::default(),
            wake: Notify::new(),
            overflow: CancellationToken::new(),
        }
    }

    /// Queues a frame that is no data. Too many of them end the connection.
    pub(super) fn send(&self, frame: Frame) {
        let mut controls = self.controls.lock();
        if controls.len() >= CONTROLS_MAX {
            self.overflow.cancel();
            return;
        }
        controls.push_back(frame);
        self.wake.notify_one();
    }

    pub(super) fn next_control(&self) -> Option<Frame> {
        self.controls.lock().pop_front()
    }

    pub(super) async fn woken(&self) {
        self.wake.notified().await;
    }

    pub(super) async fn overflowed(&self) {
        self.overflow.cancelled().await;
    }

    /// Opens a stream of our own. Ids must go up on the wire: the frame is queued under the table's lock.
    pub(super) fn open(&self, headers: Headers, reply: Reply) -> Result<(u32, Arc<Inbox>), OpenError> {
        let mut table = self.table.lock();
        if table.lost {
            return Err(OpenError::Ended);
        }
        if table.gone_away || table.next_id > ID_MASK {
            return Err(OpenError::GoneAway);
        }
        if table.streams.len() >= STREAMS_MAX {
            return Err(OpenError::TooMany);
        }
        let id = table.next_id;
        table.next_id += 2;
        let inbox = Arc::new(Inbox::default());
        let entry = Entry { inbox: inbox.clone(), reply: Some(reply), local_done: false, remote_done: false };
        table.streams.insert(id, entry);
        self.send(Frame::SynStream { id, associated: 0, priority: 0, fin: false, unidirectional: false, headers });
        Ok((id, inbox))
    }

    /// Takes a stream that the peer opens, if it may.
    pub(super) fn opened(&self, id: u32, fin: bool, unidirectional: bool) -> Result<Arc<Inbox>, Status> {
        let mut table = self.table.lock();
        if self.role == Role::Client || unidirectional {
            return Err(Status::REFUSED_STREAM);
        }
        if !self.role.is_peers(id) || id <= table.last_peer_id {
            return Err(Status::PROTOCOL_ERROR);
        }
        table.last_peer_id = id;
        if table.lost || table.streams.len() >= STREAMS_MAX {
            return Err(Status::REFUSED_STREAM);
        }
        let inbox = Arc::new(Inbox::default());
        if fin {
            inbox.end(End::Finished);
        }
        let entry = Entry { inbox: inbox.clone(), reply: None, local_done: false, remote_done: fin };
        table.streams.insert(id, entry);
        Ok(inbox)
    }

    pub(super) fn replied(&self, id: u32) {
        let reply = self.table.lock().streams.get_mut(&id).and_then(|entry| entry.reply.take());
        if let Some(reply) = reply
            && reply.send(Ok(())).is_err()
        {
            tracing::trace!(id, "nobody waits for a stream any more");
        }
    }

    /// Where data of a stream goes; `None` when the stream is over, which the sender may not know yet.
    pub(super) fn inbox(&self, id: u32) -> Option<Arc<Inbox>> {
        let table = self.table.lock();
        table.streams.get(&id).filter(|entry| !entry.remote_done).map(|entry| entry.inbox.clone())
    }

    /// The peer sends no more on the stream.
    pub(super) fn remote_finished(&self, id: u32) {
        let mut table = self.table.lock();
        let Some(entry) = table.streams.get_mut(&id) else { return };
        entry.remote_done = true;
        entry.inbox.end(End::Finished);
        if entry.local_done {
            table.streams.remove(&id);
        }
    }

    /// We send no more on the stream.
    pub(super) fn local_finished(&self, id: u32) {
        let mut table = self.table.lock();
        let Some(entry) = table.streams.get_mut(&id) else { return };
        entry.local_done = true;
        if entry.remote_done {
            table.streams.remove(&id);
        }
    }

    /// The peer reset the stream.
    pub(super) fn reset(&self, id: u32, status: Status) {
        let Some(entry) = self.table.lock().streams.remove(&id) else { return };
        entry.inbox.end(End::Reset);
        if let Some(reply) = entry.reply
            && reply.send(Err(status)).is_err()
        {
            tracing::trace!(id, "nobody waits for a stream any more");
        }
    }

    /// We reset the stream, unless it is over.
    pub(super) fn cancel(&self, id: u32, status: Status) {
        let entry = self.table.lock().streams.remove(&id);
        if let Some(entry) = entry {
            entry.inbox.end(End::Reset);
            self.send(Frame::RstStream { id, status });
        }
    }

    pub(super) fn answer_ping(&self, id: u32) {
        if self.role.is_peers(id) {
            self.send(Frame::Ping(id));
        }
    }

    pub(super) fn gone_away(&self) {
        self.table.lock().gone_away = true;
    }

    pub(super) fn goodbye(&self) -> Frame {
        Frame::GoAway { last_good: self.table.lock().last_peer_id, status: 0 }
    }

    /// Ends all streams: nothing will come any more.
    pub(super) fn lose(&self) {
        let mut table = self.table.lock();
        table.lost = true;
        for (_, entry) in table.streams.drain() {
            entry.inbox.end(End::Lost);
        }
    }
}
