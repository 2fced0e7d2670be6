//! The commands: a file each, and a row each of the table.

mod api_resources;
mod api_versions;
mod apply;
mod attach;
mod auth;
mod autoscale;
mod certificate;
mod cluster_info;
mod completion;
pub(crate) mod config;
mod conflicts;
mod cordon;
mod cp;
mod create;
mod debug;
pub(crate) mod delete;
mod describe;
mod diff;
mod drain;
mod edit;
mod events;
pub(crate) mod exec;
mod explain;
mod expose;
pub(crate) mod get;
mod kuberc;
mod kustomize;
mod label;
mod last_applied;
mod logs;
mod options;
mod output;
mod patch;
mod port_forward;
mod proxy;
mod prune;
mod recreate;
mod redraw;
mod replace;
mod rollout;
mod run;
mod scale;
mod screen;
mod server_side;
mod set;
mod table;
mod taint;
mod top;
mod tree;
mod version;
mod wait;
mod why;

pub(crate) use table::{COMMANDS, COMPLETE, Row, command};

use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::global::Global;
use crate::kubeconfig::Kubeconfig;
use crate::plugins;

/// Takes back what the parser took for a flag of every command, where the command has a flag of that name itself.
pub(crate) fn reclaim(command: &str, global: &mut Global) {
    match command {
        "create" | "set" => global.user.clear(),
        "debug" => "none".clone_into(&mut global.unneeded.profile),
        _ => {}
    }
}

/// `--match-server-version`: another version of the server is refused.
pub(crate) async fn match_version(context: &Context) -> Result<()> {
    let server = context.ask(crate::server::Ask::get("/version".to_owned())).await?;
    let (server, client) = (crate::calls::text(&server, "/gitVersion"), api::KUBERNETES_VERSION.2);
    if server == client {
        return Ok(());
    }
    Err(Failure::message(format!("server version ({server}) differs from client version ({client})")))
}

#[cfg(test)]
mod tests;
