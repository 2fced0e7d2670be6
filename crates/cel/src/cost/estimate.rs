//! What an expression may cost, before it runs: over its tree, with sizes from constants and schemas.

use super::range::CostRange;
use super::sizes::{Argument, compared};
use super::{FORMAT_NAME_MAX, Formula, LIST_MADE, MAP_MADE, STRUCT_MADE, TRAVERSAL};
use crate::check::{Checked, Reference};
use crate::env::Env;
use crate::schema::Schema;
use crate::syntax::ast::{ACCUMULATOR, Call, Comprehension, Expr, ExprKind, Literal, Select, operator};
use crate::types::Type;
use crate::value::opaque;

/// What evaluating a checked tree costs at least and at most.
pub(crate) fn estimate(env: &Env, root: &Expr, checked: &Checked) -> CostRange {
    let mut estimator =
        Estimator { env, checked, known: vec![Known::default(); checked.types.len()], locals: Vec::new() };
    estimator.cost(root)
}

/// What is known of a node's value.
#[derive(Clone, Copy, Debug, Default)]
struct Known<'s> {
    size: Option<CostRange>,
    entries: Option<Entries>,
    place: Place<'s>,
}

/// The sizes of a collection's keys and values.
#[derive(Clone, Copy, Debug)]
struct Entries {
    list: bool,
    key: CostRange,
    value: CostRange,
}

/// Where a value stands in a variable's schema.
#[derive(Clone, Copy, Debug, Default)]
enum Place<'s> {
    #[default]
    Unknown,
    Schema(&'s Schema),
    /// A map's key, which upstream takes for empty.
    Key,
}

struct Estimator<'e> {
    env: &'e Env,
    checked: &'e Checked,
    known: Vec<Known<'e>>,
    locals: Vec<(&'e str, Known<'e>)>,
}

impl<'e> Estimator<'e> {
    fn cost(&mut self, expr: &'e Expr) -> CostRange {
        match &expr.kind {
            ExprKind::Literal(_) => CostRange::ZERO,
            ExprKind::Ident(name) => self.ident(expr, name),
            ExprKind::Select(select) => self.select(expr, select),
            ExprKind::Call(call) => self.call(expr, call),
            ExprKind::List(elements) => {
                let values: Vec<&'e Expr> = elements.iter().map(|element| &element.value).collect();
                let cost = self.all(values.iter().copied());
                let entries = Entries { list: true, key: CostRange::ONE, value: self.widest(&values) };
                self.known[expr.id].entries = Some(entries);
                cost.plus(CostRange::fixed(LIST_MADE))
            }
            ExprKind::Map(entries) => {
                let keys: Vec<&'e Expr> = entries.iter().map(|entry| &entry.key).collect();
                let values: Vec<&'e Expr> = entries.iter().map(|entry| &entry.value).collect();
                let cost = self.all(keys.iter().chain(&values).copied());
                let entries = Entries { list: false, key: self.widest(&keys), value: self.widest(&values) };
                self.known[expr.id].entries = Some(entries);
                cost.plus(CostRange::fixed(MAP_MADE))
            }
            ExprKind::Struct(made) => {
                self.all(made.fields.iter().map(|field| &field.value)).plus(CostRange::fixed(STRUCT_MADE))
            }
            ExprKind::Comprehension(comprehension) => self.comprehension(expr, comprehension),
        }
    }

    fn all(&mut self, exprs: impl Iterator<Item = &'e Expr>) -> CostRange {
        exprs.fold(CostRange::ZERO, |sum, expr| sum.plus(self.cost(expr)))
    }

    /// The range that holds the sizes of all.
    fn widest(&self, exprs: &[&'e Expr]) -> CostRange {
        let ranges = exprs.iter().map(|expr| self.size_or_unknown(expr));
        ranges.reduce(CostRange::union).unwrap_or(CostRange::ZERO)
    }

    fn type_of(&self, expr: &Expr) -> &'e Type {
        &self.checked.types[expr.id]
    }

    fn ident(&mut self, expr: &Expr, name: &str) -> CostRange {
        if let Some((_, known)) = self.locals.iter().rev().find(|(local, _)| *local == name) {
            self.known[expr.id] = *known;
        } else if let Reference::Variable(index) = &self.checked.references[expr.id]
            && let Some(schema) = &self.env.variables[*index].schema
        {
            self.known[expr.id].place = Place::Schema(schema);
        }
        CostRange::ONE
    }

