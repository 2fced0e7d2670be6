//! A template's tree over an object.

use super::DEPTH_MAX;
use super::functions;
use super::parse::{Named, Node, Pipeline, Term};
use crate::print::display;
use serde_json::Value;

/// A value, or the absence of one, which prints as `<no value>`.
pub(super) type Found = Option<Value>;

/// What comes after a node.
#[derive(PartialEq)]
enum Flow {
    On,
    Break,
    Continue,
}

struct Renderer<'a> {
    named: &'a Named,
    strict: bool,
    variables: Vec<(String, Found)>,
    depth: usize,
    /// Of loops over numbers, which no object bounds.
    turns: i64,
    out: String,
}

/// Go has no bound, but nobody reads so much, and a loop in a loop would never end.
const TURNS_MAX: i64 = 100_000;

pub(super) fn render(nodes: &[Node], named: &Named, strict: bool, object: &Value) -> Result<String, String> {
    let variables = vec![(String::new(), Some(object.clone()))];
    let mut renderer = Renderer { named, strict, variables, depth: 0, turns: 0, out: String::new() };
    renderer.nodes(nodes, &Some(object.clone()))?;
    Ok(renderer.out)
}

/// Whether a value counts as true: neither absent, nor zero, nor empty.
pub(super) fn truth(value: &Found) -> bool {
    match value {
        None | Some(Value::Null) => false,
        Some(Value::Bool(bool)) => *bool,
        Some(Value::Number(number)) => number.as_f64() != Some(0.0),
        Some(Value::String(text)) => !text.is_empty(),
        Some(Value::Array(elements)) => !elements.is_empty(),
        Some(Value::Object(members)) => !members.is_empty(),
    }
}

pub(super) fn shown(value: &Found) -> String {
    match value {
        None | Some(Value::Null) => "<no value>".to_owned(),
        Some(value) => display(value),
    }
}

