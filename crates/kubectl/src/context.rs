//! What every command works with: the server, the namespace, and where its words go.

use crate::failure::{Failure, Result};
use crate::print::{Format, colors_are_wanted, is_dumb};
use crate::resources::Resources;
use crate::server::{Connection, Server};
use bytes::Bytes;
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::{ErrorKind, IsTerminal, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

type Sink = Arc<Mutex<Box<dyn Write + Send>>>;

pub(crate) struct Context {
    pub(crate) server: Arc<dyn Server>,
    pub(crate) resources: Resources,
    pub(crate) connection: Connection,
    /// The one commands act in when told no other.
    pub(crate) namespace: String,
    /// Whether `--namespace` named it, so that a manifest may not disagree.
    pub(crate) namespace_is_named: bool,
    /// Whether somebody looks at standard output.
    pub(crate) is_terminal: bool,
    /// Whether words there may have colours.
    pub(crate) is_painted: bool,
    out: Sink,
    err: Sink,
    /// YAML documents after the first are set apart from it.
    documents: AtomicUsize,
    /// Those that were shown: none is shown twice.
    warnings: Mutex<BTreeSet<String>>,
}

impl Context {
    pub(crate) fn new(server: Arc<dyn Server>, connection: Connection, namespace: Option<String>) -> Context {
        let is_terminal = std::io::stdout().is_terminal() && !is_dumb();
        Context {
            is_terminal,
            is_painted: is_terminal && colors_are_wanted(),
            resources: Resources::new(server.clone()),
            server,
            namespace_is_named: namespace.is_some(),
            namespace: namespace.unwrap_or_else(|| connection.config.namespace.clone()),
            connection,
            out: Arc::new(Mutex::new(Box::new(std::io::stdout()))),
            err: Arc::new(Mutex::new(Box::new(std::io::stderr()))),
            documents: AtomicUsize::new(0),
            warnings: Mutex::default(),
        }
    }

    /// With its words kept instead of printed.
    pub(crate) fn speaking_to(mut self, out: Box<dyn Write + Send>, err: Box<dyn Write + Send>) -> Context {
        (self.out, self.err) = (Arc::new(Mutex::new(out)), Arc::new(Mutex::new(err)));
        (self.is_terminal, self.is_painted) = (false, false);
        self
    }

    /// To standard output, at once: what follows may wait for long.
    pub(crate) fn print(&self, text: impl AsRef<[u8]>) -> Result<()> {
        write(&self.out, text.as_ref())
    }

    pub(crate) fn line(&self, text: impl std::fmt::Display) -> Result<()> {
        self.print(format!("{text}\n"))
    }

    /// One object of several that a command may print.
    pub(crate) fn document(&self, format: &Format, object: &Value) -> Result<()> {
        let before = self.documents.fetch_add(1, Ordering::Relaxed);
        let separator = if before > 0 && matches!(format, Format::Yaml) { "---\n" } else { "" };
        self.print(format!("{separator}{}", format.object(object)?))
    }

    /// To standard error.
    pub(crate) fn remark(&self, text: impl std::fmt::Display) -> Result<()> {
        write(&self.err, format!("{text}\n").as_bytes())
    }

    /// To standard output, while other work goes on: who reads it may wait for us to read what he writes.
    pub(crate) async fn pass(&self, text: Bytes) -> Result<()> {
        aside(&self.out, text).await
    }

    /// The same to standard error.
    pub(crate) async fn pass_complaint(&self, text: Bytes) -> Result<()> {
        aside(&self.err, text).await
    }

    pub(crate) fn complain(&self, text: &[u8]) -> Result<()> {
        write(&self.err, text)
    }

    /// The failure that warnings are where the user wants them to be one.
    pub(crate) fn warnings_are_errors(&self) -> Result<()> {
        match self.warnings.lock().unwrap_or_else(PoisonError::into_inner).len() {
            0 => Ok(()),
            _ if !self.connection.warnings_as_errors => Ok(()),
            1 => Err(Failure::message("1 warning received")),
            many => Err(Failure::message(format!("{many} warnings received"))),
        }
    }

    pub(crate) fn has_request_timeout(&self) -> bool {
        self.connection.request_timeout.is_some()
    }

    pub(crate) fn warn(&self, warnings: &[String]) -> Result<()> {
        let is_new =
            |warning: &&String| self.warnings.lock().unwrap_or_else(PoisonError::into_inner).insert((*warning).clone());
        warnings.iter().filter(is_new).try_for_each(|warning| self.remark(format_args!("Warning: {warning}")))
    }
}

async fn aside(sink: &Sink, text: Bytes) -> Result<()> {
    let sink = sink.clone();
    let written = tokio::task::spawn_blocking(move || write(&sink, &text)).await;
    written.unwrap_or_else(|error| Err(Failure::message(format!("writing the output: {error}"))))
}

fn write(sink: &Sink, text: &[u8]) -> Result<()> {
    let mut sink = sink.lock().unwrap_or_else(PoisonError::into_inner);
    sink.write_all(text).and_then(|()| sink.flush()).map_err(|error| match error.kind() {
        ErrorKind::BrokenPipe => Failure::Closed,
        _ => Failure::message(format!("writing the output: {error}")),
    })
}
