//! Which labels a selector wants.
//!
//! Invariants: requirements are sorted by key, so that a selector prints the same however it was written; a value set
//! is sorted and has no value twice.

use super::{SelectorError, parse};
use crate::field::{FieldError, FieldPath};
use crate::labels;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use std::collections::BTreeMap;
use std::fmt;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operator {
    In,
    NotIn,
    Equals,
    DoubleEquals,
    NotEquals,
    Exists,
    DoesNotExist,
    GreaterThan,
    LessThan,
}

impl Operator {
    /// As it is written in a selector.
    pub fn symbol(self) -> &'static str {
        match self {
            Operator::In => "in",
            Operator::NotIn => "notin",
            Operator::Equals => "=",
            Operator::DoubleEquals => "==",
            Operator::NotEquals => "!=",
            Operator::Exists => "exists",
            Operator::DoesNotExist => "!",
            Operator::GreaterThan => ">",
            Operator::LessThan => "<",
        }
    }
}

/// One condition on one label.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Requirement {
    key: String,
    operator: Operator,
    values: Vec<String>,
}

impl Requirement {
    /// # Errors
    /// When the key, a value, or the number of values does not suit the operator.
    pub fn new(key: &str, operator: Operator, values: Vec<String>) -> Result<Requirement, SelectorError> {
        let mut errors = Vec::new();
        let complaints = labels::label_key(key);
        if !complaints.is_empty() {
            errors.push(FieldError::invalid(FieldPath::new("key"), key, complaints.join("; ")));
        }
        let path = FieldPath::new("values");
        if let Some(complaint) = wrong_count(operator, values.len()) {
            errors.push(FieldError::invalid(path.clone(), &values, complaint));
        }
        for (index, value) in values.iter().enumerate() {
            if matches!(operator, Operator::GreaterThan | Operator::LessThan) && value.parse::<i64>().is_err() {
                let detail = "for 'Gt', 'Lt' operators, the value must be an integer";
                errors.push(FieldError::invalid(path.index(index), value, detail));
            }
            let complaints = labels::label_value(value);
            if !complaints.is_empty() {
                errors.push(FieldError::invalid(path.index(index).key(key), value, complaints.join("; ")));
            }
        }
        match errors.as_slice() {
            [] => Ok(Requirement::trusted(key, operator, values)),
            [one] => Err(SelectorError(one.to_string())),
            many => {
                let texts: Vec<String> = many.iter().map(ToString::to_string).collect();
                Err(SelectorError(format!("[{}]", texts.join(", "))))
            }
        }
    }

    fn trusted(key: &str, operator: Operator, mut values: Vec<String>) -> Requirement {
        values.sort();
        values.dedup();
        Requirement { key: key.to_owned(), operator, values }
    }

    pub fn key(&self) -> &str {
        &self.key
    }
    pub fn operator(&self) -> Operator {
        self.operator
    }
    pub fn values(&self) -> &[String] {
        &self.values
    }

    /// Whether this label's value (`None`: no such label) suits.
    pub fn accepts(&self, value: Option<&str>) -> bool {
        let listed = |value: &str| self.values.iter().any(|own| own == value);
        let number = |text: &str| text.parse::<i64>().ok();
        match (self.operator, value) {
            (Operator::In | Operator::Equals | Operator::DoubleEquals, value) => value.is_some_and(listed),
            (Operator::NotIn | Operator::NotEquals, value) => !value.is_some_and(listed),
            (Operator::Exists, value) => value.is_some(),
            (Operator::DoesNotExist, value) => value.is_none(),
            (Operator::GreaterThan | Operator::LessThan, value) => {
                let bound = self.values.first().and_then(|text| number(text));
                match (value.and_then(number), bound) {
                    (Some(value), Some(bound)) if self.operator == Operator::GreaterThan => value > bound,
                    (Some(value), Some(bound)) => value < bound,
                    _ => false,
                }
            }
        }
    }
}

