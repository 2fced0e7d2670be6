//! The servers of one cluster, as all clients of a process know them.
//!
//! Invariants: one of them is current, and stays so for as long as it answers and can serve. Whoever finds that it does
//! not makes the next one current; of many who find that at the same time, one does. There is always one at least, and
//! never more than `SERVERS_MAX`.

use parking_lot::Mutex;
use std::sync::Arc;
use tokio::sync::watch;

/// Any further ones are not known of: a cluster has three, or five.
pub const SERVERS_MAX: usize = 16;

pub struct Servers {
    state: Mutex<State>,
    /// How often one was left that still answers.
    left: watch::Sender<u64>,
}

struct State {
    /// May be none of the list: one that works is not left because others say that it is gone.
    current: Arc<str>,
    list: Vec<Arc<str>>,
}

impl Servers {
    /// Each as `https://HOST:PORT`; the first is tried first.
    pub fn new(first: &str, others: impl IntoIterator<Item = impl AsRef<str>>) -> Servers {
        let mut list = vec![first.into()];
        extend(&mut list, others);
        let state = Mutex::new(State { current: list[0].clone(), list });
        Servers { state, left: watch::Sender::new(0) }
    }

    pub fn current(&self) -> Arc<str> {
        self.state.lock().current.clone()
    }

    pub fn list(&self) -> Vec<Arc<str>> {
        self.state.lock().list.clone()
    }

    /// How many there are to ask, the current one among them.
    pub(crate) fn count(&self) -> usize {
        let state = self.state.lock();
        state.list.len() + usize::from(!state.list.contains(&state.current))
    }

    /// Has these be the servers from now on, unless there is none among them; whether that is a change.
    pub fn replace(&self, servers: impl IntoIterator<Item = impl AsRef<str>>) -> bool {
        let mut list = Vec::new();
        extend(&mut list, servers);
        let mut state = self.state.lock();
        if list.is_empty() || list == state.list {
            return false;
        }
        state.list = list;
        true
    }

    /// `server` did not answer: if it is the current one, the next is.
    pub(crate) fn failed(&self, server: &str) {
        self.next_after(server, "does not answer");
    }

    /// `server` answers that it cannot serve: as `failed`, and who still listens to it is to listen to the next.
    pub(crate) fn unfit(&self, server: &str) {
        if self.next_after(server, "cannot serve") {
            self.left.send_modify(|times| *times += 1);
        }
    }

    /// Changes when one is left that still answers; the current one is another then.
    pub(crate) fn left(&self) -> watch::Receiver<u64> {
        self.left.subscribe()
    }

    /// Whether another is current now.
    fn next_after(&self, server: &str, why: &str) -> bool {
        let mut state = self.state.lock();
        if *state.current != *server {
            return false;
        }
        let at = state.list.iter().position(|own| **own == *server);
        let next = state.list[at.map_or(0, |at| (at + 1) % state.list.len())].clone();
        if next == state.current {
            return false;
        }
        tracing::info!(server, %next, "a server {why}; the next one is asked");
        state.current = next;
        true
    }
}

/// Without those that are there already, up to the bound.
fn extend(list: &mut Vec<Arc<str>>, more: impl IntoIterator<Item = impl AsRef<str>>) {
    for server in more {
        let server = server.as_ref();
        if list.len() < SERVERS_MAX && !list.iter().any(|own| **own == *server) {
            list.push(server.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(servers: &Servers, failed: &[&str]) -> String {
        failed.iter().for_each(|server| servers.failed(server));
        servers.current().to_string()
    }

    #[test]
    fn the_current_one_stays_until_it_fails() {
        let servers = Servers::new("a", ["b", "a", "c"]);
        assert_eq!(servers.list().len(), 3);
        assert_eq!(after(&servers, &["b", "c"]), "a", "others' failures are nothing to it");
        assert_eq!(after(&servers, &["a", "a", "a"]), "b", "many find it at once");
        assert_eq!(after(&servers, &["b", "c"]), "a", "round and round");
    }

    #[test]
    fn a_list_without_the_current_one_takes_effect_when_that_fails() {
        let servers = Servers::new("a", [""; 0]);
        assert!(servers.replace(["b", "c"]));
        assert!(!servers.replace(["b", "c"]) && !servers.replace([""; 0]), "no change, and nobody at all");
        assert_eq!((servers.current().as_ref(), servers.count()), ("a", 3));
        assert_eq!(after(&servers, &["a"]), "b");
        let alone = Servers::new("a", [""; 0]);
        assert_eq!(after(&alone, &["a"]), "a");
    }

    #[test]
    fn the_list_is_bounded() {
        let servers = Servers::new("a", (0..100).map(|n| n.to_string()));
        assert_eq!(servers.list().len(), SERVERS_MAX);
        servers.replace((0..100).map(|n| n.to_string()));
        assert_eq!(servers.list().len(), SERVERS_MAX);
    }
}
