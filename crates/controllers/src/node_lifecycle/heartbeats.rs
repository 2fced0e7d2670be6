//! When each node was last heard from, and which of them are ready.
//!
//! Invariant: nothing here looks at all nodes for the change of one: thousands of them start at once.

use super::plan::Others;
use crate::node;
use client::Change;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use reconcile::{Clock, split};
use std::collections::HashMap;
use std::sync::Arc;

pub(super) struct Heartbeats {
    clock: Clock,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    nodes: HashMap<String, Seen>,
    ready: usize,
}

struct Seen {
    at: Timestamp,
    /// Whether it is taken for lost: then the next heartbeat is news.
    lost: bool,
    /// Whether its object says that it is ready.
    ready: bool,
}

impl Known {
    fn set_ready(&mut self, name: &str, ready: bool) {
        let Some(seen) = self.nodes.get_mut(name) else { return };
        self.ready = self.ready + usize::from(ready) - usize::from(seen.ready);
        seen.ready = ready;
    }

    fn note(&mut self, name: &str, now: Timestamp) -> bool {
        match self.nodes.get_mut(name) {
            Some(seen) => {
                seen.at = now;
                std::mem::take(&mut seen.lost)
            }
            None => {
                self.nodes.insert(name.to_owned(), Seen { at: now, lost: false, ready: false });
                false
            }
        }
    }
}

impl Heartbeats {
    pub(super) fn new(clock: Clock) -> Heartbeats {
        Heartbeats { clock, known: Mutex::default() }
    }

    /// Whether a node that had been lost is heard again.
    pub(super) fn lease_changed(&self, change: &Change<Lease>) -> bool {
        let renewed =
            |lease: &Option<Arc<Lease>>| lease.as_ref().and_then(|lease| lease.spec.as_ref()?.renew_time.clone());
        if renewed(&change.new).is_none() || renewed(&change.new) == renewed(&change.old) {
            return false;
        }
        self.known.lock().note(split(&change.key).1, self.clock.now())
    }

    /// Whether with this change the first node became ready, or the last one ceased to be.
    pub(super) fn node_changed(&self, change: &Change<Node>) -> bool {
        let mut known = self.known.lock();
        let any_ready = known.ready > 0;
        match &change.new {
            Some(new) => {
                let heartbeat =
                    |node: &Node| node::condition(node, "Ready").and_then(|ready| ready.last_heartbeat_time.clone());
                let ready = node::is_ready(new);
                // Nobody but the node itself says that it is ready.
                let spoke = |old: &Arc<Node>| heartbeat(old) != heartbeat(new) || (ready && !node::is_ready(old));
                if change.old.as_ref().is_none_or(spoke) {
                    known.note(&change.key, self.clock.now());
                }
                known.set_ready(&change.key, ready);
            }
            None => {
                known.set_ready(&change.key, false);
                known.nodes.remove(&*change.key);
            }
        }
        any_ready != (known.ready > 0)
    }

    pub(super) fn last(&self, name: &str, now: Timestamp) -> Timestamp {
        let seen = || Seen { at: now, lost: false, ready: false };
        self.known.lock().nodes.entry(name.to_owned()).or_insert_with(seen).at
    }

    pub(super) fn set_lost(&self, name: &str) {
        if let Some(seen) = self.known.lock().nodes.get_mut(name) {
            seen.lost = true;
        }
    }

    /// What is known of all nodes but this one; `lately` is how old a heartbeat may be that vouches for the others.
    pub(super) fn others(&self, name: &str, lately: SignedDuration, now: Timestamp) -> Others {
        let known = self.known.lock();
        let is_ready = known.nodes.get(name).is_some_and(|seen| seen.ready);
        if known.ready == usize::from(is_ready) {
            return Others::NoneReady;
        }
        let mut ready = known.nodes.iter().filter(|(other, seen)| seen.ready && *other != name);
        if ready.any(|(_, seen)| now.duration_since(seen.at) <= lately) { Others::Ready } else { Others::Unsure }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn node(name: &str, ready: &str) -> Arc<Node> {
        let value = json!({"metadata": {"name": name}, "status": {"conditions": [{"type": "Ready", "status": ready}]}});
        Arc::new(serde_json::from_value(value).unwrap())
    }

    #[test]
    fn only_the_first_and_the_last_ready_node_are_news_to_others() {
        let heartbeats = Heartbeats::new(Clock::system());
        let now = Timestamp::now();
        let lately = SignedDuration::from_secs(60);
        let change = |name: &str, old: Option<&str>, new: Option<&str>| {
            let state = |ready: Option<&str>| ready.map(|ready| node(name, ready));
            heartbeats.node_changed(&Change { key: name.into(), old: state(old), new: state(new) })
        };
        assert!(!change("a", None, Some("False")));
        assert!(!change("b", None, Some("False")));
        assert_eq!(heartbeats.others("a", lately, now), Others::NoneReady);
        assert!(change("a", Some("False"), Some("True")), "the first");
        assert_eq!(heartbeats.others("a", lately, now), Others::NoneReady, "it is no other to itself");
        assert_eq!(heartbeats.others("b", lately, now), Others::Ready);
        assert_eq!(heartbeats.others("b", lately, now + SignedDuration::from_secs(90)), Others::Unsure);
        assert!(!change("b", Some("False"), Some("True")), "one more");
        assert!(!change("a", Some("True"), Some("Unknown")), "one less");
        assert!(change("b", Some("True"), None), "the last");
        assert_eq!(heartbeats.others("a", lately, now), Others::NoneReady);
    }
}
