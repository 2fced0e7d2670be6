//! Sets of paths: a tree whose nodes are sorted, with the algebra that field management is made of.
//!
//! Invariants: nodes are sorted and distinct; a node is a member or has something below it.

use super::element::PathElement;
use super::schema::Schema;
use std::cmp::Ordering;
use std::fmt;

/// A set of paths.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Set {
    nodes: Vec<Node>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) element: PathElement,
    /// Whether the path that ends here is in the set.
    pub(super) member: bool,
    pub(super) below: Set,
}

/// One path, for error messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path(Vec<PathElement>);

impl fmt::Display for Path {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|element| write!(out, "{element}"))
    }
}

/// Which nodes of two sets a combination keeps.
#[derive(Clone, Copy)]
struct Rule {
    /// Nodes that only the first set has.
    first: bool,
    /// Nodes that only the second has.
    second: bool,
    member: fn(bool, bool) -> bool,
}

impl Set {
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The number of paths.
    pub fn len(&self) -> usize {
        self.nodes.iter().map(|node| usize::from(node.member) + node.below.len()).sum()
    }

    pub(super) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The set of these dotted paths of fields.
    pub fn of_fields(paths: &[&str]) -> Set {
        let mut set = Set::default();
        for path in paths {
            let mut place = &mut set;
            let mut names = path.split('.').peekable();
            while let Some(name) = names.next() {
                let node = place.node(PathElement::field(name));
                node.member |= names.peek().is_none();
                place = &mut node.below;
            }
        }
        set
    }

    fn find(&self, element: &PathElement) -> Result<usize, usize> {
        match self.nodes.last() {
            // Most sets are filled in order.
            Some(last) if last.element < *element => Err(self.nodes.len()),
            None => Err(0),
            _ => self.nodes.binary_search_by(|node| node.element.cmp(element)),
        }
    }

    fn node(&mut self, element: PathElement) -> &mut Node {
        let at = match self.find(&element) {
            Ok(at) => at,
            Err(at) => {
                self.nodes.insert(at, Node { element, member: false, below: Set::default() });
                at
            }
        };
        &mut self.nodes[at]
    }

    /// Adds the path of one step, if `member`, and all of `below` behind it.
    pub(super) fn add(&mut self, element: PathElement, member: bool, below: Set) {
        if !member && below.is_empty() {
            return;
        }
        match self.find(&element) {
            Err(at) => self.nodes.insert(at, Node { element, member, below }),
            Ok(at) => {
                let node = &mut self.nodes[at];
                node.member |= member;
                node.below.absorb(below);
            }
        }
    }

    /// Whether the path of one step is in the set.
    pub(super) fn has(&self, element: &PathElement) -> bool {
        self.find(element).is_ok_and(|at| self.nodes[at].member)
    }

    /// What is behind a step; `None` for nothing.
    pub(super) fn behind(&self, element: &PathElement) -> Option<&Set> {
        let below = &self.nodes[self.find(element).ok()?].below;
        (!below.is_empty()).then_some(below)
    }

    /// Whether the path of these fields is in the set.
    pub fn has_fields(&self, path: &[&str]) -> bool {
        let Some((last, before)) = path.split_last() else { return false };
        let mut place = self;
        for name in before {
            match place.behind(&PathElement::field(name)) {
                Some(below) => place = below,
                None => return false,
            }
        }
        place.has(&PathElement::field(last))
    }

