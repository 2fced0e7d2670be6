//! The runtime with real containers. Needs root; says so and passes where it is not.

#![allow(clippy::unwrap_used)]

mod exec;
mod isolation;
mod lifecycle;
mod recovery;
mod support;
