//! Which overloads a call may mean.

use super::{Checker, Reference};
use crate::functions::Overload;
use crate::syntax::ast::{Call, Expr, ExprKind, Literal, operator};
use crate::types::Type;
use std::sync::Arc;

impl Checker<'_> {
    pub(super) fn call(&mut self, expr: &Expr, call: &Call) -> Type {
        if call.function == operator::OPTIONAL_SELECT {
            return self.optional_select(expr, call);
        }
        for argument in &call.arguments {
            self.check(argument);
        }
        let Some(target) = &call.target else { return self.global(expr, &call.function, &call.arguments) };
        if let Some(name) = target.qualified_name()
            && !self.locals.iter().any(|(local, _)| name.split('.').next() == Some(local))
        {
            let function = format!("{name}.{}", call.function);
            if let Some(overloads) = self.env.functions.find(&function) {
                return self.resolve(expr, &function, overloads, None, &call.arguments, true);
            }
        }
        self.check(target);
        match self.env.functions.find(&call.function) {
            Some(overloads) => self.resolve(expr, &call.function, overloads, Some(target), &call.arguments, false),
            None => self.undeclared(expr.offset, &call.function),
        }
    }

    fn global(&mut self, expr: &Expr, function: &str, arguments: &[Expr]) -> Type {
        match self.env.functions.find(function) {
            Some(overloads) => self.resolve(expr, function, overloads, None, arguments, false),
            None => self.undeclared(expr.offset, function),
        }
    }

    fn resolve(
        &mut self,
        expr: &Expr,
        function: &str,
        overloads: &[Arc<Overload>],
        target: Option<&Expr>,
        arguments: &[Expr],
        qualified: bool,
    ) -> Type {
        let found: Vec<Type> = target.into_iter().chain(arguments).map(|argument| self.type_of(argument)).collect();
        let mut matching: Vec<Arc<Overload>> = Vec::new();
        let mut result: Option<Type> = None;
        for overload in overloads.iter().filter(|overload| overload.member == target.is_some()) {
            if overload.parameters.len() != found.len() {
                continue;
            }
            let (parameters, declared) = self.instance(overload);
            if !self.solver.assign_all(&found, &parameters) {
                continue;
            }
            let declared = self.solver.substituted(&declared);
            result = Some(match result {
                None => declared,
                Some(before) if before == declared => before,
                Some(_) => Type::Dyn,
            });
            matching.push(overload.clone());
        }
        match result {
            Some(result) => {
                self.references[expr.id] = Reference::Function { overloads: matching, qualified };
                result
            }
            None => {
                let found: Vec<Type> = found.iter().map(|found| self.solver.substituted(found)).collect();
                self.no_overload(expr.offset, function, &found, target.is_some())
            }
        }
    }

    fn no_overload(&mut self, offset: usize, function: &str, found: &[Type], member: bool) -> Type {
        let texts: Vec<String> = found.iter().map(ToString::to_string).collect();
        let signature = match texts.split_first() {
            Some((target, rest)) if member => format!("{target}.({})", rest.join(", ")),
            _ => format!("({})", texts.join(", ")),
        };
        self.issue(offset, format!("found no matching overload for '{function}' applied to '{signature}'"));
        Type::Error
    }

    /// An overload's types with unknowns of its own for its parameters.
    fn instance(&mut self, overload: &Overload) -> (Vec<Type>, Type) {
        let mut names: Vec<(&'static str, Type)> = Vec::new();
        let parameters = overload.parameters.iter().map(|parameter| self.renamed(parameter, &mut names)).collect();
        let result = self.renamed(&overload.result, &mut names);
        (parameters, result)
    }

    fn renamed(&mut self, found: &Type, names: &mut Vec<(&'static str, Type)>) -> Type {
        match found {
            Type::Param(name) => match names.iter().find(|(known, _)| known == name) {
                Some((_, unknown)) => unknown.clone(),
                None => {
                    let unknown = self.solver.fresh();
                    names.push((name, unknown.clone()));
                    unknown
                }
            },
            Type::List(inner) => Type::list(self.renamed(inner, names)),
            Type::Optional(inner) => Type::optional(self.renamed(inner, names)),
            Type::Map(key, value) => Type::map(self.renamed(key, names), self.renamed(value, names)),
            Type::Type(Some(inner)) => Type::Type(Some(Arc::new(self.renamed(inner, names)))),
            other => other.clone(),
        }
    }

    /// `operand.?field`.
    fn optional_select(&mut self, expr: &Expr, call: &Call) -> Type {
        let [operand, field] = call.arguments.as_slice() else { return Type::Error };
        let ExprKind::Literal(Literal::String(name)) = &field.kind else { return Type::Error };
        self.check(operand);
        self.types[field.id] = Type::String;
        let found = self.type_of(operand);
        match self.field(expr.offset, &found, name) {
            already @ Type::Optional(_) => already,
            found => Type::optional(found),
        }
    }
}
