//! A command's or container's streams over a WebSocket: `v4.channel.k8s.io` and `v5.channel.k8s.io`.
//!
//! Every message begins with its channel's number: 0 input, 1 output, 2 errors, 3 how it ended, 4 terminal size; in
//! v5, 255 closes the channel that it names. Input and output go their own ways, so that neither waits for the other.

use std::io;
use std::os::fd::OwnedFd;

use ::shim::protocol::{ProcessSpec, STDERR, STDIN, STDOUT};
use bytes::Bytes;
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use serde::Deserialize;
use tokio::sync::oneshot;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::server::Socket;
use crate::descriptor::Descriptor;
use crate::shim::{Client, ClientError};

const CHANNEL_INPUT: u8 = 0;
const CHANNEL_OUTPUT: u8 = 1;
const CHANNEL_ERRORS: u8 = 2;
const CHANNEL_STATUS: u8 = 3;
const CHANNEL_SIZE: u8 = 4;
const CHANNEL_CLOSE: u8 = 255;

/// Bytes read from a stream at once.
const CHUNK_BYTES: usize = 16 << 10;

/// The two sides of what is streamed.
struct Session {
    /// What takes input, and a terminal's size.
    input: Option<Descriptor>,
    /// What gives output, by channel.
    outputs: Vec<(u8, Descriptor)>,
    /// Tells the exit code; `None` when the end of output is all there is.
    exit: Option<oneshot::Receiver<i32>>,
}

/// Streams a command.
pub(super) async fn exec(
    socket: Socket,
    version: u8,
    shim: &Client,
    container: &str,
    process: ProcessSpec,
    streams: u8,
) {
    let what = process.args.clone();
    match begin_exec(shim, container, process, streams).await {
        Ok(session) => run(socket, version, session, &what).await,
        Err(error) => fail(socket, &format!("error executing command in container: {error}")).await,
    }
}

/// Streams a container.
pub(super) async fn attach(socket: Socket, version: u8, shim: &Client, container: &str, streams: u8, stdin_once: bool) {
    match begin_attach(shim, container, streams).await {
        Ok(session) => run(socket, version, session, &[]).await,
        Err(error) => return fail(socket, &format!("error attaching to container: {error}")).await,
    }
    if stdin_once
        && streams & STDIN != 0
        && let Err(error) = shim.close_stdin(container).await
    {
        // It has ended, most likely because of that.
        tracing::debug!(container, %error, "standard input not closed");
    }
}

fn failed(error: io::Error) -> ClientError {
    ClientError::Failed(error.to_string())
}

async fn begin_exec(shim: &Client, container: &str, process: ProcessSpec, streams: u8) -> Result<Session, ClientError> {
    if process.terminal {
        let exec = shim.exec(container, process, 0, Vec::new()).await?;
        let master = exec.master.ok_or_else(|| ClientError::Failed("no terminal came back".into()))?;
        let copy = master.try_clone().map_err(failed)?;
        return Ok(Session {
            input: Some(Descriptor::new(copy).map_err(failed)?),
            outputs: vec![(CHANNEL_OUTPUT, Descriptor::new(master).map_err(failed)?)],
            exit: Some(exec.exit),
        });
    }
    let mut theirs = Vec::new();
    let mut input = None;
    if streams & STDIN != 0 {
        let (reader, writer) = io::pipe().map_err(failed)?;
        theirs.push(OwnedFd::from(reader));
        input = Some(Descriptor::new(writer.into()).map_err(failed)?);
    }
    let outputs = pipes(streams, &mut theirs).map_err(failed)?;
    let exec = shim.exec(container, process, streams, theirs).await?;
    Ok(Session { input, outputs, exit: Some(exec.exit) })
}

async fn begin_attach(shim: &Client, container: &str, streams: u8) -> Result<Session, ClientError> {
    let mut theirs = Vec::new();
    let outputs = pipes(streams, &mut theirs).map_err(failed)?;
    let attached = shim.attach(container, streams & !STDIN, theirs).await?;
    let wanted = streams & STDIN != 0 || attached.terminal;
    let input = attached.input.filter(|_| wanted).map(Descriptor::new).transpose().map_err(failed)?;
    Ok(Session { input, outputs, exit: None })
}

