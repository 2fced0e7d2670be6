//! One conversation with one shim: requests and their replies, events as they happen.
//!
//! A task owns the socket; everyone else holds a [`Client`] and sends it messages. When the shim is gone, every
//! request fails with [`ClientError::Gone`] and [`Event::Gone`] comes last.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use ::shim::protocol::{self as wire, ContainerSpec, ContainerState, ProcessSpec, Reply, Request, decode};
use kernel::process::Process;
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot};

use super::wire::{Inbox, send};

/// Requests that wait for the socket; more wait in their callers.
const REQUESTS_MAX: usize = 16;

/// How long a shim may take to greet: it never blocks, so only an overloaded machine makes it late.
const HELLO_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a process that closed its last descriptor may take to end.
const EXIT_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a shim did not do as asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// It could not be started.
    #[error("start the pod's shim: {0}")]
    Launch(String),
    /// There is none at this socket.
    #[error("connect to the pod's shim: {0}")]
    Connect(io::Error),
    /// It ended, or was killed.
    #[error("the pod's shim is gone")]
    Gone,
    /// It has no such container or exec.
    #[error("{0}")]
    NotFound(String),
    /// The container is in another state.
    #[error("{0}")]
    State(String),
    /// It keeps no more of these.
    #[error("{0}")]
    Limit(String),
    /// Something else.
    #[error("{0}")]
    Failed(String),
}

/// What a shim tells unasked.
#[derive(Debug)]
pub(crate) enum Event {
    /// A container began or ended.
    Changed(ContainerState),
    /// The shim is gone.
    Gone,
}

/// A running exec.
#[derive(Debug)]
pub(crate) struct Exec {
    /// Its number, to signal it.
    pub(crate) number: u32,
    /// The master side of its terminal.
    pub(crate) master: Option<OwnedFd>,
    /// Its exit code; an error when the shim is gone.
    pub(crate) exit: oneshot::Receiver<i32>,
}

/// What attaching gave.
#[derive(Debug)]
pub(crate) struct Attached {
    /// Whether the container has a terminal; `input` is its master side then.
    pub(crate) terminal: bool,
    /// What writes to its standard input.
    pub(crate) input: Option<OwnedFd>,
}

/// A handle to the conversation; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    requests: mpsc::Sender<Outgoing>,
}

#[derive(Debug)]
struct Outgoing {
    request: Request,
    fds: Vec<OwnedFd>,
    reply: oneshot::Sender<Incoming>,
}

/// A reply with the descriptor it names, and, of an exec, who will tell its end.
#[derive(Debug)]
struct Incoming {
    reply: Reply,
    fd: Option<OwnedFd>,
    exit: Option<oneshot::Receiver<i32>>,
}

impl Client {
    /// Connects to the shim of the pod whose files are in `directory`; events go to `events`.
    ///
    /// Answers every container the shim knows and the pod's network namespace; whatever happens later is an event.
    pub(crate) async fn connect(
        directory: &Path,
        events: mpsc::Sender<Event>,
    ) -> Result<(Client, Vec<ContainerState>, OwnedFd), ClientError> {
        let stream = open(directory).await.map_err(ClientError::Connect)?;
        let (requests, inbox) = mpsc::channel(REQUESTS_MAX);
        let pid = stream.peer_cred().map_err(ClientError::Connect)?.pid();
        let process = pid.map(Process::open).transpose().map_err(|error| ClientError::Failed(error.to_string()))?;
        let conversation = Conversation {
            stream,
            process: process.flatten(),
            requests: inbox,
            pending: HashMap::new(),
            execs: HashMap::new(),
            id: 0,
        };
        tokio::spawn(conversation.run(events));
        let client = Client { requests };
        let hello = client.ask(Request::Hello { version: wire::VERSION }, Vec::new());
        match tokio::time::timeout(HELLO_TIMEOUT, hello).await {
            Ok(Ok(Incoming { reply: Reply::Hello { version: wire::VERSION, .. }, .. })) => {}
            Ok(Ok(Incoming { reply: Reply::Hello { version, .. }, .. })) => {
                return Err(ClientError::Failed(format!("the shim speaks version {version}")));
            }
            Ok(answer) => return Err(unexpected(answer?.reply)),
            Err(_) => return Err(ClientError::Failed("the shim does not answer".into())),
        }
        match client.ask(Request::State { subscribe: true }, Vec::new()).await? {
            Incoming { reply: Reply::State { containers }, fd: Some(network), .. } => Ok((client, containers, network)),
            other => Err(unexpected(other.reply)),
        }
    }