    fn select(&mut self, expr: &'e Expr, select: &'e Select) -> CostRange {
        if matches!(self.checked.references[expr.id], Reference::Variable(_) | Reference::Type(_)) {
            return self.ident(expr, "");
        }
        let operand = self.cost(&select.operand);
        if select.test_only {
            return operand;
        }
        if let Place::Schema(schema) = self.known[select.operand.id].place
            && let Some(field) = schema.field(&select.field).or_else(|| schema.element())
        {
            self.known[expr.id].place = Place::Schema(field);
        }
        match self.type_of(&select.operand) {
            Type::Map(..) | Type::Object(_) => operand.plus(CostRange::ONE),
            _ => operand,
        }
    }

    fn call(&mut self, expr: &'e Expr, call: &'e Call) -> CostRange {
        let qualified = matches!(&self.checked.references[expr.id], Reference::Function { qualified: true, .. });
        let target = call.target.as_ref().filter(|_| !qualified);
        let arguments: Vec<&'e Expr> = target.into_iter().chain(&call.arguments).collect();
        let costs: Vec<CostRange> = arguments.iter().map(|argument| self.cost(argument)).collect();
        let sum = costs.iter().copied().fold(CostRange::ZERO, CostRange::plus);
        match (call.function.as_str(), arguments.as_slice()) {
            (operator::AND | operator::OR, [_, _]) => CostRange { min: costs[0].min, max: sum.max },
            (operator::CONDITIONAL, [_, yes, no]) => {
                self.set_size(expr, self.size_or_unknown(yes).union(self.size_or_unknown(no)));
                self.known[expr.id].entries = self.entries_of_both(yes, no);
                costs[0].plus(costs[1].union(costs[2]))
            }
            (operator::EQUALS, [left, right]) => sum.plus(self.equality(left, right, false)),
            (operator::NOT_EQUALS, [left, right]) => sum.plus(self.equality(left, right, true)),
            ("dyn", [inner]) if call.target.is_none() => {
                self.known[expr.id] = Known { size: self.size(inner), ..self.known[inner.id] };
                sum.plus(CostRange::ONE)
            }
            (operator::INDEX | operator::OPTIONAL_INDEX, [operand, _]) => {
                self.indexed(expr, operand);
                sum.plus(CostRange::ONE)
            }
            (operator::OPTIONAL_SELECT, _) => sum.plus(CostRange::ONE),
            _ => sum.plus(self.function(expr, call, qualified, &arguments)),
        }
    }

    /// The item of a collection: what is known of each of its items.
    fn indexed(&mut self, expr: &Expr, operand: &Expr) {
        let known = self.known[operand.id];
        if let Some(entries) = known.entries {
            self.set_size(expr, entries.value);
        }
        if let Place::Schema(schema) = known.place
            && let Some(element) = schema.element()
        {
            self.known[expr.id].place = Place::Schema(element);
        }
    }

    fn function(&mut self, expr: &Expr, call: &Call, qualified: bool, arguments: &[&'e Expr]) -> CostRange {
        let Reference::Function { overloads, .. } = &self.checked.references[expr.id] else { return CostRange::ZERO };
        let name = match &call.target {
            Some(target) if qualified => {
                format!("{}.{}", target.qualified_name().unwrap_or_default(), call.function)
            }
            _ => call.function.clone(),
        };
        let known: Vec<Argument> = arguments.iter().map(|argument| self.argument(argument)).collect();
        let (mut cost, mut size): (Option<CostRange>, Option<CostRange>) = (None, None);
        for overload in overloads {
            let formula = Formula::of(&name, overload.id);
            let estimated = formula.estimated(&known);
            cost = Some(cost.map_or(estimated.cost, |before| before.union(estimated.cost)));
            size = match (size, estimated.size) {
                (Some(before), Some(found)) => Some(before.union(found)),
                (before, found) => before.or(found),
            };
            if matches!(formula, Formula::Concat | Formula::ConcatLists)
                && let [left, right] = arguments
            {
                self.known[expr.id].entries = self.entries_of_both(left, right);
            }
        }
        if let Some(size) = size {
            self.set_size(expr, size);
        }
        cost.unwrap_or(CostRange::ZERO)
    }

    fn argument(&self, expr: &Expr) -> Argument {
        let items = match self.known[expr.id].place {
            Place::Schema(schema) => schema.element().map(|items| CostRange { min: 0, max: items.size_max }),
            _ => None,
        };
        let constant = match &expr.kind {
            ExprKind::Literal(Literal::Int(value)) => Some(*value),
            _ => None,
        };
        Argument { declared: self.type_of(expr).clone(), size: self.size(expr), items, constant }
    }

    fn equality(&self, left: &Expr, right: &Expr, negated: bool) -> CostRange {
        if let (Type::Opaque(name), true) = (self.type_of(left), self.type_of(left) == self.type_of(right))
            && !negated
        {
            return match *name {
                opaque::FORMAT => CostRange { min: 1, max: FORMAT_NAME_MAX }.share(TRAVERSAL),
                opaque::URL => {
                    let most = self.size(right).map_or(1, |size| size.max);
                    CostRange { min: 1, max: most }.share(TRAVERSAL)
                }
                _ => CostRange::ONE,
            };
        }
        compared(self.size_or_unknown(left), self.size_or_unknown(right))
    }

    fn comprehension(&mut self, expr: &Expr, comprehension: &'e Comprehension) -> CostRange {
        let range = self.cost(&comprehension.range);
        let initial = self.cost(&comprehension.initial);
        let around = self.locals.len();
        self.locals.push((&comprehension.accumulator, self.accumulated(comprehension)));
        let bind = comprehension.accumulator != ACCUMULATOR;
        if bind {
            let result = self.cost(&comprehension.result);
            self.locals.truncate(around);
            self.known[expr.id] =
                Known { size: self.size(&comprehension.result), ..self.known[comprehension.result.id] };
            return range.plus(initial).plus(result);
        }
        self.push_variables(comprehension);
        let condition = self.cost(&comprehension.condition);
        let step = self.cost(&comprehension.step);
        self.locals.truncate(around + 1);
        let result = self.cost(&comprehension.result);
        self.locals.truncate(around);
        let rounds = self.size_or_unknown(&comprehension.range);
        match &comprehension.initial.kind {
            ExprKind::List(_) | ExprKind::Map(_) => {
                self.set_size(expr, rounds);
                self.known[expr.id].entries = self.known[comprehension.step.id].entries;
            }
            _ => self.set_size(expr, CostRange::ONE),
        }
        range.plus(initial).plus(rounds.times(condition.plus(step))).plus(result)
    }

    /// What is known of an accumulator: of what a `let` binds, all; of what a loop gathers, only how it begins.
    fn accumulated(&self, comprehension: &Comprehension) -> Known<'e> {
        let initial = &comprehension.initial;
        let place =
            if comprehension.accumulator == ACCUMULATOR { Place::Unknown } else { self.known[initial.id].place };
        Known { size: self.size(initial), entries: self.known[initial.id].entries, place }
    }

