//! Label and field selectors: parsed, printed and matched as upstream does.

mod field;
mod label;
mod parse;

pub use field::{FieldRequirement, FieldSelector};
pub(crate) use label::printed;
pub use label::{Operator, Requirement, Selector};

/// Why a selector cannot be understood; the text is what a client is shown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SelectorError(pub(crate) String);
