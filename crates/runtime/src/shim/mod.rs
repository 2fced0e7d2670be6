//! The node's side of a shim: the program, how it is started, and the conversation with it.

mod binary;
mod client;
mod launch;
mod wire;

pub(crate) use binary::Binary;
pub(crate) use client::{Client, ClientError, Event, Exec};
pub(crate) use launch::launch;
