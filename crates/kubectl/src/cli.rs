//! The command line: flags that every command has, which command it is, and how a run ends.

use crate::commands::{self, Command};
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::kubeconfig::{Kubeconfig, Overrides};
use crate::server::Https;
use clap::error::{ContextKind, ErrorKind};
use clap::{Arg, ArgAction, CommandFactory, FromArgMatches, Parser};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// kubectl controls the Kubernetes cluster manager.
#[derive(Parser)]
#[command(name = "kubectl", disable_version_flag = true, disable_help_subcommand = true, no_binary_name = true)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Connection")]
pub(crate) struct Global {
    /// The kubeconfig file
    #[arg(long, global = true)]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// The kubeconfig's context to use
    #[arg(long, global = true, default_value = "")]
    context: String,
    /// The kubeconfig's cluster to use
    #[arg(long, global = true, default_value = "")]
    cluster: String,
    /// The kubeconfig's user to use
    #[arg(long, global = true, default_value = "")]
    user: String,
    /// The server's address
    #[arg(short = 's', long, global = true, default_value = "")]
    server: String,
    /// A bearer token
    #[arg(long, global = true, default_value = "")]
    token: String,
    /// The namespace to act in
    #[arg(short = 'n', long, global = true)]
    namespace: Option<String>,
}

impl Global {
    pub(crate) fn overrides(&self) -> Overrides {
        Overrides {
            context: self.context.clone(),
            cluster: self.cluster.clone(),
            user: self.user.clone(),
            server: self.server.clone(),
            token: self.token.clone(),
        }
    }
}

pub(crate) fn run(arguments: Vec<OsString>, fallback: &Path) -> ExitCode {
    let command = command_word(&arguments);
    let cli = match parse(arguments) {
        Ok(cli) => cli,
        Err(error) => return misused(&error, &command),
    };
    match execute(cli, fallback) {
        Ok(()) => ExitCode::SUCCESS,
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

fn parse(arguments: Vec<OsString>) -> Result<Cli, clap::Error> {
    let matches = with_go_bools(Cli::command()).try_get_matches_from(arguments)?;
    Cli::from_arg_matches(&matches)
}

/// Go's flags take `--flag=false` beside `--flag`.
fn with_go_bools(command: clap::Command) -> clap::Command {
    let command = command.mut_args(|argument: Arg| match argument.get_action() {
        ArgAction::SetTrue => argument
            .action(ArgAction::Set)
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
            .default_value("false")
            .hide_default_value(true)
            .hide_possible_values(true)
            .value_name("BOOL"),
        _ => argument,
    });
    command.mut_subcommands(with_go_bools)
}

/// The command that a line is about, for the hint at its help; empty where none is recognized.
fn command_word(arguments: &[OsString]) -> String {
    let definition = Cli::command();
    let known = |word: &&OsString| definition.get_subcommands().any(|command| command.get_name() == **word);
    arguments.iter().find(known).map(|word| format!(" {}", word.to_string_lossy())).unwrap_or_default()
}

fn misused(error: &clap::Error, command: &str) -> ExitCode {
    let named = |kind| error.get(kind).map(ToString::to_string).unwrap_or_default();
    let text = match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            return if error.print().is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
        }
        ErrorKind::UnknownArgument => {
            let flag = named(ContextKind::InvalidArg);
            match flag.strip_prefix('-') {
                Some(short) if !short.starts_with('-') => format!("unknown shorthand flag: '{short}' in {flag}"),
                _ => format!("unknown flag: {flag}"),
            }
        }
        _ => error.to_string().trim_start_matches("error: ").trim_end().to_owned(),
    };
    eprintln!("error: {text}\nSee 'kubectl{command} --help' for usage.");
    ExitCode::FAILURE
}

fn execute(cli: Cli, fallback: &Path) -> Result<()> {
    let Cli { global, command } = cli;
    if let Some(refusal) = commands::not_built(&command) {
        return Err(refusal);
    }
    let mut kubeconfig = Kubeconfig::load(global.kubeconfig.as_deref(), fallback)?;
    if let Command::Config(arguments) = command {
        return commands::config::run(&mut kubeconfig, &arguments);
    }
    let config = kubeconfig.config(&global.overrides())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::message(format!("starting: {error}")))?;
    let outcome = runtime.block_on(async {
        let server = Arc::new(Https::new(&config)?);
        let context = Context::new(server, config, global.namespace.filter(|namespace| !namespace.is_empty()));
        Box::pin(commands::run(&context, command)).await
    });
    // A read of standard input that nobody waits for any more must not keep the program.
    runtime.shutdown_background();
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Cli, clap::Error> {
        parse(line.split_whitespace().map(OsString::from).collect())
    }

    #[test]
    fn the_definition_is_sound() {
        with_go_bools(Cli::command()).debug_assert();
    }

    #[test]
    fn flags_read_as_upstreams() {
        let cli = parsed("get pods -A -ojson --show-labels=false -n x --watch").unwrap();
        assert_eq!(cli.global.namespace.as_deref(), Some("x"));
        let Command::Get(get) = cli.command else { panic!("not get") };
        assert!(get.all_namespaces && !get.show_labels && get.watch);
        assert_eq!((get.output.as_str(), get.arguments.as_slice()), ("json", &["pods".to_owned()][..]));
        let cli = parsed("exec -it web -c main -- sh -c x -n y").unwrap();
        let Command::Exec(exec) = cli.command else { panic!("not exec") };
        assert!(exec.stdin && exec.tty && cli.global.namespace.is_none());
        assert_eq!(exec.command, ["sh", "-c", "x", "-n", "y"]);
        let Command::Delete(delete) = parsed("delete pod a --wait=false --grace-period=-1").unwrap().command else {
            panic!("not delete")
        };
        assert!(!delete.wait);
        assert!(parsed("get pods --no-such-flag").is_err());
    }
}
