//! What every command works with: the server, the namespace, and where its words go.

use crate::failure::{Failure, Result};
use crate::print::Format;
use crate::resources::Resources;
use crate::server::Server;
use client::Config;
use serde_json::Value;
use std::io::{ErrorKind, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

type Sink = Mutex<Box<dyn Write + Send>>;

pub(crate) struct Context {
    pub(crate) server: Arc<dyn Server>,
    pub(crate) resources: Resources,
    pub(crate) config: Config,
    /// The one commands act in when told no other.
    pub(crate) namespace: String,
    /// Whether `--namespace` named it, so that a manifest may not disagree.
    pub(crate) namespace_is_named: bool,
    out: Sink,
    err: Sink,
    /// YAML documents after the first are set apart from it.
    documents: AtomicUsize,
}

impl Context {
    pub(crate) fn new(server: Arc<dyn Server>, config: Config, namespace: Option<String>) -> Context {
        Context {
            resources: Resources::new(server.clone()),
            server,
            namespace_is_named: namespace.is_some(),
            namespace: namespace.unwrap_or_else(|| config.namespace.clone()),
            config,
            out: Mutex::new(Box::new(std::io::stdout())),
            err: Mutex::new(Box::new(std::io::stderr())),
            documents: AtomicUsize::new(0),
        }
    }

    /// With its words kept instead of printed.
    #[cfg(test)]
    pub(crate) fn speaking_to(mut self, out: Box<dyn Write + Send>, err: Box<dyn Write + Send>) -> Context {
        (self.out, self.err) = (Mutex::new(out), Mutex::new(err));
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

    pub(crate) fn complain(&self, text: &[u8]) -> Result<()> {
        write(&self.err, text)
    }

    pub(crate) fn warn(&self, warnings: &[String]) -> Result<()> {
        warnings.iter().try_for_each(|warning| self.remark(format_args!("Warning: {warning}")))
    }
}

fn write(sink: &Sink, text: &[u8]) -> Result<()> {
    let mut sink = sink.lock().unwrap_or_else(PoisonError::into_inner);
    sink.write_all(text).and_then(|()| sink.flush()).map_err(|error| match error.kind() {
        ErrorKind::BrokenPipe => Failure::Closed,
        _ => Failure::message(format!("writing the output: {error}")),
    })
}