fn wrong_count(operator: Operator, count: usize) -> Option<&'static str> {
    match (operator, count) {
        (Operator::In | Operator::NotIn, 0) => Some("for 'in', 'notin' operators, values set can't be empty"),
        (Operator::In | Operator::NotIn, _) => None,
        (Operator::Equals | Operator::DoubleEquals | Operator::NotEquals, 1) => None,
        (Operator::Equals | Operator::DoubleEquals | Operator::NotEquals, _) => {
            Some("exact-match compatibility requires one single value")
        }
        (Operator::Exists | Operator::DoesNotExist, 0) => None,
        (Operator::Exists | Operator::DoesNotExist, _) => {
            Some("values set must be empty for exists and does not exist")
        }
        (Operator::GreaterThan | Operator::LessThan, 1) => None,
        (Operator::GreaterThan | Operator::LessThan, _) => {
            Some("for 'Gt', 'Lt' operators, exactly one value is required")
        }
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Requirement { key, operator, values } = self;
        match operator {
            Operator::Exists => f.write_str(key),
            Operator::DoesNotExist => write!(f, "!{key}"),
            Operator::In | Operator::NotIn => write!(f, "{key} {} ({})", operator.symbol(), values.join(",")),
            _ => write!(f, "{key}{}{}", operator.symbol(), values.join(",")),
        }
    }
}

/// A conjunction of requirements. The empty one matches everything; `nothing()` matches nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Selector {
    requirements: Vec<Requirement>,
    nothing: bool,
}

impl Selector {
    pub fn everything() -> Selector {
        Selector::default()
    }
    /// What a null selector means to most kinds.
    pub fn nothing() -> Selector {
        Selector { requirements: Vec::new(), nothing: true }
    }

    pub fn new(mut requirements: Vec<Requirement>) -> Selector {
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        Selector { requirements, nothing: false }
    }

    /// From its written form: `a=b,c!=d,e in (x,y),!f`.
    ///
    /// # Errors
    /// In upstream's words, when the text is no selector.
    pub fn parse(text: &str) -> Result<Selector, SelectorError> {
        parse::selector(text).map(Selector::new)
    }

    /// Every label of the map with its value, as a Service's selector means it. An empty map matches everything.
    pub fn from_map(map: &BTreeMap<String, String>) -> Selector {
        Selector::new(
            map.iter().map(|(key, value)| Requirement::trusted(key, Operator::Equals, vec![value.clone()])).collect(),
        )
    }

    /// From the form that kinds carry. An empty one matches everything.
    ///
    /// # Errors
    /// When an operator is unknown or its values do not suit it, which validation keeps out of stored objects.
    pub fn from_label_selector(selector: &LabelSelector) -> Result<Selector, SelectorError> {
        let mut requirements = Vec::new();
        for (key, value) in selector.match_labels.iter().flatten() {
            requirements.push(Requirement::new(key, Operator::Equals, vec![value.clone()])?);
        }
        for expression in selector.match_expressions.iter().flatten() {
            let operator = match expression.operator.as_str() {
                "In" => Operator::In,
                "NotIn" => Operator::NotIn,
                "Exists" => Operator::Exists,
                "DoesNotExist" => Operator::DoesNotExist,
                other => return Err(SelectorError(format!("{other:?} is not a valid label selector operator"))),
            };
            let values = expression.values.clone().unwrap_or_default();
            requirements.push(Requirement::new(&expression.key, operator, values)?);
        }
        Ok(Selector::new(requirements))
    }

    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.matches_with(|key| labels.get(key).map(String::as_str))
    }

    /// As `matches`, for labels that are kept in some other form; `None`: no labels at all.
    pub fn matches_with<'a>(&self, label: impl Fn(&str) -> Option<&'a str>) -> bool {
        !self.nothing && self.requirements.iter().all(|requirement| requirement.accepts(label(&requirement.key)))
    }

    /// Whether it matches everything.
    pub fn is_empty(&self) -> bool {
        !self.nothing && self.requirements.is_empty()
    }
    pub fn is_nothing(&self) -> bool {
        self.nothing
    }
    pub fn requirements(&self) -> &[Requirement] {
        &self.requirements
    }

    /// The one value that it wants a label to have, if it wants exactly one.
    pub fn exact(&self, key: &str) -> Option<&str> {
        let requirement = self.requirements.iter().find(|requirement| requirement.key == key)?;
        match (requirement.operator, requirement.values.as_slice()) {
            (Operator::Equals | Operator::DoubleEquals | Operator::In, [value]) => Some(value),
            _ => None,
        }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, requirement) in self.requirements.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            requirement.fmt(f)?;
        }
        Ok(())
    }
}