    /// Starts a container; answers once its program runs.
    pub(crate) async fn start(&self, container: ContainerSpec) -> Result<ContainerState, ClientError> {
        match self.ask(Request::Start { container: Box::new(container) }, Vec::new()).await?.reply {
            Reply::Started { state } => Ok(state),
            other => Err(unexpected(other)),
        }
    }

    /// Runs a process in a container with these streams; `fds` are in the order of their bits.
    pub(crate) async fn exec(
        &self,
        container: &str,
        process: ProcessSpec,
        streams: u8,
        fds: Vec<OwnedFd>,
    ) -> Result<Exec, ClientError> {
        let request = Request::Exec { container: container.to_owned(), process: Box::new(process), streams };
        match self.ask(request, fds).await? {
            Incoming { reply: Reply::ExecStarted { exec, .. }, fd, exit: Some(exit) } => {
                Ok(Exec { number: exec, master: fd, exit })
            }
            other => Err(unexpected(other.reply)),
        }
    }

    /// Copies a container's output to `fds`, in the order of their bits.
    pub(crate) async fn attach(
        &self,
        container: &str,
        streams: u8,
        fds: Vec<OwnedFd>,
    ) -> Result<Attached, ClientError> {
        match self.ask(Request::Attach { container: container.to_owned(), streams }, fds).await? {
            Incoming { reply: Reply::Attached { terminal, .. }, fd, .. } => Ok(Attached { terminal, input: fd }),
            other => Err(unexpected(other.reply)),
        }
    }

    /// Signals a container's first process; one that has ended is no error.
    pub(crate) async fn signal(&self, container: &str, signal: i32) -> Result<(), ClientError> {
        self.done(Request::Signal { container: container.to_owned(), signal }).await
    }

    /// Signals an exec's process.
    pub(crate) async fn signal_exec(&self, exec: u32, signal: i32) -> Result<(), ClientError> {
        self.done(Request::SignalExec { exec, signal }).await
    }

    /// Closes a container's standard input.
    pub(crate) async fn close_stdin(&self, container: &str) -> Result<(), ClientError> {
        self.done(Request::CloseStdin { container: container.to_owned() }).await
    }

    /// Opens a container's log anew.
    pub(crate) async fn reopen_log(&self, container: &str) -> Result<(), ClientError> {
        self.done(Request::ReopenLog { container: container.to_owned() }).await
    }

    /// Drops the record of a container that has exited.
    pub(crate) async fn forget(&self, container: &str) -> Result<(), ClientError> {
        self.done(Request::Forget { container: container.to_owned() }).await
    }

    /// Kills everything in the pod and ends the shim. The shim is gone once this answers.
    pub(crate) async fn shut_down(&self) -> Result<(), ClientError> {
        match self.done(Request::Shutdown {}).await {
            Ok(()) | Err(ClientError::Gone) => {}
            Err(error) => return Err(error),
        }
        self.requests.closed().await;
        Ok(())
    }

    async fn done(&self, request: Request) -> Result<(), ClientError> {
        match self.ask(request, Vec::new()).await?.reply {
            Reply::Done {} => Ok(()),
            other => Err(unexpected(other)),
        }
    }

    async fn ask(&self, request: Request, fds: Vec<OwnedFd>) -> Result<Incoming, ClientError> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(Outgoing { request, fds, reply }).await.map_err(|_| ClientError::Gone)?;
        answer.await.map_err(|_| ClientError::Gone)
    }
}

/// What a reply that was not hoped for means.
fn unexpected(reply: Reply) -> ClientError {
    match reply {
        Reply::Error { kind: wire::ERROR_NOT_FOUND, message } => ClientError::NotFound(message),
        Reply::Error { kind: wire::ERROR_STATE, message } => ClientError::State(message),
        Reply::Error { kind: wire::ERROR_LIMIT, message } => ClientError::Limit(message),
        Reply::Error { message, .. } => ClientError::Failed(message),
        other => ClientError::Failed(format!("the shim answered something else: {other:?}")),
    }
}

/// Connects by way of the directory's descriptor: a socket's name has at most 107 bytes, a data directory more.
async fn open(directory: &Path) -> io::Result<UnixStream> {
    let directory = std::fs::File::open(directory)?;
    UnixStream::connect(format!("/proc/self/fd/{}/shim.sock", directory.as_raw_fd())).await
}

