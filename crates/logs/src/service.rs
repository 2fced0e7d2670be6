//! Answers searches of a node's logs as streams of JSON lines.
//!
//! Bounds: [`SEARCHES_MAX`] searches are under way and [`FOLLOWS_MAX`] readers follow; more are refused. Of those under way
//! [`SCANS_MAX`] read at one time, in turns of [`SLICE`]. Invariants: a search that waits for its reader keeps nobody from
//! reading; one whose reader is gone ends at its next block; one whose reader takes nothing for [`PATIENCE`] ends too, and
//! says so in its last words.

use crate::archive::Archive;
use crate::follow::Follower;
use crate::query::{Filter, QueryError};
use crate::request::Request;
use crate::search::{Entry, Search, Step};
use crate::watcher::Watcher;
use crate::wire;
use bytes::Bytes;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// Each may hold lines in memory and files open.
const SEARCHES_MAX: usize = 32;
/// Each takes a core while it reads.
const SCANS_MAX: usize = 4;
const FOLLOWS_MAX: usize = 256;
/// What was found waits for more no longer than this, and another search for its turn not much longer.
const SLICE: Duration = Duration::from_millis(100);
const CHUNKS: usize = 4;
const CHUNK_BYTES: usize = 64 << 10;
const PATIENCE: Duration = Duration::from_secs(300);

/// After so much silence an empty line is sent.
const SIGN_OF_LIFE: Duration = Duration::from_secs(10);

/// A node's searches.
pub struct Service {
    archive: Arc<Archive>,
    watcher: Arc<Watcher>,
    node: Arc<str>,
    searches: Arc<Semaphore>,
    scans: Arc<Semaphore>,
    follows: Arc<Semaphore>,
    patience: Duration,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error(transparent)]
    Query(#[from] QueryError),
    #[error("{SEARCHES_MAX} searches of this node's logs are under way already")]
    Busy,
    #[error("{FOLLOWS_MAX} readers follow this node's logs already")]
    TooMany,
}

/// What is told next.
struct Page {
    node: Arc<str>,
    bytes: Vec<u8>,
}

impl Page {
    fn line(&mut self, entry: &Entry<'_>) {
        if let Err(error) = wire::write(&mut self.bytes, &self.node, entry) {
            tracing::error!(%error, "a log line was not encoded");
        }
    }

    fn warn(&mut self, warning: &str) {
        if let Err(error) = wire::write_warning(&mut self.bytes, &format!("node {}: {warning}", self.node)) {
            tracing::error!(%error, "a warning was not encoded");
        }
    }

    /// Searches for one turn; answers whether that was all.
    fn scan(&mut self, search: &mut Search, sink: &mpsc::Sender<Bytes>) -> bool {
        let begun = Instant::now();
        let mut go_on = || begun.elapsed() < SLICE && !sink.is_closed();
        while self.bytes.len() < CHUNK_BYTES {
            match search.step(&mut go_on) {
                Step::Line(entry) => self.line(&entry),
                Step::Paused => return false,
                Step::End => return true,
            }
        }
        false
    }
}

/// Where the reader takes it.
struct Output {
    page: Page,
    sink: mpsc::Sender<Bytes>,
    /// Room that is kept for the last words to a reader that does not read.
    last_words: Option<mpsc::OwnedPermit<Bytes>>,
    patience: Duration,
    said: Instant,
}

/// There is nobody to tell more.
#[derive(Debug)]
struct Gone;

impl Output {
    /// What is to be told, to be added to elsewhere and brought back.
    fn take_page(&mut self) -> Page {
        Page { node: self.page.node.clone(), bytes: std::mem::take(&mut self.page.bytes) }
    }

