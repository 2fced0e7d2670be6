//! The command line: flags that every command has, which command it is, and how a run ends.

use crate::commands::{self, COMMANDS, Row};
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::global::Global;
use crate::kubeconfig::Kubeconfig;
use crate::kuberc;
use crate::misuse::{self, Misuse, go_bool};
use crate::plugins;
use crate::server::Https;
use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, Args, FromArgMatches};
use std::any::TypeId;
use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

/// What is a question alone, and no mistake: the program itself, and one group of commands.
const HELPFUL_ALONE: [&str; 2] = ["", " certificate"];

/// A command line taken apart.
pub(crate) struct Line {
    global: Global,
    pub(crate) command: Named,
}

pub(crate) enum Named {
    Known(&'static Row, ArgMatches),
    /// The words of a plugin.
    Other(Vec<OsString>),
}

pub(crate) fn run(arguments: Vec<OsString>, fallback: &Path) -> ExitCode {
    let arguments = match kuberc::applied(without_help_word(arguments)) {
        Ok(arguments) => arguments,
        Err(failure) => {
            eprintln!("error occurred while applying preferences {failure}");
            return ExitCode::FAILURE;
        }
    };
    let line = match parse(&arguments) {
        Ok(line) => line,
        Err(error) => return misused(&error, &arguments),
    };
    let silent = matches!(line.command, Named::Known(row, _) if row.name == commands::COMPLETE);
    match execute(line, fallback) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) if silent => ExitCode::FAILURE,
        Err(failure) => {
            let report = failure.report();
            if report.ends_with('\n') {
                eprint!("{report}");
            } else if !report.is_empty() {
                eprintln!("{report}");
            }
            ExitCode::from(failure.code())
        }
    }
}

/// The whole command line.
pub(crate) fn definition() -> clap::Command {
    definition_of(COMMANDS.iter())
}

fn definition_of(rows: impl Iterator<Item = &'static Row>) -> clap::Command {
    let root = clap::Command::new("kubectl")
        .about("kubectl controls the Kubernetes cluster manager")
        .disable_version_flag(true)
        .disable_help_subcommand(true)
        .no_binary_name(true)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .allow_external_subcommands(true)
        .external_subcommand_value_parser(clap::value_parser!(OsString));
    with_go_bools(Global::augment_args(root).subcommands(rows.map(Row::definition)))
}

/// As much of the command line's definition as these words can need: the commands that they name. Where they name none,
/// or ask for help before one, it is the whole.
fn definition_for(arguments: &[OsString]) -> clap::Command {
    let named = |argument: &OsString| argument.to_str().and_then(commands::command);
    let before = arguments.iter().take_while(|argument| named(argument).is_none());
    let helps = before.filter_map(|argument| argument.to_str()).any(|word| matches!(word, "-h" | "--help"));
    // A flag's value may be a command's name too, so all are taken that may be meant.
    let rows: Vec<&Row> = COMMANDS.iter().filter(|row| arguments.iter().any(|word| word == row.name)).collect();
    if helps || rows.is_empty() { definition() } else { definition_of(rows.into_iter()) }
}

pub(crate) fn parse(arguments: &[OsString]) -> Result<Line, clap::Error> {
    let mut matches = definition_for(arguments).try_get_matches_from(arguments)?;
    let global = Global::from_arg_matches(&matches)?;
    let Some((name, mut own)) = matches.remove_subcommand() else {
        return Err(clap::Error::new(ErrorKind::MissingSubcommand));
    };
    let command = match commands::command(&name) {
        Some(row) => Named::Known(row, own),
        None => {
            let rest = own.remove_many::<OsString>("").into_iter().flatten();
            Named::Other(std::iter::once(name.into()).chain(rest).collect())
        }
    };
    Ok(Line { global, command })
}

/// `help get` asks what `get --help` does.
fn without_help_word(mut arguments: Vec<OsString>) -> Vec<OsString> {
    if arguments.first().is_some_and(|word| word == "help") {
        arguments.remove(0);
        arguments.push("--help".into());
    }
    arguments
}

/// Go's flags take `--flag=false` beside `--flag`, and of several of a flag the last one counts.
pub(crate) fn with_go_bools(command: clap::Command) -> clap::Command {
    let command = command.args_override_self(true).mut_args(|argument: Arg| match argument.get_action() {
        ArgAction::SetTrue => argument
            .action(ArgAction::Set)
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
            .default_value("false")
            .hide_default_value(true)
            .value_parser(go_bool)
            .value_name("BOOL"),
        _ if argument.get_value_parser().type_id() == TypeId::of::<bool>() => argument.value_parser(go_bool),
        _ => argument,
    });
    command.mut_subcommands(with_go_bools)
}

