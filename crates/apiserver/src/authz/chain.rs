//! Who is asked whether a request may be, and in which order.
//!
//! Invariants: the masters' bypass comes before everybody; the first who allows or forbids has the last word; without
//! webhooks nothing waits.

use super::webhook::Webhook;
use std::sync::Arc;

/// Why somebody has his opinion, as upstream tells it; nobody has to have a reason.
pub(crate) type Why = Option<Arc<str>>;

/// What one of those who are asked has to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Opinion {
    Allow(Why),
    /// Others are not asked any more.
    Forbid(Why),
    /// Others may still allow.
    None(Why),
}

impl Opinion {
    pub(crate) fn because(why: impl Into<Arc<str>>) -> Opinion {
        Opinion::None(Some(why.into()))
    }
}

/// One of those who are asked.
#[derive(Clone)]
pub(crate) enum Step {
    Node,
    Rbac,
    AlwaysAllow,
    AlwaysDeny,
    Webhook(Arc<Webhook>),
}

/// All of them, in their order.
#[derive(Clone)]
pub struct Chain {
    pub(crate) steps: Vec<Step>,
    /// Whether one of them is another server.
    pub(crate) asks_others: bool,
}

impl Chain {
    pub(crate) fn new(steps: Vec<Step>) -> Chain {
        let asks_others = steps.iter().any(|step| matches!(step, Step::Webhook(_)));
        Chain { steps, asks_others }
    }
}

impl Default for Chain {
    fn default() -> Chain {
        Chain::new(vec![Step::Node, Step::Rbac])
    }
}

/// What all of them together came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Allow(Why),
    Refuse(Refusal),
}

/// What those had to say who did not allow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// One forbade it, rather than all having no opinion.
    pub(crate) forbidden: bool,
    pub(crate) reasons: Vec<Arc<str>>,
    /// Of those who could not be asked.
    pub(crate) errors: Vec<String>,
}

impl Refusal {
    /// Takes an opinion in; the verdict, if that was the last word.
    pub(crate) fn hear(&mut self, opinion: Opinion) -> Option<Verdict> {
        match opinion {
            Opinion::Allow(why) => return Some(Verdict::Allow(why)),
            Opinion::None(why) => self.reasons.extend(why),
            Opinion::Forbid(why) => {
                // Whoever forbids speaks for himself: what the others had to say does not matter any more.
                let reasons = why.into_iter().collect();
                let errors = std::mem::take(&mut self.errors);
                return Some(Verdict::Refuse(Refusal { forbidden: true, reasons, errors }));
            }
        }
        None
    }

    /// Upstream's list of errors; empty without one.
    pub(crate) fn error(&self) -> Option<String> {
        match self.errors.as_slice() {
            [] => None,
            [one] => Some(one.clone()),
            many => Some(format!("[{}]", many.join(", "))),
        }
    }
}
