//! ValidatingAdmissionPolicy and MutatingAdmissionPolicy: judges that administrators write as expressions.
//!
//! `follow` knows which policies are in force, `asked` which of them concern a write, with which `params`;
//! `composition`, `expression` and `evaluation` are the expressions; `validating` and `mutating` are the plugins;
//! `check` refuses policies that do not compile, `type_checking` warns of those that do not suit their kinds.

mod asked;
mod check;
mod composition;
mod environment;
mod evaluation;
mod expression;
mod follow;
mod kind_schema;
pub(super) mod mutating;
mod params;
mod type_checking;
pub(super) mod validating;

pub(crate) use check::PolicyCheck;

use super::matching::is_exempt;
use registry::Attempt;

/// What is answered and forgotten of who somebody is and what they may do.
const REVIEWS: &[(&str, &[&str])] = &[
    ("authentication.k8s.io", &["selfsubjectreviews", "tokenreviews"]),
    (
        "authorization.k8s.io",
        &["localsubjectaccessreviews", "selfsubjectaccessreviews", "selfsubjectrulesreviews", "subjectaccessreviews"],
    ),
];

/// Writes that no policy is asked about.
fn is_excluded(attempt: &Attempt<'_>) -> bool {
    let def = attempt.def;
    is_exempt(attempt) || REVIEWS.iter().any(|(group, plurals)| def.group == *group && plurals.contains(&def.plural))
}
