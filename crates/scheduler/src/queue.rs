//! Pods that wait for a node: to be tried now, after a back-off, or when something has happened that could help.
//!
//! Invariants: a pod is in one place; of the active the most important goes first, then the longest waiting. Bound:
//! one entry per pod that waits.

use crate::metrics::Pending;
use crate::pod::{Key, PodInfo};
use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

const BACKOFF_FIRST: Duration = Duration::from_secs(1);
const BACKOFF_MOST: Duration = Duration::from_secs(10);
/// A pod that nothing has helped is tried again all the same: hints may be wrong.
const PARKED_MOST: Duration = Duration::from_secs(300);

/// By priority, then by the order of coming.
type Rank = (Reverse<i32>, u64, Key);

#[derive(Default)]
pub(crate) struct Queue {
    pods: HashMap<Key, Waiting>,
    active: BTreeSet<Rank>,
    timed: BTreeSet<(Instant, Key)>,
    /// Parked pods by who refused them, so that an event is not held against pods that it cannot concern.
    parked: HashMap<BTreeSet<usize>, HashSet<Key>>,
    counter: u64,
}

struct Waiting {
    pod: Arc<PodInfo>,
    attempts: u32,
    tried: Instant,
    place: Place,
    /// Rows of the plugins that refused it; of the last attempt.
    refused_by: BTreeSet<usize>,
}

#[derive(Clone, Copy, PartialEq)]
enum Place {
    Active(u64),
    /// Until then it is not tried.
    Backoff(Instant),
    /// Waiting for help, at most until then.
    Parked(Instant),
    /// Taken by an attempt or a binding.
    Taken,
}

impl Queue {
    /// A new pod, or a new state of one.
    pub(crate) fn set(&mut self, pod: Arc<PodInfo>) {
        let key = pod.key.clone();
        let known = self.pods.get_mut(&key).filter(|waiting| waiting.pod.pod.uid == pod.pod.uid);
        let Some(waiting) = known else {
            self.remove(&key);
            let waiting =
                Waiting { pod, attempts: 0, tried: Instant::now(), place: Place::Taken, refused_by: BTreeSet::new() };
            self.pods.insert(key.clone(), waiting);
            self.activate(&key);
            return;
        };
        let before = std::mem::replace(&mut waiting.pod, pod);
        let now = &waiting.pod;
        let differs = before.shape != now.shape || before.priority != now.priority || before.labels() != now.labels();
        if differs && waiting.place != Place::Taken {
            self.activate_with(&key, Some(before.priority));
        }
    }

    pub(crate) fn remove(&mut self, key: &Key) {
        self.unplace(key, None);
        self.pods.remove(key);
    }

    /// How many wait. Cheap: asked after each round.
    pub(crate) fn pending(&self) -> Pending {
        let unschedulable = self.parked.values().map(HashSet::len).sum();
        Pending { active: self.active.len(), backoff: self.timed.len().saturating_sub(unschedulable), unschedulable }
    }

    /// The next pod to try; it stays here as taken.
    pub(crate) fn pop(&mut self) -> Option<Arc<PodInfo>> {
        let (_, _, key) = self.active.pop_first()?;
        let waiting = self.pods.get_mut(&key)?;
        waiting.place = Place::Taken;
        waiting.attempts += 1;
        waiting.tried = Instant::now();
        Some(waiting.pod.clone())
    }

    /// No node suited the pod.
    pub(crate) fn park(&mut self, key: &Key, refused_by: BTreeSet<usize>) {
        self.unplace(key, None);
        if let Some(waiting) = self.pods.get_mut(key) {
            waiting.refused_by = refused_by.clone();
            self.parked.entry(refused_by).or_default().insert(key.clone());
            self.time(key, Place::Parked(Instant::now() + PARKED_MOST));
        }
    }

    /// The attempt failed for another reason than the cluster's state.
    pub(crate) fn retry(&mut self, key: &Key) {
        self.unplace(key, None);
        if let Some(waiting) = self.pods.get(key) {
            self.time(key, Place::Backoff(waiting.tried + backoff(waiting.attempts)));
        }
    }

    /// Tries parked pods again for which `hopes` holds, when their back-off is over; asks only about those whose
    /// refusers are `concerned`.
    pub(crate) fn wake(
        &mut self,
        concerned: impl Fn(&BTreeSet<usize>) -> bool,
        mut hopes: impl FnMut(&PodInfo, &BTreeSet<usize>) -> bool,
    ) {
        let mut woken = Vec::new();
        for (refused_by, keys) in self.parked.iter().filter(|(refused_by, _)| concerned(refused_by)) {
            let hopes = |key: &&Key| self.pods.get(*key).is_some_and(|waiting| hopes(&waiting.pod, refused_by));
            woken.extend(keys.iter().filter(hopes).cloned());
        }
        for key in woken {
            self.retry(&key);
        }
        self.release(Instant::now());
    }

