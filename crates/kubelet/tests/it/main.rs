//! The node agent whole, against an API server and a runtime that live in memory.

mod double;
mod life;
mod restart;
mod server;
mod support;
