//! The cluster's range, cut into one piece per node. Pure.
//!
//! Bound: one entry per node that has or is being given a range.

use ipnet::Ipv4Net;
use reconcile::Key;
use std::collections::HashMap;
use std::net::Ipv4Addr;

pub(super) struct Ranges {
    cluster: Ipv4Net,
    mask: u8,
    taken: HashMap<Key, Vec<Ipv4Net>>,
    /// The piece after the last one given out, so that a piece rests as long as possible before it is used again.
    next: u32,
}

impl Ranges {
    /// Pieces of `mask` bits, or the whole where the cluster's range is smaller than one.
    pub(super) fn new(cluster: Ipv4Net, mask: u8) -> Ranges {
        let mask = mask.max(cluster.prefix_len()).min(32);
        Ranges { cluster: cluster.trunc(), mask, taken: HashMap::new(), next: 0 }
    }

    /// The node has these.
    pub(super) fn take(&mut self, node: &Key, ranges: Vec<Ipv4Net>) {
        self.taken.insert(node.clone(), ranges);
    }

    pub(super) fn free(&mut self, node: &Key) {
        self.taken.remove(node);
    }

    /// A piece for the node, held for it until it is freed; the same again if it is asked for again.
    pub(super) fn reserve(&mut self, node: &Key) -> Option<Ipv4Net> {
        if let Some(held) = self.taken.get(node).and_then(|held| held.first()) {
            return Some(*held);
        }
        let index = self.first_free()?;
        self.next = index.wrapping_add(1) % self.count();
        let range = self.piece(index);
        self.take(node, vec![range]);
        Some(range)
    }

    fn count(&self) -> u32 {
        // A /0 cut into /32 is the only case that does not fit, and no node needs its last address.
        1u32.checked_shl(u32::from(self.mask - self.cluster.prefix_len())).unwrap_or(u32::MAX)
    }

    fn piece(&self, index: u32) -> Ipv4Net {
        let offset = index.checked_shl(u32::from(32 - self.mask)).unwrap_or(0);
        let first = Ipv4Addr::from(u32::from(self.cluster.network()) | offset);
        Ipv4Net::new(first, self.mask).expect("a mask is at most 32")
    }

    fn first_free(&self) -> Option<u32> {
        let mut used: Vec<(u32, u32)> = self.taken.values().flatten().filter_map(|range| self.pieces(range)).collect();
        used.sort_unstable();
        let after = |start: u32| {
            let mut at = start;
            for (first, last) in &used {
                if *first > at {
                    break;
                }
                at = at.max(last.saturating_add(1));
            }
            Some(at).filter(|at| *at < self.count())
        };
        after(self.next).or_else(|| after(0))
    }

    /// The first and last piece that a range touches.
    fn pieces(&self, range: &Ipv4Net) -> Option<(u32, u32)> {
        let (first, last) = (range.network().max(self.cluster.network()), range.broadcast().min(self.cluster.broadcast()));
        let index = |address: Ipv4Addr| {
            let offset = u32::from(address) - u32::from(self.cluster.network());
            offset.checked_shr(u32::from(32 - self.mask)).unwrap_or(0)
        };
        (first <= last).then(|| (index(first), index(last)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ranges(cluster: &str, mask: u8) -> Ranges {
        Ranges::new(cluster.parse().unwrap(), mask)
    }

    fn reserve(ranges: &mut Ranges, node: &str) -> String {
        ranges.reserve(&node.into()).map_or_else(|| "none".to_owned(), |range| range.to_string())
    }

    #[test]
    fn pieces_are_given_in_turn_and_rest_before_they_are_used_again() {
        let mut ranges = ranges("10.42.0.0/16", 18);
        assert_eq!(reserve(&mut ranges, "a"), "10.42.0.0/18");
        assert_eq!(reserve(&mut ranges, "a"), "10.42.0.0/18", "asked again, it is the same");
        assert_eq!(reserve(&mut ranges, "b"), "10.42.64.0/18");
        ranges.free(&"a".into());
        assert_eq!(reserve(&mut ranges, "c"), "10.42.128.0/18");
        assert_eq!(reserve(&mut ranges, "d"), "10.42.192.0/18");
        assert_eq!(reserve(&mut ranges, "e"), "10.42.0.0/18");
        assert_eq!(reserve(&mut ranges, "f"), "none");
        ranges.free(&"c".into());
        assert_eq!(reserve(&mut ranges, "f"), "10.42.128.0/18");
    }

    #[test]
    fn what_nodes_have_already_is_left_alone_whatever_its_size() {
        let mut ranges = ranges("10.42.0.0/16", 18);
        ranges.take(&"small".into(), vec!["10.42.1.0/24".parse().unwrap()]);
        ranges.take(&"elsewhere".into(), vec!["10.99.0.0/16".parse().unwrap()]);
        ranges.take(&"large".into(), vec!["10.42.128.0/17".parse().unwrap()]);
        assert_eq!(reserve(&mut ranges, "a"), "10.42.64.0/18");
        assert_eq!(reserve(&mut ranges, "b"), "none");
    }

    #[test]
    fn a_range_smaller_than_a_piece_is_given_whole() {
        let mut ranges = ranges("10.1.2.0/24", 22);
        assert_eq!(reserve(&mut ranges, "a"), "10.1.2.0/24");
        assert_eq!(reserve(&mut ranges, "b"), "none");
    }

    proptest! {
        #[test]
        fn no_two_ranges_overlap(steps in prop::collection::vec((any::<bool>(), 0..12u8), 1..60), size in 20..28u8) {
            let mut ranges = ranges("10.0.0.0/20", size);
            let mut held: HashMap<Key, Ipv4Net> = HashMap::new();
            for (take, node) in steps {
                let node: Key = node.to_string().into();
                if take {
                    if let Some(range) = ranges.reserve(&node) {
                        held.insert(node, range);
                    } else {
                        prop_assert!(held.len() >= 1 << (size - 20).min(3));
                    }
                } else {
                    ranges.free(&node);
                    held.remove(&node);
                }
                for (one, range) in &held {
                    for (two, other) in &held {
                        prop_assert!(one == two || !(range.contains(other) || other.contains(range)));
                    }
                }
            }
        }
    }
}
