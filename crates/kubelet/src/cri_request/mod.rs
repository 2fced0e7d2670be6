//! A pod's spec as the requests that CRI takes.
//!
//! Invariants: pure; the same pod gives the same request, and what CRI is told is enough to find it all again.

pub(crate) mod container;
pub(crate) mod dns;
pub(crate) mod hosts;
pub(crate) mod labels;
pub(crate) mod mounts;
pub(crate) mod resources;
pub(crate) mod sandbox;
pub(crate) mod security;
#[cfg(test)]
mod tests;
