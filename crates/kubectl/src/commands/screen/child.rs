//! Commands that need the terminal for themselves: a shell in a container, an editor.
//!
//! Invariant: each is a process of its own, so that no read of it outlives it and takes the screen's keys.

use crate::failure::{Failure, Result};
use crate::global::Global;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, FromArgMatches};
use std::ffi::OsString;
use std::io::Read;
use tokio::process::Command;

/// The flags of every command as the user gave them, but for the namespace.
#[derive(Clone, Debug, Default)]
pub(super) struct Flags(Vec<OsString>);

impl Args for Flags {
    fn augment_args(command: clap::Command) -> clap::Command {
        command
    }
    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        command
    }
}

impl FromArgMatches for Flags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Flags, clap::Error> {
        let mut words = Vec::new();
        for flag in Global::augment_args(clap::Command::new("")).get_arguments() {
            let id = flag.get_id().as_str();
            let given = matches!(matches.try_get_raw(id), Ok(Some(_)))
                && matches.value_source(id) == Some(ValueSource::CommandLine);
            if id == "namespace" || !given {
                continue;
            }
            for value in matches.get_raw(id).into_iter().flatten() {
                let mut word = OsString::from(format!("--{}=", flag.get_long().unwrap_or(id)));
                word.push(value);
                words.push(word);
            }
        }
        Ok(Flags(words))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Flags::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Runs a command line of this client with the flags that this one was given.
pub(super) async fn run(flags: &Flags, line: &[String]) -> Result<()> {
    let failed = |error: std::io::Error| Failure::message(format!("running {}: {error}", line.join(" ")));
    // The one binary is this client where it is called so.
    let mut command = Command::new(std::env::current_exe().map_err(failed)?);
    let status = command.arg0("kubectl").args(&flags.0).args(line).status().await.map_err(failed)?;
    if status.success() {
        return Ok(());
    }
    eprintln!("\n{} ended with {status}; press enter to go back", line[0]);
    let mut byte = [0];
    while std::io::stdin().lock().read(&mut byte).map_err(failed)? > 0 && byte[0] != b'\n' {}
    Ok(())
}