/// Pipes for the outputs asked for; the writing ends go to `theirs`.
fn pipes(streams: u8, theirs: &mut Vec<OwnedFd>) -> io::Result<Vec<(u8, Descriptor)>> {
    let mut outputs = Vec::new();
    for (bit, channel) in [(STDOUT, CHANNEL_OUTPUT), (STDERR, CHANNEL_ERRORS)] {
        if streams & bit != 0 {
            let (reader, writer) = io::pipe()?;
            theirs.push(writer.into());
            outputs.push((channel, Descriptor::new(reader.into())?));
        }
    }
    Ok(outputs)
}

type Sink = SplitSink<Socket, Message>;

/// Copies both ways until the command has ended or the client has left.
async fn run(socket: Socket, version: u8, session: Session, args: &[String]) {
    let (mut sink, stream) = socket.split();
    let Session { input, outputs, exit } = session;
    let interactive = input.is_some();
    let copy_in = copy_input(stream, version, input);
    let copy_out = async {
        match copy_output(&mut sink, &outputs, exit).await {
            Ok(code) => finish(&mut sink, &exit_status(code, args)).await,
            Err(error) => tracing::debug!(%error, "client left"),
        }
    };
    tokio::select! {
        () = copy_out => {}
        // The client is gone: pipes and terminal close, which the command notices.
        () = copy_in => tracing::debug!(interactive, "client left"),
    }
}

/// Tells how it ended, and says goodbye.
async fn finish(sink: &mut Sink, status: &str) {
    let told = async {
        sink.send(message(CHANNEL_STATUS, status.as_bytes())).await?;
        // A close without a code reads as an abnormal end: kubectl then fails although the command did not.
        let normal = CloseFrame { code: CloseCode::Normal, reason: Default::default() };
        sink.send(Message::Close(Some(normal))).await?;
        sink.close().await
    };
    if let Err(error) = told.await {
        tracing::debug!(%error, "client left before the end was told");
    }
}

async fn fail(socket: Socket, text: &str) {
    let (mut sink, _) = socket.split();
    let status = serde_json::json!({
        "metadata": {}, "status": "Failure", "message": text, "reason": "InternalError",
        "details": { "causes": [{ "message": text }] }, "code": 500,
    });
    finish(&mut sink, &status.to_string()).await;
}

fn message(channel: u8, bytes: &[u8]) -> Message {
    let mut content = Vec::with_capacity(bytes.len() + 1);
    content.push(channel);
    content.extend_from_slice(bytes);
    Message::Binary(Bytes::from(content))
}

/// A `metav1.Status`, as upstream's exec handler writes it.
fn exit_status(code: Option<i32>, args: &[String]) -> String {
    match code {
        None | Some(0) => serde_json::json!({ "metadata": {}, "status": "Success" }).to_string(),
        Some(code) => serde_json::json!({
            "metadata": {},
            "status": "Failure",
            "message": format!(
                "command terminated with non-zero exit code: error executing command {args:?}, exit code {code}"
            ),
            "reason": "NonZeroExitCode",
            "details": { "causes": [{ "reason": "ExitCode", "message": code.to_string() }] },
        })
        .to_string(),
    }
}

/// Sends output until all of it has ended, or the command has and what it wrote is sent.
async fn copy_output(
    sink: &mut Sink,
    outputs: &[(u8, Descriptor)],
    exit: Option<oneshot::Receiver<i32>>,
) -> io::Result<Option<i32>> {
    // As upstream: an empty message on the first channel tells the client that the stream stands.
    let first = outputs.first().map_or(CHANNEL_STATUS, |(channel, _)| *channel);
    sink.send(message(first, &[])).await.map_err(io::Error::other)?;
    let mut open: Vec<bool> = outputs.iter().map(|_| true).collect();
    let mut exit = exit;
    loop {
        let next = tokio::select! {
            code = wait(&mut exit) => Next::Exited(code?),
            read = read_any(outputs, &open), if open.contains(&true) => read?,
            // Attached to nothing but input: the client says when it is over.
            () = std::future::pending(), if exit.is_none() && outputs.is_empty() => continue,
            else => return Ok(None),
        };
        match next {
            Next::Exited(code) => {
                drain(sink, outputs, &open).await?;
                return Ok(Some(code));
            }
            Next::Bytes(channel, bytes) => {
                sink.send(message(channel, &bytes)).await.map_err(io::Error::other)?;
            }
            Next::End(at) => {
                open[at] = false;
                if exit.is_none() && !open.contains(&true) {
                    return Ok(None);
                }
            }
        }
    }
}