    fn push_variables(&mut self, comprehension: &'e Comprehension) {
        let known = self.known[comprehension.range.id];
        let list = match known.entries {
            Some(entries) => entries.list,
            None => matches!(self.type_of(&comprehension.range), Type::List(_)),
        };
        let element = match known.place {
            Place::Schema(schema) => schema.element().map_or(Place::Unknown, Place::Schema),
            other => other,
        };
        let value = Known { size: known.entries.map(|entries| entries.value), entries: None, place: element };
        let key_place = if matches!(known.place, Place::Schema(_)) { Place::Key } else { Place::Unknown };
        let key = Known { size: known.entries.map(|entries| entries.key), entries: None, place: key_place };
        match &comprehension.second {
            Some(second) => {
                self.locals.push((&comprehension.variable, key));
                self.locals.push((second, value));
            }
            None => self.locals.push((&comprehension.variable, if list { value } else { key })),
        }
    }

    fn set_size(&mut self, expr: &Expr, size: CostRange) {
        self.known[expr.id].size = Some(size);
    }

    fn size_or_unknown(&self, expr: &Expr) -> CostRange {
        self.size(expr).unwrap_or(CostRange::UNKNOWN)
    }

    /// The size of a node's value, from the surest source that there is.
    fn size(&self, expr: &Expr) -> Option<CostRange> {
        let known = &self.known[expr.id];
        let is_local = matches!(self.checked.references[expr.id], Reference::Local);
        if let (Some(size), false) = (known.size, is_local) {
            return Some(size);
        }
        let own = match &expr.kind {
            ExprKind::Literal(Literal::String(text)) => Some(text.chars().count() as u64),
            ExprKind::Literal(Literal::Bytes(bytes)) => Some(bytes.len() as u64),
            ExprKind::Literal(_) => Some(1),
            ExprKind::List(elements) => Some(elements.len() as u64),
            ExprKind::Map(entries) => Some(entries.len() as u64),
            _ => None,
        };
        if let Some(own) = own {
            return Some(CostRange::fixed(own));
        }
        match known.place {
            Place::Schema(schema) => return Some(CostRange { min: 0, max: schema.size_max }),
            Place::Key => return Some(CostRange::ZERO),
            Place::Unknown => {}
        }
        if self.type_of(expr).is_scalar() {
            return Some(CostRange::ONE);
        }
        known.size
    }

    fn entries_of_both(&self, left: &Expr, right: &Expr) -> Option<Entries> {
        let (left, right) = (self.known[left.id].entries?, self.known[right.id].entries?);
        Some(Entries { list: left.list, key: left.key.union(right.key), value: left.value.union(right.value) })
    }
}
