//! The shim's loop: whatever happens next, a client's word, a child's end or a container's output.

mod children;
mod output;
mod requests;

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};

use shim::protocol::Event;

use crate::connection::Connection;
use crate::container::Container;
use crate::pod::Pod;
use crate::spawn::Birth;
use crate::sys::{self, Epoll, READABLE, WRITABLE};

/// Clients at once: the node, one that takes over from it, and room for a person who looks.
const CONNECTIONS_MAX: usize = 8;
/// Containers remembered, running and ended, until the node forgets them.
const CONTAINERS_MAX: usize = 128;
/// Execs running at once.
const EXECS_MAX: usize = 128;
/// How often it is looked whether there is room for what a container wrote too fast, while there is such.
const HELD_LOOK_MS: i32 = 1000;
/// Bytes taken from a container's stream at once.
const CHUNK_BYTES: usize = 16 << 10;

/// What an event of the loop is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Token {
    Listener,
    Children,
    Connection(u32),
    /// The socket of a new process, by its birth's number.
    Birth(u32),
    /// A container's stream: 0 or 1.
    Output(u32, usize),
    /// A container's watcher by its number.
    Watcher(u32),
}

impl Token {
    fn code(self) -> u64 {
        let (kind, number, stream) = match self {
            Token::Listener => (0, 0, 0),
            Token::Children => (1, 0, 0),
            Token::Connection(number) => (2, number, 0),
            Token::Birth(number) => (3, number, 0),
            Token::Output(number, stream) => (4, number, stream as u64),
            Token::Watcher(number) => (5, number, 0),
        };
        kind << 40 | u64::from(number) << 8 | stream
    }

    fn of(code: u64) -> Token {
        let (number, stream) = ((code >> 8) as u32, (code & 0xff) as usize);
        match code >> 40 {
            0 => Token::Listener,
            1 => Token::Children,
            2 => Token::Connection(number),
            3 => Token::Birth(number),
            4 => Token::Output(number, stream),
            _ => Token::Watcher(number),
        }
    }
}

/// A process that runs beside a container's first one.
struct Exec {
    pid: i32,
    /// Who started it and is told of its end; the exec goes on when that client is gone.
    client: u32,
}

/// Everything there is.
pub(crate) struct Shim {
    pod: Pod,
    epoll: Epoll,
    connections: BTreeMap<u32, Connection>,
    containers: BTreeMap<u32, Container>,
    execs: BTreeMap<u32, Exec>,
    births: BTreeMap<u32, Birth>,
    number: u32,
    buffer: Vec<u8>,
    ending: bool,
}

impl Shim {
    /// A shim for a pod that is set up.
    pub(crate) fn new(pod: Pod) -> Result<Shim, String> {
        let epoll = Epoll::new().map_err(|error| format!("epoll: {error}"))?;
        let watch = |fd: &OwnedFd, token: Token| {
            epoll.add(fd.as_fd(), READABLE, token.code()).map_err(|error| format!("epoll: {error}"))
        };
        watch(&pod.listener, Token::Listener)?;
        watch(&pod.children, Token::Children)?;
        Ok(Shim {
            pod,
            epoll,
            connections: BTreeMap::new(),
            containers: BTreeMap::new(),
            execs: BTreeMap::new(),
            births: BTreeMap::new(),
            number: 0,
            buffer: vec![0; CHUNK_BYTES],
            ending: false,
        })
    }

    /// Serves until the node asks for the end.
    pub(crate) fn run(mut self) -> Result<(), String> {
        while !self.ending || sys::has_children() {
            let timeout = if self.is_holding_lines() { HELD_LOOK_MS } else { -1 };
            let tokens = self.epoll.wait(timeout).map_err(|error| format!("wait for events: {error}"))?;
            for token in tokens {
                // An earlier event of the same batch may have ended what a later one is about; each looks again.
                match Token::of(token) {
                    Token::Listener => self.accept(),
                    Token::Children => self.reap(),
                    Token::Connection(number) => self.converse(number),
                    Token::Birth(number) => self.hear_birth(number),
                    Token::Output(number, stream) => self.copy_output(number, stream),
                    Token::Watcher(number) => self.catch_up(number),
                }
            }
            self.release_lines();
        }
        Ok(())
    }

    /// A number that names nothing else. 4 billion come before one is used again.
    fn next_number(&mut self) -> u32 {
        self.number = self.number.wrapping_add(1);
        self.number
    }

    fn accept(&mut self) {
        while let Ok(Some(socket)) = sys::accept(self.pod.listener.as_fd()) {
            let is_root = sys::peer_uid(socket.as_fd()).is_ok_and(|uid| uid == 0);
            if !is_root || self.connections.len() >= CONNECTIONS_MAX {
                continue;
            }
            let number = self.next_number();
            if self.epoll.add(socket.as_fd(), READABLE, Token::Connection(number).code()).is_ok() {
                self.connections.insert(number, Connection::new(socket));
            }
        }
    }

    /// Reads a client's requests and writes what waits for it.
    fn converse(&mut self, number: u32) {
        let Some(connection) = self.connections.get_mut(&number) else { return };
        match connection.receive() {
            Ok(frames) => {
                for (id, message) in frames {
                    self.answer(number, id, &message);
                }
                self.flush(number);
            }
            Err(_) => {
                self.connections.remove(&number);
            }
        }
    }

    /// Sends what waits for a client, and watches for room when it does not take all.
    fn flush(&mut self, number: u32) {
        let Some(connection) = self.connections.get_mut(&number) else { return };
        let Ok(waiting) = connection.flush() else {
            self.connections.remove(&number);
            return;
        };
        if waiting != connection.waiting {
            connection.waiting = waiting;
            let interest = if waiting { READABLE | WRITABLE } else { READABLE };
            let changed = self.epoll.change(connection.socket.as_fd(), interest, Token::Connection(number).code());
            if changed.is_err() {
                self.connections.remove(&number);
            }
        }
    }

    /// Tells every subscriber.
    fn publish(&mut self, event: &Event) {
        let subscribers: Vec<u32> =
            self.connections.iter().filter(|(_, client)| client.subscribed).map(|(number, _)| *number).collect();
        for number in subscribers {
            self.tell(number, event);
        }
    }

    fn tell(&mut self, number: u32, event: &Event) {
        if let Some(connection) = self.connections.get_mut(&number) {
            connection.push(0, event, Vec::new());
        }
        self.flush(number);
    }
}

#[cfg(test)]
mod tests {
    use super::Token;

    #[test]
    fn tokens_survive_their_code() {
        let all = [
            Token::Listener,
            Token::Children,
            Token::Connection(u32::MAX),
            Token::Birth(7),
            Token::Output(u32::MAX, 1),
            Token::Watcher(3),
        ];
        assert_eq!(all.map(|token| Token::of(token.code())), all);
    }
}