/// The command that a line is about, with its names for the hint at its help; the root where none is recognized.
fn reached(arguments: &[OsString]) -> (clap::Command, String) {
    let mut definition = definition_for(arguments);
    // Flags of every command are told to each when the definition is built.
    definition.build();
    let mut path = String::new();
    for word in arguments.iter().filter_map(|argument| argument.to_str()) {
        if let Some(found) = definition.find_subcommand(word) {
            path.push(' ');
            path.push_str(found.get_name());
            definition = found.clone();
        }
    }
    (definition, path)
}

fn misused(error: &clap::Error, arguments: &[OsString]) -> ExitCode {
    let (command, path) = reached(arguments);
    match error.kind() {
        // A group alone says what it holds, and fails.
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand if !HELPFUL_ALONE.contains(&path.as_str()) => {
            eprint!("{error}");
            ExitCode::FAILURE
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let shown = std::io::stdout().write_all(error.to_string().as_bytes());
            if shown.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        ErrorKind::DisplayHelp => {
            if error.print().is_ok() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        _ => {
            let Misuse { text, code } = misuse::of(error, &command, &path, arguments);
            eprintln!("error: {text}");
            ExitCode::from(code)
        }
    }
}

fn execute(line: Line, fallback: &Path) -> Result<()> {
    let Line { mut global, command } = line;
    let (row, matches) = match command {
        Named::Known(row, matches) => (row, matches),
        Named::Other(words) => return Err(plugins::run(&words)),
    };
    commands::reclaim(row.name, &mut global);
    if global.unneeded.profile != "none" {
        return Err(Failure::message(format!("unknown profile '{}'", global.unneeded.profile)));
    }
    let mut kubeconfig = Kubeconfig::load(global.kubeconfig.as_deref(), fallback)?;
    if let Some(alone) = row.alone
        && alone(&mut kubeconfig, &global, &matches)?
    {
        return Ok(());
    }
    let Some(served) = row.served else { return Ok(()) };
    let connection = kubeconfig.connection(&global)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::message(format!("starting: {error}")))?;
    let outcome = runtime.block_on(async {
        let server = Arc::new(Https::new(&connection)?);
        let context = Context::new(server, connection, global.namespace.filter(|namespace| !namespace.is_empty()));
        if global.match_server_version {
            commands::match_version(&context).await?;
        }
        served(&context, &matches).await?;
        context.warnings_are_errors()
    });
    // A read of standard input that nobody waits for any more must not keep the program.
    runtime.shutdown_background();
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::{delete, exec, get};

    fn parsed(line: &str) -> Result<Line, clap::Error> {
        parse(&line.split_whitespace().map(OsString::from).collect::<Vec<_>>())
    }

    /// The flags of a command, and those of every command.
    fn flags<A: FromArgMatches>(line: &str) -> (A, Global) {
        let line = parsed(line).unwrap();
        let Named::Known(_, matches) = line.command else { panic!("no command") };
        (A::from_arg_matches(&matches).unwrap(), line.global)
    }

    #[test]
    fn the_definition_is_sound() {
        definition().debug_assert();
    }

    #[test]
    fn flags_read_as_upstreams() {
        let (get, global) = flags::<get::Arguments>("get pods -A -ojson --show-labels=false -n x --watch");
        assert_eq!(global.namespace.as_deref(), Some("x"));
        assert!(get.all_namespaces && !get.show_labels && get.watch);
        assert_eq!((get.printing.format.as_str(), get.arguments.as_slice()), ("json", &["pods".to_owned()][..]));
        let (exec, global) = flags::<exec::Arguments>("exec -it web -c main -- sh -c x -n y");
        assert!(exec.stdin && exec.tty && global.namespace.is_none());
        assert_eq!(exec.command, ["sh", "-c", "x", "-n", "y"]);
        assert!(!flags::<delete::Arguments>("delete pod a --wait=false --grace-period=-1").0.wait);
        assert!(parsed("get pods --no-such-flag").is_err());
    }

    #[test]
    fn only_commands_that_the_words_name_are_defined() {
        let defined = |line: &str| {
            let words: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
            let definition = definition_for(&words);
            definition.get_subcommands().map(|command| command.get_name().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(defined("get pods"), ["get"]);
        assert_eq!(defined("-n run get pods"), ["get", "run"]);
        for whole in ["", "--help get", "-n x -h get", "myplugin"] {
            assert_eq!(defined(whole).len(), COMMANDS.len(), "{whole}");
        }
        let Named::Known(row, _) = parsed("-n run get pods").unwrap().command else { panic!("no command") };
        assert_eq!(row.name, "get");
        let Named::Other(words) = parsed("myplugin a --b").unwrap().command else { panic!("a command") };
        assert_eq!(words, ["myplugin", "a", "--b"]);
    }
}
