//! The Common Expression Language as Kubernetes uses it: parse, check, estimate, evaluate.
//!
//! Invariants: pure (no I/O, no async, no clock of its own; time zones come from the system's table); a `Program` is
//! immutable and shared freely; every step is bounded, by depth, by cost and by size, whatever the expression.

mod check;
mod cost;
mod env;
mod error;
pub mod escape;
mod eval;
mod functions;
mod issue;
mod library;
pub mod limits;
mod plan;
mod program;
pub mod schema;
mod schema_json;
mod syntax;
mod types;
mod value;

pub use cost::CostRange;
pub use env::Env;
pub use error::EvalError;
pub use issue::{Issue, Issues};
pub use library::{Library, authorizer};
pub use limits::Limits;
pub use program::{Activation, Outcome, Program};
pub use schema::{ListIdentity, Schema};
pub use types::{ObjectType, Type};
pub use value::{
    Blob, DurationValue, FieldSource, FieldsRef, Key, List, Map, Opaque, Struct, Text, TimestampValue, Value,
};
