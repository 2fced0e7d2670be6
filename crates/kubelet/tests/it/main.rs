//! The node agent whole, against an API server and a runtime that live in memory.

#![allow(clippy::unwrap_used)] // a test's unwrap is its assertion

mod door;
mod double;
mod life;
mod restart;
mod server;
mod streams;
mod support;