    /// Activates what is due.
    pub(crate) fn release(&mut self, now: Instant) {
        while let Some((at, key)) = self.timed.first().cloned() {
            if at > now {
                return;
            }
            self.activate(&key);
        }
    }

    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.timed.first().map(|(at, _)| *at)
    }

    fn activate(&mut self, key: &Key) {
        self.activate_with(key, None);
    }

    fn activate_with(&mut self, key: &Key, priority_before: Option<i32>) {
        self.unplace(key, priority_before);
        self.counter += 1;
        let counter = self.counter;
        if let Some(waiting) = self.pods.get_mut(key) {
            waiting.place = Place::Active(counter);
            self.active.insert((Reverse(waiting.pod.priority), counter, key.clone()));
        }
    }

    fn time(&mut self, key: &Key, place: Place) {
        let (Place::Backoff(at) | Place::Parked(at)) = place else { return };
        if let Some(waiting) = self.pods.get_mut(key) {
            waiting.place = place;
            self.timed.insert((at, key.clone()));
        }
    }

    fn unplace(&mut self, key: &Key, priority: Option<i32>) {
        let Some(waiting) = self.pods.get_mut(key) else { return };
        match std::mem::replace(&mut waiting.place, Place::Taken) {
            Place::Active(counter) => {
                let priority = priority.unwrap_or(waiting.pod.priority);
                self.active.remove(&(Reverse(priority), counter, key.clone()));
            }
            Place::Backoff(at) => {
                self.timed.remove(&(at, key.clone()));
            }
            Place::Parked(at) => {
                self.timed.remove(&(at, key.clone()));
                if let Some(keys) = self.parked.get_mut(&waiting.refused_by) {
                    keys.remove(key);
                    if keys.is_empty() {
                        self.parked.remove(&waiting.refused_by);
                    }
                }
            }
            Place::Taken => {}
        }
    }
}

fn backoff(attempts: u32) -> Duration {
    BACKOFF_FIRST.saturating_mul(1 << attempts.saturating_sub(1).min(10)).min(BACKOFF_MOST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(name: &str, priority: i32) -> Arc<PodInfo> {
        let pod = json!({"metadata": {"name": name, "namespace": "d", "uid": name},
                         "spec": {"containers": [], "priority": priority}});
        Arc::new(PodInfo::new(Arc::new(serde_json::from_value(pod).unwrap())))
    }

    fn names(queue: &mut Queue) -> Vec<String> {
        std::iter::from_fn(|| queue.pop()).map(|pod| pod.pod.uid.to_string()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn the_important_go_first_then_the_longest_waiting() {
        let mut queue = Queue::default();
        for (name, priority) in [("a", 0), ("b", 5), ("c", 0), ("d", 5)] {
            queue.set(pod(name, priority));
        }
        queue.set(pod("c", 9));
        queue.remove(&"d/a".into());
        assert_eq!(names(&mut queue), ["c", "b", "d"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_parked_pod_is_woken_by_help_and_not_before_its_backoff() {
        let mut queue = Queue::default();
        queue.set(pod("a", 0));
        for wait in [1, 2, 4, 8, 10, 10] {
            let taken = queue.pop().unwrap();
            queue.park(&taken.key, [3].into());
            queue.wake(|_| true, |_, refused_by| refused_by.contains(&4));
            tokio::time::advance(Duration::from_secs(20)).await;
            queue.release(Instant::now());
            assert!(queue.pop().is_none(), "no help came");
            queue.wake(|_| true, |_, refused_by| refused_by.contains(&3));
            let taken = queue.pop().expect("its back-off was over");
            queue.retry(&taken.key);
            let due = queue.next_due().unwrap() - Instant::now();
            queue.set(pod("a", 1));
            queue.set(pod("a", 0));
            assert!(due.as_secs() >= wait && due.as_secs() <= 10, "{due:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_parked_pod_is_tried_again_after_five_minutes() {
        let mut queue = Queue::default();
        queue.set(pod("a", 0));
        let taken = queue.pop().unwrap();
        queue.park(&taken.key, BTreeSet::new());
        tokio::time::advance(Duration::from_secs(299)).await;
        queue.release(Instant::now());
        assert!(queue.pop().is_none());
        tokio::time::advance(Duration::from_secs(2)).await;
        queue.release(Instant::now());
        assert!(queue.pop().is_some());
    }
}
