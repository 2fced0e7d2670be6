//! Kinds that users add: a row and a definition made at run time from one version of a CustomResourceDefinition.
//!
//! Invariants: pure; an object's metadata is typed and the rest is JSON; what the schema does not name is pruned before
//! an object is stored; a schema is compiled once, when its definition is accepted; a custom kind takes the same path
//! as a built-in one (`Registered`, `Object`).

mod defaults;
mod definition;
mod formats;
mod json_path;
mod names;
mod object;
mod prune;
mod schema;
mod validate;
mod versions;

pub use definition::{Definition, DefinitionError, Rules, ScalePaths, Schemas};
pub use json_path::JsonPath;
pub use names::{CustomKind, Lease, TooManyNames, foreign_row, row_of};
pub use object::CustomObject;
pub use schema::Schema;
pub use versions::Unfit;

#[cfg(test)]
mod tests;
