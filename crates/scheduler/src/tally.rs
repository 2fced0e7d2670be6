//! Numbers by place of a topology, summed over all nodes and kept from one decision to the next: only nodes that have
//! changed since are counted again.
//!
//! Invariant: what a node adds depends on the node, its pods, and the kind of pod that the tally is kept for: when
//! anything else changes, a new one is begun. Bound: an entry per node, and per place twice as many as there are.

use crate::node::NodeInfo;
use smallvec::SmallVec;
use std::collections::HashMap;

/// Places that no node is in any more are kept until there are this many more of them than of others.
const EMPTY_PLACES_MAX: usize = 64;

/// `K` tells sums over the same topology apart.
#[derive(Debug)]
pub(crate) struct Tally<K> {
    sums: Vec<Sums<K>>,
    /// As the cluster's nodes, by index.
    counted: Vec<Counted>,
}

/// One sum per place.
#[derive(Debug)]
struct Sums<K> {
    kind: K,
    topology_key: String,
    by_place: HashMap<String, usize>,
    places: Vec<Place>,
    /// Places with nodes that count.
    live: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Place {
    nodes: usize,
    sum: i64,
}

/// What a node has added, as of one of its generations; 0 is nobody's.
#[derive(Debug, Default)]
struct Counted {
    generation: u64,
    parts: SmallVec<[Part; 1]>,
}

#[derive(Debug)]
struct Part {
    sums: usize,
    place: usize,
    by: i64,
}

/// Takes what one node adds.
pub(crate) struct Adding<'a, K> {
    node: &'a NodeInfo,
    sums: &'a mut Vec<Sums<K>>,
    parts: &'a mut SmallVec<[Part; 1]>,
}

impl<K> Default for Tally<K> {
    fn default() -> Self {
        Tally { sums: Vec::new(), counted: Vec::new() }
    }
}

impl<K: Copy + PartialEq> Tally<K> {
    /// Asks `count` about the nodes that have changed since the last time.
    pub(crate) fn refresh(&mut self, nodes: &[NodeInfo], mut count: impl FnMut(&NodeInfo, &mut Adding<'_, K>)) {
        if self.sums.iter().any(|sums| sums.places.len() > 2 * sums.live + EMPTY_PLACES_MAX) {
            *self = Tally::default();
        }
        let gone = self.counted.len().min(nodes.len());
        for counted in self.counted.split_off(gone) {
            take_back(&mut self.sums, &counted.parts);
        }
        self.counted.resize_with(nodes.len(), Counted::default);
        for (node, counted) in nodes.iter().zip(&mut self.counted) {
            if counted.generation == node.generation {
                continue;
            }
            take_back(&mut self.sums, &counted.parts);
            counted.parts.clear();
            counted.generation = node.generation;
            count(node, &mut Adding { node, sums: &mut self.sums, parts: &mut counted.parts });
        }
    }

    /// At the node's place.
    pub(crate) fn at(&self, kind: K, topology_key: &str, node: &NodeInfo) -> i64 {
        self.of(kind).filter(|sums| sums.topology_key == topology_key).map(|sums| sums.at(node)).sum()
    }

    /// At the node's places in all topologies.
    pub(crate) fn over_all(&self, kind: K, node: &NodeInfo) -> i64 {
        self.of(kind).map(|sums| sums.at(node)).sum()
    }

    /// Places where some node counts, whatever it adds.
    pub(crate) fn places(&self, kind: K) -> usize {
        self.of(kind).map(|sums| sums.live).sum()
    }

    /// The least of those places' sums.
    pub(crate) fn least(&self, kind: K) -> Option<i64> {
        self.of(kind).flat_map(|sums| &sums.places).filter(|place| place.nodes > 0).map(|place| place.sum).min()
    }

    fn of(&self, kind: K) -> impl Iterator<Item = &Sums<K>> {
        self.sums.iter().filter(move |sums| sums.kind == kind)
    }
}

fn take_back<K>(sums: &mut [Sums<K>], parts: &[Part]) {
    for part in parts {
        let sums = &mut sums[part.sums];
        let place = &mut sums.places[part.place];
        place.sum -= part.by;
        place.nodes -= 1;
        sums.live -= usize::from(place.nodes == 0);
    }
}

impl<K> Sums<K> {
    fn at(&self, node: &NodeInfo) -> i64 {
        let place = node.labels().get(&self.topology_key).and_then(|value| self.by_place.get(value));
        place.map_or(0, |place| self.places[*place].sum)
    }

