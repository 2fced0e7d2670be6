//! Infers the type of each node, and which overloads its calls may mean.
//!
//! Invariant: every node of a tree without issues has a type; a call has at least one overload.

mod call;
mod literals;
mod solve;

use crate::env::Env;
use crate::functions::Overload;
use crate::issue::{Issue, Issues};
use crate::syntax::ast::{Comprehension, Entry, Expr, ExprKind, Literal, Select, Struct};
use crate::types::Type;
use solve::Solver;
use std::sync::Arc;

/// What the checker found out, by the ids of nodes.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) types: Vec<Type>,
    pub(crate) references: Vec<Reference>,
}

/// What a node means.
#[derive(Clone, Debug, Default)]
pub(crate) enum Reference {
    #[default]
    None,
    /// A variable of the environment.
    Variable(usize),
    /// A variable of a loop around it.
    Local,
    /// A type as a value.
    Type(Type),
    /// A call's overloads, and whether the target is only part of the function's name.
    Function { overloads: Vec<Arc<Overload>>, qualified: bool },
}

impl Reference {
    pub(crate) fn variable(&self) -> Option<usize> {
        match self {
            Reference::Variable(index) => Some(*index),
            _ => None,
        }
    }
}

pub(crate) fn check(env: &Env, source: &str, root: &Expr, ids: usize) -> Result<Checked, Issues> {
    let mut checker = Checker {
        env,
        source,
        solver: Solver::default(),
        locals: Vec::new(),
        types: vec![Type::Error; ids],
        references: vec![Reference::None; ids],
        issues: Vec::new(),
    };
    checker.check(root);
    if checker.issues.is_empty() && env.checks_literals {
        literals::check(&mut checker, root);
    }
    if !checker.issues.is_empty() {
        checker.issues.sort_by_key(|issue| (issue.line, issue.column));
        return Err(Issues(checker.issues));
    }
    let types = checker.types.iter().map(|found| checker.solver.settled(found)).collect();
    Ok(Checked { types, references: checker.references })
}

struct Checker<'e> {
    env: &'e Env,
    source: &'e str,
    solver: Solver,
    locals: Vec<(String, Type)>,
    types: Vec<Type>,
    references: Vec<Reference>,
    issues: Vec<Issue>,
}