/// The task's state.
struct Conversation {
    stream: UnixStream,
    /// The shim, a child of ours unless an earlier process started it.
    process: Option<Process>,
    requests: mpsc::Receiver<Outgoing>,
    pending: HashMap<u32, oneshot::Sender<Incoming>>,
    execs: HashMap<u32, oneshot::Sender<i32>>,
    id: u32,
}

impl Conversation {
    async fn run(mut self, events: mpsc::Sender<Event>) {
        if let Err(error) = self.talk(&events).await {
            tracing::debug!(%error, "conversation with a shim ended");
            self.reap().await;
        }
        // Closes the channel of requests before the event: whoever hears of the end finds it so.
        drop(self);
        if events.send(Event::Gone).await.is_err() {
            tracing::debug!("nobody waits for a shim's end");
        }
    }

    /// Sees a shim that closed its socket to its end, so that it is gone when it is said to be.
    async fn reap(&mut self) {
        let Some(process) = self.process.take() else { return };
        let reaped = tokio::task::spawn_blocking(move || {
            process.wait(EXIT_TIMEOUT)?;
            process.reap()
        });
        match reaped.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "shim not reaped"),
            Err(error) => tracing::warn!(%error, "shim not reaped"),
        }
    }

    async fn talk(&mut self, events: &mpsc::Sender<Event>) -> io::Result<()> {
        let mut inbox = Inbox::default();
        loop {
            tokio::select! {
                outgoing = self.requests.recv() => match outgoing {
                    Some(outgoing) => self.send(outgoing).await?,
                    // Nobody holds a client any more: the runtime was dropped, or is done with this pod.
                    None => return Ok(()),
                },
                message = inbox.next(&self.stream) => {
                    let (id, message) = message?;
                    match id {
                        0 => self.event(&message, events).await?,
                        _ => self.reply(id, &message, &mut inbox)?,
                    }
                }
                () = events.closed() => return Ok(()),
            }
        }
    }

    async fn send(&mut self, outgoing: Outgoing) -> io::Result<()> {
        // 0 is for events.
        self.id = self.id.checked_add(1).unwrap_or(1);
        let bytes = wire::frame(self.id, &outgoing.request);
        if bytes.len() > wire::FRAME_BYTES_MAX {
            let message = format!("{} bytes of configuration are too much for one container", bytes.len());
            let reply = Reply::Error { kind: wire::ERROR_LIMIT, message };
            hand_over(outgoing.reply, Incoming { reply, fd: None, exit: None });
            return Ok(());
        }
        self.pending.insert(self.id, outgoing.reply);
        send(&self.stream, &bytes, &outgoing.fds).await
    }

    fn reply(&mut self, id: u32, message: &[u8], inbox: &mut Inbox) -> io::Result<()> {
        let reply: Reply = decode(message).map_err(io::Error::other)?;
        let has_fd = matches!(
            reply,
            Reply::State { .. } | Reply::ExecStarted { terminal: true, .. } | Reply::Attached { has_stdin: true, .. }
        );
        let fd = if has_fd { Some(inbox.take_fd()?) } else { None };
        let exit = match reply {
            Reply::ExecStarted { exec, .. } => {
                let (sender, receiver) = oneshot::channel();
                self.execs.insert(exec, sender);
                Some(receiver)
            }
            _ => None,
        };
        if let Some(waiting) = self.pending.remove(&id) {
            hand_over(waiting, Incoming { reply, fd, exit });
        }
        Ok(())
    }

    async fn event(&mut self, message: &[u8], events: &mpsc::Sender<Event>) -> io::Result<()> {
        let Ok(event) = decode(message) else {
            tracing::debug!("an event of a newer shim");
            return Ok(());
        };
        match event {
            wire::Event::Started { state } | wire::Event::Exited { state } => {
                events.send(Event::Changed(state)).await.map_err(io::Error::other)
            }
            wire::Event::ExecExited { exec, exit_code } => {
                if let Some(waiting) = self.execs.remove(&exec)
                    && waiting.send(exit_code).is_err()
                {
                    tracing::debug!(exec, exit_code, "an exec ended after its caller left");
                }
                Ok(())
            }
        }
    }
}

fn hand_over(waiting: oneshot::Sender<Incoming>, incoming: Incoming) {
    if waiting.send(incoming).is_err() {
        tracing::debug!("a shim's reply came after its caller left");
    }
}
