//! Which values of which fields a selector wants: `spec.nodeName=n1,status.phase!=Running`.

use super::SelectorError;
use crate::resource::ResourceDef;
use std::fmt;

/// One field's wanted or unwanted value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldRequirement {
    pub path: String,
    /// False for `!=`.
    pub equal: bool,
    pub value: String,
}

/// A conjunction of requirements on fields; the empty one matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct FieldSelector {
    requirements: Vec<FieldRequirement>,
}

impl FieldSelector {
    pub fn everything() -> FieldSelector {
        FieldSelector::default()
    }

    /// That one field has one value.
    pub fn equal(path: &str, value: &str) -> FieldSelector {
        let requirement = FieldRequirement { path: path.to_owned(), equal: true, value: value.to_owned() };
        FieldSelector { requirements: vec![requirement] }
    }

    /// From its written form; `\`, `,` and `=` in a value are written with a `\` before them.
    ///
    /// # Errors
    /// In upstream's words, when the text is no selector.
    pub fn parse(text: &str) -> Result<FieldSelector, SelectorError> {
        let mut terms = terms(text);
        terms.sort_unstable();
        let mut requirements = Vec::new();
        for term in terms.into_iter().filter(|term| !term.is_empty()) {
            let Some((path, equal, value)) = split(term) else {
                return Err(SelectorError(format!("invalid selector: '{text}'; can't understand '{term}'")));
            };
            requirements.push(FieldRequirement { path: path.to_owned(), equal, value: unescape(value)? });
        }
        Ok(FieldSelector { requirements })
    }

    pub fn is_empty(&self) -> bool {
        self.requirements.is_empty()
    }
    pub fn requirements(&self) -> &[FieldRequirement] {
        &self.requirements
    }

    /// The same requirements with paths renamed where `renamed` has another name.
    pub fn renamed(mut self, renamed: impl Fn(&str) -> Option<&'static str>) -> FieldSelector {
        for requirement in &mut self.requirements {
            if let Some(path) = renamed(&requirement.path) {
                path.clone_into(&mut requirement.path);
            }
        }
        self
    }

    /// The value that it wants a field to have.
    pub fn exact(&self, path: &str) -> Option<&str> {
        self.requirements.iter().find(|own| own.equal && own.path == path).map(|own| own.value.as_str())
    }

    /// Whether it suits an object's fields; a field that is not there counts as empty.
    pub fn matches_with<'a>(&self, field: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.requirements.iter().all(|own| (field(&own.path).unwrap_or_default() == own.value) == own.equal)
    }

    /// # Errors
    /// In upstream's words, when it names a field by which objects of this kind cannot be selected.
    pub fn check(&self, def: &ResourceDef) -> Result<(), SelectorError> {
        let general = ["metadata.name", "metadata.namespace"];
        let known = |path: &str| general.contains(&path) || def.selectable.contains(&path);
        match self.requirements.iter().find(|own| !known(&own.path)) {
            None => Ok(()),
            Some(own) if def.selectable.is_empty() => Err(SelectorError(format!(
                "{:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\"",
                own.path
            ))),
            Some(own) => Err(SelectorError(format!("field label not supported: {}", own.path))),
        }
    }
}

/// The parts between commas that no `\` precedes.
fn terms(text: &str) -> Vec<&str> {
    let mut terms = Vec::new();
    let mut start = 0;
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b',' => {
                terms.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    terms.push(&text[start..]);
    terms
}

fn split(term: &str) -> Option<(&str, bool, &str)> {
    let at = (0..term.len()).filter(|at| term.is_char_boundary(*at)).find(|at| {
        let rest = &term[*at..];
        rest.starts_with("!=") || rest.starts_with('=')
    })?;
    let (path, rest) = term.split_at(at);
    if let Some(value) = rest.strip_prefix("!=") {
        return Some((path, false, value));
    }
    rest.strip_prefix("==").or_else(|| rest.strip_prefix('=')).map(|value| (path, true, value))
}

fn unescape(value: &str) -> Result<String, SelectorError> {
    let mut plain = String::with_capacity(value.len());
    let mut characters = value.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some(next @ ('\\' | ',' | '=')) => plain.push(next),
                other => {
                    let sequence: String = std::iter::once('\\').chain(other).collect();
                    return Err(SelectorError(format!("invalid field selector: invalid escape sequence: {sequence}")));
                }
            },
            ',' | '=' => {
                let words = "invalid field selector: unescaped character in value";
                return Err(SelectorError(format!("{words}: {character}")));
            }
            other => plain.push(other),
        }
    }
    Ok(plain)
}

fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace(',', "\\,").replace('=', "\\=")
}

impl fmt::Display for FieldSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, own) in self.requirements.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            let operator = if own.equal { "=" } else { "!=" };
            write!(f, "{comma}{}{operator}{}", own.path, escape(&own.value))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::Kind;
    use k8s_openapi::api::core::v1::{ConfigMap, Pod};

    #[test]
    fn a_selector_prints_in_one_form() {
        for (text, printed) in
            [("", ""), ("b=1,a==2", "a=2,b=1"), ("a!=,b=", "a!=,b="), ("a=x\\,y\\=z\\\\", "a=x\\,y\\=z\\\\")]
        {
            assert_eq!(FieldSelector::parse(text).unwrap().to_string(), printed, "{text:?}");
        }
    }

    #[test]
    fn a_bad_selector_is_refused_in_upstreams_words() {
        for (text, error) in [
            ("a", "invalid selector: 'a'; can't understand 'a'"),
            ("a=b=c", "invalid field selector: unescaped character in value: ="),
            ("a=\\x", "invalid field selector: invalid escape sequence: \\x"),
            ("a=\\", "invalid field selector: invalid escape sequence: \\"),
        ] {
            assert_eq!(FieldSelector::parse(text).unwrap_err().to_string(), error, "{text:?}");
        }
    }

    #[test]
    fn an_unknown_field_is_refused() {
        let check = |text: &str, def| FieldSelector::parse(text).unwrap().check(def).map_err(|error| error.to_string());
        assert_eq!(check("metadata.name=a,spec.nodeName=n", &Pod::DEF), Ok(()));
        assert_eq!(check("spec.x=a", &Pod::DEF), Err("field label not supported: spec.x".to_owned()));
        assert_eq!(
            check("data=a", &ConfigMap::DEF),
            Err("\"data\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"".to_owned())
        );
    }

    #[test]
    fn a_missing_field_counts_as_empty() {
        let matches = |text: &str| {
            FieldSelector::parse(text).unwrap().matches_with(|path| (path == "spec.nodeName").then_some("n1"))
        };
        assert!(matches("spec.nodeName=n1,x="));
        assert!(!matches("spec.nodeName!=n1"));
        assert!(matches("x!=y"));
    }
}
