//! The server's side: what nodes send is held (the latest), kept (the history) and answered.
//!
//! Bounds: `RECORDS_MAX` samples wait to be written; those that come when they do are not kept, and the log says so;
//! `QUESTIONS_MAX` questions are answered at one time, and `WAITING_MAX` more wait; each has a deadline, which counts from
//! when it was asked. A question counts until its thread is done, whether or not somebody still waits for the answer;
//! when nobody does, the thread soon ends.

mod latest;

pub use latest::{ContainerUse, Latest, NodeUse, PodUse};

use crate::history::History;
use crate::promql::Allowance;
use crate::query::{self, Sight};
use crate::remote_write;
use crate::sample::NodeSample;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, OnceLock};
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout_at;

const RECORDS_MAX: usize = 1024;
const QUESTIONS_MAX: usize = 2;
const WAITING_MAX: usize = 64;
/// An expression may be nested some hundred deep. Only what is used of it costs memory.
const QUESTION_STACK_BYTES: usize = 32 << 20;

pub struct Options {
    /// The history's file; folders above it are made.
    pub history: PathBuf,
    pub history_bytes_max: u64,
    /// Where all of it is sent too.
    pub remote_write: Option<remote_write::Options>,
}

/// Why it does not begin.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("starting the history's thread: {0}")]
    Thread(#[from] io::Error),
    #[error("sending what nodes measure to another store: {0}")]
    RemoteWrite(#[from] remote_write::RemoteWriteError),
}

/// What the server knows of the cluster's use.
pub struct Insight {
    pub latest: Latest,
    history: Arc<OnceLock<History>>,
    records: SyncSender<Arc<NodeSample>>,
    /// Samples are not being kept, and it has been said.
    overrun: AtomicBool,
    remote: Option<remote_write::Queue>,
    /// As `overrun`, of what is sent.
    remote_overrun: AtomicBool,
    questions: Arc<Semaphore>,
    asking: Arc<AtomicUsize>,
}

impl Insight {
    /// Begins: the history is opened on a thread of its own, which then writes it.
    pub fn start(mut options: Options) -> Result<Arc<Insight>, StartError> {
        let remote = options.remote_write.take().map(remote_write::start).transpose()?;
        let (records, recorded) = sync_channel(RECORDS_MAX);
        let history = Arc::new(OnceLock::new());
        let opened = history.clone();
        let writer = std::thread::Builder::new().name("history".to_owned());
        writer.spawn(move || write(&options, &opened, &recorded))?;
        Ok(Arc::new(Insight {
            latest: Latest::default(),
            history,
            records,
            overrun: AtomicBool::new(false),
            remote,
            remote_overrun: AtomicBool::new(false),
            questions: Arc::new(Semaphore::new(QUESTIONS_MAX)),
            asking: Arc::default(),
        }))
    }

    /// Takes over what a node measured.
    pub fn take(&self, sample: NodeSample, now_ms: i64) {
        let sample = Arc::new(sample);
        let kept = self.records.try_send(sample.clone());
        let failed = kept.is_err();
        if self.overrun.swap(failed, Ordering::Relaxed) != failed {
            match kept {
                Ok(()) => tracing::info!("what nodes measure is kept again"),
                Err(TrySendError::Full(_)) => tracing::warn!("the disk is too slow to keep what nodes measure"),
                Err(TrySendError::Disconnected(_)) => tracing::warn!("there is no history to keep what nodes measure"),
            }
        }
        if let Some(remote) = &self.remote {
            let full = remote.try_send(sample.clone()).is_err();
            if full && !self.remote_overrun.swap(full, Ordering::Relaxed) {
                tracing::warn!("the store is too slow: not all that nodes measure is sent to it");
            }
            self.remote_overrun.store(full, Ordering::Relaxed);
        }
        self.latest.take(sample, now_ms);
    }

    /// Answers a question in Prometheus' HTTP API: the HTTP status, and the JSON.
    pub async fn ask(
        self: &Arc<Self>,
        path: String,
        parameters: Vec<(String, String)>,
        sight: Sight,
        now_ms: i64,
    ) -> (u16, Vec<u8>) {
        let deadline = match query::deadline(&parameters) {
            Ok(deadline) => deadline,
            Err(answered) => return answered,
        };
        let Some(asking) = Asking::begin(&self.asking) else {
            return query::unavailable("too many questions are waiting");
        };
        let permit = match timeout_at(deadline.into(), self.questions.clone().acquire_owned()).await {
            Ok(Ok(permit)) => permit,
            Ok(Err(_)) => return query::unavailable("the server ends"),
            Err(_) => return query::waited_too_long(),
        };
        let history = self.history.clone();
        let (reply, answer) = oneshot::channel();
        let work = move || {
            let abandoned = || reply.is_closed();
            let allowance = Allowance::new(deadline, &abandoned);
            let answered = match history.get() {
                Some(history) => query::answer(history, &path, &parameters, &sight, now_ms, &allowance),
                None => query::unavailable("the history is being read, or cannot be: the server's log says which"),
            };
            // Not before the work is done, and before its asker can ask again.
            drop((permit, asking));
            if reply.send(answered).is_err() {
                tracing::debug!("who asked has gone");
            }
        };
        let thread = std::thread::Builder::new().name("question".to_owned()).stack_size(QUESTION_STACK_BYTES);
        match thread.spawn(work) {
            Ok(_) => answer.await.unwrap_or_else(|_| query::unavailable("the question could not be answered")),
            Err(error) => query::unavailable(&format!("starting a thread: {error}")),
        }
    }

    /// The history, once it is open.
    pub fn history(&self) -> Option<&History> {
        self.history.get()
    }
}

/// Counts a question until it is dropped.
struct Asking(Arc<AtomicUsize>);

impl Asking {
    /// `None` where there are as many as there may be.
    fn begin(asking: &Arc<AtomicUsize>) -> Option<Asking> {
        let own = Asking(asking.clone());
        (asking.fetch_add(1, Ordering::Relaxed) < QUESTIONS_MAX + WAITING_MAX).then_some(own)
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Writes each sample until the server ends.
fn write(options: &Options, opened: &OnceLock<History>, records: &Receiver<Arc<NodeSample>>) {
    let history = match History::open(&options.history, options.history_bytes_max) {
        Ok(history) => opened.get_or_init(|| history),
        Err(error) => return tracing::error!(%error, "what nodes measure is not kept"),
    };
    let mut failing = false;
    while let Ok(sample) = records.recv() {
        let written = history.record(&sample);
        match &written {
            Err(error) if !failing => tracing::error!(%error, "what nodes measure is not kept"),
            _ => {}
        }
        failing = written.is_err();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(time_ms: i64) -> NodeSample {
        let mut sample = NodeSample { node: "n1".into(), time_ms, ..NodeSample::default() };
        sample.reading.set(crate::Metric::CpuUsage, 1_000_000);
        sample.reading.set(crate::Metric::MemoryWorkingSet, 4096);
        sample
    }

    /// An empty history, open.
    async fn insight(folder: &std::path::Path) -> Arc<Insight> {
        let options = Options { history: folder.join("a/history"), history_bytes_max: 1 << 20, remote_write: None };
        let insight = Insight::start(options).unwrap();
        wait(|| insight.history().is_some(), "the history is open").await;
        insight
    }

    async fn wait(is_so: impl Fn() -> bool, what: &str) {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
        while !is_so() {
            assert!(std::time::Instant::now() < deadline, "it is never so: {what}");
            tokio::task::yield_now().await;
        }
    }

    fn question(more: &[(&str, &str)]) -> Vec<(String, String)> {
        let all = [("query", "node_cpu_usage_seconds_total")].iter().chain(more);
        all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[tokio::test]
    async fn who_goes_does_not_make_room_that_the_work_still_has() {
        let folder = tempfile::tempdir().unwrap();
        let insight = insight(folder.path()).await;
        let held = insight.history().unwrap().hold();
        let mut asked = Box::pin(insight.ask("query".into(), question(&[]), Sight::Everything, 20_000));
        let polled = std::future::poll_fn(|context| std::task::Poll::Ready(asked.as_mut().poll(context))).await;
        assert!(polled.is_pending(), "the thread waits for the history");
        drop(asked);
        assert_eq!(insight.questions.available_permits(), QUESTIONS_MAX - 1);
        assert_eq!(insight.asking.load(Ordering::Relaxed), 1);
        drop(held);
        wait(|| insight.questions.available_permits() == QUESTIONS_MAX, "the thread has ended").await;
        wait(|| insight.asking.load(Ordering::Relaxed) == 0, "nobody asks").await;
    }

    #[tokio::test]
    async fn questions_wait_and_work_no_longer_than_their_timeout() {
        let folder = tempfile::tempdir().unwrap();
        let insight = insight(folder.path()).await;
        let asked = question(&[("timeout", "0")]);
        let ask = || insight.ask("query".into(), asked.clone(), Sight::Everything, 20_000);
        let check = |(code, body): (u16, Vec<u8>), where_: &str| {
            let body = String::from_utf8(body).unwrap();
            assert!(code == 503 && body.contains(&format!("query timed out in {where_}")), "{code} {body}");
        };
        check(ask().await, "expression evaluation");
        let all = insight.questions.clone().acquire_many_owned(u32::try_from(QUESTIONS_MAX).unwrap()).await.unwrap();
        check(ask().await, "query queue");
        drop(all);
    }

    #[tokio::test]
    async fn what_is_taken_is_held_kept_and_answered() {
        let folder = tempfile::tempdir().unwrap();
        let options =
            Options { history: folder.path().join("a/history"), history_bytes_max: 1 << 20, remote_write: None };
        let insight = Insight::start(options).unwrap();
        insight.take(sample(10_000), 10_000);
        insight.take(sample(20_000), 20_000);
        assert_eq!(insight.latest.nodes(20_000).len(), 1);
        let query = vec![("query".to_owned(), "node_cpu_usage_seconds_total".to_owned())];
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
        loop {
            let (code, body) = insight.ask("query".into(), query.clone(), Sight::Everything, 20_000).await;
            let text = String::from_utf8(body).unwrap();
            if code == 200 && text.contains(r#""value":[20,"1"]"#) {
                break;
            }
            assert!(std::time::Instant::now() < deadline, "{code} {text}");
            tokio::task::yield_now().await;
        }
        assert_eq!(insight.asking.load(Ordering::Relaxed), 0);
    }
}
