//! Patterns, durations and timestamps that stand in the source as constants: wrong ones are found before they run.

use super::Checker;
use crate::library::{regex, standard};
use crate::syntax::ast::{Call, Expr, ExprKind, Literal};

pub(super) fn check(checker: &mut Checker<'_>, expr: &Expr) {
    if let ExprKind::Call(call) = &expr.kind
        && let Some((argument, what)) = wrong(call)
    {
        checker.issue(argument.offset, format!("invalid {what} argument"));
    }
    for child in expr.children() {
        check(checker, child);
    }
}

/// The constant of a call that is wrong, and what upstream calls it.
fn wrong(call: &Call) -> Option<(&Expr, &'static str)> {
    let constant = |index: usize| match call.arguments.get(index).map(|argument| (argument, &argument.kind)) {
        Some((argument, ExprKind::Literal(Literal::String(text)))) => Some((argument, text.as_str())),
        _ => None,
    };
    match call.function.as_str() {
        "matches" => {
            let index = usize::from(call.target.is_none());
            constant(index).filter(|(_, text)| regex::compile(text).is_err()).map(|(argument, _)| (argument, "matches"))
        }
        "duration" => {
            constant(0).filter(|(_, text)| !standard::is_duration(text)).map(|(argument, _)| (argument, "duration"))
        }
        "timestamp" => {
            constant(0).filter(|(_, text)| !standard::is_timestamp(text)).map(|(argument, _)| (argument, "timestamp"))
        }
        _ => None,
    }
}
