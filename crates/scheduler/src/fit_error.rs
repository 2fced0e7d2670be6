//! Why no node suits a pod, in upstream's words.

use crate::plugin::Rejection;
use std::collections::{BTreeSet, HashMap};
use std::fmt;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct FitError {
    pub nodes: usize,
    /// Each rejection and on how many nodes it was met.
    pub rejections: Vec<(Rejection, usize)>,
    pub preemption: Preemption,
}

/// What ending other pods for this one's sake would bring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Preemption {
    /// No pod of a lower priority is there to end.
    #[default]
    NoVictims,
    /// The pod asks for none.
    Never,
    /// There are pods of lower priority; this scheduler does not end them.
    NotDone,
}

impl FitError {
    /// The rows of the plugins that refused a node.
    pub fn plugins(&self) -> BTreeSet<usize> {
        self.rejections.iter().map(|(rejection, _)| rejection.plugin).collect()
    }

    fn preemption_text(&self) -> String {
        let reasons = |resolvable: &'static str| {
            let count = |wanted| {
                self.rejections.iter().filter(|(r, _)| r.unresolvable == wanted).map(|(_, n)| n).sum::<usize>()
            };
            let counts = [(resolvable, count(false)), ("Preemption is not helpful for scheduling", count(true))];
            counts.into_iter().filter(|(_, count)| *count > 0).collect()
        };
        match self.preemption {
            Preemption::Never => "not eligible due to preemptionPolicy=Never.".to_owned(),
            Preemption::NoVictims => summary(self.nodes, &reasons("No preemption victims found for incoming pod")),
            Preemption::NotDone => summary(self.nodes, &reasons("Preemption is not done by this scheduler")),
        }
    }
}

fn summary(nodes: usize, reasons: &HashMap<&str, usize>) -> String {
    let mut texts: Vec<String> = reasons.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    texts.sort();
    format!("0/{nodes} nodes are available: {}.", texts.join(", "))
}

impl fmt::Display for FitError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nodes == 0 {
            return out.write_str("no nodes available to schedule pods");
        }
        let mut reasons: HashMap<&str, usize> = HashMap::new();
        for (rejection, count) in &self.rejections {
            for reason in &rejection.reasons {
                *reasons.entry(reason).or_default() += count;
            }
        }
        write!(out, "{} preemption: {}", summary(self.nodes, &reasons), self.preemption_text())
    }
}

impl std::error::Error for FitError {}
