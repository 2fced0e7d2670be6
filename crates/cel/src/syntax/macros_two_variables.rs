//! The loops of two variables: index and item of a list, key and value of a map.

use super::ast::{ACCUMULATOR, Expr, ExprKind, Literal, operator};
use super::macros::{Maker, Parts, exactly, simple_name};
use super::parser::{Mistake, Parse};

pub(crate) fn quantifier(make: &mut Maker<'_, '_>, range: Expr, arguments: Vec<Expr>, all: bool) -> Parse<Expr> {
    let [first, second, predicate] = exactly(arguments)?;
    let (first, second) = names(&first, &second)?;
    let parts = make.quantifier(predicate, all)?;
    make.comprehension(range, first, Some(second), parts)
}

pub(crate) fn exists_one(make: &mut Maker<'_, '_>, range: Expr, arguments: Vec<Expr>) -> Parse<Expr> {
    let [first, second, predicate] = exactly(arguments)?;
    let (first, second) = names(&first, &second)?;
    let parts = make.exactly_one(predicate)?;
    make.comprehension(range, first, Some(second), parts)
}

pub(crate) fn transform_list(make: &mut Maker<'_, '_>, range: Expr, arguments: Vec<Expr>) -> Parse<Expr> {
    let Transform { first, second, filter, transform } = Transform::of(arguments)?;
    let parts = make.collected(filter, transform)?;
    make.comprehension(range, first, Some(second), parts)
}

pub(crate) fn transform_map(make: &mut Maker<'_, '_>, range: Expr, arguments: Vec<Expr>) -> Parse<Expr> {
    let Transform { first, second, filter, transform } = Transform::of(arguments)?;
    let key = make.node(ExprKind::Ident(first.clone()))?;
    inserted(make, range, (first, second), filter, vec![key, transform])
}

pub(crate) fn transform_map_entry(make: &mut Maker<'_, '_>, range: Expr, arguments: Vec<Expr>) -> Parse<Expr> {
    let Transform { first, second, filter, transform } = Transform::of(arguments)?;
    inserted(make, range, (first, second), filter, vec![transform])
}

/// A loop that inserts a key and a value, or a map's entries, into a map.
fn inserted(
    make: &mut Maker<'_, '_>,
    range: Expr,
    (first, second): (String, String),
    filter: Option<Expr>,
    what: Vec<Expr>,
) -> Parse<Expr> {
    let mut arguments = vec![make.accumulator()?];
    arguments.extend(what);
    let step = make.call(operator::MAP_INSERT, arguments)?;
    let step = make.filtered(filter, step)?;
    let initial = make.node(ExprKind::Map(Vec::new()))?;
    let (condition, result) = (make.literal(Literal::Bool(true))?, make.accumulator()?);
    let parts = Parts { accumulator: ACCUMULATOR.to_owned(), initial, condition, step, result };
    make.comprehension(range, first, Some(second), parts)
}

struct Transform {
    first: String,
    second: String,
    filter: Option<Expr>,
    transform: Expr,
}

impl Transform {
    fn of(mut arguments: Vec<Expr>) -> Parse<Transform> {
        let filter = if arguments.len() == 4 { Some(arguments.remove(2)) } else { None };
        let [first, second, transform] = exactly(arguments)?;
        let (first, second) = names(&first, &second)?;
        Ok(Transform { first, second, filter, transform })
    }
}

fn names(first: &Expr, second: &Expr) -> Parse<(String, String)> {
    let names = (simple_name(first)?, simple_name(second)?);
    if names.0 == names.1 {
        let message = format!("duplicate variable name: {}", names.1);
        return Err(Mistake { offset: second.offset, message });
    }
    Ok(names)
}
