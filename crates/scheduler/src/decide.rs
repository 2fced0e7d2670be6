//! The decision: which node a pod goes to. Pure but for what it remembers to be quick.
//!
//! Pods of one shape share the local plugins' answers per node until the node changes. Of many nodes only so many are
//! looked at as give a good choice, beginning where the last search ended. Pods that are alike also share the other
//! plugins' states, which these bring up to date. Bound: that of `Lately`, one small entry per node in each.

use crate::cluster::Cluster;
use crate::fit_error::{FitError, Preemption};
use crate::lately::Lately;
use crate::node::NodeInfo;
use crate::plugin::{Interest, Rejection, Row};
use crate::pod::PodInfo;
use std::any::Any;
use std::sync::Arc;

/// Local plugins that score.
const LOCAL_SCORES_MAX: usize = 4;

pub struct Decider {
    rows: &'static [&'static dyn Row],
    /// Rows of local plugins that score, and of those that are not local.
    local_scorers: Vec<usize>,
    global: Vec<usize>,
    shapes: Lately<Shape>,
    /// The global plugins' states, by the kind of pod.
    states: Lately<Vec<State>>,
    start: usize,
    random: u64,
}

#[derive(Default)]
struct Shape {
    entries: Vec<Entry>,
    rejections: Vec<Rejection>,
}

/// A node's answer to a shape, valid for one generation of the node.
#[derive(Clone, Copy, Default)]
struct Entry {
    generation: u64,
    /// 0: it suits; else one more than the index among the shape's rejections.
    verdict: u32,
    scores: [i32; LOCAL_SCORES_MAX],
}

type State = Box<dyn Any + Send>;

/// A global plugin that has a say about this pod.
struct Say {
    row: usize,
    state: State,
    filters: bool,
}

/// How many suitable nodes are enough: all of few, ever fewer percent of many. Upstream's numbers.
fn enough(nodes: usize) -> usize {
    const AT_LEAST: usize = 100;
    const PERCENT_LEAST: usize = 5;
    if nodes <= AT_LEAST {
        return nodes;
    }
    let percent = 50usize.saturating_sub(nodes / 125).max(PERCENT_LEAST);
    (nodes * percent / 100).max(AT_LEAST)
}

impl Decider {
    /// With the table's plugins; `seed` decides between equal nodes.
    pub fn new(seed: u64) -> Decider {
        Decider::with(crate::plugins::TABLE, seed)
    }

