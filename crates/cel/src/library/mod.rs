//! Functions, a library per file: a table of rows, and what they do.

mod arithmetic;
pub mod authorizer;
mod conversions;
pub(crate) mod formats;
mod json_patch;
mod lists;
pub(crate) mod net;
mod optionals;
mod quantity;
pub(crate) mod regex;
mod semantic_version;
mod sets;
pub(crate) mod standard;
mod strings;
mod text_format;
mod time;
mod two_variables;
pub(crate) mod urls;

use crate::error::EvalError;
use crate::functions::Row;
use crate::value::Value;

/// A set of functions that an environment may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Library {
    /// Operators, conversions, texts, times: the language itself.
    Standard,
    /// `isSorted`, `sum`, `min`, `max`, `indexOf`, `lastIndexOf`.
    Lists,
    /// `find`, `findAll`.
    Regex,
    Urls,
    /// `charAt`, `split`, `join`, `format`, ….
    Strings,
    Sets,
    Optionals,
    Addresses,
    Quantity,
    Semver,
    /// `format.named('dns1123Label')`, ….
    Formats,
    Authorizer,
    TwoVariableComprehensions,
    /// `jsonpatch.escapeKey`.
    JsonPatch,
}

/// What Kubernetes gives to every expression.
pub(crate) const KUBERNETES: &[Library] = &[
    Library::Standard,
    Library::Lists,
    Library::Regex,
    Library::Urls,
    Library::Strings,
    Library::Sets,
    Library::Optionals,
    Library::Addresses,
    Library::Quantity,
    Library::Semver,
    Library::Formats,
    Library::Authorizer,
    Library::TwoVariableComprehensions,
];

impl Library {
    pub(crate) fn rows(self) -> &'static [&'static [Row]] {
        match self {
            Library::Standard => &[standard::ROWS, arithmetic::ROWS, conversions::ROWS, time::ROWS],
            Library::Lists => &[lists::ROWS],
            Library::Regex => &[regex::ROWS],
            Library::Urls => &[urls::ROWS],
            Library::Strings => &[strings::ROWS, text_format::ROWS],
            Library::Sets => &[sets::ROWS],
            Library::Optionals => &[optionals::ROWS],
            Library::Addresses => &[net::ROWS],
            Library::Quantity => &[quantity::ROWS],
            Library::Semver => &[semantic_version::ROWS],
            Library::Formats => &[formats::ROWS],
            Library::Authorizer => &[authorizer::ROWS],
            Library::TwoVariableComprehensions => &[two_variables::ROWS],
            Library::JsonPatch => &[json_patch::ROWS],
        }
    }
}

type Result<'v> = std::result::Result<Value<'v>, EvalError>;

const NO_OVERLOAD: EvalError = EvalError::NoSuchOverload;

fn bool<'v>(value: bool) -> Result<'v> {
    Ok(Value::Bool(value))
}

fn text<'v>(text: String) -> Result<'v> {
    Ok(Value::String(text.into()))
}
