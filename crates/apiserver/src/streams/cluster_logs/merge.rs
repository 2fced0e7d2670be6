//! Merges what nodes find, and goes on with what they write.
//!
//! A node's lines keep their order. Until all nodes have told what was there, the oldest line goes first (or the newest);
//! from then on lines go as they come.

use super::feed::{Feed, LIVE, Said, time_of};
use bytes::Bytes;
use std::collections::VecDeque;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Bytes of lines that go to the client together.
const CHUNK_BYTES: usize = 32 << 10;
/// What `tail` keeps at most.
const TAIL_BYTES_MAX: usize = 64 << 20;

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wanted {
    pub(super) newest_first: bool,
    pub(super) limit: Option<usize>,
    /// The newest lines, told from the oldest of them on.
    pub(super) tail: bool,
}

/// The client is gone.
struct Gone;

pub(super) struct Merge {
    /// Each with the line that comes next.
    heads: Vec<(Bytes, Feed)>,
    /// Those that have told what was there.
    live: Vec<Feed>,
    fresh: Vec<Feed>,
    wanted: Wanted,
    output: Output,
}

struct Output {
    sink: mpsc::Sender<Bytes>,
    buffer: Vec<u8>,
}

impl Output {
    async fn say(&mut self, line: &[u8]) -> Result<(), Gone> {
        self.buffer.extend_from_slice(line);
        if self.buffer.len() >= CHUNK_BYTES { self.flush().await } else { Ok(()) }
    }

    async fn warn(&mut self, warning: &str) -> Result<(), Gone> {
        let line = serde_json::json!({ "warning": warning }).to_string();
        self.say(line.as_bytes()).await?;
        self.say(b"\n").await
    }

    async fn flush(&mut self) -> Result<(), Gone> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        self.sink.send(std::mem::take(&mut self.buffer).into()).await.map_err(|_| Gone)
    }
}

fn lost(node: &str, why: &str) -> String {
    format!("logs of node {node} are missing from here on: {why}")
}

impl Merge {
    pub(super) fn new(feeds: Vec<Feed>, wanted: Wanted, sink: mpsc::Sender<Bytes>) -> Merge {
        let output = Output { sink, buffer: Vec::new() };
        Merge { heads: Vec::new(), live: Vec::new(), fresh: feeds, wanted, output }
    }

    /// Tells everything, or until nobody listens.
    pub(super) async fn run(mut self, warnings: Vec<String>) {
        if self.tell(warnings).await.is_err() {
            tracing::debug!("who asked for logs went away");
        }
    }

    async fn tell(&mut self, warnings: Vec<String>) -> Result<(), Gone> {
        for warning in warnings {
            self.output.warn(&warning).await?;
        }
        for feed in std::mem::take(&mut self.fresh) {
            self.advance(feed).await?;
        }
        if self.wanted.tail {
            self.tail().await?
        } else {
            self.past().await?
        }
        if self.live.is_empty() {
            return self.output.flush().await;
        }
        self.output.say(LIVE).await?;
        self.output.flush().await?;
        self.present().await
    }

    /// Puts a feed where what it says next belongs.
    async fn advance(&mut self, mut feed: Feed) -> Result<(), Gone> {
        loop {
            if !feed.has_more() {
                // It may take a while: what is known should not wait for it.
                self.output.flush().await?;
            }
            match feed.next().await {
                Said::Line(line) => {
                    self.heads.push((line, feed));
                    return Ok(());
                }
                Said::Other(line) => self.output.say(&line).await?,
                Said::Live => {
                    self.live.push(feed);
                    return Ok(());
                }
                Said::End => return Ok(()),
                Said::Lost(why) => return self.output.warn(&lost(&feed.node, &why)).await,
            }
        }
    }

    /// The next line of all nodes.
    async fn next(&mut self) -> Result<Option<Bytes>, Gone> {
        let by_time = self.heads.iter().enumerate().map(|(at, (line, _))| (time_of(line), at));
        let best = if self.wanted.newest_first { by_time.max() } else { by_time.min() };
        let Some((_, at)) = best else { return Ok(None) };
        let (line, feed) = self.heads.swap_remove(at);
        self.advance(feed).await?;
        Ok(Some(line))
    }

    async fn past(&mut self) -> Result<(), Gone> {
        let mut left = self.wanted.limit.unwrap_or(usize::MAX);
        while left > 0 {
            let Some(line) = self.next().await? else { break };
            self.output.say(&line).await?;
            left -= 1;
        }
        self.skip().await
    }

    async fn tail(&mut self) -> Result<(), Gone> {
        let (mut left, mut bytes) = (self.wanted.limit.unwrap_or(0), 0);
        let mut kept = VecDeque::new();
        while left > 0 {
            let Some(line) = self.next().await? else { break };
            bytes += line.len();
            if bytes > TAIL_BYTES_MAX {
                let warning = format!("the last {} lines are all that is kept: they are long", kept.len());
                self.output.warn(&warning).await?;
                break;
            }
            // A copy: a line alone must not hold the chunk that it came in.
            kept.push_front(Bytes::copy_from_slice(&line));
            left -= 1;
        }
        for line in kept {
            self.output.say(&line).await?;
        }
        self.skip().await
    }

    /// Passes over what was found beyond the limit.
    async fn skip(&mut self) -> Result<(), Gone> {
        while self.next().await?.is_some() {}
        Ok(())
    }

    async fn present(&mut self) -> Result<(), Gone> {
        let mut pumps = JoinSet::new();
        for feed in self.live.drain(..) {
            pumps.spawn(Box::pin(pump(feed, self.output.sink.clone())));
        }
        let sink = self.output.sink.clone();
        tokio::select! {
            () = sink.closed() => {}
            () = async { while pumps.join_next().await.is_some() {} } => {}
        }
        Ok(())
    }
}

/// Hands on what one node says.
async fn pump(mut feed: Feed, sink: mpsc::Sender<Bytes>) {
    let mut output = Output { sink, buffer: Vec::new() };
    loop {
        let said = feed.next().await;
        let is_over = matches!(said, Said::End | Said::Lost(_));
        let told = match said {
            Said::Line(line) | Said::Other(line) => output.say(&line).await,
            Said::Live => Ok(()),
            Said::End => output.warn(&lost(&feed.node, "it has ended")).await,
            Said::Lost(why) => output.warn(&lost(&feed.node, &why)).await,
        };
        let flushed = if is_over || !feed.has_more() { output.flush().await } else { Ok(()) };
        if is_over || told.and(flushed).is_err() {
            return;
        }
    }
}
