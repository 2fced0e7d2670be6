//! The one binary: roles, their flags and their wiring. A library, so that a test can link it into another build.

mod archive;
mod build;
mod cli;
mod commands;
mod control;
mod descriptor;
mod engine;
mod files;
mod folder;
mod images;
mod instance;
mod manifests;
mod restored;
mod roles;
mod settings;
mod supervisor;

use anyhow::Result;
use clap::{CommandFactory, FromArgMatches};
use cli::{Cli, Command};
use std::ffi::OsString;
use std::process::ExitCode;

/// Object churn fragments the system's allocator: half the memory of a server that has run for a day.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Runs this process's command line as the build of that version.
pub fn main(version: &'static str) -> ExitCode {
    build::set_version(version);
    let mut arguments: Vec<OsString> = std::env::args_os().collect();
    let called = arguments.first().map(std::path::PathBuf::from).unwrap_or_default();
    if called.file_name().is_some_and(|name| name == "kubectl") {
        return commands::kubectl(arguments.split_off(1));
    }
    match parse(arguments).command {
        Command::Kubectl { arguments } => commands::kubectl(arguments.into_iter().map(Into::into).collect()),
        Command::Top { arguments } => {
            let words = std::iter::once("screen".to_owned()).chain(arguments);
            commands::kubectl(words.map(Into::into).collect())
        }
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

fn parse(arguments: Vec<OsString>) -> Cli {
    let matches = Cli::command().version(build::version()).get_matches_from(arguments);
    Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

fn run(command: Command) -> Result<()> {
    match command {
        Command::Up(args) => commands::up(&args, settings::Roles::ServerAndNode),
        Command::Server(args) => commands::up(&args, settings::Roles::Server),
        Command::Join(args) => commands::join(&args),
        Command::Resume(args) => commands::resume(&args),
        Command::Status(args) => commands::status(&args),
        Command::Token(command) => commands::token(command),
        Command::Certs(command) => commands::certs(&command),
        Command::Logs(args) => commands::logs(&args),
        Command::Dashboard(args) => commands::dashboard(&args),
        Command::Image(command) => commands::image(command),
        Command::Backup(args) => commands::backup(&args),
        Command::Restore(args) => commands::restore(&args),
        Command::Upgrade(args) => commands::upgrade(&args),
        Command::Service(command) => commands::service(&command),
        Command::Reset(args) => commands::reset(&args),
        Command::Supervise(args) => commands::supervise(&args),
        Command::CheckBuild(args) => commands::check_build(&args),
        Command::Kubectl { .. } | Command::Top { .. } | Command::Role { .. } => unreachable!("dispatched by main"),
    }
}
