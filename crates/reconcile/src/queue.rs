//! The work queue: which keys wait to be reconciled, now or later.
//!
//! Invariants: a key waits at most once and is held by at most one worker; a key added while held waits again when it
//! is put back. Bound: one entry per key in each of its sets, and keys come from live objects.

use crate::Key;
use parking_lot::Mutex;
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// The first wait after a failure; doubled with each further one.
const BACKOFF_FIRST: Duration = Duration::from_millis(5);
const BACKOFF_MOST: Duration = Duration::from_secs(30);

#[derive(Default)]
pub struct Queue {
    state: Mutex<State>,
    /// A key became ready.
    ready: Notify,
    /// The earliest delayed key changed.
    delayed: Notify,
}

#[derive(Default)]
struct State {
    ready: VecDeque<Key>,
    /// Wanting a reconcile: in `ready`, or held and added again.
    wanted: HashSet<Key>,
    held: HashSet<Key>,
    delayed: BTreeSet<(Instant, Key)>,
    due: HashMap<Key, Instant>,
    /// Held by nobody, and not to be taken until then.
    resting: BTreeSet<(Instant, Key)>,
    failures: HashMap<Key, u32>,
}

impl Queue {
    /// Wants a reconcile of the key as soon as a worker is free. Whether it was not wanted already.
    pub fn add(&self, key: Key) -> bool {
        let mut state = self.state.lock();
        if !state.wanted.insert(key.clone()) {
            return false;
        }
        if !state.held.contains(&key) {
            state.ready.push_back(key);
            drop(state);
            self.ready.notify_one();
        }
        true
    }

    /// Wants a reconcile after a delay, or at the time already noted if that is sooner.
    pub fn add_after(&self, key: Key, delay: Duration) {
        let at = Instant::now() + delay;
        let mut state = self.state.lock();
        match state.due.get(&key).copied() {
            Some(noted) if noted <= at => return,
            Some(noted) => state.delayed.remove(&(noted, key.clone())),
            None => true,
        };
        state.due.insert(key.clone(), at);
        state.delayed.insert((at, key));
        drop(state);
        self.delayed.notify_one();
    }

    /// Wants a reconcile after the key's back-off, which grows with each failure.
    pub fn retry(&self, key: Key) {
        let failures = {
            let mut state = self.state.lock();
            let failures = state.failures.entry(key.clone()).or_default();
            *failures += 1;
            *failures
        };
        self.add_after(key, backoff(failures));
    }

    /// The key succeeded: its next failure waits the least again.
    pub fn forgive(&self, key: &Key) {
        self.state.lock().failures.remove(key);
    }

    /// How often the key failed since it last succeeded.
    pub fn failures(&self, key: &Key) -> u32 {
        self.state.lock().failures.get(key).copied().unwrap_or_default()
    }

    /// The next key, now held by the caller until `put_back`. Cancel-safe.
    pub async fn take(&self) -> Key {
        loop {
            if let Some(key) = self.try_take() {
                return key;
            }
            self.ready.notified().await;
        }
    }

    pub fn try_take(&self) -> Option<Key> {
        let mut state = self.state.lock();
        let key = state.ready.pop_front()?;
        state.wanted.remove(&key);
        state.held.insert(key.clone());
        let more = !state.ready.is_empty();
        drop(state);
        // `notify_one` stores a single permit: two additions may have woken one worker.
        if more {
            self.ready.notify_one();
        }
        Some(key)
    }

    pub fn put_back(&self, key: &Key) {
        let mut state = self.state.lock();
        state.held.remove(key);
        if state.wanted.contains(key) {
            state.ready.push_back(key.clone());
            drop(state);
            self.ready.notify_one();
        }
    }

    /// As `put_back`, but the key is not taken again before `pause` is over: then once for all that was added.
    pub fn rest(&self, key: &Key, pause: Duration) {
        self.state.lock().resting.insert((Instant::now() + pause, key.clone()));
        self.delayed.notify_one();
    }

    /// Keys that wait to be taken.
    pub fn depth(&self) -> usize {
        self.state.lock().ready.len()
    }