enum Next {
    Bytes(u8, Vec<u8>),
    End(usize),
    Exited(i32),
}

/// The exit code; never, when nobody will tell it.
async fn wait(exit: &mut Option<oneshot::Receiver<i32>>) -> io::Result<i32> {
    match exit {
        Some(exit) => exit.await.map_err(io::Error::other),
        None => std::future::pending().await,
    }
}

async fn read_any(outputs: &[(u8, Descriptor)], open: &[bool]) -> io::Result<Next> {
    let reads = outputs.iter().enumerate().filter(|(at, _)| open[*at]).map(|(at, (channel, descriptor))| {
        Box::pin(async move {
            let mut chunk = vec![0; CHUNK_BYTES];
            let count = descriptor.read(&mut chunk).await?;
            chunk.truncate(count);
            Ok(if count == 0 { Next::End(at) } else { Next::Bytes(*channel, chunk) })
        })
    });
    futures::future::select_all(reads).await.0
}

/// Sends what is in the pipes of a command that has ended.
async fn drain(sink: &mut Sink, outputs: &[(u8, Descriptor)], open: &[bool]) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK_BYTES];
    for (_, (channel, descriptor)) in outputs.iter().enumerate().filter(|(at, _)| open[*at]) {
        while let Some(count) = descriptor.read_now(&mut chunk)?.filter(|count| *count > 0) {
            sink.send(message(*channel, &chunk[..count])).await.map_err(io::Error::other)?;
        }
    }
    Ok(())
}

/// Takes the client's messages until it leaves.
async fn copy_input(mut stream: SplitStream<Socket>, version: u8, input: Option<Descriptor>) {
    let mut input = input;
    while let Some(received) = stream.next().await {
        let content = match received {
            Ok(Message::Binary(content)) => content,
            Ok(Message::Close(_)) | Err(_) => return,
            // Text is for the base64 protocols; pings are answered by the library.
            Ok(_) => continue,
        };
        let Some((channel, bytes)) = content.split_first() else { continue };
        match *channel {
            CHANNEL_INPUT => {
                if let Some(sink) = &input
                    && let Err(error) = sink.write_all(bytes).await
                {
                    // The command reads no more; it may still write.
                    tracing::debug!(%error, "input refused");
                    input = None;
                }
            }
            CHANNEL_SIZE => resize(input.as_ref(), bytes),
            CHANNEL_CLOSE if version >= 5 && bytes == [CHANNEL_INPUT] => input = None,
            _ => {}
        }
    }
}

/// A terminal's size as clients send it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Size {
    width: u16,
    height: u16,
}

fn resize(terminal: Option<&Descriptor>, bytes: &[u8]) {
    let (Some(terminal), Ok(size)) = (terminal, serde_json::from_slice::<Size>(bytes)) else { return };
    if let Err(error) = terminal.resize(size.width, size.height) {
        tracing::debug!(%error, "terminal not resized");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_told_as_upstream_tells_them() {
        assert_eq!(exit_status(Some(0), &[]), r#"{"metadata":{},"status":"Success"}"#);
        let failure: serde_json::Value = serde_json::from_str(&exit_status(Some(3), &["sh".into()])).unwrap();
        assert_eq!(failure["reason"], "NonZeroExitCode");
        assert_eq!(failure["details"]["causes"][0], serde_json::json!({ "reason": "ExitCode", "message": "3" }));
    }
}
