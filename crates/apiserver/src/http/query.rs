//! A request's query parameters.

use super::path::unescape;
use api::field::{FieldError, FieldErrorKind, FieldPath};
use api::{Reason, Status};
use std::borrow::Cow;

/// Names and values, in order, unescaped.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query {
    pairs: Vec<(Cow<'static, str>, String)>,
}

impl Query {
    pub(crate) fn parse(text: &str) -> Query {
        let mut pairs = Vec::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            pairs.push((Cow::Owned(plain(name)), plain(value)));
        }
        Query { pairs }
    }

    /// As the in-process client gives them.
    pub(crate) fn of(pairs: Vec<(&'static str, String)>) -> Query {
        Query { pairs: pairs.into_iter().map(|(name, value)| (Cow::Borrowed(name), value)).collect() }
    }

    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(name, value)| (name.as_ref(), value.as_str()))
    }

    /// The first value; empty without one.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.find(name).unwrap_or_default()
    }

    pub(crate) fn find(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.pairs.iter().filter(move |(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// A boolean as upstream reads it: present and neither `false` nor `0`.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.find(name).is_some_and(|value| !matches!(value.to_ascii_lowercase().as_str(), "false" | "0"))
    }

    pub(crate) fn optional_flag(&self, name: &str) -> Option<bool> {
        self.find(name).map(|_| self.flag(name))
    }

    /// # Errors
    /// `BadRequest` for what is no number.
    pub(crate) fn integer(&self, name: &str) -> Result<Option<i64>, Status> {
        match self.find(name) {
            None | Some("") => Ok(None),
            Some(text) => text.parse().map(Some).map_err(|_| {
                Status::bad_request(format!("strconv.ParseInt: parsing {text:?}: invalid syntax (parameter {name})"))
            }),
        }
    }

    /// Whether the write is to be tried only.
    pub(crate) fn dry_run(&self) -> Result<bool, Status> {
        let mut asked = false;
        for value in self.all("dryRun") {
            if value != "All" {
                let error = FieldError {
                    path: FieldPath::new("dryRun"),
                    kind: FieldErrorKind::NotSupported,
                    value: Some(format!("[{value:?}]")),
                    detail: "supported values: \"All\"".to_owned(),
                };
                let message = format!("WriteOptions.meta.k8s.io \"\" is invalid: {error}");
                return Err(Status::new(Reason::Invalid, message));
            }
            asked = true;
        }
        Ok(asked)
    }
}

/// `?a=b&c=d` with what must be escaped escaped; empty for no pairs.
pub(crate) fn query_text<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut text = String::new();
    for (name, value) in pairs {
        text.push(if text.is_empty() { '?' } else { '&' });
        escape(name, &mut text);
        text.push('=');
        escape(value, &mut text);
    }
    text
}

/// Appends what may stand in a query, or as one segment of a path.
pub(crate) fn escape(plain: &str, text: &mut String) {
    for byte in plain.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~:".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
}

fn plain(text: &str) -> String {
    if text.contains('+') { unescape(&text.replace('+', " ")).into_owned() } else { unescape(text).into_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_unescaped_and_repeat() {
        let query = Query::parse("command=ls&command=-l&labelSelector=a%3Db+c&watch&stdin=0");
        assert_eq!(query.all("command").collect::<Vec<_>>(), ["ls", "-l"]);
        assert_eq!(query.get("labelSelector"), "a=b c");
        assert!(query.flag("watch"));
        assert!(!query.flag("stdin"));
        assert!(!query.flag("absent"));
    }

    #[test]
    fn values_are_escaped() {
        let pairs = [("command", "sh -c"), ("command", "a&b=é")];
        assert_eq!(query_text(pairs.into_iter()), "?command=sh%20-c&command=a%26b%3D%C3%A9");
        assert_eq!(query_text(std::iter::empty()), "");
    }

    #[test]
    fn only_all_is_a_dry_run() {
        assert_eq!(Query::parse("").dry_run(), Ok(false));
        assert_eq!(Query::parse("dryRun=All").dry_run(), Ok(true));
        assert_eq!(Query::parse("dryRun=Some").dry_run().unwrap_err().code, 422);
    }
}
