//! Runs a plan, and counts what it costs.
//!
//! Invariants: nothing runs beyond the limit of its cost; a loop asks now and then whether to stop; what `&&` and `||`
//! absorb is an error of one side, never a limit reached.

use crate::cost;
use crate::error::EvalError;
use crate::limits::{LIST_LENGTH_MAX, Limits, ROUNDS_BETWEEN_INTERRUPT_CHECKS};
use crate::plan::{Call, Element, Entry, Loop, Matches, Node, Struct};
use crate::value::{Key, Map, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

mod access;

pub(crate) type Evaluated<'v> = Result<Value<'v>, EvalError>;

pub(crate) struct Evaluator<'v, 'l> {
    /// By place; none where the caller bound nothing.
    variables: Vec<Option<Value<'v>>>,
    names: &'v [Arc<str>],
    /// An accumulator may hold an error, which a later round of `all` or `exists` may absorb.
    locals: Vec<Evaluated<'v>>,
    cost: u64,
    limits: Limits<'l>,
    rounds: u32,
}

impl<'v, 'l> Evaluator<'v, 'l> {
    pub(crate) fn new(
        variables: Vec<Option<Value<'v>>>,
        names: &'v [Arc<str>],
        locals: usize,
        limits: Limits<'l>,
    ) -> Self {
        let locals = (0..locals).map(|_| Ok(Value::Null)).collect();
        Evaluator { variables, names, locals, cost: 0, limits, rounds: 0 }
    }

    pub(crate) fn cost(&self) -> u64 {
        self.cost
    }

    fn charge(&mut self, cost: u64) -> Result<(), EvalError> {
        self.cost = self.cost.saturating_add(cost);
        if self.cost > self.limits.cost { Err(EvalError::CostLimitExceeded) } else { Ok(()) }
    }

    pub(crate) fn run(&mut self, node: &'v Node) -> Evaluated<'v> {
        match node {
            Node::Constant(value) => Ok(value.reborrow()),
            Node::Variable { slot, charged } => {
                self.charge(u64::from(*charged))?;
                let found = self.variables[*slot].clone();
                found.ok_or_else(|| EvalError::NoSuchAttribute(self.names[*slot].to_string()))
            }
            Node::Local { slot, charged } => {
                self.charge(u64::from(*charged))?;
                self.locals[*slot].clone()
            }
            Node::Select(select) => self.select(select),
            Node::Index(index) => self.index(index),
            Node::And(operands) => self.junction(operands, false),
            Node::Or(operands) => self.junction(operands, true),
            Node::Conditional(parts) => self.conditional(parts),
            Node::NotStrictlyFalse(operand) => self.not_strictly_false(operand),
            Node::Equals { operands, negated } => self.equals(operands, *negated),
            Node::Call(call) => self.call(call),
            Node::Matches(matches) => self.matches(matches),
            Node::List(elements) => self.list(elements),
            Node::Map(entries) => self.map(entries),
            Node::Struct(made) => self.structure(made),
            Node::Loop(looped) => self.looped(looped),
            Node::Append { slot, element } => self.append(*slot, element),
            Node::Insert { slot, entry } => self.insert(*slot, entry),
        }
    }

    /// `&&` where `deciding` is false, `||` where it is true. The side that decides does so even if the other fails.
    fn junction(&mut self, [left, right]: &'v [Node; 2], deciding: bool) -> Evaluated<'v> {
        let left = self.run(left);
        match &left {
            Ok(Value::Bool(value)) if *value == deciding => return left,
            Err(error) if error.is_final() => return left,
            _ => {}
        }
        let right = self.run(right);
        match (&left, &right) {
            (_, Ok(Value::Bool(value))) if *value == deciding => right,
            (_, Err(error)) if error.is_final() => right,
            (Err(_), _) => left,
            (Ok(Value::Bool(_)), Ok(Value::Bool(_)) | Err(_)) => right,
            _ => Err(EvalError::NoSuchOverload),
        }
    }

    fn conditional(&mut self, [condition, yes, no]: &'v [Node; 3]) -> Evaluated<'v> {
        match self.run(condition)? {
            Value::Bool(true) => self.run(yes),
            Value::Bool(false) => self.run(no),
            _ => Err(EvalError::NoSuchOverload),
        }
    }

    fn not_strictly_false(&mut self, operand: &'v Node) -> Evaluated<'v> {
        let value = match self.run(operand) {
            Ok(Value::Bool(value)) => value,
            Err(error) if error.is_final() => return Err(error),
            _ => true,
        };
        self.charge(1)?;
        Ok(Value::Bool(value))
    }

    fn equals(&mut self, [left, right]: &'v [Node; 2], negated: bool) -> Evaluated<'v> {
        let operands = [self.run(left)?, self.run(right)?];
        let equal = operands[0].equals(&operands[1]);
        self.charge(cost::equality(&operands, negated))?;
        Ok(Value::Bool(equal != negated))
    }

    fn call(&mut self, call: &'v Call) -> Evaluated<'v> {
        match call.arguments.as_slice() {
            [] => self.invoke(call, &[]),
            [a] => {
                let arguments = [self.run(a)?];
                self.invoke(call, &arguments)
            }
            [a, b] => {
                let arguments = [self.run(a)?, self.run(b)?];
                self.invoke(call, &arguments)
            }
            more => {
                let arguments = more.iter().map(|argument| self.run(argument)).collect::<Result<Vec<_>, _>>()?;
                self.invoke(call, &arguments)
            }
        }
    }

    fn invoke(&mut self, call: &'v Call, arguments: &[Value<'v>]) -> Evaluated<'v> {
        let fits = |overload: &&Arc<crate::functions::Overload>| {
            overload.parameters.iter().zip(arguments).all(|(parameter, argument)| argument.fits(parameter))
        };
        let index = match call.overloads.as_slice() {
            [_] => Some(0),
            several => several.iter().position(|overload| fits(&overload)),
        };
        let Some(index) = index else {
            let types: Vec<String> = arguments.iter().map(|a| a.runtime_type().runtime_name().to_owned()).collect();
            return Err(EvalError::NoSuchOverloadOf(format!("{}({})", call.function, types.join(", "))));
        };
        let result = (call.overloads[index].call)(arguments)?;
        self.charge(call.formulas[index].actual(arguments, &result))?;
        Ok(result)
    }

    fn matches(&mut self, matches: &'v Matches) -> Evaluated<'v> {
        let Value::String(text) = self.run(&matches.text)? else { return Err(EvalError::NoSuchOverload) };
        self.charge(cost::matching(text.length() as u64, matches.pattern_length))?;
        Ok(Value::Bool(matches.pattern.is_match(&text)))
    }

    fn list(&mut self, elements: &'v [Element]) -> Evaluated<'v> {
        let mut items = Vec::with_capacity(elements.len());
        for element in elements {
            let value = self.run(&element.value)?;
            items.extend(present(value, element.optional)?);
        }
        self.charge(cost::LIST_MADE)?;
        Ok(Value::list(items))
    }

    fn map(&mut self, entries: &'v [Entry]) -> Evaluated<'v> {
        let mut made = BTreeMap::new();
        for entry in entries {
            let key = self.run(&entry.key)?;
            let value = self.run(&entry.value)?;
            let Some(value) = present(value, entry.optional)? else { continue };
            inserted(&mut made, &key, value)?;
        }
        self.charge(cost::MAP_MADE)?;
        Ok(Value::Map(Map::Made(Arc::new(made))))
    }

    fn structure(&mut self, made: &'v Struct) -> Evaluated<'v> {
        let mut fields = BTreeMap::new();
        for field in &made.fields {
            let value = self.run(&field.value)?;
            if let Some(value) = present(value, field.optional)? {
                fields.insert(field.name.clone(), value);
            }
        }
        self.charge(cost::STRUCT_MADE)?;
        Ok(Value::Struct(Arc::new(crate::value::Struct { name: made.name.clone(), fields })))
    }

    fn looped(&mut self, looped: &'v Loop) -> Evaluated<'v> {
        let range = self.run(&looped.range)?;
        self.locals[looped.accumulator] = settled(self.run(&looped.initial))?;
        match (&range, looped.second) {
            (Value::List(list), None) => self.rounds(looped, list.iter().map(|item| (item, None)))?,
            (Value::List(list), Some(_)) => {
                let items = list.iter().enumerate();
                self.rounds(looped, items.map(|(index, item)| (Value::Int(index as i64), Some(item))))?;
            }
            (Value::Map(map), None) => self.rounds(looped, map.keys().into_iter().map(|key| (key, None)))?,
            (Value::Map(map), Some(_)) => {
                self.rounds(looped, map.entries().into_iter().map(|(key, value)| (key, Some(value))))?;
            }
            _ => return Err(EvalError::NoSuchOverload),
        }
        let result = self.run(&looped.result);
        // What the loop gathered must not live on in its place: the next round around it appends in place.
        self.locals[looped.accumulator] = Ok(Value::Null);
        result
    }

    fn rounds(
        &mut self,
        looped: &'v Loop,
        items: impl Iterator<Item = (Value<'v>, Option<Value<'v>>)>,
    ) -> Result<(), EvalError> {
        for (first, second) in items {
            self.look_up()?;
            self.locals[looped.variable] = Ok(first);
            if let (Some(slot), Some(value)) = (looped.second, second) {
                self.locals[slot] = Ok(value);
            }
            if let Some(condition) = &looped.condition
                && let Value::Bool(false) = self.run(condition)?
            {
                return Ok(());
            }
            let step = settled(self.run(&looped.step))?;
            let failed = step.is_err();
            self.locals[looped.accumulator] = step;
            if failed && looped.condition.is_none() {
                // Nothing absorbs an error where every round adds to what there was.
                return Ok(());
            }
        }
        Ok(())
    }

    fn look_up(&mut self) -> Result<(), EvalError> {
        self.rounds += 1;
        if self.rounds < ROUNDS_BETWEEN_INTERRUPT_CHECKS {
            return Ok(());
        }
        self.rounds = 0;
        match self.limits.interrupt {
            Some(interrupt) if interrupt() => Err(EvalError::Interrupted),
            _ => Ok(()),
        }
    }

    fn append(&mut self, slot: usize, element: &'v Node) -> Evaluated<'v> {
        let element = self.run(element)?;
        // A name, a list of one, and their concatenation.
        self.charge(1 + cost::LIST_MADE + 1)?;
        let before = std::mem::replace(&mut self.locals[slot], Ok(Value::Null))?;
        let Value::List(list) = before else { return Err(EvalError::NoSuchOverload) };
        let mut items = list.into_items();
        if items.len() >= LIST_LENGTH_MAX {
            return Err(EvalError::failed(format!("a list is longer than {LIST_LENGTH_MAX}")));
        }
        items.push(element);
        Ok(Value::list(items))
    }

    fn insert(&mut self, slot: usize, [key, value]: &'v [Node; 2]) -> Evaluated<'v> {
        let key = self.run(key)?;
        let value = self.run(value)?;
        self.charge(2)?;
        let before = std::mem::replace(&mut self.locals[slot], Ok(Value::Null))?;
        let Value::Map(map) = before else { return Err(EvalError::NoSuchOverload) };
        let mut entries = map.into_entries();
        inserted(&mut entries, &key, value)?;
        Ok(Value::Map(Map::Made(Arc::new(entries))))
    }
}

/// An error that a later round may absorb is a value of the accumulator; one that ends all is not.
fn settled(result: Evaluated<'_>) -> Result<Evaluated<'_>, EvalError> {
    match result {
        Err(error) if error.is_final() => Err(error),
        other => Ok(other),
    }
}

/// An element's value; of an optional element, what it holds, if anything.
fn present(value: Value<'_>, optional: bool) -> Result<Option<Value<'_>>, EvalError> {
    match value {
        value if !optional => Ok(Some(value)),
        Value::Optional(held) => Ok(held.map(|held| held.as_ref().clone())),
        _ => Err(EvalError::NoSuchOverload),
    }
}

/// Adds an entry that is not there yet.
pub(crate) fn inserted<'v>(
    entries: &mut BTreeMap<Key<'v>, Value<'v>>,
    key: &Value<'v>,
    value: Value<'v>,
) -> Result<(), EvalError> {
    let found = Key::of(key).ok_or_else(|| EvalError::failed("unsupported key type"))?;
    if entries.contains_key(&found) {
        return Err(EvalError::failed(format!("insert failed: key {} already exists", access::shown(key))));
    }
    entries.insert(found, value);
    Ok(())
}
