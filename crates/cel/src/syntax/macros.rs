//! Macros: `has`, and the loops of one variable. Each becomes the tree that upstream makes of it, because costs are
//! counted on that tree.

use super::ast::{ACCUMULATOR, Comprehension, Element, Expr, ExprKind, Literal, operator};
use super::ast::{Call, Select};
use super::macros_two_variables as two;
use super::parser::{Mistake, Parse, Parser};

/// A call without target: a macro or a plain call.
pub(crate) fn global(parser: &mut Parser<'_>, offset: usize, function: String, arguments: Vec<Expr>) -> Parse<Expr> {
    if function == "has" && arguments.len() == 1 {
        return has(parser, offset, arguments);
    }
    parser.call(offset, &function, arguments)
}

/// A call of a member: a macro or a plain call.
pub(crate) fn member(
    parser: &mut Parser<'_>,
    offset: usize,
    target: Expr,
    function: String,
    arguments: Vec<Expr>,
) -> Parse<Expr> {
    let is_bind = parser.binds && function == "bind" && matches!(&target.kind, ExprKind::Ident(name) if name == "cel");
    let mut make = Maker { parser, offset };
    match (function.as_str(), arguments.len()) {
        ("bind", 3) if is_bind => bind(&mut make, arguments),
        ("all", 2) => quantifier(&mut make, target, arguments, true),
        ("exists", 2) => quantifier(&mut make, target, arguments, false),
        ("exists_one" | "existsOne", 2) => exists_one(&mut make, target, arguments),
        ("map", 2 | 3) => map(&mut make, target, arguments),
        ("filter", 2) => filter(&mut make, target, arguments),
        ("optMap", 2) => optional_map(&mut make, target, arguments, false),
        ("optFlatMap", 2) => optional_map(&mut make, target, arguments, true),
        ("all", 3) => two::quantifier(&mut make, target, arguments, true),
        ("exists", 3) => two::quantifier(&mut make, target, arguments, false),
        ("exists_one" | "existsOne", 3) => two::exists_one(&mut make, target, arguments),
        ("transformList", 3 | 4) => two::transform_list(&mut make, target, arguments),
        ("transformMap", 3 | 4) => two::transform_map(&mut make, target, arguments),
        ("transformMapEntry", 3 | 4) => two::transform_map_entry(&mut make, target, arguments),
        _ => {
            let call = Call { function, target: Some(target), arguments };
            make.node(ExprKind::Call(Box::new(call)))
        }
    }
}

fn has(parser: &mut Parser<'_>, offset: usize, arguments: Vec<Expr>) -> Parse<Expr> {
    let [argument] = exactly(arguments)?;
    match argument.kind {
        ExprKind::Select(select) if !select.test_only => {
            let select = Select { test_only: true, ..*select };
            parser.node(offset, ExprKind::Select(Box::new(select)))
        }
        _ => Err(Mistake { offset: argument.offset, message: "invalid argument to has() macro".to_owned() }),
    }
}

fn quantifier(make: &mut Maker<'_, '_>, range: Expr, arguments: Vec<Expr>, all: bool) -> Parse<Expr> {
    let [variable, predicate] = exactly(arguments)?;
    let variable = simple_name(&variable)?;
    let parts = make.quantifier(predicate, all)?;
    make.comprehension(range, variable, None, parts)
}

fn exists_one(make: &mut Maker<'_, '_>, range: Expr, arguments: Vec<Expr>) -> Parse<Expr> {
    let [variable, predicate] = exactly(arguments)?;
    let variable = simple_name(&variable)?;
    let parts = make.exactly_one(predicate)?;
    make.comprehension(range, variable, None, parts)
}

fn map(make: &mut Maker<'_, '_>, range: Expr, mut arguments: Vec<Expr>) -> Parse<Expr> {
    let variable = simple_name(&arguments[0])?;
    let transform = arguments.pop().ok_or_else(|| make.mistake("missing transform"))?;
    let filter = if arguments.len() == 2 { arguments.pop() } else { None };
    let parts = make.collected(filter, transform)?;
    make.comprehension(range, variable, None, parts)
}

