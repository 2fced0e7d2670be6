//! The kinds of the flowcontrol group.

mod flow_schema;
mod priority_level_configuration;
mod rules;
