//! A checked tree made ready to run: names are places, functions are known, constants are values.
//!
//! Costs are counted as upstream's interpreter does, whose names with their fields and indices are one step
//! ("attribute"): a name costs 1 and each field or index after it 1, but the name that a `?:` yields, or that is an
//! index itself, costs nothing; what is no name costs 1 more where a field of it is taken.

mod build;

use crate::cost::Formula;
use crate::functions::Overload;
use crate::value::{FieldName, Value};
use std::sync::Arc;

pub(crate) use build::build;

/// One step.
#[derive(Debug)]
pub(crate) enum Node {
    Constant(Value<'static>),
    /// A variable of the environment.
    Variable {
        slot: usize,
        charged: bool,
    },
    /// A loop's variable or accumulator.
    Local {
        slot: usize,
        charged: bool,
    },
    Select(Box<Select>),
    Index(Box<Index>),
    And(Box<[Node; 2]>),
    Or(Box<[Node; 2]>),
    Conditional(Box<[Node; 3]>),
    NotStrictlyFalse(Box<Node>),
    Equals {
        operands: Box<[Node; 2]>,
        negated: bool,
    },
    Call(Box<Call>),
    Matches(Box<Matches>),
    List(Vec<Element>),
    Map(Vec<Entry>),
    Struct(Box<Struct>),
    Loop(Box<Loop>),
    /// `accumulator + [element]`, in place.
    Append {
        slot: usize,
        element: Box<Node>,
    },
    /// `cel.@mapInsert(accumulator, key, value)`, in place.
    Insert {
        slot: usize,
        entry: Box<[Node; 2]>,
    },
}

#[derive(Debug)]
pub(crate) struct Select {
    pub(crate) operand: Node,
    pub(crate) field: FieldName,
    pub(crate) mode: SelectMode,
    /// Whether the operand is no name, for which upstream counts 1 more.
    pub(crate) surcharge: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum SelectMode {
    Plain,
    /// `operand.?field`.
    Optional,
    /// `has(operand.field)`.
    Test,
}

#[derive(Debug)]
pub(crate) struct Index {
    pub(crate) operand: Node,
    pub(crate) index: Node,
    pub(crate) optional: bool,
    pub(crate) surcharge: bool,
}

#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) function: String,
    pub(crate) overloads: Vec<Arc<Overload>>,
    /// By overload.
    pub(crate) formulas: Vec<Formula>,
    pub(crate) arguments: Vec<Node>,
}

/// A call of a function of patterns whose pattern is a constant.
#[derive(Debug)]
pub(crate) struct Matches {
    pub(crate) text: Node,
    pub(crate) pattern: regex::Regex,
    /// Code points of the pattern as written.
    pub(crate) pattern_length: u64,
}

#[derive(Debug)]
pub(crate) struct Element {
    pub(crate) value: Node,
    pub(crate) optional: bool,
}

#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) key: Node,
    pub(crate) value: Node,
    pub(crate) optional: bool,
}

#[derive(Debug)]
pub(crate) struct Struct {
    pub(crate) name: Arc<str>,
    pub(crate) fields: Vec<StructField>,
}

#[derive(Debug)]
pub(crate) struct StructField {
    pub(crate) name: Arc<str>,
    pub(crate) value: Node,
    pub(crate) optional: bool,
}

#[derive(Debug)]
pub(crate) struct Loop {
    pub(crate) range: Node,
    pub(crate) variable: usize,
    pub(crate) second: Option<usize>,
    pub(crate) accumulator: usize,
    pub(crate) initial: Node,
    /// None where the loop runs to its end.
    pub(crate) condition: Option<Node>,
    pub(crate) step: Node,
    pub(crate) result: Node,
}

impl Node {
    /// Whether upstream counts it and what is taken of it as one step.
    fn is_attribute(&self) -> bool {
        match self {
            Node::Variable { .. } | Node::Local { .. } | Node::Index(_) | Node::Conditional(_) => true,
            Node::Select(select) => select.mode != SelectMode::Test,
            _ => false,
        }
    }

    /// Where upstream resolves the name without counting it.
    fn uncharge(&mut self) {
        match self {
            Node::Variable { charged, .. } | Node::Local { charged, .. } => *charged = false,
            Node::Select(select) if select.mode != SelectMode::Test => {
                select.surcharge = false;
                select.operand.uncharge();
            }
            Node::Index(index) => {
                index.surcharge = false;
                index.operand.uncharge();
            }
            _ => {}
        }
    }
}