    fn place(&mut self, value: &str) -> usize {
        if let Some(place) = self.by_place.get(value) {
            return *place;
        }
        self.by_place.insert(value.to_owned(), self.places.len());
        self.places.push(Place::default());
        self.places.len() - 1
    }
}

impl<K: Copy + PartialEq> Adding<'_, K> {
    /// Counts the node's place, if it has one in this topology, and adds to its sum.
    pub(crate) fn add(&mut self, kind: K, topology_key: &str, by: i64) {
        let Some(value) = self.node.labels().get(topology_key) else { return };
        let known = self.sums.iter().position(|sums| sums.kind == kind && sums.topology_key == topology_key);
        let index = known.unwrap_or_else(|| {
            let topology_key = topology_key.to_owned();
            self.sums.push(Sums { kind, topology_key, by_place: HashMap::new(), places: Vec::new(), live: 0 });
            self.sums.len() - 1
        });
        let sums = &mut self.sums[index];
        // A node has one place in a topology: what it has added there already grows.
        if let Some(part) = self.parts.iter_mut().find(|part| part.sums == index) {
            part.by += by;
            sums.places[part.place].sum += by;
            return;
        }
        let place = sums.place(value);
        let there = &mut sums.places[place];
        there.sum += by;
        there.nodes += 1;
        sums.live += usize::from(there.nodes == 1);
        self.parts.push(Part { sums: index, place, by });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::sync::Arc;

    fn node(name: &str, zone: &str, generation: u64) -> NodeInfo {
        let node = json!({"metadata": {"name": name, "labels": {"zone": zone}}});
        NodeInfo::new(Arc::new(serde_json::from_value(node).unwrap()), generation)
    }

    /// Every node adds `by` under the kind 0.
    fn refresh(tally: &mut Tally<u8>, nodes: &[NodeInfo], by: i64) -> Vec<String> {
        let mut asked = Vec::new();
        tally.refresh(nodes, |node, adding| {
            asked.push(node.name.to_string());
            adding.add(0, "zone", by);
        });
        asked
    }

    #[test]
    fn only_changed_nodes_are_counted_again_and_what_they_added_is_replaced() {
        let mut tally = Tally::default();
        let mut nodes = vec![node("a", "z1", 1), node("b", "z1", 2), node("c", "z2", 3)];
        assert_eq!(refresh(&mut tally, &nodes, 1), ["a", "b", "c"]);
        assert_eq!(nodes.iter().map(|node| tally.at(0, "zone", node)).collect::<Vec<_>>(), [2, 2, 1]);
        assert_eq!((tally.places(0), tally.least(0), tally.at(1, "zone", &nodes[0])), (2, Some(1), 0));

        nodes[0] = node("a", "z2", 4);
        assert_eq!(refresh(&mut tally, &nodes, 10), ["a"]);
        assert_eq!(nodes.iter().map(|node| tally.at(0, "zone", node)).collect::<Vec<_>>(), [11, 1, 11]);

        // As the cluster removes: the last takes the place of the one that goes.
        nodes.swap_remove(0);
        assert_eq!(refresh(&mut tally, &nodes, 100), ["c"]);
        assert_eq!(nodes.iter().map(|node| tally.over_all(0, node)).collect::<Vec<_>>(), [100, 1]);
        assert_eq!(refresh(&mut tally, &nodes[..1], 0), Vec::<String>::new());
        assert_eq!((tally.places(0), tally.least(0)), (1, Some(100)));
    }

    #[test]
    fn places_of_the_past_are_forgotten() {
        let mut tally = Tally::default();
        for generation in 1..1_000 {
            refresh(&mut tally, &[node("a", &format!("z{generation}"), generation)], 1);
        }
        assert!(tally.sums[0].places.len() <= EMPTY_PLACES_MAX + 4, "{}", tally.sums[0].places.len());
        assert_eq!((tally.places(0), tally.least(0)), (1, Some(1)));
    }
}
