//! `exec`: a command in a container, with its streams, its terminal and its exit code.

use crate::calls::{At, name_of, namespace_of, text};
use crate::context::Context;
use crate::detach::Keys;
use crate::duration;
use crate::failure::{Failure, Result};
use crate::manifest::Files;
use crate::server::{Input, Output, Piece, open_exec, with_query};
use crate::terminal::Terminal;
use crate::workload;
use api::Kind;
use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;
use std::io::IsTerminal;
use tokio::io::AsyncReadExt;
use tokio::signal::unix::{SignalKind, signal};

#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    /// POD or TYPE/NAME
    #[arg(default_value = "", hide_default_value = true)]
    target: String,
    /// Nothing: what to run stands behind `--`
    stray: Vec<String>,
    /// What to run
    #[arg(last = true)]
    pub(crate) command: Vec<String>,
    #[arg(short = 'c', long, default_value = "")]
    container: String,
    /// A file with the pod or workload
    #[arg(short = 'f', long, value_delimiter = ',')]
    filename: Vec<String>,
    /// Pass standard input to the container
    #[arg(short = 'i', long)]
    pub(crate) stdin: bool,
    /// Standard input is a terminal
    #[arg(short = 't', long)]
    pub(crate) tty: bool,
    /// How long to wait for a workload's first pod
    #[arg(long, default_value = "1m0s")]
    pod_running_timeout: String,
    /// Only what the command writes
    #[arg(short = 'q', long)]
    quiet: bool,
}

/// Standard input is read in pieces of this size.
const PIECE_BYTES: usize = 32 * 1024;

pub(crate) async fn run(context: &Context, arguments: &Arguments) -> Result<()> {
    if !arguments.stray.is_empty() {
        let text = "exec [POD] [COMMAND] is not supported anymore. Use exec [POD] -- [COMMAND] instead\nSee 'kubectl exec -h' for help \
                    and examples";
        return Err(Failure::message(text));
    }
    if arguments.target.is_empty() && arguments.filename.is_empty() {
        return Err(Failure::message("pod, type/name or --filename must be specified"));
    }
    if arguments.command.is_empty() {
        return Err(Failure::message("you must specify at least one command for the container"));
    }
    let target = if arguments.target.is_empty() {
        let files = Files { names: arguments.filename.clone(), ..Files::default() };
        let targets = crate::target::names_in_files(context, &files).await?;
        targets.into_iter().next().ok_or_else(|| Failure::message("the file has no object"))?
    } else {
        workload::target(context, &arguments.target).await?
    };
    let patience = duration::parse(&arguments.pod_running_timeout)?.unwrap_or_default();
    let pods = workload::pods(context, &target, patience).await?;
    let pod = pods.first().ok_or_else(|| Failure::message("no pod to run the command in"))?;
    let phase = text(pod, "/status/phase");
    if matches!(phase, "Succeeded" | "Failed") {
        let text = format!("cannot exec into a container in a completed pod; current phase is {phase}");
        return Err(Failure::message(text));
    }
    let container = match arguments.container.as_str() {
        "" => workload::default_container(context, pod)?,
        name => workload::known_container(pod, name)?,
    };
    let tty = wants_tty(context, arguments)?;
    let remote = open_exec(&context.connection, &path(arguments, pod, &container, tty)).await?;
    let terminal = if tty { Some(Terminal::raw()?) } else { None };
    let ended = converse(context, arguments.stdin, tty, None, remote.input, remote.output).await;
    drop(terminal);
    ended.and_then(|status| outcome(&status.unwrap_or_default()))
}

fn wants_tty(context: &Context, arguments: &Arguments) -> Result<bool> {
    if !arguments.tty || !arguments.stdin {
        return Ok(false);
    }
    let terminal = std::io::stdin().is_terminal();
    if !terminal && !arguments.quiet {
        context.remark("Unable to use a TTY - input is not a terminal or the right kind of file")?;
    }
    Ok(terminal)
}

fn path(arguments: &Arguments, pod: &Value, container: &str, tty: bool) -> String {
    let at = At { def: &Pod::DEF, namespace: namespace_of(pod), name: name_of(pod), subresource: "exec" };
    let mut query: Vec<(&str, &str)> = arguments.command.iter().map(|word| ("command", word.as_str())).collect();
    // A terminal has one stream for both outputs.
    query.extend([
        ("container", container),
        ("stdin", flag(arguments.stdin)),
        ("stdout", "true"),
        ("stderr", flag(!tty)),
        ("tty", flag(tty)),
    ]);
    with_query(at.path(), &query)
}

