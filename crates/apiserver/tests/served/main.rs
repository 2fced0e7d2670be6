//! The API over real TCP and TLS, against a store on disk: with a plain HTTP client and with kubectl.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails where it stands")]

mod apply;
mod cluster;
mod custom;
mod direct;
mod discovery;
mod kinds;
mod kubectl;
mod lists;
mod objects;
mod proxy;
mod streams;
mod subresources;
mod versions;
mod watches;
