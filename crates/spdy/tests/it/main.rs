//! Both ends of a connection against each other and against peers that misbehave.

#![allow(clippy::unwrap_used)] // a test's unwrap is its assertion

mod frames;
mod hostile;
mod sessions;
mod splices;
