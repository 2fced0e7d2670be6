//! Builds the plan of a checked tree.

use super::{Call, Element, Entry, Index, Loop, Matches, Node, Select, SelectMode, Struct, StructField};
use crate::check::{Checked, Reference};
use crate::cost::Formula;
use crate::library::regex;
use crate::syntax::ast::{self, Expr, ExprKind, Literal, operator};
use crate::value::{Blob, FieldName, Text, Value};
use std::sync::Arc;

/// The plan, and how many places its loops need.
pub(crate) fn build(root: &Expr, checked: &Checked) -> (Node, usize) {
    let mut builder = Builder { checked, locals: Vec::new(), most: 0 };
    let node = builder.node(root);
    (node, builder.most)
}

struct Builder<'c> {
    checked: &'c Checked,
    /// Names of loops' variables; a name's place is its index.
    locals: Vec<String>,
    most: usize,
}

impl Builder<'_> {
    fn boxed(&mut self, expr: &Expr) -> Box<Node> {
        Box::new(self.node(expr))
    }

    fn node(&mut self, expr: &Expr) -> Node {
        match (&expr.kind, &self.checked.references[expr.id]) {
            (_, Reference::Variable(slot)) => Node::Variable { slot: *slot, charged: true },
            (_, Reference::Type(named)) => Node::Constant(Value::Type(Arc::new(named.clone()))),
            (ExprKind::Ident(name), _) => Node::Local { slot: self.slot(name), charged: true },
            (ExprKind::Literal(literal), _) => Node::Constant(constant(literal)),
            (ExprKind::Select(select), _) => {
                let mode = if select.test_only { SelectMode::Test } else { SelectMode::Plain };
                self.select(&select.operand, &select.field, mode)
            }
            (ExprKind::Call(call), reference) => self.call(call, reference),
            (ExprKind::List(elements), _) => {
                let element =
                    |element: &ast::Element| Element { value: self.node(&element.value), optional: element.optional };
                Node::List(elements.iter().map(element).collect())
            }
            (ExprKind::Map(entries), _) => {
                let entry = |entry: &ast::Entry| Entry {
                    key: self.node(&entry.key),
                    value: self.node(&entry.value),
                    optional: entry.optional,
                };
                Node::Map(entries.iter().map(entry).collect())
            }
            (ExprKind::Struct(made), _) => {
                let field = |field: &ast::FieldInit| StructField {
                    name: field.name.as_str().into(),
                    value: self.node(&field.value),
                    optional: field.optional,
                };
                let fields = made.fields.iter().map(field).collect();
                Node::Struct(Box::new(Struct { name: made.name.as_str().into(), fields }))
            }
            (ExprKind::Comprehension(comprehension), _) => self.comprehension(comprehension),
        }
    }

    /// The innermost place of a name. The checker has found each.
    fn slot(&self, name: &str) -> usize {
        self.locals.iter().rposition(|local| local == name).unwrap_or_default()
    }

    fn select(&mut self, operand: &Expr, field: &str, mode: SelectMode) -> Node {
        let operand = self.node(operand);
        let surcharge = !operand.is_attribute() && mode != SelectMode::Test;
        Node::Select(Box::new(Select { operand, field: FieldName::new(field), mode, surcharge }))
    }

    fn call(&mut self, call: &ast::Call, reference: &Reference) -> Node {
        match (call.function.as_str(), call.arguments.as_slice()) {
            (operator::AND, [left, right]) => Node::And(Box::new([self.node(left), self.node(right)])),
            (operator::OR, [left, right]) => Node::Or(Box::new([self.node(left), self.node(right)])),
            (operator::CONDITIONAL, [condition, yes, no]) => {
                let (condition, mut yes, mut no) = (self.node(condition), self.node(yes), self.node(no));
                yes.uncharge();
                no.uncharge();
                Node::Conditional(Box::new([condition, yes, no]))
            }
            (operator::NOT_STRICTLY_FALSE, [operand]) => Node::NotStrictlyFalse(self.boxed(operand)),
            (operator::EQUALS, [left, right]) => self.equality(left, right, false),
            (operator::NOT_EQUALS, [left, right]) => self.equality(left, right, true),
            (operator::INDEX, [operand, index]) => self.index(operand, index, false),
            (operator::OPTIONAL_INDEX, [operand, index]) => self.index(operand, index, true),
            (operator::OPTIONAL_SELECT, [operand, field]) => match &field.kind {
                ExprKind::Literal(Literal::String(name)) => self.select(operand, name, SelectMode::Optional),
                _ => Node::Constant(Value::Null),
            },
            (operator::ADD, [left, right]) if self.appends(left, right) => self.append(left, right),
            (operator::MAP_INSERT, [target, key, value]) => match &target.kind {
                ExprKind::Ident(name) if name == ast::ACCUMULATOR => {
                    Node::Insert { slot: self.slot(name), entry: Box::new([self.node(key), self.node(value)]) }
                }
                _ => self.function(call, reference),
            },
            _ => self.pattern(call).unwrap_or_else(|| self.function(call, reference)),
        }
    }

    fn equality(&mut self, left: &Expr, right: &Expr, negated: bool) -> Node {
        Node::Equals { operands: Box::new([self.node(left), self.node(right)]), negated }
    }

    fn index(&mut self, operand: &Expr, index: &Expr, optional: bool) -> Node {
        let (operand, mut index) = (self.node(operand), self.node(index));
        index.uncharge();
        let surcharge = !operand.is_attribute();
        Node::Index(Box::new(Index { operand, index, optional, surcharge }))
    }

    /// Whether this is what macros make: the accumulator and a list of one.
    fn appends(&self, left: &Expr, right: &Expr) -> bool {
        matches!(&left.kind, ExprKind::Ident(name) if name == ast::ACCUMULATOR)
            && matches!(&right.kind, ExprKind::List(elements) if matches!(elements.as_slice(), [only] if !only.optional))
    }

    fn append(&mut self, left: &Expr, right: &Expr) -> Node {
        match (&left.kind, &right.kind) {
            (ExprKind::Ident(name), ExprKind::List(elements)) if !elements.is_empty() => {
                Node::Append { slot: self.slot(name), element: self.boxed(&elements[0].value) }
            }
            _ => Node::Constant(Value::Null),
        }
    }

    /// `text.matches('constant')`, whose pattern is compiled once.
    fn pattern(&mut self, call: &ast::Call) -> Option<Node> {
        if call.function != "matches" {
            return None;
        }
        let (text, pattern) = match (&call.target, call.arguments.as_slice()) {
            (Some(text), [pattern]) | (None, [text, pattern]) => (text, pattern),
            _ => return None,
        };
        let ExprKind::Literal(Literal::String(written)) = &pattern.kind else { return None };
        let pattern = regex::compile(written).ok()?;
        let pattern_length = written.chars().count() as u64;
        Some(Node::Matches(Box::new(Matches { text: self.node(text), pattern, pattern_length })))
    }

    fn function(&mut self, call: &ast::Call, reference: &Reference) -> Node {
        let Reference::Function { overloads, qualified } = reference else { return Node::Constant(Value::Null) };
        let target = call.target.as_ref().filter(|_| !qualified);
        let arguments = target.into_iter().chain(&call.arguments).map(|argument| self.node(argument)).collect();
        let name = match (&call.target, qualified) {
            (Some(target), true) => {
                format!("{}.{}", target.qualified_name().unwrap_or_default(), call.function)
            }
            _ => call.function.clone(),
        };
        let formulas = overloads.iter().map(|overload| Formula::of(&name, overload.id)).collect();
        Node::Call(Box::new(Call { function: name, overloads: overloads.clone(), formulas, arguments }))
    }

    fn comprehension(&mut self, comprehension: &ast::Comprehension) -> Node {
        let range = self.node(&comprehension.range);
        let initial = self.node(&comprehension.initial);
        let around = self.locals.len();
        self.locals.push(comprehension.accumulator.clone());
        self.locals.push(comprehension.variable.clone());
        self.locals.extend(comprehension.second.clone());
        self.most = self.most.max(self.locals.len());
        let condition = match &comprehension.condition.kind {
            ExprKind::Literal(Literal::Bool(true)) => None,
            _ => Some(self.node(&comprehension.condition)),
        };
        let step = self.node(&comprehension.step);
        self.locals.truncate(around + 1);
        let result = self.node(&comprehension.result);
        self.locals.truncate(around);
        Node::Loop(Box::new(Loop {
            range,
            variable: around + 1,
            second: comprehension.second.as_ref().map(|_| around + 2),
            accumulator: around,
            initial,
            condition,
            step,
            result,
        }))
    }
}

fn constant(literal: &Literal) -> Value<'static> {
    match literal {
        Literal::Null => Value::Null,
        Literal::Bool(value) => Value::Bool(*value),
        Literal::Int(value) => Value::Int(*value),
        Literal::Uint(value) => Value::Uint(*value),
        Literal::Double(value) => Value::Double(*value),
        Literal::String(text) => Value::String(Text::from(text.as_str())),
        Literal::Bytes(bytes) => Value::Bytes(Blob::from(bytes.clone())),
    }
}