/// Both directions at once, so that neither end waits for the other to read; the process's end ends both, and so do
/// the keys that leave it (then there is no status).
pub(super) async fn converse(
    context: &Context,
    stdin: bool,
    tty: bool,
    keys: Option<Keys>,
    input: Input,
    output: Output,
) -> Result<Option<Vec<u8>>> {
    let show = std::pin::pin!(show(context, output));
    let feed = std::pin::pin!(async { if stdin { feed(input, tty, keys).await } else { Ok(Fed::AtEnd) } });
    match futures::future::select(show, feed).await {
        futures::future::Either::Left((ended, _)) => ended.map(Some),
        futures::future::Either::Right((Ok(Fed::Left), _)) => Ok(None),
        // A process that ends while it is being written to closes its input: its status says how.
        futures::future::Either::Right((Ok(Fed::AtEnd) | Err(Failure::Message(_)), show)) => show.await.map(Some),
        futures::future::Either::Right((Err(failure), _)) => Err(failure),
    }
}

/// Why standard input is read no more.
enum Fed {
    AtEnd,
    /// The user left the process to itself.
    Left,
}

/// A query's flag: `true`, or left out.
pub(super) fn flag(set: bool) -> &'static str {
    if set { "true" } else { "" }
}

async fn show(context: &Context, mut output: Output) -> Result<Vec<u8>> {
    let mut status = None;
    while let Some(piece) = output.next().await? {
        match piece {
            Piece::Stdout(bytes) => context.pass(bytes).await?,
            Piece::Stderr(bytes) => context.pass_complaint(bytes).await?,
            Piece::Ended(bytes) => {
                status = Some(bytes.to_vec());
                break;
            }
        }
    }
    status.ok_or_else(|| Failure::message("the connection closed before the command's end was known"))
}

async fn feed(mut input: Input, tty: bool, mut keys: Option<Keys>) -> Result<Fed> {
    let mut resized = signal(SignalKind::window_change())
        .map_err(|error| Failure::message(format!("listening for changes of the terminal: {error}")))?;
    let mut stdin = tokio::io::stdin();
    let mut buffer = vec![0; PIECE_BYTES];
    if tty {
        send_size(&mut input).await?;
    }
    loop {
        tokio::select! {
            read = stdin.read(&mut buffer) => match (read, &mut keys) {
                (Ok(0), _) => return input.close_stdin().await.map(|()| Fed::AtEnd),
                (Ok(count), None) => input.stdin(&buffer[..count]).await?,
                (Ok(count), Some(keys)) => {
                    let typed = keys.take(&buffer[..count]);
                    if !typed.bytes.is_empty() {
                        input.stdin(&typed.bytes).await?;
                    }
                    if typed.leaves {
                        return Ok(Fed::Left);
                    }
                }
                (Err(error), _) => return Err(Failure::message(format!("reading standard input: {error}"))),
            },
            _ = resized.recv(), if tty => send_size(&mut input).await?,
        }
    }
}

async fn send_size(input: &mut Input) -> Result<()> {
    let (columns, rows) = Terminal::size()?;
    input.resize(columns, rows).await
}

/// What the error channel says: success, an exit code, or why there was none.
pub(super) fn outcome(status: &[u8]) -> Result<()> {
    let status: Value = crate::calls::decode(status)?;
    if status["status"] == "Success" {
        return Ok(());
    }
    if status["reason"] != "NonZeroExitCode" {
        return Err(Failure::message(text(&status, "/message")));
    }
    let causes = status.pointer("/details/causes").and_then(Value::as_array);
    let code =
        causes.into_iter().flatten().find(|cause| cause["reason"] == "ExitCode").map(|cause| text(cause, "/message"));
    match code.and_then(|code| code.parse::<u8>().ok()) {
        Some(code) => Err(Failure::Code { code, text: format!("command terminated with exit code {code}") }),
        None => Err(Failure::message("error stream protocol error: no ExitCode cause given")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_commands_exit_code_is_ours() {
        let check = |status: Value| outcome(status.to_string().as_bytes());
        check(json!({"status": "Success"})).unwrap();
        let causes = json!([{"reason": "ExitCode", "message": "3"}]);
        let failure = check(json!({"status": "Failure", "reason": "NonZeroExitCode", "details": {"causes": causes}}))
            .unwrap_err();
        assert_eq!((failure.code(), failure.report().as_str()), (3, "command terminated with exit code 3"));
        let failure = check(json!({"status": "Failure", "message": "no such file"})).unwrap_err();
        assert_eq!((failure.code(), failure.report().as_str()), (1, "error: no such file"));
    }

    #[test]
    fn the_request_names_streams_and_words() {
        let arguments = Arguments {
            target: "p".into(),
            stray: Vec::new(),
            filename: Vec::new(),
            command: vec!["sh".into(), "a b".into()],
            container: String::new(),
            stdin: true,
            tty: true,
            quiet: false,
            pod_running_timeout: "1m".into(),
        };
        let pod = json!({"metadata": {"name": "p", "namespace": "n"}});
        assert_eq!(
            path(&arguments, &pod, "c", true),
            "/api/v1/namespaces/n/pods/p/exec?command=sh&command=a%20b&container=c&stdin=true&stdout=true&tty=true"
        );
    }
}
