//! How many replicas each set of a deployment gets. Pure, and exactly upstream's numbers.

use super::plan::Rollout;
use super::revision;
use super::sets::Set;
use std::cmp::Reverse;

/// Replicas that sets are to have.
pub(super) fn total(sets: &[Set]) -> i32 {
    sets.iter().map(Set::replicas).sum()
}

impl Rollout<'_> {
    /// What the newest set may grow to without more pods than the surge allows.
    pub(super) fn newest_replicas(&self, newest: &Set) -> i32 {
        let (wanted, now) = (self.replicas, newest.replicas());
        if self.recreates {
            return wanted;
        }
        let others: i32 = self.sets.iter().filter(|set| set.name() != newest.name()).map(Set::replicas).sum();
        let room = wanted + self.surge - (others + now);
        if room <= 0 { now } else { now + room.min(wanted - now) }
    }

    /// Sets a set's size and notes what the deployment wants. Whether the size changed.
    pub(super) fn resize(&mut self, index: usize, size: i32) -> bool {
        let (replicas, most) = (self.replicas, self.replicas + self.surge);
        let set = &mut self.sets[index];
        let before = set.replicas();
        revision::note_replicas(set, replicas, most);
        if before == size {
            return false;
        }
        set.set_replicas(size);
        let direction = if size > before { "up" } else { "down" };
        let message = format!("Scaled {direction} replica set {} from {before} to {size}", set.name());
        self.events.push(("ScalingReplicaSet", message));
        true
    }

    fn resize_if_other(&mut self, index: usize, size: i32) -> bool {
        self.sets[index].replicas() != size && self.resize(index, size)
    }

    /// A rolling update's growth.
    pub(super) fn grow_newest(&mut self, newest: usize) -> bool {
        let size = match self.sets[newest].replicas() {
            now if now == self.replicas => return false,
            now if now > self.replicas => self.replicas,
            _ => self.newest_replicas(&self.sets[newest]),
        };
        self.resize_if_other(newest, size)
    }

    /// A rolling update's shrinking: unhealthy pods first, then as many as availability allows.
    pub(super) fn shrink_old(&mut self, newest: usize) -> bool {
        let old: Vec<usize> =
            self.old_by_age(newest).into_iter().filter(|index| self.sets[*index].replicas() > 0).collect();
        if old.is_empty() {
            return false;
        }
        let at_least = self.replicas - self.unavailable;
        let newest = &self.sets[newest];
        let coming = newest.replicas() - newest.lasting();
        let may_go = total(&self.sets) - at_least - coming;
        if may_go <= 0 {
            return false;
        }
        let mut shrunk = 0;
        for index in &old {
            let set = &self.sets[*index];
            let unhealthy = set.replicas() - set.lasting();
            shrunk += self.shrink(*index, unhealthy.min(may_go - shrunk));
        }
        let mut spare = self.sets.iter().map(Set::lasting).sum::<i32>() - at_least;
        for index in &old {
            let gone = self.shrink(*index, spare.max(0));
            spare -= gone;
            shrunk += gone;
        }
        shrunk > 0
    }

    fn shrink(&mut self, index: usize, by: i32) -> i32 {
        let now = self.sets[index].replicas();
        let by = by.min(now);
        if by > 0 {
            self.resize(index, now - by);
        }
        by.max(0)
    }

    /// All sets but the newest, oldest first.
    pub(super) fn old_by_age(&self, newest: usize) -> Vec<usize> {
        let mut old: Vec<usize> = (0..self.sets.len()).filter(|index| *index != newest).collect();
        old.sort_by_cached_key(|index| self.sets[*index].age_order());
        old
    }

    /// The deployment was scaled, or is paused: its sets keep their proportions.
    pub(super) fn scale(&mut self, newest: Option<usize>) {
        let active: Vec<usize> = (0..self.sets.len()).filter(|index| self.sets[*index].replicas() > 0).collect();
        if let Some(only) = self.only_active_or_latest(newest, &active) {
            self.resize_if_other(only, self.replicas);
            return;
        }
        if newest.is_some_and(|newest| self.is_saturated(&self.sets[newest])) {
            for index in active.into_iter().filter(|index| Some(*index) != newest) {
                self.resize(index, 0);
            }
        } else if !self.recreates {
            self.spread(active);
        }
    }

    fn only_active_or_latest(&self, newest: Option<usize>, active: &[usize]) -> Option<usize> {
        match active {
            [] => newest.or_else(|| (0..self.sets.len()).max_by_key(|index| self.sets[*index].age_order())),
            [only] => Some(*only),
            _ => None,
        }
    }

    /// Whether the newest set has all that the deployment wants, available.
    fn is_saturated(&self, newest: &Set) -> bool {
        let wanted = self.replicas;
        newest.replicas() == wanted && revision::desired(newest) == Some(wanted) && newest.available() == wanted
    }

    /// Adds or removes replicas in proportion to the sets' sizes; what rounding leaves goes to the largest.
    fn spread(&mut self, mut active: Vec<usize>) {
        let allowed = if self.replicas > 0 { self.replicas + self.surge } else { 0 };
        let change = allowed - active.iter().map(|index| self.sets[*index].replicas()).sum::<i32>();
        // The largest first; of equal ones the newer grows and the older shrinks first.
        active.sort_by_cached_key(|index| self.sets[*index].age_order());
        if change > 0 {
            active.reverse();
        }
        active.sort_by_key(|index| Reverse(self.sets[*index].replicas()));
        let mut done = 0;
        let mut sizes: Vec<i32> = Vec::with_capacity(active.len());
        for index in &active {
            let share = self.proportion(&self.sets[*index], change, done);
            done += share;
            sizes.push(self.sets[*index].replicas() + share);
        }
        if let Some(first) = sizes.first_mut() {
            *first = (*first + change - done).max(0);
        }
        for (index, size) in active.into_iter().zip(sizes) {
            self.resize(index, size);
        }
    }

    fn proportion(&self, set: &Set, change: i32, done: i32) -> i32 {
        if set.replicas() == 0 || change == 0 || change == done {
            return 0;
        }
        let share = self.share(set);
        if change > 0 { share.min(change - done) } else { share.max(change - done) }
    }

    /// The set's change if the deployment's most pods grew from what is noted on the set to what they are now.
    fn share(&self, set: &Set) -> i32 {
        if self.replicas == 0 {
            return -set.replicas();
        }
        let status_replicas = self.status.replicas.unwrap_or(0);
        let before = revision::max(set).filter(|most| *most != 0).unwrap_or(status_replicas);
        if before == 0 {
            return 0;
        }
        let scaled = f64::from(set.replicas()) * f64::from(self.replicas + self.surge) / f64::from(before);
        // Half away from zero; the value is at most i32's range times a ratio of replicas.
        scaled.round() as i32 - set.replicas()
    }
}