fn filter(make: &mut Maker<'_, '_>, range: Expr, arguments: Vec<Expr>) -> Parse<Expr> {
    let [variable, predicate] = exactly(arguments)?;
    let name = simple_name(&variable)?;
    let item = make.node(ExprKind::Ident(name.clone()))?;
    let parts = make.collected(Some(predicate), item)?;
    make.comprehension(range, name, None, parts)
}

/// `cel.bind(name, value, body)`.
fn bind(make: &mut Maker<'_, '_>, arguments: Vec<Expr>) -> Parse<Expr> {
    let [name, value, body] = exactly(arguments)?;
    let ExprKind::Ident(variable) = name.kind else {
        let message = "cel.bind() variable names must be simple identifiers".to_owned();
        return Err(Mistake { offset: name.offset, message });
    };
    make.named(variable, value, body)
}

/// `target.hasValue() ? optional.of(let variable = target.value() in body) : optional.none()`.
fn optional_map(make: &mut Maker<'_, '_>, target: Expr, arguments: Vec<Expr>, flat: bool) -> Parse<Expr> {
    let [variable, body] = exactly(arguments)?;
    let name = simple_name(&variable)?;
    let again = make.copy(&target)?;
    let present = make.member(target, "hasValue")?;
    let value = make.member(again, "value")?;
    let mut mapped = make.named(name, value, body)?;
    if !flat {
        mapped = make.optional("of", vec![mapped])?;
    }
    let none = make.optional("none", Vec::new())?;
    make.call(operator::CONDITIONAL, vec![present, mapped, none])
}

/// What differs between loops.
pub(crate) struct Parts {
    pub(crate) accumulator: String,
    pub(crate) initial: Expr,
    pub(crate) condition: Expr,
    pub(crate) step: Expr,
    pub(crate) result: Expr,
}

/// Makes nodes that all stand where the macro does.
pub(crate) struct Maker<'p, 's> {
    parser: &'p mut Parser<'s>,
    offset: usize,
}

impl Maker<'_, '_> {
    pub(crate) fn node(&mut self, kind: ExprKind) -> Parse<Expr> {
        self.parser.node(self.offset, kind)
    }

    pub(crate) fn call(&mut self, function: &str, arguments: Vec<Expr>) -> Parse<Expr> {
        self.parser.call(self.offset, function, arguments)
    }

    pub(crate) fn literal(&mut self, literal: Literal) -> Parse<Expr> {
        self.node(ExprKind::Literal(literal))
    }

    pub(crate) fn accumulator(&mut self) -> Parse<Expr> {
        self.node(ExprKind::Ident(ACCUMULATOR.to_owned()))
    }

    fn mistake(&self, message: &str) -> Mistake {
        Mistake { offset: self.offset, message: message.to_owned() }
    }

    fn member(&mut self, target: Expr, function: &str) -> Parse<Expr> {
        let call = Call { function: function.to_owned(), target: Some(target), arguments: Vec::new() };
        self.node(ExprKind::Call(Box::new(call)))
    }

    fn optional(&mut self, function: &str, arguments: Vec<Expr>) -> Parse<Expr> {
        let target = Some(self.node(ExprKind::Ident("optional".to_owned()))?);
        let call = Call { function: function.to_owned(), target, arguments };
        self.node(ExprKind::Call(Box::new(call)))
    }

    /// The same tree under new ids.
    fn copy(&mut self, expr: &Expr) -> Parse<Expr> {
        let mut copy = expr.clone();
        self.renumber(&mut copy)?;
        Ok(copy)
    }

    fn renumber(&mut self, expr: &mut Expr) -> Parse<()> {
        expr.id = self.parser.fresh(self.offset)?;
        expr.children_mut().into_iter().try_for_each(|child| self.renumber(child))
    }