impl Renderer<'_> {
    fn nodes(&mut self, nodes: &[Node], dot: &Found) -> Result<Flow, String> {
        let scope = self.variables.len();
        for node in nodes {
            let flow = self.node(node, dot)?;
            if flow != Flow::On {
                self.variables.truncate(scope);
                return Ok(flow);
            }
        }
        self.variables.truncate(scope);
        Ok(Flow::On)
    }

    fn node(&mut self, node: &Node, dot: &Found) -> Result<Flow, String> {
        match node {
            Node::Text(text) => self.out.push_str(text),
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
            Node::Action(pipeline) => {
                let value = self.pipeline(pipeline, dot)?;
                if pipeline.variables.is_empty() {
                    self.out.push_str(&shown(&value));
                }
            }
            Node::If(condition, body, otherwise) => return self.branch(condition, body, otherwise, dot, false),
            Node::With(condition, body, otherwise) => return self.branch(condition, body, otherwise, dot, true),
            Node::Range(over, body, otherwise) => self.range(over, body, otherwise, dot)?,
            Node::Template(name, argument) => {
                let nodes = self.named.get(name).ok_or_else(|| format!("template {name:?} not defined"))?;
                if self.depth == DEPTH_MAX {
                    return Err(format!("exceeded maximum template depth ({DEPTH_MAX})"));
                }
                let dot = match argument {
                    Some(argument) => self.pipeline(argument, dot)?,
                    None => None,
                };
                // A template sees its own variables only: `$` is its argument.
                let outer = std::mem::replace(&mut self.variables, vec![(String::new(), dot.clone())]);
                self.depth += 1;
                self.nodes(nodes, &dot)?;
                self.depth -= 1;
                self.variables = outer;
            }
        }
        Ok(Flow::On)
    }

    fn branch(
        &mut self,
        condition: &Pipeline,
        body: &[Node],
        otherwise: &[Node],
        dot: &Found,
        with: bool,
    ) -> Result<Flow, String> {
        let scope = self.variables.len();
        let value = self.pipeline(condition, dot)?;
        let flow = match (truth(&value), with) {
            (true, true) => self.nodes(body, &value),
            (true, false) => self.nodes(body, dot),
            (false, _) => self.nodes(otherwise, dot),
        };
        self.variables.truncate(scope);
        flow
    }

    fn range(&mut self, over: &Pipeline, body: &[Node], otherwise: &[Node], dot: &Found) -> Result<(), String> {
        let scope = self.variables.len();
        let unnamed = Pipeline { variables: Vec::new(), ..over.clone() };
        let items: Vec<(Value, Value)> = match self.pipeline(&unnamed, dot)? {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(elements)) => {
                elements.into_iter().enumerate().map(|(index, element)| (index.into(), element)).collect()
            }
            Some(Value::Object(mut members)) => {
                members.sort_keys();
                members.into_iter().map(|(key, member)| (key.into(), member)).collect()
            }
            Some(Value::Number(count)) => {
                let count = count.as_i64().unwrap_or_default().max(0);
                self.turns = self.turns.saturating_add(count);
                if self.turns > TURNS_MAX {
                    return Err(format!("range over {count}: a template may count to {TURNS_MAX} in all"));
                }
                (0..count).map(|index| (index.into(), index.into())).collect()
            }
            Some(other) => return Err(format!("range can't iterate over {}", display(&other))),
        };
        if items.is_empty() {
            self.nodes(otherwise, dot)?;
        }
        for (key, item) in items {
            match over.variables.as_slice() {
                [] => {}
                [element] => self.variables.push((element.clone(), Some(item.clone()))),
                [index, element, ..] => {
                    self.variables.push((index.clone(), Some(key)));
                    self.variables.push((element.clone(), Some(item.clone())));
                }
            }
            let flow = self.nodes(body, &Some(item))?;
            self.variables.truncate(scope);
            if flow == Flow::Break {
                break;
            }
        }
        Ok(())
    }

    fn pipeline(&mut self, pipeline: &Pipeline, dot: &Found) -> Result<Found, String> {
        let mut value: Option<Found> = None;
        for command in &pipeline.commands {
            value = Some(self.command(command, dot, value)?);
        }
        let value = value.flatten();
        for name in &pipeline.variables {
            if pipeline.declares {
                self.variables.push((name.clone(), value.clone()));
            } else {
                let known = self.variables.iter_mut().rev().find(|(own, _)| own == name);
                known.ok_or_else(|| format!("undefined variable \"${name}\""))?.1 = value.clone();
            }
        }
        Ok(value)
    }

    /// `piped` is what the command before it gave, the last argument of this one.
    fn command(&mut self, terms: &[Term], dot: &Found, piped: Option<Found>) -> Result<Found, String> {
        let Some((first, arguments)) = terms.split_first() else { return Ok(None) };
        let Term::Function(name) = first else {
            if !arguments.is_empty() || piped.is_some() {
                return Err("can't give argument to non-function".to_owned());
            }
            return self.term(first, dot);
        };
        if matches!(name.as_str(), "and" | "or") {
            return self.short_circuit(name == "or", arguments, dot, piped);
        }
        let mut values = Vec::with_capacity(arguments.len() + 1);
        for argument in arguments {
            values.push(self.term(argument, dot)?);
        }
        values.extend(piped);
        functions::call(name, &values)
    }

    fn short_circuit(
        &mut self,
        wanted: bool,
        arguments: &[Term],
        dot: &Found,
        piped: Option<Found>,
    ) -> Result<Found, String> {
        let mut last = None;
        for argument in arguments {
            last = self.term(argument, dot)?;
            if truth(&last) == wanted {
                return Ok(last);
            }
        }
        Ok(piped.unwrap_or(last))
    }

    fn term(&mut self, term: &Term, dot: &Found) -> Result<Found, String> {
        match term {
            Term::Dot => Ok(dot.clone()),
            Term::Nil => Ok(None),
            Term::Literal(value) => Ok(Some(value.clone())),
            Term::Function(name) => functions::call(name, &[]),
            Term::Pipeline(pipeline) => self.pipeline(pipeline, dot),
            Term::Variable(name) => {
                let known = self.variables.iter().rev().find(|(own, _)| own == name);
                known.map(|(_, value)| value.clone()).ok_or_else(|| format!("undefined variable \"${name}\""))
            }
            Term::Fields(of, names) => {
                let mut value = self.term(of, dot)?;
                for name in names {
                    value = self.field(value, name)?;
                }
                Ok(value)
            }
        }
    }

    fn field(&self, value: Found, name: &str) -> Result<Found, String> {
        match value {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Object(mut members)) => match members.shift_remove(name) {
                None if self.strict => {
                    Err(format!("executing \"output\" at <.{name}>: map has no entry for key {name:?}"))
                }
                found => Ok(found),
            },
            Some(other) => Err(format!(
                "executing \"output\" at <.{name}>: can't evaluate field {name} in type {}",
                crate::print::type_name(&other)
            )),
        }
    }
}
