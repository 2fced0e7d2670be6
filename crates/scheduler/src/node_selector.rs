//! Node selectors and node affinity, made ready to be asked about many nodes.

use k8s_openapi::api::core::v1::{Node, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm};
use std::collections::BTreeMap;

/// A pod's `nodeSelector` and required node affinity: all of the labels, and one of the terms if there are any.
#[derive(Debug, Default)]
pub struct NodeMatcher {
    labels: BTreeMap<String, String>,
    terms: Option<Vec<Term>>,
}

/// Requirements that all must hold; without any it holds for no node.
#[derive(Debug)]
pub struct Term {
    requirements: Vec<Requirement>,
}

#[derive(Debug)]
struct Requirement {
    /// `None`: the node's name.
    label: Option<String>,
    operator: Operator,
    values: Vec<String>,
}

#[derive(Debug, Clone, Copy)]
enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
    Gt,
    Lt,
    /// One that validation refuses; it holds for no node.
    Unknown,
}

impl NodeMatcher {
    pub fn new(labels: Option<&BTreeMap<String, String>>, affinity: Option<&NodeSelector>) -> NodeMatcher {
        NodeMatcher {
            labels: labels.cloned().unwrap_or_default(),
            terms: affinity.map(|selector| selector.node_selector_terms.iter().map(Term::new).collect()),
        }
    }

    pub fn is_any(&self) -> bool {
        self.labels.is_empty() && self.terms.is_none()
    }

    pub fn matches(&self, node: &Node) -> bool {
        let labels = crate::labels(&node.metadata);
        self.labels.iter().all(|(name, value)| labels.get(name) == Some(value))
            && self.terms.as_ref().is_none_or(|terms| terms.iter().any(|term| term.matches(node)))
    }
}

impl Term {
    pub fn new(term: &NodeSelectorTerm) -> Term {
        let fields = term.match_fields.iter().flatten().map(|requirement| Requirement::new(requirement, true));
        let labels = term.match_expressions.iter().flatten().map(|requirement| Requirement::new(requirement, false));
        Term { requirements: fields.chain(labels).collect() }
    }

    pub fn matches(&self, node: &Node) -> bool {
        !self.requirements.is_empty() && self.requirements.iter().all(|requirement| requirement.holds(node))
    }
}

impl Requirement {
    fn new(requirement: &NodeSelectorRequirement, field: bool) -> Requirement {
        let operator = match requirement.operator.as_str() {
            // The only selectable field is the name.
            _ if field && requirement.key != "metadata.name" => Operator::Unknown,
            "In" => Operator::In,
            "NotIn" => Operator::NotIn,
            "Exists" => Operator::Exists,
            "DoesNotExist" => Operator::DoesNotExist,
            "Gt" => Operator::Gt,
            "Lt" => Operator::Lt,
            _ => Operator::Unknown,
        };
        let label = (!field).then(|| requirement.key.clone());
        Requirement { label, operator, values: requirement.values.clone().unwrap_or_default() }
    }

    fn holds(&self, node: &Node) -> bool {
        let value = match &self.label {
            Some(label) => crate::labels(&node.metadata).get(label),
            None => node.metadata.name.as_ref(),
        };
        let listed = value.is_some_and(|value| self.values.contains(value));
        let numbers = || {
            let limit: i64 = self.values.first()?.parse().ok()?;
            Some((value?.parse::<i64>().ok()?, limit))
        };
        match self.operator {
            Operator::In => listed,
            Operator::NotIn => !listed,
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::Gt => numbers().is_some_and(|(value, limit)| value > limit),
            Operator::Lt => numbers().is_some_and(|(value, limit)| value < limit),
            Operator::Unknown => false,
        }
    }
}
