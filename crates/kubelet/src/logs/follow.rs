//! Streams a container's log: from a point, filtered, and on as it grows.
//!
//! Invariants: no polling; a rotation in the middle loses nothing; memory is one block and one line.

use super::line::Line;
use super::tail::start_of_tail;
use ::logs::Signal;
use bytes::{BufMut, Bytes, BytesMut};
use jiff::Timestamp;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio::sync::mpsc;

/// What a reader asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) follow: bool,
    pub(crate) tail_lines: Option<u64>,
    pub(crate) since: Option<Timestamp>,
    pub(crate) timestamps: bool,
    pub(crate) limit_bytes: Option<u64>,
    /// Only this stream; `Some(true)` is stderr.
    pub(crate) only_stderr: Option<bool>,
}

/// How a follower learns that there is more, or that there will be no more.
pub(crate) struct Growth {
    pub(crate) changed: Arc<Signal>,
    /// Closed or false once the container has ended.
    pub(crate) running: tokio::sync::watch::Receiver<bool>,
}

const BLOCK: usize = 32 << 10;
/// A line longer than this is passed on in pieces; the runtimes cut theirs at 16 KiB.
const LINE_BYTES_MAX: usize = 1 << 20;

/// Sends the log to `sink` until it ends, is long enough, or nobody reads it any more.
pub(crate) async fn stream(
    path: PathBuf,
    wanted: Wanted,
    growth: Option<Growth>,
    sink: mpsc::Sender<Bytes>,
) -> io::Result<()> {
    let (file, start) = open_at_tail(&path, wanted.tail_lines).await?;
    let mut reader = Reader { path, file, pending: BytesMut::new() };
    reader.file.seek(io::SeekFrom::Start(start)).await?;
    let left = wanted.limit_bytes.unwrap_or(u64::MAX);
    let mut output = Output { wanted, left, sink, buffer: BytesMut::new() };
    let mut growth = growth.filter(|_| output.wanted.follow);
    loop {
        // Asked before reading: what is written before the end is noticed is read after it.
        let running = growth.as_ref().is_some_and(|growth| *growth.running.borrow());
        let open = reader.read_to_end(&mut output).await?;
        if !open {
            return Ok(());
        }
        if reader.reopen_if_rotated().await? {
            continue;
        }
        let Some(growth) = growth.as_mut().filter(|_| running) else { return output.finish(&mut reader.pending).await };
        tokio::select! {
            () = growth.changed.notified() => {}
            _ = growth.running.changed() => {}
            () = output.sink.closed() => return Ok(()),
        }
    }
}

async fn open_at_tail(path: &Path, tail_lines: Option<u64>) -> io::Result<(File, u64)> {
    let path = path.to_owned();
    let work = tokio::task::spawn_blocking(move || -> io::Result<(std::fs::File, u64)> {
        let mut file = std::fs::File::open(path)?;
        let start = tail_lines.map_or(Ok(0), |lines| start_of_tail(&mut file, lines))?;
        Ok((file, start))
    });
    let (file, start) = work.await.map_err(io::Error::other)??;
    Ok((File::from_std(file), start))
}

struct Reader {
    path: PathBuf,
    file: File,
    /// The beginning of a line whose end is not there yet.
    pending: BytesMut,
}

impl Reader {
    /// Answers false when nothing more is wanted.
    async fn read_to_end(&mut self, output: &mut Output) -> io::Result<bool> {
        loop {
            self.pending.reserve(BLOCK);
            if self.file.read_buf(&mut self.pending).await? == 0 {
                return output.flush().await;
            }
            while let Some(end) = self.pending.iter().position(|byte| *byte == b'\n') {
                let line = self.pending.split_to(end + 1);
                output.take(&line[..end]);
            }
            if self.pending.len() > LINE_BYTES_MAX {
                let piece = self.pending.split();
                output.take(&piece);
            }
            if !output.flush().await? {
                return Ok(false);
            }
        }
    }

    /// Goes over to the new file when the one that was read to its end has another name by now.
    async fn reopen_if_rotated(&mut self) -> io::Result<bool> {
        let fresh = match File::open(&self.path).await {
            Ok(fresh) => fresh,
            // Between the rename and the runtime's new file; its creation is an event.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        if fresh.metadata().await?.ino() == self.file.metadata().await?.ino() {
            return Ok(false);
        }
        // What was written between the last read and the rename.
        let mut rest = Vec::new();
        self.file.read_to_end(&mut rest).await?;
        self.pending.extend_from_slice(&rest);
        self.file = fresh;
        Ok(true)
    }
}

struct Output {
    wanted: Wanted,
    left: u64,
    sink: mpsc::Sender<Bytes>,
    buffer: BytesMut,
}

