//! The language between a node and its pods' shims, shared by both sides.
//!
//! The shim itself is the binary half of this package.

pub mod protocol;
