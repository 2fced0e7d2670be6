//! The kinds of the apiextensions group.

mod custom_resource_definition;
mod names;
mod schema;
mod schema_lists;
mod spec;
mod structural;
mod versions;
