//! `attach`: the streams of a container's first process.

use super::exec::{converse, flag, outcome};
use crate::calls::{At, name_of, namespace_of, text};
use crate::context::Context;
use crate::detach::Keys;
use crate::duration;
use crate::failure::{Failure, Result};
use crate::server::{open_exec, with_query};
use crate::terminal::Terminal;
use crate::workload;
use api::Kind;
use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;
use std::io::IsTerminal;
use std::time::Duration;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// POD or TYPE/NAME
    target: Vec<String>,
    #[arg(short = 'c', long, default_value = "", hide_default_value = true)]
    container: String,
    #[command(flatten)]
    streams: Streams,
}

/// Flags of commands that talk to a container's first process.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct Streams {
    /// Pass standard input to the container
    #[arg(short = 'i', long)]
    pub(super) stdin: bool,
    /// Standard input is a terminal
    #[arg(short = 't', long)]
    pub(super) tty: bool,
    /// Only what the container writes
    #[arg(short = 'q', long)]
    pub(super) quiet: bool,
    /// The keys that leave the container to itself; empty for none
    #[arg(long, default_value = "ctrl-p,ctrl-q")]
    detach_keys: String,
    /// How long to wait until the pod runs
    #[arg(long, default_value = "1m0s")]
    pod_running_timeout: String,
}

impl Streams {
    pub(super) fn patience(&self) -> Result<Duration> {
        Ok(duration::parse(&self.pod_running_timeout)?.unwrap_or_default())
    }
}

pub(crate) async fn run(context: &Context, arguments: &Arguments) -> Result<()> {
    let [target] = arguments.target.as_slice() else {
        let text = match arguments.target.len() {
            0 => "at least 1 argument is required for attach".to_owned(),
            many => format!(
                "expected POD, TYPE/NAME, or TYPE NAME, (at most 2 arguments) saw {many}: {:?}",
                arguments.target
            ),
        };
        return Err(Failure::message(text));
    };
    let target = workload::target(context, target).await?;
    let pods = workload::pods(context, &target, arguments.streams.patience()?).await?;
    let pod = pods.first().ok_or_else(|| Failure::message("no pod to attach to"))?;
    if matches!(text(pod, "/status/phase"), "Succeeded" | "Failed") {
        let phase = text(pod, "/status/phase");
        return Err(Failure::message(format!(
            "cannot attach a container in a completed pod; current phase is {phase}"
        )));
    }
    let container = match arguments.container.as_str() {
        "" => workload::default_container(context, pod)?,
        name => workload::known_container(pod, name)?,
    };
    to(context, &arguments.streams, pod, &container).await
}

/// To the first container of a pod.
pub(super) async fn to_pod(context: &Context, streams: &Streams, pod: &Value) -> Result<()> {
    to(context, streams, pod, text(pod, "/spec/containers/0/name")).await
}

pub(super) async fn to(context: &Context, streams: &Streams, pod: &Value, container: &str) -> Result<()> {
    let tty = tty(context, streams, pod, container)?;
    let at = At { def: &Pod::DEF, namespace: namespace_of(pod), name: name_of(pod), subresource: "attach" };
    let query = [
        ("container", container),
        ("stdin", flag(streams.stdin)),
        ("stdout", "true"),
        ("stderr", flag(!tty)),
        ("tty", flag(tty)),
    ];
    let keys = Keys::parse(if tty { &streams.detach_keys } else { "" })?;
    if !streams.quiet {
        if tty && keys.is_some() {
            let keys = streams.detach_keys.to_uppercase();
            context.remark(format_args!("All commands and output from this session will be recorded in container logs, including credentials and sensitive information passed through the command prompt.\nIf you don't see a command prompt, try pressing enter.\nTo leave the container running: {keys}."))?;
        } else {
            context.remark("All commands and output from this session will be recorded in container logs, including credentials and sensitive information passed through the command prompt.\nIf you don't see a command prompt, try pressing enter.")?;
        }
    }
    let remote = open_exec(&context.connection, &with_query(at.path(), &query)).await?;
    let terminal = if tty { Some(Terminal::raw()?) } else { None };
    let ended = converse(context, streams.stdin, tty, keys, remote.input, remote.output).await;
    drop(terminal);
    match ended? {
        Some(status) => outcome(&status),
        // The container goes on without us.
        None => context.remark("\nSession ended, resume using 'kubectl attach' command"),
    }
}

/// A terminal on both sides, or none: the container says which it has.
fn tty(context: &Context, streams: &Streams, pod: &Value, container: &str) -> Result<bool> {
    let lists = ["/spec/containers", "/spec/initContainers", "/spec/ephemeralContainers"];
    let mut all = lists.iter().filter_map(|pointer| pod.pointer(pointer)?.as_array()).flatten();
    let has = all.find(|one| one["name"] == container).is_some_and(|one| one["tty"] == true);
    if !streams.tty || !streams.stdin {
        return Ok(false);
    }
    if !has {
        if !streams.quiet {
            context.remark(format_args!("error: Unable to use a TTY - container {container} did not allocate one"))?;
        }
        return Ok(false);
    }
    let terminal = std::io::stdin().is_terminal();
    if !terminal && !streams.quiet {
        context.remark("Unable to use a TTY - input is not a terminal or the right kind of file")?;
    }
    Ok(terminal)
}
