//! The API over real TCP and TLS, against a store on disk: with a plain HTTP client and with kubectl.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails where it stands")]

mod cluster;
mod direct;
mod discovery;
mod kubectl;
mod lists;
mod objects;
mod streams;
mod subresources;
mod watches;