    pub(crate) fn with(rows: &'static [&'static dyn Row], seed: u64) -> Decider {
        let of =
            |wanted: &dyn Fn(&dyn Row) -> bool| (0..rows.len()).filter(|row| wanted(rows[*row])).collect::<Vec<_>>();
        let local_scorers = of(&|row| row.is_local() && row.weight() > 0);
        assert!(local_scorers.len() <= LOCAL_SCORES_MAX, "an entry has room for {LOCAL_SCORES_MAX} scores");
        let global = of(&|row| !row.is_local());
        Decider {
            rows,
            local_scorers,
            global,
            shapes: Lately::default(),
            states: Lately::default(),
            start: 0,
            random: seed | 1,
        }
    }

    pub(crate) fn rows(&self) -> &'static [&'static dyn Row] {
        self.rows
    }

    pub fn schedule(&mut self, pod: &PodInfo, cluster: &Cluster) -> Result<Arc<str>, FitError> {
        let nodes = cluster.nodes();
        if nodes.is_empty() {
            return Err(FitError::default());
        }
        let mut says = self.ask_global(pod, cluster);
        let mut shape = self.shapes.take(pod.shape).unwrap_or_default();
        shape.entries.resize(nodes.len(), Entry::default());
        let found = self.search(pod, nodes, &says, &mut shape);
        let answer = match found {
            Ok(fit) => Ok(self.best(pod, cluster, &fit, &mut says, &shape)),
            Err(rejections) => Err(FitError { nodes: nodes.len(), rejections, preemption: preemption(pod, cluster) }),
        };
        self.shapes.put(pod.shape, shape);
        self.states.put(pod.alike, says.into_iter().map(|say| say.state).collect());
        answer.map(|index| nodes[index].name.clone())
    }

    /// Whether all local plugins would have the pod on this node.
    pub fn suits_locally(&self, pod: &PodInfo, node: &NodeInfo) -> bool {
        let local = self.rows.iter().filter(|row| row.is_local());
        local.into_iter().all(|row| row.filter(pod, node, &*row.new_state()).is_ok())
    }

    fn ask_global(&mut self, pod: &PodInfo, cluster: &Cluster) -> Vec<Say> {
        let rows = self.rows;
        let states = self.states.take(pod.alike);
        let states = states.unwrap_or_else(|| self.global.iter().map(|row| rows[*row].new_state()).collect());
        let ask = |(row, mut state): (&usize, State)| {
            let filters = rows[*row].pre_filter(pod, cluster, &mut *state) == Interest::Asks;
            Say { row: *row, state, filters }
        };
        self.global.iter().zip(states).map(ask).collect()
    }

    /// Enough suitable nodes, or why there are none.
    fn search(
        &mut self,
        pod: &PodInfo,
        nodes: &[NodeInfo],
        says: &[Say],
        shape: &mut Shape,
    ) -> Result<Vec<usize>, Vec<(Rejection, usize)>> {
        let (enough, first) = (enough(nodes.len()), self.start % nodes.len());
        let mut fit = Vec::with_capacity(enough);
        let mut refused_locally: Vec<usize> = Vec::new();
        let mut refused: Vec<(Rejection, usize)> = Vec::new();
        let mut seen = 0;
        for index in (first..nodes.len()).chain(0..first) {
            seen += 1;
            let verdict = self.local_verdict(pod, &nodes[index], index, shape);
            if verdict > 0 {
                refused_locally.push(verdict - 1);
            } else if let Some(rejection) = self.refusal(pod, &nodes[index], says) {
                add(&mut refused, &rejection, 1);
            } else {
                fit.push(index);
                if fit.len() == enough {
                    break;
                }
            }
        }
        self.start = (first + seen) % nodes.len();
        if !fit.is_empty() {
            return Ok(fit);
        }
        for rejection in refused_locally {
            add(&mut refused, &shape.rejections[rejection], 1);
        }
        Err(refused)
    }

    fn local_verdict(&self, pod: &PodInfo, node: &NodeInfo, index: usize, shape: &mut Shape) -> usize {
        let entry = &shape.entries[index];
        if entry.generation == node.generation {
            return entry.verdict as usize;
        }
        let mut fresh = Entry { generation: node.generation, ..Entry::default() };
        for (plugin, row) in self.rows.iter().enumerate().filter(|(_, row)| row.is_local()) {
            if let Err(no) = row.filter(pod, node, &*row.new_state()) {
                let rejection = Rejection { plugin, reasons: no.reasons, unresolvable: no.unresolvable };
                fresh.verdict = remember(&mut shape.rejections, rejection);
                break;
            }
        }
        if fresh.verdict == 0 {
            for (slot, row) in self.local_scorers.iter().enumerate() {
                let row = self.rows[*row];
                let score = row.score(pod, node, &*row.new_state());
                fresh.scores[slot] = i32::try_from(score).unwrap_or(i32::MAX);
            }
        }
        shape.entries[index] = fresh;
        fresh.verdict as usize
    }

    fn refusal(&self, pod: &PodInfo, node: &NodeInfo, says: &[Say]) -> Option<Rejection> {
        says.iter().filter(|say| say.filters).find_map(|say| {
            let no = self.rows[say.row].filter(pod, node, &*say.state).err()?;
            Some(Rejection { plugin: say.row, reasons: no.reasons, unresolvable: no.unresolvable })
        })
    }

    fn best(&mut self, pod: &PodInfo, cluster: &Cluster, fit: &[usize], says: &mut [Say], shape: &Shape) -> usize {
        if let [only] = fit {
            return *only;
        }
        let mut totals = vec![0i64; fit.len()];
        let mut scores = vec![0i64; fit.len()];
        for (slot, row) in self.local_scorers.iter().enumerate() {
            let row = self.rows[*row];
            if row.pre_score(pod, cluster, fit, &mut *row.new_state()) == Interest::Asks {
                for (score, index) in scores.iter_mut().zip(fit) {
                    *score = shape.entries[*index].scores[slot].into();
                }
                add_scores(row, &mut scores, &mut totals);
            }
        }
        for say in says {
            let row = self.rows[say.row];
            if row.weight() > 0 && row.pre_score(pod, cluster, fit, &mut *say.state) == Interest::Asks {
                for (score, index) in scores.iter_mut().zip(fit) {
                    *score = row.score(pod, &cluster.nodes()[*index], &*say.state);
                }
                add_scores(row, &mut scores, &mut totals);
            }
        }
        self.one_of_the_best(&totals, fit)
    }

    fn one_of_the_best(&mut self, totals: &[i64], fit: &[usize]) -> usize {
        let most = totals.iter().copied().max().unwrap_or(0);
        let best = || totals.iter().zip(fit).filter(|(total, _)| **total == most);
        // xorshift: quick, and even enough to share the load.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let pick = self.random % best().count() as u64;
        let (_, index) = best().nth(pick as usize).expect("picked below the count");
        *index
    }
}

fn add_scores(row: &dyn Row, scores: &mut [i64], totals: &mut [i64]) {
    if scores.iter().all(|score| *score == scores[0]) {
        // Normalized or not, it would be the same for all.
        return;
    }
    row.normalize(scores);
    for (total, score) in totals.iter_mut().zip(scores) {
        *total += *score * row.weight();
    }
}

/// The verdict that stands for a rejection.
fn remember(known: &mut Vec<Rejection>, rejection: Rejection) -> u32 {
    let index = known.iter().position(|known| *known == rejection).unwrap_or_else(|| {
        known.push(rejection);
        known.len() - 1
    });
    u32::try_from(index + 1).expect("a plugin has few different reasons")
}

fn add(counts: &mut Vec<(Rejection, usize)>, rejection: &Rejection, by: usize) {
    match counts.iter_mut().find(|(known, _)| known == rejection) {
        Some((_, count)) => *count += by,
        None => counts.push((rejection.clone(), by)),
    }
}

fn preemption(pod: &PodInfo, cluster: &Cluster) -> Preemption {
    if !pod.pod.spec.preempts {
        Preemption::Never
    } else if cluster.has_below(pod.priority) {
        Preemption::NotDone
    } else {
        Preemption::NoVictims
    }
}
