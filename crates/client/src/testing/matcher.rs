//! Which objects a list or watch is about: namespace, label and field selectors in their equality forms.

use api::Status;
use serde_json::Value;

pub(super) struct Matcher {
    namespace: String,
    terms: Vec<Term>,
}

struct Term {
    /// The path to the value.
    path: Vec<String>,
    value: String,
    equal: bool,
}

impl Matcher {
    pub(super) fn new(namespace: &str, labels: &str, fields: &str) -> Result<Matcher, Status> {
        let mut terms = Vec::new();
        for text in labels.split(',').filter(|text| !text.is_empty()) {
            terms.push(Term::parse(text, |key| vec!["metadata".to_owned(), "labels".to_owned(), key.to_owned()])?);
        }
        for text in fields.split(',').filter(|text| !text.is_empty()) {
            terms.push(Term::parse(text, |key| key.split('.').map(str::to_owned).collect())?);
        }
        Ok(Matcher { namespace: namespace.to_owned(), terms })
    }

    pub(super) fn holds(&self, namespace: &str, object: &Value) -> bool {
        (self.namespace.is_empty() || self.namespace == namespace) && self.terms.iter().all(|term| term.holds(object))
    }
}

impl Term {
    fn parse(text: &str, path: impl Fn(&str) -> Vec<String>) -> Result<Term, Status> {
        let (key, value, equal) = if let Some((key, value)) = text.split_once("!=") {
            (key, value, false)
        } else if let Some((key, value)) = text.split_once('=') {
            (key, value.trim_start_matches('='), true)
        } else {
            return Err(Status::not_implemented(format!("the selector {text:?} in the in-memory server")));
        };
        Ok(Term { path: path(key), value: value.to_owned(), equal })
    }

    fn holds(&self, object: &Value) -> bool {
        let found = self.path.iter().try_fold(object, |value, step| value.get(step)).and_then(Value::as_str);
        (found.unwrap_or_default() == self.value) == self.equal
    }
}
