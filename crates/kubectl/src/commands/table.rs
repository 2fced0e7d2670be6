//! The table of commands: a row each, with the flags it takes and the function that runs it.
//!
//! Invariant: a row says how its flags are defined and does not define them, because the whole tree of commands takes
//! longer than most commands need.

use super::*;
use clap::{ArgMatches, FromArgMatches};
use futures::future::LocalBoxFuture;

/// Runs a command against a server.
type Served = for<'a> fn(&'a Context, &'a ArgMatches) -> LocalBoxFuture<'a, Result<()>>;
/// Runs a command that needs no server; answers whether it is done without one.
type Alone = fn(&mut Kubeconfig, &Global, &ArgMatches) -> Result<bool>;

/// One command.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    about: &'static str,
    hidden: bool,
    define: fn(clap::Command) -> clap::Command,
    /// Comes first where there is one.
    pub(crate) alone: Option<Alone>,
    pub(crate) served: Option<Served>,
}

impl Row {
    /// The command with its flags and its own commands.
    pub(crate) fn definition(&self) -> clap::Command {
        (self.define)(clap::Command::new(self.name)).about(self.about).hide(self.hidden)
    }
}

fn misread(error: clap::Error) -> Failure {
    Failure::message(error.to_string())
}

macro_rules! define {
    (args $type:ty) => {
        <$type as clap::Args>::augment_args
    };
    (group $type:ty) => {
        |command| {
            let command = <$type as clap::Subcommand>::augment_subcommands(command);
            command.subcommand_required(true).arg_required_else_help(true)
        }
    };
}

/// The row of a command that asks a server: `args` with flags, `group` with commands of its own.
macro_rules! served {
    ($shape:ident $type:ty, $run:expr, $name:expr, $about:literal) => {
        Row {
            name: $name,
            about: $about,
            hidden: false,
            define: define!($shape $type),
            alone: None,
            served: Some(|context, matches| {
                Box::pin(async move {
                    let arguments = <$type>::from_arg_matches(matches).map_err(misread)?;
                    ($run)(context, &arguments).await
                })
            }),
        }
    };
}

/// The row of a command that never asks a server.
macro_rules! alone {
    ($shape:ident $type:ty, $run:expr, $name:expr, $about:literal) => {
        Row {
            name: $name,
            about: $about,
            hidden: false,
            define: define!($shape $type),
            alone: Some(|kubeconfig, global, matches| {
                let arguments = <$type>::from_arg_matches(matches).map_err(misread)?;
                ($run)(kubeconfig, global, &arguments).map(|()| true)
            }),
            served: None,
        }
    };
}

/// A row of a command that often needs no server.
macro_rules! first_alone {
    ($type:ty, $run:expr, $row:expr) => {
        Row {
            alone: Some(|kubeconfig, _, matches| {
                let arguments = <$type>::from_arg_matches(matches).map_err(misread)?;
                ($run)(kubeconfig, &arguments)
            }),
            ..$row
        }
    };
}

/// What shells ask for words; its failures are silent.
pub(crate) const COMPLETE: &str = "__complete";

