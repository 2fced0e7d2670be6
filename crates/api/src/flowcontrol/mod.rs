//! The kinds of the flowcontrol group.

mod flow_schema;
pub mod mandatory;
mod priority_level_configuration;
mod rules;
