//! Values by the digest of a secret that somebody holds: bounded in number, per user, in age and in idleness.
//!
//! Invariant: to read a value is not to use it; only `touch` puts its end off.

use crate::secret::Digest;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

pub(crate) struct Held<V> {
    entries: Mutex<HashMap<Digest, Entry<V>>>,
    most: usize,
    most_per_user: usize,
}

struct Entry<V> {
    value: Arc<V>,
    user: String,
    /// Seconds since the epoch.
    ends: i64,
    idle_seconds_max: i64,
    used: i64,
}

impl<V> Entry<V> {
    fn lives(&self, now: i64) -> bool {
        now < self.ends && now - self.used <= self.idle_seconds_max
    }
}

/// How long a value is held.
#[derive(Clone, Copy)]
pub(crate) struct Span {
    pub(crate) seconds: i64,
    /// Since it was last used.
    pub(crate) idle_seconds: i64,
}

impl<V> Held<V> {
    pub(crate) fn new(most: usize, most_per_user: usize) -> Held<V> {
        Held { entries: Mutex::default(), most, most_per_user }
    }

    /// Where there is no room, what was used longest ago makes it: the user's own, when he has his share.
    pub(crate) fn put(&self, key: Digest, user: &str, value: V, span: Span, now: i64) {
        let mut entries = self.entries.lock();
        entries.retain(|_, entry| entry.lives(now));
        let own = entries.values().filter(|entry| entry.user == user).count();
        let makes_room = match (own >= self.most_per_user, entries.len() >= self.most) {
            (true, _) => oldest(entries.iter().filter(|(_, entry)| entry.user == user)),
            (false, true) => oldest(entries.iter()),
            (false, false) => None,
        };
        if let Some(oldest) = makes_room {
            entries.remove(&oldest);
        }
        let entry = Entry {
            value: Arc::new(value),
            user: user.to_owned(),
            ends: now + span.seconds,
            idle_seconds_max: span.idle_seconds,
            used: now,
        };
        entries.insert(key, entry);
    }

    pub(crate) fn get(&self, key: &Digest, now: i64) -> Option<Arc<V>> {
        let mut entries = self.entries.lock();
        let entry = entries.get(key)?;
        if !entry.lives(now) {
            entries.remove(key);
            return None;
        }
        Some(entry.value.clone())
    }

    /// Somebody uses it; what is over stays so.
    pub(crate) fn touch(&self, key: &Digest, now: i64) {
        if let Some(entry) = self.entries.lock().get_mut(key).filter(|entry| entry.lives(now)) {
            entry.used = now;
        }
    }

    /// The value, for the last time.
    pub(crate) fn take(&self, key: &Digest, now: i64) -> Option<Arc<V>> {
        let entry = self.entries.lock().remove(key)?;
        entry.lives(now).then_some(entry.value)
    }
}

fn oldest<'a, V: 'a>(entries: impl Iterator<Item = (&'a Digest, &'a Entry<V>)>) -> Option<Digest> {
    entries.min_by_key(|(_, entry)| entry.used).map(|(key, _)| *key)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPAN: Span = Span { seconds: 100, idle_seconds: 10 };

    fn key(name: &str) -> Digest {
        Digest::of(name)
    }

    #[test]
    fn ends_with_age_and_with_idleness() {
        let held = Held::new(9, 9);
        held.put(key("a"), "u", 1, SPAN, 0);
        for now in (0..100).step_by(10) {
            assert_eq!(held.get(&key("a"), now).as_deref(), Some(&1), "used at {now}");
            held.touch(&key("a"), now);
        }
        assert_eq!(held.get(&key("a"), 100), None, "of age, however busy");
        held.put(key("b"), "u", 2, SPAN, 0);
        assert_eq!(held.get(&key("b"), 10).as_deref(), Some(&2));
        assert_eq!(held.get(&key("b"), 11), None, "idle: that it was read is no use of it");
        held.put(key("d"), "u", 4, SPAN, 0);
        held.touch(&key("d"), 11);
        assert_eq!(held.get(&key("d"), 11), None, "a use comes too late");
        held.put(key("c"), "u", 3, SPAN, 0);
        assert_eq!(held.take(&key("c"), 1).as_deref(), Some(&3));
        assert_eq!(held.take(&key("c"), 1), None, "once");
    }

    #[test]
    fn a_users_excess_ends_his_own_first() {
        let held = Held::new(3, 2);
        held.put(key("other"), "other", 0, SPAN, 0);
        for (now, name) in [(1, "a"), (2, "b"), (3, "c")] {
            held.put(key(name), "u", 1, SPAN, now);
        }
        let left: Vec<_> =
            ["other", "a", "b", "c"].into_iter().filter(|one| held.get(&key(one), 3).is_some()).collect();
        assert_eq!(left, ["other", "b", "c"]);
        held.put(key("third"), "third", 1, SPAN, 4);
        assert_eq!(held.entries.lock().len(), 3, "the bound of all holds too");
    }
}
