//! What each command does.
#![allow(clippy::print_stdout)] // Commands talk to the person who typed them.

mod backup;
mod certs;
mod dashboard;
mod image;
mod kubectl;
mod logs;
mod reset;
mod restore;
mod service;
mod status;
mod token;
mod up;
mod upgrade;

pub(crate) use backup::backup;
pub(crate) use certs::certs;
pub(crate) use dashboard::dashboard;
pub(crate) use image::image;
pub(crate) use kubectl::kubectl;
pub(crate) use logs::logs;
pub(crate) use reset::reset;
pub(crate) use restore::restore;
pub(crate) use service::service;
pub(crate) use status::status;
pub(crate) use token::{join_token, token};
pub(crate) use up::{join, resume, supervise, up};
pub(crate) use upgrade::{check_build, upgrade};

/// An error, its causes after colons, as a person reads it.
pub(crate) fn complain(error: &anyhow::Error) {
    eprintln!("sampan: {error:#}");
}

/// A runtime for commands that ask a server something.
fn small_runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    use anyhow::Context;
    tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting the async runtime")
}