    fn combine(&self, other: &Set, rule: Rule) -> Set {
        let (mut left, mut right) = (self.nodes.iter().peekable(), other.nodes.iter().peekable());
        let mut nodes = Vec::with_capacity(self.nodes.len().max(other.nodes.len()));
        loop {
            let order = match (left.peek(), right.peek()) {
                (None, None) => return Set { nodes },
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(one), Some(other)) => one.element.cmp(&other.element),
            };
            let kept = match order {
                Ordering::Less => left.next().filter(|_| rule.first).cloned(),
                Ordering::Greater => right.next().filter(|_| rule.second).cloned(),
                Ordering::Equal => left.next().zip(right.next()).and_then(|(one, other)| {
                    let member = (rule.member)(one.member, other.member);
                    let below = one.below.combine(&other.below, rule);
                    (member || !below.is_empty()).then(|| Node { element: one.element.clone(), member, below })
                }),
            };
            nodes.extend(kept);
        }
    }

    pub fn union(&self, other: &Set) -> Set {
        match (self.is_empty(), other.is_empty()) {
            (true, _) => other.clone(),
            (_, true) => self.clone(),
            _ => self.combine(other, Rule { first: true, second: true, member: |one, other| one || other }),
        }
    }

    /// The paths of this set that are not in the other; what is below those stays.
    pub fn difference(&self, other: &Set) -> Set {
        if other.is_empty() {
            return self.clone();
        }
        self.combine(other, Rule { first: true, second: false, member: |one, other| one && !other })
    }

    /// As `difference`, in place.
    pub fn subtract(&mut self, other: &Set) {
        if other.is_empty() || self.is_empty() {
            return;
        }
        let mut gone = other.nodes.iter().peekable();
        self.nodes.retain_mut(|node| {
            while gone.next_if(|gone| gone.element < node.element).is_some() {}
            if let Some(gone) = gone.next_if(|gone| gone.element == node.element) {
                node.member &= !gone.member;
                node.below.subtract(&gone.below);
            }
            node.member || !node.below.is_empty()
        });
    }

    /// Adds all of another set.
    pub(super) fn absorb(&mut self, other: Set) {
        if self.is_empty() {
            *self = other;
            return;
        }
        for node in other.nodes {
            self.add(node.element, node.member, node.below);
        }
    }

    /// Whether any path begins with this step.
    pub(super) fn behind_or_at(&self, element: &PathElement) -> bool {
        self.find(element).is_ok()
    }

    pub fn intersection(&self, other: &Set) -> Set {
        self.combine(other, Rule { first: false, second: false, member: |one, other| one && other })
    }

    pub fn is_subset(&self, other: &Set) -> bool {
        self.difference(other).is_empty()
    }

    /// Without the other's paths and all that is below them.
    pub fn without(&self, other: &Set) -> Set {
        let mut nodes = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            match other.find(&node.element).map(|at| &other.nodes[at]) {
                Err(_) => nodes.push(node.clone()),
                Ok(gone) if gone.member => {}
                Ok(gone) => {
                    let below = node.below.without(&gone.below);
                    if node.member || !below.is_empty() {
                        nodes.push(Node { element: node.element.clone(), member: node.member, below });
                    }
                }
            }
        }
        Set { nodes }
    }

    /// With the fields of structs that lead to a member made members themselves: a struct goes with all its fields.
    pub(super) fn with_named_fields(&self, schema: Schema<'_>) -> Set {
        let nodes = self.nodes.iter().map(|node| {
            let (named, below) = match &node.element {
                PathElement::Field(name) => match schema.member(name) {
                    Some(member) => (member.named, member.schema),
                    None => (false, Schema::Unknown),
                },
                _ => (false, schema.item()),
            };
            let below = node.below.with_named_fields(below);
            let member = node.member || (named && !below.is_empty());
            Node { element: node.element.clone(), member, below }
        });
        Set { nodes: nodes.collect() }
    }

    /// Every path.
    pub fn paths(&self) -> Vec<Path> {
        let mut paths = Vec::new();
        self.collect(&mut Vec::new(), &mut paths);
        paths
    }

    fn collect(&self, before: &mut Vec<PathElement>, paths: &mut Vec<Path>) {
        for node in &self.nodes {
            before.push(node.element.clone());
            if node.member {
                paths.push(Path(before.clone()));
            }
            node.below.collect(before, paths);
            before.pop();
        }
    }
}