    async fn flush(&mut self) -> Result<(), Gone> {
        if self.page.bytes.is_empty() {
            if self.said.elapsed() >= SIGN_OF_LIFE {
                self.say_nothing();
            }
            return if self.sink.is_closed() { Err(Gone) } else { Ok(()) };
        }
        let chunk = std::mem::take(&mut self.page.bytes).into();
        self.said = Instant::now();
        match self.sink.send_timeout(chunk, self.patience).await {
            Ok(()) => Ok(()),
            Err(mpsc::error::SendTimeoutError::Closed(_)) => Err(Gone),
            Err(mpsc::error::SendTimeoutError::Timeout(_)) => {
                self.page.warn(&format!("nothing was read for {} s: the search was given up", self.patience.as_secs()));
                if let Some(room) = self.last_words.take() {
                    room.send(std::mem::take(&mut self.page.bytes).into());
                }
                Err(Gone)
            }
        }
    }

    /// A reader that is behind needs no sign of life.
    fn say_nothing(&mut self) {
        self.said = Instant::now();
        if self.sink.try_send(Bytes::from_static(b"\n")).is_err() {
            tracing::trace!("a reader of logs is behind, or gone");
        }
    }

    /// Waits for something; meanwhile the reader is told that there is still somebody.
    async fn while_alive<T>(&mut self, something: impl Future<Output = T>) -> Result<T, Gone> {
        let mut something = std::pin::pin!(something);
        let sink = self.sink.clone();
        loop {
            tokio::select! {
                done = &mut something => return Ok(done),
                () = sink.closed() => return Err(Gone),
                () = tokio::time::sleep(SIGN_OF_LIFE) => self.say_nothing(),
            }
        }
    }
}

impl Service {
    pub fn new(archive: Arc<Archive>, watcher: Arc<Watcher>, node: &str) -> Service {
        Service {
            archive,
            watcher,
            node: node.into(),
            searches: Arc::new(Semaphore::new(SEARCHES_MAX)),
            scans: Arc::new(Semaphore::new(SCANS_MAX)),
            follows: Arc::new(Semaphore::new(FOLLOWS_MAX)),
            patience: PATIENCE,
        }
    }

    /// Begins a search. Its lines come through the channel, which ends when all are told.
    ///
    /// # Errors
    /// What is asked for cannot be searched for, or too many ask.
    pub fn answer(&self, request: Request) -> Result<mpsc::Receiver<Bytes>, Refusal> {
        let filter = Filter::new(request.query)?;
        let follow = match request.follow {
            true => Some(self.follows.clone().try_acquire_owned().map_err(|_| Refusal::TooMany)?),
            false => None,
        };
        let under_way = self.searches.clone().try_acquire_owned().map_err(|_| Refusal::Busy)?;
        let (sink, chunks) = mpsc::channel(CHUNKS + 1);
        let output = Output {
            page: Page { node: self.node.clone(), bytes: Vec::new() },
            last_words: sink.clone().try_reserve_owned().ok(),
            sink,
            patience: self.patience,
            said: Instant::now(),
        };
        let run = Run {
            archive: self.archive.clone(),
            watcher: self.watcher.clone(),
            scans: self.scans.clone(),
            filter,
            follow: follow.is_some(),
        };
        tokio::spawn(async move {
            if let Err(Gone) = Box::pin(run.tell(output, under_way)).await {
                tracing::debug!("a reader of logs went away");
            }
            drop(follow);
        });
        Ok(chunks)
    }
}

struct Run {
    archive: Arc<Archive>,
    watcher: Arc<Watcher>,
    scans: Arc<Semaphore>,
    filter: Filter,
    follow: bool,
}

impl Run {
    async fn tell(self, mut output: Output, under_way: OwnedSemaphorePermit) -> Result<(), Gone> {
        let (archive, watcher, filter, follow) = (self.archive, self.watcher, self.filter, self.follow);
        let scans = self.scans;
        let begun = in_turn(&scans, &mut output, move || match follow {
            true => Follower::begin(&archive, &watcher, filter).map(|(search, own)| (search, Some(own))),
            false => Search::new(&archive, filter).map(|search| (search, None)),
        });
        let (search, follower) = match begun.await? {
            Ok(begun) => begun,
            Err(error) => {
                tracing::warn!(%error, "a search of logs did not begin");
                output.page.warn(&error.to_string());
                return output.flush().await;
            }
        };
        let Some(follower) = past(&scans, search, follower, &mut output).await? else { return Ok(()) };
        drop(under_way);
        live(follower, output).await
    }
}