    /// The body, in which a name means a value: a loop of no rounds whose accumulator is the name.
    fn named(&mut self, name: String, value: Expr, body: Expr) -> Parse<Expr> {
        let (range, condition) = (self.node(ExprKind::List(Vec::new()))?, self.literal(Literal::Bool(false))?);
        let step = self.node(ExprKind::Ident(name.clone()))?;
        let parts = Parts { accumulator: name, initial: value, condition, step, result: body };
        self.comprehension(range, "#unused".to_owned(), None, parts)
    }

    pub(crate) fn quantifier(&mut self, predicate: Expr, all: bool) -> Parse<Parts> {
        let so_far = self.accumulator()?;
        let go_on = if all { so_far } else { self.call(operator::NOT, vec![so_far])? };
        let condition = self.call(operator::NOT_STRICTLY_FALSE, vec![go_on])?;
        let before = self.accumulator()?;
        let step = self.call(if all { operator::AND } else { operator::OR }, vec![before, predicate])?;
        let (initial, result) = (self.literal(Literal::Bool(all))?, self.accumulator()?);
        Ok(Parts { accumulator: ACCUMULATOR.to_owned(), initial, condition, step, result })
    }

    pub(crate) fn exactly_one(&mut self, predicate: Expr) -> Parse<Parts> {
        let (before, one) = (self.accumulator()?, self.literal(Literal::Int(1))?);
        let counted = self.call(operator::ADD, vec![before, one])?;
        let same = self.accumulator()?;
        let step = self.call(operator::CONDITIONAL, vec![predicate, counted, same])?;
        let (count, one) = (self.accumulator()?, self.literal(Literal::Int(1))?);
        let result = self.call(operator::EQUALS, vec![count, one])?;
        let (initial, condition) = (self.literal(Literal::Int(0))?, self.literal(Literal::Bool(true))?);
        Ok(Parts { accumulator: ACCUMULATOR.to_owned(), initial, condition, step, result })
    }

    /// `accumulator + [transform]`, where the filter lets it.
    pub(crate) fn collected(&mut self, filter: Option<Expr>, transform: Expr) -> Parse<Parts> {
        let before = self.accumulator()?;
        let item = self.node(ExprKind::List(vec![Element { value: transform, optional: false }]))?;
        let step = self.call(operator::ADD, vec![before, item])?;
        let step = self.filtered(filter, step)?;
        let initial = self.node(ExprKind::List(Vec::new()))?;
        let (condition, result) = (self.literal(Literal::Bool(true))?, self.accumulator()?);
        Ok(Parts { accumulator: ACCUMULATOR.to_owned(), initial, condition, step, result })
    }

    pub(crate) fn filtered(&mut self, filter: Option<Expr>, step: Expr) -> Parse<Expr> {
        let Some(filter) = filter else { return Ok(step) };
        let same = self.accumulator()?;
        self.call(operator::CONDITIONAL, vec![filter, step, same])
    }

    pub(crate) fn comprehension(
        &mut self,
        range: Expr,
        variable: String,
        second: Option<String>,
        parts: Parts,
    ) -> Parse<Expr> {
        let Parts { accumulator, initial, condition, step, result } = parts;
        let comprehension = Comprehension { range, variable, second, accumulator, initial, condition, step, result };
        self.node(ExprKind::Comprehension(Box::new(comprehension)))
    }
}

/// The name that a loop gives its items.
pub(crate) fn simple_name(expr: &Expr) -> Parse<String> {
    match &expr.kind {
        ExprKind::Ident(name) => Ok(name.clone()),
        _ => Err(Mistake { offset: expr.offset, message: "argument must be a simple name".to_owned() }),
    }
}

pub(crate) fn exactly<const N: usize>(arguments: Vec<Expr>) -> Parse<[Expr; N]> {
    let offset = arguments.first().map_or(0, |first| first.offset);
    arguments.try_into().map_err(|_| Mistake { offset, message: "wrong number of arguments".to_owned() })
}