impl Output {
    fn take(&mut self, raw: &[u8]) {
        let Some(line) = Line::parse(raw) else { return };
        if self.wanted.only_stderr.is_some_and(|stderr| stderr != line.stderr) {
            return;
        }
        if let Some(since) = self.wanted.since
            && line.timestamp().is_some_and(|time| time < since)
        {
            return;
        }
        if self.wanted.timestamps {
            self.buffer.put_slice(line.time.as_bytes());
            self.buffer.put_u8(b' ');
        }
        self.buffer.put_slice(line.text);
        if !line.partial {
            self.buffer.put_u8(b'\n');
        }
    }

    /// Answers false when enough was sent or nobody listens.
    async fn flush(&mut self) -> io::Result<bool> {
        if self.buffer.is_empty() {
            return Ok(self.left > 0);
        }
        let mut chunk = self.buffer.split();
        chunk.truncate(usize::try_from(self.left).unwrap_or(usize::MAX).min(chunk.len()));
        self.left -= chunk.len() as u64;
        let heard = self.sink.send(chunk.freeze()).await.is_ok();
        Ok(heard && self.left > 0)
    }

    /// The last line may lack its newline.
    async fn finish(&mut self, pending: &mut BytesMut) -> io::Result<()> {
        let rest = pending.split();
        self.take(&rest);
        self.flush().await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::logs::Watcher;
    use std::io::Write;
    use tokio::sync::watch;

    fn entry(second: u32, stream: &str, text: &str) -> String {
        format!("2026-01-01T00:00:{second:02}Z {stream} F {text}\n")
    }

    async fn collect(path: &Path, wanted: Wanted) -> String {
        let (sink, mut chunks) = mpsc::channel(4);
        let reading = tokio::spawn(stream(path.to_owned(), wanted, None, sink));
        let mut all = Vec::new();
        while let Some(chunk) = chunks.recv().await {
            all.extend_from_slice(&chunk);
        }
        reading.await.unwrap().unwrap();
        String::from_utf8(all).unwrap()
    }

    #[tokio::test]
    async fn options_choose_what_is_sent() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("0.log");
        let partial = "2026-01-01T00:00:03Z stdout P par\n";
        let text =
            [entry(1, "stdout", "one"), entry(2, "stderr", "two"), partial.into(), entry(4, "stdout", "tial")].concat();
        std::fs::write(&path, text).unwrap();
        let all = Wanted::default();
        assert_eq!(collect(&path, all.clone()).await, "one\ntwo\npartial\n");
        assert_eq!(collect(&path, Wanted { tail_lines: Some(2), ..all.clone() }).await, "partial\n");
        assert_eq!(collect(&path, Wanted { tail_lines: Some(0), ..all.clone() }).await, "");
        let since = Some("2026-01-01T00:00:02Z".parse().unwrap());
        assert_eq!(collect(&path, Wanted { since, ..all.clone() }).await, "two\npartial\n");
        assert_eq!(collect(&path, Wanted { limit_bytes: Some(5), ..all.clone() }).await, "one\nt");
        assert_eq!(collect(&path, Wanted { only_stderr: Some(true), ..all.clone() }).await, "two\n");
        let stamped = collect(&path, Wanted { timestamps: true, tail_lines: Some(1), ..all }).await;
        assert_eq!(stamped, "2026-01-01T00:00:04Z tial\n");
    }

    #[tokio::test]
    async fn a_follower_hears_everything_across_a_rotation() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("0.log");
        std::fs::write(&path, entry(1, "stdout", "one")).unwrap();
        let watcher = Watcher::start().unwrap();
        let (running, is_running) = watch::channel(true);
        let growth = Growth { changed: watcher.follow(dir.path()).unwrap(), running: is_running };
        let (sink, mut chunks) = mpsc::channel(4);
        let wanted = Wanted { follow: true, ..Wanted::default() };
        let reading = tokio::spawn(stream(path.clone(), wanted, Some(growth), sink));
        assert_eq!(chunks.recv().await.unwrap(), "one\n");
        let mut old = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
        old.write_all(entry(2, "stdout", "two").as_bytes()).unwrap();
        assert_eq!(chunks.recv().await.unwrap(), "two\n");
        std::fs::rename(&path, dir.path().join("0.log.old")).unwrap();
        old.write_all(entry(3, "stdout", "three").as_bytes()).unwrap();
        std::fs::write(&path, entry(4, "stdout", "four")).unwrap();
        let mut rest = String::new();
        while rest.len() < "three\nfour\n".len() {
            rest.push_str(std::str::from_utf8(&chunks.recv().await.unwrap()).unwrap());
        }
        assert_eq!(rest, "three\nfour\n");
        running.send_replace(false);
        assert_eq!(chunks.recv().await, None, "the container has ended, and so has its log");
        reading.await.unwrap().unwrap();
    }
}
