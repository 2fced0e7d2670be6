//! Sends what containers write to a receiver of OTLP or to Loki: every line at least once, each container's in order.
//!
//! What waits is not copied: it is read from the node's log files and its archive, whose bounds are those of the waiting
//! too; what passes them undelivered is counted. Invariants: a position is kept only when the receiver has acknowledged
//! what is before it; a receiver that is away or busy is asked again, ever more slowly, for as long as it takes, and
//! nothing is read meanwhile; what it refuses for good is counted and passed over. Memory: one batch of
//! `reader::BATCH_BYTES` and its requests, and a block for each container that is being read.

mod batch;
mod ledger;
mod loki;
mod otlp;
mod reader;
mod target;

pub use ledger::Counts;
pub(crate) use ledger::Ledger;
pub use reader::ReaderError;
pub use target::TargetError;

use crate::archive::Archive;
use batch::{Batch, Page};
use reader::Reader;
use std::collections::VecDeque;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use target::{Outcome, Target};
use tokio::task::{JoinError, JoinHandle};

/// The longest that a receiver may put off its next request.
const RETRY_AFTER_MOST: Duration = Duration::from_secs(300);

/// What the receiver speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// OpenTelemetry's, over HTTP in protobuf.
    Otlp,
    /// Loki's push API.
    Loki,
}

#[derive(Clone, Debug)]
pub struct Options {
    /// Of the receiver; without a path, the protocol's own.
    pub url: String,
    pub protocol: Protocol,
    /// As the lines name this node.
    pub node: String,
    /// Where it is kept what was delivered.
    pub directory: PathBuf,
    /// Read for each request, so that a new token counts at once.
    pub bearer_token_file: Option<PathBuf>,
    /// `Name: value` in each line; read for each request too.
    pub headers_file: Option<PathBuf>,
    /// The authority of the receiver's certificate, in PEM; needed for `https://`.
    pub ca_file: Option<PathBuf>,
    /// Whether OTLP is compressed; Loki's requests always are, in their own way.
    pub gzip: bool,
    pub pace: Pace,
}

/// How often things are done.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// What is written waits so long for more, to go in one request.
    pub linger: Duration,
    /// Positions are written no more often: a kill costs so much that is sent twice.
    pub save_every: Duration,
    pub retry_first: Duration,
    pub retry_most: Duration,
}

impl Default for Pace {
    fn default() -> Pace {
        Pace {
            linger: Duration::from_secs(1),
            save_every: Duration::from_secs(2),
            retry_first: Duration::from_millis(500),
            retry_most: Duration::from_secs(30),
        }
    }
}

