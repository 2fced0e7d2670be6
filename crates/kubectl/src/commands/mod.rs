//! The commands: a file and a row each.

mod api_resources;
mod apply;
mod cluster_info;
pub(crate) mod config;
mod cordon;
mod create;
mod delete;
mod describe;
mod exec;
mod get;
mod label;
mod logs;
mod output;
mod patch;
mod rollout;
mod scale;
mod server_side;
mod version;
mod wait;

use crate::context::Context;
use crate::failure::{Failure, Result};
use std::ffi::OsString;

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Apply a configuration to objects by file or standard input
    Apply(apply::Arguments),
    /// Update the annotations of objects
    Annotate(label::Arguments),
    /// The kinds that the server serves
    ApiResources(api_resources::Arguments),
    /// Where the cluster's services are
    ClusterInfo,
    /// The kubeconfig file
    Config(config::Arguments),
    /// Mark nodes as unschedulable
    Cordon(cordon::Arguments),
    /// Create objects from files or standard input
    Create(create::Arguments),
    /// Delete objects by files, names, or selector
    Delete(delete::Arguments),
    /// All about objects, with their events
    Describe(describe::Arguments),
    /// Run a command in a container
    Exec(exec::Arguments),
    /// Show objects
    Get(get::Arguments),
    /// Update the labels of objects
    Label(label::Arguments),
    /// What containers wrote
    Logs(logs::Arguments),
    /// Change fields of objects
    Patch(patch::Arguments),
    /// Manage rollouts of workloads
    #[command(subcommand)]
    Rollout(rollout::Command),
    /// Set how many replicas a workload has
    Scale(scale::Arguments),
    /// Mark nodes as schedulable
    Uncordon(cordon::Arguments),
    /// The client's and the server's version
    Version(version::Arguments),
    /// Wait for a condition of objects
    Wait(wait::Arguments),
    #[command(external_subcommand)]
    Other(Vec<OsString>),
}

/// Upstream's commands that are not built; anything else is no command at all.
const NOT_BUILT: &[&str] = &[
    "alpha",
    "api-versions",
    "attach",
    "auth",
    "autoscale",
    "certificate",
    "completion",
    "cp",
    "debug",
    "diff",
    "drain",
    "edit",
    "events",
    "explain",
    "expose",
    "kustomize",
    "options",
    "plugin",
    "port-forward",
    "proxy",
    "replace",
    "run",
    "set",
    "taint",
    "top",
];

/// The refusal of what is not built.
pub(crate) fn not_built(command: &Command) -> Option<Failure> {
    let Command::Other(words) = command else { return None };
    let name = words.first().map(|name| name.to_string_lossy()).unwrap_or_default();
    Some(if NOT_BUILT.contains(&&*name) {
        unavailable(&name)
    } else {
        Failure::message(format!("unknown command {name:?} for \"kubectl\""))
    })
}

fn unavailable(what: &str) -> Failure {
    Failure::message(format!(
        "{what:?} is not built into sampan's kubectl yet; use kubectl itself with --kubeconfig PATH"
    ))
}

pub(crate) async fn run(context: &Context, command: Command) -> Result<()> {
    match command {
        Command::Apply(arguments) => apply::run(context, &arguments).await,
        Command::Annotate(arguments) => label::run(context, &arguments, label::Subject::Annotations).await,
        Command::ApiResources(arguments) => api_resources::run(context, &arguments).await,
        Command::ClusterInfo => cluster_info::run(context).await,
        Command::Cordon(arguments) => cordon::run(context, &arguments, true).await,
        Command::Create(arguments) => create::run(context, &arguments).await,
        Command::Delete(arguments) => delete::run(context, &arguments).await,
        Command::Describe(arguments) => describe::run(context, &arguments).await,
        Command::Exec(arguments) => exec::run(context, &arguments).await,
        Command::Get(arguments) => get::run(context, &arguments).await,
        Command::Label(arguments) => label::run(context, &arguments, label::Subject::Labels).await,
        Command::Logs(arguments) => logs::run(context, &arguments).await,
        Command::Patch(arguments) => patch::run(context, &arguments).await,
        Command::Rollout(command) => rollout::run(context, &command).await,
        Command::Scale(arguments) => scale::run(context, &arguments).await,
        Command::Uncordon(arguments) => cordon::run(context, &arguments, false).await,
        Command::Version(arguments) => version::run(context, &arguments).await,
        Command::Wait(arguments) => wait::run(context, &arguments).await,
        Command::Config(_) | Command::Other(_) => Err(Failure::message("this command needs no server")),
    }
}

#[cfg(test)]
mod tests;