    /// Moves delayed keys on when they are due; runs as long as the queue does.
    pub async fn run_delays(&self) {
        loop {
            match self.release_due(Instant::now()) {
                Some(next) => {
                    tokio::select! {
                        () = tokio::time::sleep_until(next) => {}
                        () = self.delayed.notified() => {}
                    }
                }
                None => self.delayed.notified().await,
            }
        }
    }

    /// Adds what is due and wakes what has rested; the time of the next one.
    fn release_due(&self, now: Instant) -> Option<Instant> {
        loop {
            let mut state = self.state.lock();
            if let Some((_, key)) = pop_until(&mut state.resting, now) {
                drop(state);
                self.put_back(&key);
            } else if let Some((_, key)) = pop_until(&mut state.delayed, now) {
                state.due.remove(&key);
                drop(state);
                self.add(key);
            } else {
                let next = [state.resting.first(), state.delayed.first()].into_iter().flatten().map(|(at, _)| *at);
                return next.min();
            }
        }
    }
}

fn pop_until(timed: &mut BTreeSet<(Instant, Key)>, now: Instant) -> Option<(Instant, Key)> {
    if timed.first()?.0 > now { None } else { timed.pop_first() }
}

fn backoff(failures: u32) -> Duration {
    BACKOFF_FIRST.saturating_mul(1 << failures.saturating_sub(1).min(20)).min(BACKOFF_MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        name.into()
    }

    #[test]
    fn a_key_waits_once_however_often_it_is_added() {
        let queue = Queue::default();
        assert!(queue.add(key("a")));
        assert!(!queue.add(key("a")));
        assert_eq!(queue.try_take(), Some(key("a")));
        assert_eq!(queue.try_take(), None);
    }

    #[test]
    fn a_key_added_while_held_waits_until_it_is_put_back() {
        let queue = Queue::default();
        queue.add(key("a"));
        let held = queue.try_take().unwrap();
        queue.add(key("a"));
        assert_eq!(queue.try_take(), None);
        queue.put_back(&held);
        assert_eq!(queue.try_take(), Some(key("a")));
        queue.put_back(&held);
        assert_eq!(queue.try_take(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_resting_key_is_taken_once_for_all_that_was_added() {
        let queue = std::sync::Arc::new(Queue::default());
        let delays = queue.clone();
        let task = tokio::spawn(async move { delays.run_delays().await });
        queue.add(key("a"));
        let taken = queue.take().await;
        queue.rest(&taken, Duration::from_secs(2));
        let start = Instant::now();
        queue.add(key("a"));
        queue.add(key("a"));
        queue.add(key("b"));
        assert_eq!(queue.take().await, key("b"), "others do not wait");
        assert_eq!(queue.take().await, key("a"));
        assert_eq!(start.elapsed().as_secs(), 2);
        assert_eq!(queue.try_take(), None);
        task.abort();
    }

    #[test]
    fn backoff_doubles_to_its_most() {
        let waits: Vec<u128> = [1, 2, 3, 10, 13, 14, 40].iter().map(|n| backoff(*n).as_millis()).collect();
        assert_eq!(waits, [5, 10, 20, 2560, 20480, 30000, 30000]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_delayed_key_comes_at_the_earliest_of_its_times() {
        let queue = std::sync::Arc::new(Queue::default());
        let delays = queue.clone();
        let task = tokio::spawn(async move { delays.run_delays().await });
        let start = Instant::now();
        queue.add_after(key("a"), Duration::from_secs(9));
        queue.add_after(key("a"), Duration::from_secs(3));
        queue.add_after(key("a"), Duration::from_secs(6));
        queue.add_after(key("b"), Duration::from_secs(4));
        assert_eq!(queue.take().await, key("a"));
        assert_eq!(start.elapsed().as_secs(), 3);
        assert_eq!(queue.take().await, key("b"));
        assert_eq!(start.elapsed().as_secs(), 4);
        assert!(tokio::time::timeout(Duration::from_secs(60), queue.take()).await.is_err());
        task.abort();
    }
}