/// Does something when it has its turn, where it may block.
async fn in_turn<T: Send + 'static>(
    scans: &Arc<Semaphore>,
    output: &mut Output,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Gone> {
    let turn = output.while_alive(scans.clone().acquire_owned()).await?;
    let work = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        work()
    });
    match output.while_alive(work).await? {
        Ok(done) => Ok(done),
        Err(error) => {
            tracing::error!(%error, "a search of logs was not finished");
            output.page.warn("the search was not finished");
            output.flush().await.and(Err(Gone))
        }
    }
}

/// Tells what there is; the follower goes on from there.
async fn past(
    scans: &Arc<Semaphore>,
    mut search: Search,
    follower: Option<Follower>,
    output: &mut Output,
) -> Result<Option<Follower>, Gone> {
    loop {
        let (mut page, sink) = (output.take_page(), output.sink.clone());
        let is_all;
        (search, output.page, is_all) = in_turn(scans, output, move || {
            let is_all = page.scan(&mut search, &sink);
            (search, page, is_all)
        })
        .await?;
        if is_all {
            search.take_warnings().iter().for_each(|warning| output.page.warn(warning));
            if follower.is_some() {
                output.page.bytes.extend_from_slice(wire::LIVE);
            }
        }
        output.flush().await?;
        if is_all {
            return Ok(follower);
        }
    }
}