/// In the order of the help.
pub(crate) const COMMANDS: &[Row] = &[
    served!(args apply::Arguments, apply::run, "apply", "Apply a configuration to objects by file or standard input"),
    served!(args label::Arguments, label::annotate, "annotate", "Update the annotations of objects"),
    served!(args api_resources::Arguments, api_resources::run, "api-resources", "The kinds that the server serves"),
    served!(
        args api_versions::Arguments, api_versions::run,
        "api-versions", "The group versions that the server serves"
    ),
    served!(args attach::Arguments, attach::run, "attach", "Attach to a container's first process"),
    served!(args autoscale::Arguments, autoscale::run, "autoscale", "Let a workload have as many replicas as it needs"),
    served!(group auth::Command, auth::run, "auth", "What may be done, and by whom"),
    served!(group certificate::Command, certificate::run, "certificate", "Decide on requests for certificates"),
    served!(args cluster_info::Arguments, cluster_info::run, "cluster-info", "Where the cluster's services are"),
    alone!(group config::Command, config::run, "config", "The kubeconfig file"),
    served!(args cordon::Arguments, cordon::run, "cordon", "Mark nodes as unschedulable"),
    served!(args create::Arguments, create::run, "create", "Create objects from files or standard input"),
    served!(args delete::Arguments, delete::run, "delete", "Delete objects by files, names, or selector"),
    served!(args describe::Arguments, describe::run, "describe", "All about objects, with their events"),
    served!(args drain::Arguments, drain::run, "drain", "Take all pods from nodes"),
    served!(args events::Arguments, events::run, "events", "What happened"),
    served!(args edit::Arguments, edit::run, "edit", "Edit objects in an editor"),
    served!(args exec::Arguments, exec::run, "exec", "Run a command in a container"),
    served!(args expose::Arguments, expose::run, "expose", "Make a service for a pod, a workload or a service"),
    served!(args get::Arguments, get::run, "get", "Show objects"),
    alone!(
        group kuberc::Command, |_, global, command| kuberc::run(global, command),
        "kuberc", "Your preferences: aliases and default values of flags"
    ),
    alone!(
        args kustomize::Arguments, |_, _, arguments| kustomize::run(arguments),
        "kustomize", "Build objects from a kustomization"
    ),
    served!(args label::Arguments, label::run, "label", "Update the labels of objects"),
    served!(args logs::Arguments, logs::run, "logs", "What containers wrote"),
    alone!(
        group plugins::Command, |_, _, command| plugins::manage(command),
        "plugin", "Programs on PATH that add commands"
    ),
    served!(args patch::Arguments, patch::run, "patch", "Change fields of objects"),
    served!(group rollout::Command, rollout::run, "rollout", "Manage rollouts of workloads"),
    served!(args port_forward::Arguments, port_forward::run, "port-forward", "Forward ports of this machine to a pod"),
    served!(args replace::Arguments, replace::run, "replace", "Replace objects by what manifests say"),
    served!(args run::Arguments, run::run, "run", "Run an image as a pod"),
    served!(args screen::Arguments, screen::run, "screen", "The cluster on a full screen, with k9s' keys"),
    served!(args scale::Arguments, scale::run, "scale", "Set how many replicas a workload has"),
    served!(group set::Command, set::run, "set", "Set one part of objects"),
    served!(args taint::Arguments, taint::run, "taint", "Put taints on nodes"),
    served!(group top::Command, top::run, "top", "What pods and nodes use"),
    served!(args cordon::Arguments, cordon::uncordon, "uncordon", "Mark nodes as schedulable"),
    first_alone!(
        version::Arguments,
        version::without_server,
        served!(args version::Arguments, version::run, "version", "The client's and the server's version")
    ),
    served!(args wait::Arguments, wait::run, "wait", "Wait for a condition of objects"),
    served!(args cp::Arguments, cp::run, "cp", "Copy files to and from a container"),
    served!(args diff::Arguments, diff::run, "diff", "Show what apply would change"),
    served!(args explain::Arguments, explain::run, "explain", "Describe a kind's fields"),
    served!(args debug::Arguments, debug::run, "debug", "Look into a pod or a node with another container"),
    served!(args tree::Arguments, tree::run, "tree", "Show who owns what"),
    served!(args why::Arguments, why::run, "why", "Say why something is not running, and what to do"),
    alone!(
        args completion::Arguments, |_, _, words| completion::script(words),
        "completion", "Print a script that completes command lines in a shell"
    ),
    alone!(args options::Arguments, |_, _, _: &_| options::run(), "options", "List the flags of every command"),
    first_alone!(
        completion::Words,
        completion::without_server,
        Row { hidden: true, ..served!(args completion::Words, completion::run, COMPLETE, "Words for a shell") }
    ),
    served!(args proxy::Arguments, proxy::run, "proxy", "Serve the API on a port of this machine"),
];

/// The row of a name.
pub(crate) fn command(name: &str) -> Option<&'static Row> {
    COMMANDS.iter().find(|row| row.name == name)
}
