//! A compiled expression.

use crate::check;
use crate::cost::{CostRange, estimate};
use crate::env::Env;
use crate::error::EvalError;
use crate::eval::Evaluator;
use crate::issue::Issues;
use crate::limits::Limits;
use crate::plan::{self, Node};
use crate::syntax;
use crate::types::Type;
use crate::value::Value;
use std::sync::Arc;

/// A compiled expression: immutable, shared freely between threads.
#[derive(Clone, Debug)]
pub struct Program {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    root: Node,
    locals: usize,
    output: Type,
    estimate: CostRange,
    /// The environment's variables, by place.
    names: Vec<Arc<str>>,
    /// Those that the expression uses.
    used: Vec<usize>,
}

/// The values of the variables.
#[derive(Debug, Default)]
pub struct Activation<'v> {
    bindings: Vec<(&'v str, Value<'v>)>,
}

impl<'v> Activation<'v> {
    pub fn new() -> Self {
        Activation::default()
    }

    /// With a value for a variable. The last one bound to a name counts.
    pub fn bind(mut self, name: &'v str, value: Value<'v>) -> Self {
        self.bindings.push((name, value));
        self
    }

    fn get(&self, name: &str) -> Option<&Value<'v>> {
        self.bindings.iter().rev().find(|(bound, _)| *bound == name).map(|(_, value)| value)
    }
}

/// What an evaluation came to, and what it cost, which counts even where it failed.
#[derive(Debug)]
pub struct Outcome<'v> {
    pub result: Result<Value<'v>, EvalError>,
    pub cost: u64,
}

impl Program {
    pub(crate) fn compile(env: &Env, source: &str) -> Result<Program, Issues> {
        let parsed = syntax::parse(source, env.binds)?;
        let checked = check::check(env, source, &parsed.root, parsed.ids)?;
        let estimate = estimate(env, &parsed.root, &checked);
        let (root, locals) = plan::build(&parsed.root, &checked);
        let mut used: Vec<usize> = checked.references.iter().filter_map(check::Reference::variable).collect();
        used.sort_unstable();
        used.dedup();
        let names = env.variables.iter().map(|variable| variable.name.clone()).collect();
        let output = checked.types[parsed.root.id].clone();
        Ok(Program { inner: Arc::new(Inner { root, locals, output, estimate, names, used }) })
    }

    /// The type of what it comes to.
    pub fn output_type(&self) -> &Type {
        &self.inner.output
    }

    /// What an evaluation costs at least and at most, by the sizes that schemas allow.
    pub fn cost_estimate(&self) -> CostRange {
        self.inner.estimate
    }

    /// Whether the expression uses a variable, such as `oldSelf`.
    pub fn uses(&self, name: &str) -> bool {
        self.inner.used.iter().any(|slot| &*self.inner.names[*slot] == name)
    }

    /// Evaluates it. The result borrows from the values bound and from the program.
    pub fn evaluate<'v>(&'v self, activation: &Activation<'v>, limits: Limits<'_>) -> Outcome<'v> {
        let mut variables = vec![None; self.inner.names.len()];
        for slot in &self.inner.used {
            variables[*slot] = activation.get(&self.inner.names[*slot]).cloned();
        }
        let mut evaluator = Evaluator::new(variables, &self.inner.names, self.inner.locals, limits);
        let result = evaluator.run(&self.inner.root);
        Outcome { result, cost: evaluator.cost() }
    }
}