/// Tells what comes, until nobody listens.
async fn live(mut follower: Follower, mut output: Output) -> Result<(), Gone> {
    let wake = follower.wake();
    loop {
        let mut page = output.take_page();
        let look = tokio::task::spawn_blocking(move || {
            let taken = follower.take(|entry| page.line(&entry));
            (follower, page, taken)
        });
        let taken;
        (follower, output.page, taken) = look.await.map_err(|error| {
            tracing::error!(%error, "a reader of logs was not told more");
            Gone
        })?;
        if let Err(error) = taken {
            tracing::warn!(%error, "logs were not followed to their end");
            output.page.warn(&error.to_string());
            return output.flush().await;
        }
        output.flush().await?;
        output.while_alive(wake.notified()).await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::Query;
    use crate::test_node::Node;

    async fn text_of(mut chunks: mpsc::Receiver<Bytes>) -> String {
        let mut all = Vec::new();
        while let Some(chunk) = chunks.recv().await {
            all.extend_from_slice(&chunk);
        }
        String::from_utf8(all).unwrap()
    }

    fn service(node: &Node) -> Service {
        Service::new(Arc::new(node.archive()), Arc::new(Watcher::start().unwrap()), "n1")
    }

    #[tokio::test]
    async fn searches_are_answered_to_their_end() {
        let node = Node::new();
        let texts: Vec<String> = (0..5000).map(|number| format!("line {number}")).collect();
        let lines: Vec<(i64, &str)> = texts.iter().map(|text| (1, text.as_str())).collect();
        node.pod("a", "web-1").say("c", 0, &lines);
        let service = service(&node);
        let answer = text_of(service.answer(Request::default()).unwrap()).await;
        assert_eq!(answer.lines().count(), 5000);
        let last: wire::Message<'_> = serde_json::from_str(answer.lines().last().unwrap()).unwrap();
        assert!(matches!(last, wire::Message::Line(line) if line.line == "line 4999" && line.node == "n1"));
    }

    #[tokio::test]
    async fn who_follows_is_told_where_the_present_begins() {
        let node = Node::new();
        let pod = node.pod("a", "web-1");
        pod.say("c", 0, &[(1, "before")]);
        let service = service(&node);
        let mut chunks = service.answer(Request { follow: true, ..Request::default() }).unwrap();
        let past = chunks.recv().await.unwrap();
        assert!(past.ends_with(wire::LIVE) && past.windows(6).any(|part| part == b"before"));
        pod.say("c", 0, &[(2, "after")]);
        let now = chunks.recv().await.unwrap();
        assert!(now.windows(5).any(|part| part == b"after"));
        drop(chunks);
        // The place is free again once the reader's absence was noticed.
        let freed = service.follows.clone().acquire_many_owned(FOLLOWS_MAX as u32).await;
        assert!(freed.is_ok());
        let refused = service.answer(Request { follow: true, ..Request::default() });
        assert!(matches!(refused, Err(Refusal::TooMany)));
    }

    /// As many unread answers as may be under way at all, less one: each more than its reader has room for.
    #[tokio::test]
    async fn readers_that_do_not_read_keep_nobody_from_searching() {
        let node = Node::new();
        let text = "x".repeat(1000);
        let lines: Vec<(i64, &str)> = (0..2000).map(|second| (second, text.as_str())).collect();
        node.pod("a", "web-1").say("c", 0, &lines);
        let service = service(&node);
        let mut unread: Vec<_> = (1..SEARCHES_MAX).map(|_| service.answer(Request::default()).unwrap()).collect();
        let read = async { text_of(service.answer(Request::default()).unwrap()).await.lines().count() };
        assert_eq!(tokio::time::timeout(Duration::from_secs(60), read).await, Ok(2000));
        // The place is free when the answer has been read; one more than there are is refused.
        let last = service.searches.clone().acquire_owned().await.unwrap();
        assert!(matches!(service.answer(Request::default()), Err(Refusal::Busy)));
        drop(last);
        // What waited is all there for who reads on.
        assert_eq!(text_of(unread.pop().unwrap()).await.lines().count(), 2000);
        drop(unread);
        let all = service.searches.clone().acquire_many_owned(SEARCHES_MAX as u32);
        assert!(tokio::time::timeout(Duration::from_secs(60), all).await.is_ok(), "places of who went are free");
    }

    #[tokio::test]
    async fn a_reader_that_takes_nothing_is_told_so_in_the_end() {
        let node = Node::new();
        let text = "x".repeat(1000);
        node.pod("a", "web-1").say("c", 0, &vec![(1, text.as_str()); 2000]);
        let service = Service { patience: Duration::from_millis(50), ..service(&node) };
        let answer = service.answer(Request::default()).unwrap();
        let all = service.searches.clone().acquire_many_owned(SEARCHES_MAX as u32);
        assert!(tokio::time::timeout(Duration::from_secs(60), all).await.is_ok(), "it is given up");
        let told = text_of(answer).await;
        let last = told.lines().last().unwrap();
        assert!(told.lines().count() < 2000 && last.contains("the search was given up"), "{last}");
    }

    #[test]
    fn a_search_for_nobody_stops_at_the_next_block() {
        let node = Node::new();
        let text = "x".repeat(1000);
        node.pod("a", "web-1").say("c", 0, &vec![(1, text.as_str()); 2000]);
        let query = Query { patterns: vec!["nowhere".into()], ..Query::default() };
        let mut search = Search::new(&node.archive(), Filter::new(query).unwrap()).unwrap();
        let (sink, chunks) = mpsc::channel(1);
        let mut page = Page { node: "n1".into(), bytes: Vec::new() };
        drop(chunks);
        for _ in 0..10 {
            assert!(!page.scan(&mut search, &sink), "it neither reads on nor says that it is done");
        }
    }

    #[tokio::test]
    async fn a_wrong_pattern_is_refused() {
        let node = Node::new();
        let query = Query { patterns: vec!["(".into()], ..Query::default() };
        assert!(matches!(service(&node).answer(Request { query, follow: false }), Err(Refusal::Query(_))));
    }
}
