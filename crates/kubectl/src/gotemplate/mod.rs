//! Go's templates (`-o go-template`): text with `{{…}}` in it, over an object of the API.
//!
//! Invariants: nesting and loops are bounded by the object, by `DEPTH_MAX` and by `TURNS_MAX`; a missing key is `<no value>` unless the
//! template is strict.

mod eval;
mod functions;
mod lex;
mod parse;
mod printf;

use crate::failure::{Failure, Result};
use parse::Node;
use serde_json::Value;
use std::collections::HashMap;

/// Templates that call themselves end here.
const DEPTH_MAX: usize = 100;

#[derive(Clone, Debug)]
pub(crate) struct Template {
    source: String,
    nodes: Vec<Node>,
    /// By `{{define "name"}}`.
    named: HashMap<String, Vec<Node>>,
    strict: bool,
}

impl Template {
    pub(crate) fn parse(source: &str) -> Result<Template> {
        let (nodes, named) = parse::template(source).map_err(|reason| {
            Failure::message(format!("error parsing template {source}, template: output:1: {reason}"))
        })?;
        Ok(Template { source: source.to_owned(), nodes, named, strict: false })
    }

    pub(crate) fn strict(mut self) -> Template {
        self.strict = true;
        self
    }

    pub(crate) fn render(&self, object: &Value) -> Result<String> {
        eval::render(&self.nodes, &self.named, self.strict, object).map_err(|reason| {
            let source = &self.source;
            Failure::message(format!("error executing template {source:?}: template: output:1: {reason}"))
        })
    }
}

#[cfg(test)]
mod tests;
