//! A command's or container's streams over SPDY: the protocols `v4.channel.k8s.io` and its elders.
//!
//! The client opens one stream for each of what it wants, and says which in the header `streamType`: `error` (how it
//! ended), `stdin`, `stdout`, `stderr`, and from v3 on `resize` (a terminal's size). Input and output go their own ways, so
//! that neither waits for the other.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use ::shim::protocol::{ProcessSpec, STDERR, STDIN, STDOUT};
use serde::Deserialize;
use spdy::{Incoming, Stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::ending::{exit_status, failure};
use crate::descriptor::Descriptor;
use crate::shim::{Client, ClientError};

/// By preference. The elders differ in that the end is told in words, and in what they lack.
pub(super) const PROTOCOLS: [&str; 4] =
    ["v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io"];

/// How long a client may take to open its streams, as upstream has it.
const OPEN_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes read from a stream at once.
const CHUNK_BYTES: usize = 16 << 10;
/// Bytes of one message of a terminal's size, and such streams of one client.
const SIZE_BYTES_MAX: usize = 1 << 10;
const SIZE_STREAMS_MAX: usize = 4;

/// The client's side.
struct Streams {
    protocol: &'static str,
    error: Stream,
    input: Option<Stream>,
    outputs: [Option<Stream>; 2],
    resize: Option<Stream>,
}

impl Streams {
    /// Waits for the streams that were asked for; `None` when the client does not open them.
    async fn accept(incoming: &mut Incoming, protocol: &'static str, wanted: u8) -> Option<Streams> {
        let (mut error, mut input, mut stdout, mut stderr, mut resize) = (None, None, None, None, None);
        let all = async {
            loop {
                let outputs = (wanted & STDOUT == 0 || stdout.is_some()) && (wanted & STDERR == 0 || stderr.is_some());
                if error.is_some() && outputs && (wanted & STDIN == 0 || input.is_some()) {
                    return Some(());
                }
                let stream = incoming.next().await?;
                let place = match stream.headers().get("streamtype") {
                    Some("error") => &mut error,
                    Some("stdin") => &mut input,
                    Some("stdout") => &mut stdout,
                    Some("stderr") => &mut stderr,
                    Some("resize") => &mut resize,
                    other => {
                        tracing::debug!(?other, "a stream of no known type");
                        continue;
                    }
                };
                *place = Some(stream);
            }
        };
        match tokio::time::timeout(OPEN_TIMEOUT, all).await {
            Ok(Some(())) => {}
            Ok(None) => return None,
            Err(_) => {
                tracing::debug!("timed out waiting for client to create streams");
                return None;
            }
        }
        Some(Streams { protocol, error: error?, input, outputs: [stdout, stderr], resize })
    }

    /// Tells how it ended, and says goodbye.
    async fn finish(mut self, status: &serde_json::Value) {
        let words = match (self.protocol == PROTOCOLS[0], status["message"].as_str()) {
            (true, _) => status.to_string(),
            // The elders have words for a failure, and silence for success.
            (false, message) => message.unwrap_or_default().to_owned(),
        };
        let told = async {
            for output in self.outputs.iter_mut().flatten() {
                output.shutdown().await?;
            }
            self.error.write_all(words.as_bytes()).await?;
            self.error.shutdown().await
        };
        if let Err(error) = told.await {
            tracing::debug!(%error, "client left before the end was told");
        }
    }
}

/// The container's side.
struct Session {
    /// What takes input.
    input: Option<Arc<Descriptor>>,
    /// What takes a terminal's size.
    terminal: Option<Arc<Descriptor>>,
    /// What gives standard output and errors.
    outputs: [Option<Descriptor>; 2],
    /// Tells the exit code; `None` when the end of output is all there is.
    exit: Option<oneshot::Receiver<i32>>,
}

/// Streams a command.
pub(super) async fn exec(
    mut incoming: Incoming,
    protocol: &'static str,
    shim: &Client,
    container: &str,
    process: ProcessSpec,
    wanted: u8,
) {
    let Some(streams) = Streams::accept(&mut incoming, protocol, wanted).await else { return };
    let args = process.args.clone();
    match begin_exec(shim, container, process, wanted).await {
        Ok(session) => run(incoming, streams, session, &args).await,
        Err(error) => streams.finish(&failure(&format!("error executing command in container: {error}"))).await,
    }
}

/// Streams a container.
pub(super) async fn attach(
    mut incoming: Incoming,
    protocol: &'static str,
    shim: &Client,
    container: &str,
    wanted: u8,
    stdin_once: bool,
) {
    let Some(streams) = Streams::accept(&mut incoming, protocol, wanted).await else { return };
    match begin_attach(shim, container, wanted).await {
        Ok(session) => run(incoming, streams, session, &[]).await,
        Err(error) => return streams.finish(&failure(&format!("error attaching to container: {error}"))).await,
    }
    if stdin_once
        && wanted & STDIN != 0
        && let Err(error) = shim.close_stdin(container).await
    {
        // It has ended, most likely because of that.
        tracing::debug!(container, %error, "standard input not closed");
    }
}

fn failed(error: io::Error) -> ClientError {
    ClientError::Failed(error.to_string())
}

async fn begin_exec(shim: &Client, container: &str, process: ProcessSpec, wanted: u8) -> Result<Session, ClientError> {
    if process.terminal {
        let exec = shim.exec(container, process, 0, Vec::new()).await?;
        let master = exec.master.ok_or_else(|| ClientError::Failed("no terminal came back".into()))?;
        let copy = Arc::new(Descriptor::new(master.try_clone().map_err(failed)?).map_err(failed)?);
        let output = Descriptor::new(master).map_err(failed)?;
        let exit = Some(exec.exit);
        return Ok(Session { input: Some(copy.clone()), terminal: Some(copy), outputs: [Some(output), None], exit });
    }
    let mut theirs = Vec::new();
    let mut input = None;
    if wanted & STDIN != 0 {
        let (reader, writer) = io::pipe().map_err(failed)?;
        theirs.push(OwnedFd::from(reader));
        input = Some(Arc::new(Descriptor::new(writer.into()).map_err(failed)?));
    }
    let outputs = pipes(wanted, &mut theirs).map_err(failed)?;
    let exec = shim.exec(container, process, wanted, theirs).await?;
    Ok(Session { input, terminal: None, outputs, exit: Some(exec.exit) })
}

async fn begin_attach(shim: &Client, container: &str, wanted: u8) -> Result<Session, ClientError> {
    let mut theirs = Vec::new();
    let outputs = pipes(wanted, &mut theirs).map_err(failed)?;
    let attached = shim.attach(container, wanted & !STDIN, theirs).await?;
    let useful = wanted & STDIN != 0 || attached.terminal;
    let input = attached.input.filter(|_| useful).map(Descriptor::new).transpose().map_err(failed)?.map(Arc::new);
    let terminal = input.clone().filter(|_| attached.terminal);
    Ok(Session { input, terminal, outputs, exit: None })
}

/// Pipes for the outputs asked for; the writing ends go to `theirs`.
fn pipes(wanted: u8, theirs: &mut Vec<OwnedFd>) -> io::Result<[Option<Descriptor>; 2]> {
    let mut outputs = [None, None];
    for (output, bit) in outputs.iter_mut().zip([STDOUT, STDERR]) {
        if wanted & bit != 0 {
            let (reader, writer) = io::pipe()?;
            theirs.push(writer.into());
            *output = Some(Descriptor::new(reader.into())?);
        }
    }
    Ok(outputs)
}

/// Copies both ways until the command has ended or the client has left.
async fn run(incoming: Incoming, mut streams: Streams, session: Session, args: &[String]) {
    let Session { input, terminal, outputs, exit } = session;
    let ended = {
        let feeding = async {
            if let Some(stream) = &mut streams.input {
                feed(stream, input).await;
            }
            // That no more is typed is no end.
            std::future::pending::<()>().await;
        };
        tokio::select! {
            ended = copy_outputs(&outputs, &mut streams.outputs, exit) => ended,
            // The client is gone: pipes and terminal close, which the command notices.
            () = stay(incoming, streams.resize.take(), terminal) => Err(io::ErrorKind::ConnectionAborted.into()),
            () = feeding => return,
        }
    };
    match ended {
        Ok(code) => streams.finish(&exit_status(code, args)).await,
        Err(error) => tracing::debug!(%error, "client left"),
    }
}

/// Hands input on until it ends. A command that reads no more may still write: what comes is thrown away, so that the
/// connection flows.
async fn feed(stream: &mut Stream, input: Option<Arc<Descriptor>>) {
    let mut input = input;
    let mut chunk = vec![0; CHUNK_BYTES];
    while let Ok(count) = stream.read(&mut chunk).await
        && count > 0
    {
        if let Some(sink) = &input
            && let Err(error) = sink.write_all(&chunk[..count]).await
        {
            tracing::debug!(%error, "input refused");
            input = None;
        }
    }
}

/// Until the client leaves; takes sizes of the terminal meanwhile.
async fn stay(mut incoming: Incoming, first: Option<Stream>, terminal: Option<Arc<Descriptor>>) {
    let mut sizes = JoinSet::new();
    let mut next = first;
    loop {
        if let (Some(stream), Some(terminal)) = (next, &terminal)
            && sizes.len() < SIZE_STREAMS_MAX
        {
            sizes.spawn(resize(stream, terminal.clone()));
        }
        // Clients open it after the others, and with a terminal only.
        match incoming.next().await {
            Some(stream) => next = Some(stream).filter(|stream| stream.headers().get("streamtype") == Some("resize")),
            None => return,
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

/// One JSON text after another, however they are cut.
async fn resize(mut stream: Stream, terminal: Arc<Descriptor>) {
    let mut text = Vec::new();
    while let Ok(count) = stream.read_buf(&mut text).await
        && count > 0
        && text.len() <= SIZE_BYTES_MAX
    {
        let mut sizes = serde_json::Deserializer::from_slice(&text).into_iter::<Size>();
        let mut taken = 0;
        while let Some(size) = sizes.next() {
            match size {
                Ok(size) => {
                    taken = sizes.byte_offset();
                    if let Err(error) = terminal.resize(size.width, size.height) {
                        tracing::debug!(%error, "terminal not resized");
                    }
                }
                Err(error) if error.is_eof() => break,
                Err(error) => return tracing::debug!(%error, "a terminal's size that is none"),
            }
        }
        text.drain(..taken);
    }
}

/// Sends output until all of it has ended, or the command has and what it wrote is sent.
async fn copy_outputs(
    outputs: &[Option<Descriptor>; 2],
    streams: &mut [Option<Stream>; 2],
    exit: Option<oneshot::Receiver<i32>>,
) -> io::Result<Option<i32>> {
    let mut exit = exit;
    let mut open = [outputs[0].is_some(), outputs[1].is_some()];
    loop {
        let next = tokio::select! {
            code = wait(&mut exit) => Next::Exited(code?),
            read = read_any(outputs, open), if open.contains(&true) => read?,
            // Attached to nothing but input: the client says when it is over.
            () = std::future::pending(), if exit.is_none() && outputs.iter().all(Option::is_none) => continue,
            else => return Ok(None),
        };
        match next {
            Next::Exited(code) => {
                drain(outputs, open, streams).await?;
                return Ok(Some(code));
            }
            Next::Bytes(at, bytes) => {
                if let Some(stream) = &mut streams[at] {
                    stream.write_all(&bytes).await?;
                }
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
    Bytes(usize, Vec<u8>),
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

async fn read_any(outputs: &[Option<Descriptor>; 2], open: [bool; 2]) -> io::Result<Next> {
    let read = async |at: usize| match &outputs[at] {
        Some(descriptor) if open[at] => {
            let mut chunk = vec![0; CHUNK_BYTES];
            let count = descriptor.read(&mut chunk).await?;
            chunk.truncate(count);
            Ok(if count == 0 { Next::End(at) } else { Next::Bytes(at, chunk) })
        }
        _ => std::future::pending().await,
    };
    tokio::select! {
        next = read(0) => next,
        next = read(1) => next,
    }
}

/// Sends what is in the pipes of a command that has ended.
async fn drain(
    outputs: &[Option<Descriptor>; 2],
    open: [bool; 2],
    streams: &mut [Option<Stream>; 2],
) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK_BYTES];
    for (at, descriptor) in outputs.iter().enumerate().filter(|(at, _)| open[*at]) {
        let (Some(descriptor), Some(stream)) = (descriptor, &mut streams[at]) else { continue };
        while let Some(count) = descriptor.read_now(&mut chunk)?.filter(|count| *count > 0) {
            stream.write_all(&chunk[..count]).await?;
        }
    }
    Ok(())
}
