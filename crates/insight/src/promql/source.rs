//! Where series come from.

use super::labels::{Labels, NAME};
use super::{QueryError, bad};
use promql_parser::label::{MatchOp, Matcher};
use promql_parser::parser::{Expr, VectorSelector};

/// Milliseconds since 1970, and the value.
pub type Point = (i64, f64);

/// What a selector demands of a series' labels.
#[derive(Clone, Debug)]
pub struct Matchers(Vec<Matcher>);

impl Matchers {
    pub fn matches(&self, labels: &Labels) -> bool {
        self.0.iter().all(|matcher| matcher.is_match(labels.get(&matcher.name)))
    }

    /// Whether a label of this value could be selected; of labels that are not spoken of it is so.
    pub fn allows(&self, name: &str, value: &str) -> bool {
        self.0.iter().filter(|matcher| matcher.name == name).all(|matcher| matcher.is_match(value))
    }

    /// The labels that are demanded to be equal to something, as `absent` answers them.
    pub(super) fn equal(&self) -> Labels {
        let mut labels = Labels::default();
        for matcher in self.0.iter().filter(|matcher| matcher.name != NAME) {
            let others = self.0.iter().filter(|other| other.name == matcher.name).count();
            let value = if matcher.op == MatchOp::Equal && others == 1 { matcher.value.as_str() } else { "" };
            labels.set(&matcher.name, value);
        }
        labels
    }

    pub(super) fn of(selector: &VectorSelector) -> Result<Matchers, QueryError> {
        if !selector.matchers.or_matchers.is_empty() {
            return Err(bad("`or` between matchers is not known here"));
        }
        let mut matchers = selector.matchers.matchers.clone();
        if let Some(name) = &selector.name {
            matchers.push(Matcher::new(MatchOp::Equal, NAME, name));
        }
        Ok(Matchers(matchers))
    }
}

/// A selector by itself: `up{job="a"}`.
pub fn parse_selector(text: &str) -> Result<Matchers, QueryError> {
    match super::eval::parse(text)? {
        Expr::VectorSelector(selector) => Matchers::of(&selector),
        _ => Err(bad(format!("{text:?} is no series selector"))),
    }
}

/// Has series. Asked for one selector at a time.
pub trait Source {
    /// Calls `each` with every series that matches and its points between two moments, both included, in their order.
    fn series(
        &self,
        matchers: &Matchers,
        from_ms: i64,
        to_ms: i64,
        each: &mut dyn FnMut(Labels, Vec<Point>) -> Result<(), QueryError>,
    ) -> Result<(), QueryError>;
}