impl Checker<'_> {
    fn check(&mut self, expr: &Expr) {
        let found = match &expr.kind {
            ExprKind::Literal(literal) => literal_type(literal),
            ExprKind::Ident(name) => self.ident(expr, name),
            ExprKind::Select(select) => self.select(expr, select),
            ExprKind::Call(call) => self.call(expr, call),
            ExprKind::List(elements) => {
                let mut joined = None;
                for element in elements {
                    self.check(&element.value);
                    let found = self.element_type(&element.value, element.optional);
                    joined = Some(self.join(element.value.offset, joined, found));
                }
                Type::list(joined.unwrap_or_else(|| self.solver.fresh()))
            }
            ExprKind::Map(entries) => self.map(entries),
            ExprKind::Struct(made) => self.structure(expr, made),
            ExprKind::Comprehension(comprehension) => self.comprehension(comprehension),
        };
        self.types[expr.id] = found;
    }

    fn type_of(&self, expr: &Expr) -> Type {
        self.solver.substituted(&self.types[expr.id])
    }

    fn issue(&mut self, offset: usize, message: String) {
        self.issues.push(Issue::at(self.source, offset, message));
    }

    fn undeclared(&mut self, offset: usize, name: &str) -> Type {
        self.issue(offset, format!("undeclared reference to '{name}' (in container '')"));
        Type::Error
    }

    fn ident(&mut self, expr: &Expr, name: &str) -> Type {
        match self.lookup(expr, name) {
            Some(found) => found,
            None => self.undeclared(expr.offset, name),
        }
    }

    /// The type of a name: a loop's variable, one of the environment, or a type.
    fn lookup(&mut self, expr: &Expr, name: &str) -> Option<Type> {
        if let Some((_, found)) = self.locals.iter().rev().find(|(local, _)| local == name) {
            self.references[expr.id] = Reference::Local;
            return Some(found.clone());
        }
        if let Some(index) = self.env.variables.iter().rposition(|variable| &*variable.name == name) {
            self.references[expr.id] = Reference::Variable(index);
            return Some(self.env.variables[index].declared.clone());
        }
        let named = self.env.type_named(name)?;
        self.references[expr.id] = Reference::Type(named.clone());
        Some(Type::Type(Some(Arc::new(named))))
    }

    fn select(&mut self, expr: &Expr, select: &Select) -> Type {
        if !select.test_only
            && let Some(name) = expr.qualified_name()
            && !self.locals.iter().any(|(local, _)| name.split('.').next() == Some(local))
            && let Some(found) = self.lookup(expr, &name)
        {
            return found;
        }
        self.check(&select.operand);
        let operand = self.type_of(&select.operand);
        let found = self.field(expr.offset, &operand, &select.field);
        if select.test_only { Type::Bool } else { found }
    }

    /// The type of a field of what has this type.
    fn field(&mut self, offset: usize, operand: &Type, field: &str) -> Type {
        match operand {
            Type::Optional(inner) => {
                let inner = self.solver.substituted(inner);
                match self.field(offset, &inner, field) {
                    already @ Type::Optional(_) => already,
                    found => Type::optional(found),
                }
            }
            Type::Map(_, value) => value.as_ref().clone(),
            Type::Object(object) => match object.field(field) {
                Some(found) => found,
                None => {
                    self.issue(offset, format!("undefined field '{field}'"));
                    Type::Error
                }
            },
            Type::Var(_) => {
                // Nothing is known of the operand: it may be anything, from here on.
                self.solver.assign(operand, &Type::Dyn);
                Type::Dyn
            }
            Type::Dyn | Type::Error => Type::Dyn,
            other => {
                self.issue(offset, format!("type '{other}' does not support field selection"));
                Type::Error
            }
        }
    }

    /// An element's type; of an optional one, what it holds.
    fn element_type(&mut self, value: &Expr, optional: bool) -> Type {
        let found = self.type_of(value);
        if !optional {
            return found;
        }
        match found {
            Type::Optional(inner) => inner.as_ref().clone(),
            Type::Dyn | Type::Error => Type::Dyn,
            other => {
                self.issue(value.offset, format!("expected type 'optional_type({other})' but found '{other}'"));
                Type::Error
            }
        }
    }

    fn map(&mut self, entries: &[Entry]) -> Type {
        let (mut key, mut value) = (None, None);
        for entry in entries {
            self.check(&entry.key);
            let found = match self.type_of(&entry.key) {
                // No such key can be; `dyn` keeps types from growing at both ends (see `solve`).
                Type::List(_) | Type::Map(..) | Type::Optional(_) | Type::Type(_) => Type::Dyn,
                found => found,
            };
            key = Some(self.join(entry.key.offset, key, found));
            self.check(&entry.value);
            let found = self.element_type(&entry.value, entry.optional);
            value = Some(self.join(entry.value.offset, value, found));
        }
        let key = key.unwrap_or_else(|| self.solver.fresh());
        let value = value.unwrap_or_else(|| self.solver.fresh());
        Type::map(key, value)
    }

    /// The type that both have, or `dyn`.
    fn join(&mut self, offset: usize, before: Option<Type>, found: Type) -> Type {
        let Some(before) = before else { return found };
        if self.solver.assign(&before, &found) {
            return solve::most_general(before, found);
        }
        if !self.env.homogeneous {
            return Type::Dyn;
        }
        let (before, found) = (self.solver.substituted(&before), self.solver.substituted(&found));
        self.issue(offset, format!("expected type '{before}' but found '{found}'"));
        Type::Error
    }

    fn structure(&mut self, expr: &Expr, made: &Struct) -> Type {
        let object = match self.env.type_named(&made.name) {
            Some(Type::Object(object)) => Some(object),
            Some(_) => {
                self.issue(expr.offset, format!("'{}' is not a message type", made.name));
                None
            }
            None => {
                self.undeclared(expr.offset, &made.name);
                None
            }
        };
        for init in &made.fields {
            self.check(&init.value);
            let found = self.element_type(&init.value, init.optional);
            let Some(object) = &object else { continue };
            match object.field(&init.name) {
                None => self.issue(init.offset, format!("undefined field '{}'", init.name)),
                Some(field) if !self.solver.assign(&field, &found) => {
                    let found = self.solver.substituted(&found);
                    let message =
                        format!("expected type of field '{}' is '{field}' but provided type is '{found}'", init.name);
                    self.issue(init.offset, message);
                }
                Some(_) => {}
            }
        }
        object.map_or(Type::Error, Type::Object)
    }

    fn comprehension(&mut self, comprehension: &Comprehension) -> Type {
        self.check(&comprehension.range);
        self.check(&comprehension.initial);
        let range = self.type_of(&comprehension.range);
        let (first, second) = self.loop_types(&comprehension.range, &range, comprehension.second.is_some());
        let accumulated = self.type_of(&comprehension.initial);
        self.locals.push((comprehension.accumulator.clone(), accumulated.clone()));
        let around = self.locals.len();
        self.locals.push((comprehension.variable.clone(), first));
        if let Some(name) = &comprehension.second {
            self.locals.push((name.clone(), second));
        }
        self.check(&comprehension.condition);
        self.expect(&comprehension.condition, &Type::Bool);
        self.check(&comprehension.step);
        self.expect(&comprehension.step, &accumulated);
        self.locals.truncate(around);
        self.check(&comprehension.result);
        self.locals.truncate(around - 1);
        self.type_of(&comprehension.result)
    }

    /// The types of a loop's variables.
    fn loop_types(&mut self, expr: &Expr, range: &Type, two: bool) -> (Type, Type) {
        match range {
            Type::List(element) if two => (Type::Int, element.as_ref().clone()),
            Type::List(element) => (element.as_ref().clone(), Type::Error),
            Type::Map(key, value) => (key.as_ref().clone(), value.as_ref().clone()),
            Type::Dyn | Type::Error => (Type::Dyn, Type::Dyn),
            Type::Var(_) => {
                self.solver.assign(range, &Type::Dyn);
                (Type::Dyn, Type::Dyn)
            }
            other => {
                let message = format!(
                    "expression of type '{other}' cannot be range of a comprehension (must be list, map, or dynamic)"
                );
                self.issue(expr.offset, message);
                (Type::Error, Type::Error)
            }
        }
    }

    fn expect(&mut self, expr: &Expr, wanted: &Type) {
        let found = self.type_of(expr);
        if !self.solver.assign(wanted, &found) {
            let wanted = self.solver.substituted(wanted);
            self.issue(expr.offset, format!("expected type '{wanted}' but found '{found}'"));
        }
    }
}

fn literal_type(literal: &Literal) -> Type {
    match literal {
        Literal::Null => Type::Null,
        Literal::Bool(_) => Type::Bool,
        Literal::Int(_) => Type::Int,
        Literal::Uint(_) => Type::Uint,
        Literal::Double(_) => Type::Double,
        Literal::String(_) => Type::String,
        Literal::Bytes(_) => Type::Bytes,
    }
}
