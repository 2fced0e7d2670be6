//! Keys of a user's extras: `acme.io/team`, a domain and a path below it.

use api::{FieldError, FieldPath};
use std::fmt::Display;

const PATH_CHARACTERS: &str = "/-._~%!$&'()*+,;=:";
/// As upstream's message shows it.
const PATH_PATTERN: &str = r"[A-Za-z0-9/\-._~%!$&'()*+,;=:]+";

/// What is wrong with a key, in upstream's words.
pub(crate) fn check(path: &FieldPath, key: &str) -> Vec<FieldError> {
    if key.is_empty() {
        return vec![FieldError::required(path.clone(), "")];
    }
    let Some((domain, rest)) = key.split_once('/').filter(|(domain, rest)| !domain.is_empty() && !rest.is_empty())
    else {
        let why = "must be a domain-prefixed path (such as \"acme.io/foo\")";
        return vec![FieldError::invalid(path.clone(), key, why)];
    };
    let complaints = api::labels::dns1123_subdomain(domain, false);
    let mut errors: Vec<FieldError> =
        complaints.into_iter().map(|why| FieldError::invalid(path.clone(), domain, why)).collect();
    if !rest.chars().all(|one| one.is_ascii_alphanumeric() || PATH_CHARACTERS.contains(one)) {
        let why = format!("Invalid path (regex used for validation is '{PATH_PATTERN}')");
        errors.push(FieldError::invalid(path.clone(), rest, why));
    }
    errors
}

/// Several errors as Go's aggregate prints them.
pub(crate) fn aggregate<E: Display>(errors: &[E]) -> String {
    match errors {
        [one] => one.to_string(),
        many => format!("[{}]", many.iter().map(E::to_string).collect::<Vec<_>>().join(", ")),
    }
}
