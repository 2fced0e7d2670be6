//! JSONPath templates in upstream's dialect: text with `{…}` in it, ranges, filters, unions, recursive descent.
//!
//! Invariants: a missing key yields nothing and is no error, an index outside its list is one; `$` and `@` both are the
//! object at hand, as upstream has them.

mod eval;
mod parse;

use crate::failure::{Failure, Result};
use serde_json::Value;

/// A whole template.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    source: String,
    segments: Vec<Segment>,
    strict: bool,
}

/// A piece of a template.
#[derive(Clone, Debug, PartialEq)]
enum Segment {
    Text(String),
    Path(Vec<Step>),
    Range(Vec<Step>, Vec<Segment>),
}

/// What leads from some values to others.
#[derive(Clone, Debug, PartialEq)]
enum Step {
    Field(String),
    /// `.*`: elements or members.
    Wildcard,
    /// `..`
    Recursive,
    Slice(Slice),
    Union(Vec<Vec<Step>>),
    Filter(Filter),
    /// A quoted text, a number or a bool, whatever the input.
    Literal(Value),
}

/// `[start:end:step]`; a single index ends right after itself.
#[derive(Clone, Debug, Default, PartialEq)]
struct Slice {
    start: Option<i64>,
    end: Option<i64>,
    /// Whether `end` follows from a single index: then 0 means the list's end.
    single: bool,
    step: Option<i64>,
}

#[derive(Clone, Debug, PartialEq)]
struct Filter {
    left: Vec<Step>,
    /// Absent: the left side has only to exist.
    right: Option<(Operator, Vec<Step>)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Template {
    pub(crate) fn parse(source: &str) -> Result<Template> {
        let segments = parse::template(source)
            .map_err(|reason| Failure::message(format!("error parsing jsonpath {source}, {reason}")))?;
        Ok(Template { source: source.to_owned(), segments, strict: false })
    }

    /// Fields that an object lacks are errors.
    pub(crate) fn strict(mut self) -> Template {
        self.strict = true;
        self
    }

    /// As custom columns and `--sort-by` take it: `metadata.name`, `.metadata.name` and `{.metadata.name}` are one.
    pub(crate) fn parse_relaxed(source: &str) -> Result<Template> {
        let inner = source.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(source);
        let inner = inner.strip_prefix('.').unwrap_or(inner);
        if inner.is_empty() || inner.contains(['{', '}']) {
            let text = "unexpected path string, expected a 'name1.name2' or '.name1.name2' or '{name1.name2}' or '{.name1.name2}'";
            return Err(Failure::message(text));
        }
        Template::parse(&format!("{{.{inner}}}"))
    }

    /// The template's text for an object.
    pub(crate) fn render(&self, object: &Value) -> Result<String> {
        let mut out = String::new();
        for values in self.results(object)? {
            out.push_str(&values.iter().map(text).collect::<Vec<_>>().join(" "));
        }
        Ok(out)
    }

    /// All values found as one JSON list.
    pub(crate) fn render_json(&self, object: &Value) -> Result<String> {
        let lists = self.results(object)?.into_iter().map(|values| crate::print::pretty(&Value::Array(values)) + "\n");
        Ok(lists.collect())
    }

    /// All values found.
    pub(crate) fn find(&self, object: &Value) -> Result<Vec<Value>> {
        Ok(self.results(object)?.into_iter().flatten().collect())
    }

    fn results(&self, object: &Value) -> Result<Vec<Vec<Value>>> {
        eval::segments(&self.segments, object, self.strict).map_err(|reason| {
            let source = &self.source;
            Failure::message(format!(
                "error executing jsonpath {source:?}: Error executing template: {reason}. Printing more information for \
                 debugging the template:\n\ttemplate was:\n\t\t{source}\n\tobject given to jsonpath engine was:\n\t\t{}\n\n",
                crate::print::syntax(object)
            ))
        })
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "null".to_owned(),
        Value::Array(_) | Value::Object(_) => crate::print::compact(value),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests;
