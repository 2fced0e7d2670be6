//! The image store against a real registry, scripted bad ones, hostile archives, and kills.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails where it stands")]

mod archives;
mod build;
mod crash;
mod hostile;
mod real;
mod scripted;
mod server;
mod store;