/// Why nothing is exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error(transparent)]
    Target(#[from] TargetError),
    #[error(transparent)]
    Reader(#[from] ReaderError),
    #[error("opening the list of what was delivered: {0}")]
    Ledger(io::Error),
    #[error("logs are exported to one receiver only")]
    Twice,
}

/// Positions are written with no more bytes a second than this: they are as many as containers that have logs.
const SAVED_BYTES_PER_MILLISECOND: usize = 100;

/// An export under way. Dropping it ends it; what was delivered last is then sent again.
pub struct Export {
    ledger: Arc<Ledger>,
    task: JoinHandle<()>,
}

impl Export {
    /// Begins where an earlier process ended.
    ///
    /// # Errors
    /// The options are wrong, or the files cannot be read.
    pub fn start(archive: Arc<Archive>, options: Options) -> Result<Export, ExportError> {
        let pace = options.pace;
        let ledger = Arc::new(Ledger::open(&options.directory).map_err(ExportError::Ledger)?);
        let target = Target::new(options)?;
        archive.export_to(ledger.clone()).then_some(()).ok_or(ExportError::Twice)?;
        let reader = Reader::new(archive, ledger.clone())?;
        let own = Run { ledger: ledger.clone(), target, pace, saved: Instant::now(), saved_bytes: 0 };
        Ok(Export { ledger, task: tokio::spawn(Box::pin(own.go_on(reader))) })
    }
}

impl Export {
    /// Ends it, and writes down what was delivered.
    pub async fn end(self) {
        self.task.abort();
        let ledger = self.ledger.clone();
        drop(self);
        written(tokio::task::spawn_blocking(move || ledger.save()).await);
    }
}

impl Drop for Export {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Run {
    ledger: Arc<Ledger>,
    target: Target,
    pace: Pace,
    saved: Instant,
    saved_bytes: usize,
}

impl Run {
    async fn go_on(mut self, mut reader: Reader) {
        let wake = reader.wake();
        loop {
            let looked = tokio::task::spawn_blocking(move || {
                let batch = reader.next_batch();
                (reader, batch)
            });
            let batch;
            (reader, batch) = match looked.await {
                Ok(looked) => looked,
                Err(error) => return tracing::error!(%error, "logs are exported no more"),
            };
            match batch {
                Ok(batch) if batch.is_empty() => self.rest(wake.notified()).await,
                Ok(batch) => self.deliver(batch).await,
                Err(error) => {
                    tracing::warn!(%error, "logs are not exported for now");
                    tokio::time::sleep(self.pace.retry_most).await;
                }
            }
        }
    }

    /// Waits for something to happen, and for more of it.
    async fn rest(&mut self, something: impl Future<Output = ()>) {
        let mut something = std::pin::pin!(something);
        if self.ledger.is_changed() {
            let due = self.save_pause().saturating_sub(self.saved.elapsed());
            tokio::select! {
                () = &mut something => return tokio::time::sleep(self.pace.linger).await,
                () = tokio::time::sleep(due) => self.save().await,
            }
        }
        something.await;
        tokio::time::sleep(self.pace.linger).await;
    }

    async fn deliver(&mut self, mut batch: Batch) {
        let finished = std::mem::take(&mut batch.finished);
        let mut pages = VecDeque::from(batch.into_pages());
        while let Some(page) = pages.pop_front() {
            if let Some([first, second]) = self.deliver_page(page).await {
                pages.push_front(second);
                pages.push_front(first);
            }
            if self.saved.elapsed() >= self.save_pause() {
                self.save().await;
            }
        }
        self.ledger.finish(finished);
    }

    /// Returns when the receiver has taken it, or refused it for good; answers the halves of what is too large.
    async fn deliver_page(&self, page: Page) -> Option<[Page; 2]> {
        let (lines, positions, counters) = (page.len() as u64, page.positions(), &self.ledger.counters);
        let (refused, why) = match self.until_decided(&page).await {
            Outcome::Taken(refused, why) => (refused.min(lines), why),
            Outcome::TooLarge(why) => match page.halves() {
                Some(halves) => return Some(halves),
                None => (lines, why),
            },
            Outcome::Refused(why) | Outcome::Later(why, _) => (lines, why),
        };
        counters.sent.fetch_add(lines - refused, Ordering::Relaxed);
        if refused > 0 {
            let total = counters.refused.fetch_add(refused, Ordering::Relaxed) + refused;
            tracing::error!(why, refused, total, "the receiver refuses lines of logs, which are passed over");
        }
        self.ledger.advance(positions);
        None
    }

    async fn until_decided(&self, page: &Page) -> Outcome {
        let body = match self.target.body(page) {
            Ok(body) => body,
            Err(why) => return Outcome::Refused(why),
        };
        let (mut wait, mut said) = (self.pace.retry_first, false);
        loop {
            let (why, named) = match self.target.send(body.clone()).await {
                Outcome::Later(why, named) => (why, named),
                decided => {
                    if said {
                        tracing::info!(url = %self.target.url(), "the receiver of logs answers again");
                    }
                    return decided;
                }
            };
            self.ledger.counters.retries.fetch_add(1, Ordering::Relaxed);
            if !std::mem::replace(&mut said, true) {
                tracing::warn!(url = %self.target.url(), why, "the receiver does not take logs; it is asked again");
            }
            tokio::time::sleep(named.map_or_else(|| spread(wait), |named| named.min(RETRY_AFTER_MOST))).await;
            wait = (wait * 2).min(self.pace.retry_most);
        }
    }

    fn save_pause(&self) -> Duration {
        let pause = Duration::from_millis((self.saved_bytes / SAVED_BYTES_PER_MILLISECOND) as u64);
        pause.max(self.pace.save_every)
    }

    async fn save(&mut self) {
        let ledger = self.ledger.clone();
        self.saved_bytes = written(tokio::task::spawn_blocking(move || ledger.save()).await);
        self.saved = Instant::now();
    }
}

fn written(saved: Result<io::Result<usize>, JoinError>) -> usize {
    match saved {
        Ok(Ok(bytes)) => return bytes,
        Ok(Err(error)) => tracing::error!(%error, "what was delivered is not written down; it is tried again"),
        Err(error) => tracing::error!(%error, "what was delivered is not written down"),
    }
    0
}

/// Between a half and the whole, so that nodes do not come back all at once.
fn spread(wait: Duration) -> Duration {
    let random = std::hash::RandomState::new().build_hasher().finish();
    wait / 2 + wait.mul_f64((random >> 11) as f64 / (1_u64 << 53) as f64 / 2.0)
}

#[cfg(test)]
mod receiver;
#[cfg(test)]
mod tests;