/// As a table prints the selector of an object: `<none>` where there is none and where it matches everything.
pub(crate) fn printed(selector: Option<&LabelSelector>) -> String {
    let Some(selector) = selector else { return "<none>".to_owned() };
    match Selector::from_label_selector(selector) {
        Ok(selector) if selector.is_empty() => "<none>".to_owned(),
        Ok(selector) => selector.to_string(),
        Err(_) => "<error>".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(text: &str) -> BTreeMap<String, String> {
        text.split(',').filter_map(|pair| pair.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
    }

    #[test]
    fn a_selector_matches_labels() {
        for (selector, label_set, expected) in [
            ("", "", true),
            ("a=b", "a=b", true),
            ("a==b", "a=c", false),
            ("a=b", "", false),
            ("a!=b", "", true),
            ("a!=b", "a=b", false),
            ("a in (x, y)", "a=y", true),
            ("a in (x,y)", "a=z", false),
            ("a notin (x,y)", "", true),
            ("a notin (x,y)", "a=x", false),
            ("a", "a=", true),
            ("a", "b=", false),
            ("!a", "b=", true),
            ("!a", "a=1", false),
            ("a>5", "a=6", true),
            ("a>5", "a=5", false),
            ("a<5", "a=x", false),
            ("a=", "a=", true),
            ("a=b,c=d", "a=b,c=e", false),
            ("a=b,c=d", "a=b,c=d,e=f", true),
            ("x in (in,notin)", "x=in", true),
        ] {
            let parsed = Selector::parse(selector).unwrap();
            assert_eq!(parsed.matches(&labels(label_set)), expected, "{selector:?} on {label_set:?}");
        }
        assert!(!Selector::nothing().matches(&labels("a=b")));
    }

    #[test]
    fn a_selector_prints_in_one_form() {
        for (text, printed) in [
            ("b=1, a = 2", "a=2,b=1"),
            ("x in (z,a,,z)", "x in (,a,z)"),
            ("x notin (a)", "x notin (a)"),
            (" ! x ", "!x"),
            ("a==b,c!=d,e>1", "a==b,c!=d,e>1"),
            ("x in ()", "x in ()"),
        ] {
            assert_eq!(Selector::parse(text).unwrap().to_string(), printed, "{text:?}");
        }
    }

    #[test]
    fn a_bad_selector_is_refused_in_upstreams_words() {
        let key = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
                   alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
                   '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
        for (text, error) in [
            ("a=b,", "found '', expected: identifier after ','".to_owned()),
            ("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt".to_owned()),
            ("a in x", "unable to parse requirement: found 'x' expected: '('".to_owned()),
            ("a in (x", "unable to parse requirement: found '', expected: ',' or ')'".to_owned()),
            ("=a", "found '=', expected: !, identifier, or 'end of string'".to_owned()),
            ("a=b c", "found 'c', expected: ',' or 'end of string'".to_owned()),
            ("a-=b", format!("unable to parse requirement: <nil>: Invalid value: \"a-\": {key}")),
            (
                "a>x",
                "unable to parse requirement: values[0]: Invalid value: \"x\": for 'Gt', 'Lt' operators, the value \
                 must be an integer"
                    .to_owned(),
            ),
        ] {
            assert_eq!(Selector::parse(text).unwrap_err().to_string(), error, "{text:?}");
        }
    }

    #[test]
    fn exactly_one_value_is_told() {
        let selector = Selector::parse("a=b,c in (d),e in (f,g),h!=i").unwrap();
        let told: Vec<_> = ["a", "c", "e", "h", "z"].iter().map(|key| selector.exact(key)).collect();
        assert_eq!(told, [Some("b"), Some("d"), None, None, None]);
    }
}
