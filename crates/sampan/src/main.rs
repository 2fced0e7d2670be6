//! The one binary: roles, their flags and their wiring.

mod cli;
mod commands;
mod files;
mod images;
mod instance;
mod roles;
mod settings;
mod supervisor;

use anyhow::Result;
use clap::Parser;
use cli::{Cli, Command};
use std::process::ExitCode;

/// Object churn fragments the system's allocator: half the memory of a server that has run for a day.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let mut arguments: Vec<std::ffi::OsString> = std::env::args_os().collect();
    let called = arguments.first().map(std::path::PathBuf::from).unwrap_or_default();
    if called.file_name().is_some_and(|name| name == "kubectl") {
        return commands::kubectl(arguments.split_off(1));
    }
    match Cli::parse_from(arguments).command {
        Command::Kubectl { arguments } => commands::kubectl(arguments.into_iter().map(Into::into).collect()),
        Command::Role { role, data_dir } => roles::run(role, &data_dir),
        command => match run(command) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                commands::complain(&error);
                ExitCode::FAILURE
            }
        },
    }
}

fn run(command: Command) -> Result<()> {
    match command {
        Command::Up(args) => commands::up(&args, settings::Roles::ServerAndNode),
        Command::Server(args) => commands::up(&args, settings::Roles::Server),
        Command::Join(args) => commands::join(&args),
        Command::Resume(args) => commands::resume(&args),
        Command::Status(args) => commands::status(&args),
        Command::Token(command) => commands::token(command),
        Command::Image(command) => commands::image(command),
        Command::Reset(args) => commands::reset(&args),
        Command::Kubectl { .. } | Command::Role { .. } => unreachable!("dispatched by main"),
    }
}
