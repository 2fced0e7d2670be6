//! Expressions asked of one write, with the variables of their policy computed when they are first asked for.
//!
//! Invariants: a variable is computed at most once; what it cost is charged to the expression that asked first; a
//! variable sees only those before it, so that none waits for itself.

use super::environment::{PARAMS, VARIABLES};
use super::expression::Expression;
use crate::admission::expressions::{Inputs, OUT_OF_BUDGET};
use cel::limits::PER_CALL_LIMIT;
use cel::{Activation, EvalError, FieldSource, FieldsRef, Limits, Value};
use serde_json::Value as Json;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// A variable of a policy.
#[derive(Clone, Debug)]
pub(super) struct Variable {
    pub(super) name: String,
    pub(super) expression: Expression,
}

type Computed<'v> = Result<Value<'v>, EvalError>;

/// One asking. Its values refer to itself: it is borrowed for as long as it lives from its first question on.
pub(super) struct Evaluation<'v> {
    inputs: &'v Inputs,
    params: &'v Json,
    variables: &'v [Variable],
    values: Vec<OnceLock<Computed<'v>>>,
    /// By the variables since the last look.
    spent: AtomicU64,
    own: OnceLock<&'v Evaluation<'v>>,
    activation: OnceLock<Activation<'v>>,
}

/// Why there is no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// Of this expression alone.
    Expression(String),
    /// No expression after it is asked.
    Budget,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Failure::Expression(why) => why,
            Failure::Budget => OUT_OF_BUDGET,
        })
    }
}

impl<'v> Evaluation<'v> {
    /// `params` is null where there are none.
    pub(super) fn new(inputs: &'v Inputs, params: &'v Json, variables: &'v [Variable]) -> Evaluation<'v> {
        Evaluation {
            inputs,
            params,
            variables,
            values: variables.iter().map(|_| OnceLock::new()).collect(),
            spent: AtomicU64::new(0),
            own: OnceLock::new(),
            activation: OnceLock::new(),
        }
    }

    /// The expression's value. What it costs is taken from the budget.
    pub(super) fn ask(&'v self, expression: &'v Expression, budget: &mut u64) -> Result<Value<'v>, Failure> {
        let program = match &expression.program {
            Ok(program) => program,
            Err(why) => return Err(Failure::Expression(format!("compilation error: {why}"))),
        };
        let outcome = program.evaluate(self.activation(), Limits { cost: PER_CALL_LIMIT, interrupt: None });
        let cost = outcome.cost.saturating_add(self.spent.swap(0, Ordering::Relaxed));
        *budget = budget.checked_sub(cost).ok_or(Failure::Budget)?;
        let failed =
            |error| Failure::Expression(format!("expression '{}' resulted in error: {error}", expression.source));
        outcome.result.map_err(failed)
    }

    pub(super) fn activation(&'v self) -> &'v Activation<'v> {
        self.activation.get_or_init(|| {
            let own = self.own.get_or_init(|| self);
            let params = Value::from_json(self.params, None);
            self.inputs.activation().bind(PARAMS, params).bind(VARIABLES, Value::Fields(FieldsRef(*own)))
        })
    }

    fn compute(&'v self, variable: &'v Variable) -> Computed<'v> {
        let name = &variable.name;
        let program = match &variable.expression.program {
            Ok(program) => program,
            Err(why) => return Err(EvalError::Failed(format!("composited variable {name:?} fails to compile: {why}"))),
        };
        let outcome = program.evaluate(self.activation(), Limits { cost: PER_CALL_LIMIT, interrupt: None });
        self.spent.fetch_add(outcome.cost, Ordering::Relaxed);
        let failed = |error| EvalError::Failed(format!("composited variable {name:?} fails to evaluate: {error}"));
        outcome.result.map_err(failed)
    }
}

impl<'v> FieldSource for Evaluation<'v> {
    fn field<'a>(&'a self, name: &str) -> Option<Result<Value<'a>, EvalError>> {
        // The last of a name counts, as the checker has it.
        let place = self.variables.iter().rposition(|variable| variable.name == name)?;
        // Set before anything is asked.
        let own: &'v Evaluation<'v> = self.own.get()?;
        let computed = own.values.get(place)?.get_or_init(|| own.compute(&own.variables[place]));
        Some(computed.clone())
    }
}
