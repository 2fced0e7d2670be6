//! The client, ours: what `sampan kubectl` and a binary called `kubectl` run.
//!
//! Invariants: works against any Kubernetes; texts and exit codes are upstream's, so that scripts cannot tell the two
//! apart; a command that is not built says so and fails; discovery is asked only for kinds the builtin table lacks.

mod calls;
mod cli;
mod commands;
mod context;
mod convert;
mod credentials;
mod detach;
mod duration;
mod editor;
mod failure;
mod follow;
mod global;
mod gotemplate;
mod jsonpath;
mod kubeconfig;
mod kuberc;
mod kustomize;
mod live;
mod manifest;
mod misuse;
mod plugins;
mod print;
mod resources;
mod server;
mod target;
mod terminal;
mod workload;

/// Runs a command line without the program's name; `fallback` is the kubeconfig used when none is named by flag or
/// environment and the user has none at home.
pub fn main(arguments: Vec<std::ffi::OsString>, fallback: &std::path::Path) -> std::process::ExitCode {
    cli::run(arguments, fallback)
}
