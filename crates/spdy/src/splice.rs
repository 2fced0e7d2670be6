//! Joins two connections that speak one protocol, which is none of this code's business.
//!
//! Invariant: what either side sent before it closed reaches the other. A socket that is closed while bytes wait in it
//! is reset, and a reset throws away what its peer has not read yet: so each side is read to its end, even when the
//! other takes nothing any more.

use crate::limits::LINGER;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::Instant;

const COPY_BYTES: usize = 32 << 10;

/// Copies both ways until both have ended, and answers how many bytes went from `a` to `b` and from `b` to `a`.
///
/// No upgraded protocol outlives one direction: when one has ended, the other has [`LINGER`].
pub async fn splice<A, B>(a: A, b: B) -> (u64, u64)
where
    A: AsyncRead + AsyncWrite,
    B: AsyncRead + AsyncWrite,
{
    splice_while_used(a, b, Duration::MAX).await
}

/// As [`splice`]; cuts both ways when neither had a byte for so long.
pub async fn splice_while_used<A, B>(a: A, b: B, idle_max: Duration) -> (u64, u64)
where
    A: AsyncRead + AsyncWrite,
    B: AsyncRead + AsyncWrite,
{
    let passed = Passed { begun: Instant::now(), last_ms: AtomicU64::new(0), up: 0.into(), down: 0.into() };
    tokio::select! {
        () = copy_both(a, b, &passed) => {}
        () = passed.nothing_for(idle_max) => tracing::info!("a stream that nobody used was cut"),
    }
    (passed.up.into_inner(), passed.down.into_inner())
}

/// What went through, and when the last of it did.
struct Passed {
    begun: Instant,
    last_ms: AtomicU64,
    up: AtomicU64,
    down: AtomicU64,
}

impl Passed {
    fn now(&self) {
        // Enough for more years than a stream has.
        self.last_ms.store(self.begun.elapsed().as_millis() as u64, Ordering::Relaxed);
    }

    fn last(&self) -> Instant {
        self.begun + Duration::from_millis(self.last_ms.load(Ordering::Relaxed))
    }

    /// Returns when nothing passed for so long.
    async fn nothing_for(&self, idle_max: Duration) {
        while let Some(end) = self.last().checked_add(idle_max) {
            tokio::time::sleep_until(end).await;
            if self.last().elapsed() >= idle_max {
                return;
            }
        }
        std::future::pending().await
    }
}

async fn copy_both<A, B>(a: A, b: B, passed: &Passed)
where
    A: AsyncRead + AsyncWrite,
    B: AsyncRead + AsyncWrite,
{
    let (a_reader, a_writer) = tokio::io::split(a);
    let (b_reader, b_writer) = tokio::io::split(b);
    let upwards = copy(a_reader, b_writer, &passed.up, passed);
    let downwards = copy(b_reader, a_writer, &passed.down, passed);
    tokio::pin!(upwards, downwards);
    let rest = tokio::select! {
        () = &mut upwards => tokio::time::timeout(LINGER, downwards).await,
        () = &mut downwards => tokio::time::timeout(LINGER, upwards).await,
    };
    if rest.is_err() {
        tracing::debug!("one side of a stream did not leave in time");
    }
}

async fn copy(
    mut reader: impl AsyncRead + Unpin,
    mut writer: impl AsyncWrite + Unpin,
    count: &AtomicU64,
    passed: &Passed,
) {
    let mut buffer = vec![0; COPY_BYTES];
    let mut broken = false;
    loop {
        let read = match reader.read(&mut buffer).await {
            Ok(0) => break,
            Ok(read) => read,
            // Either end may hang up without a goodbye; the protocol inside says whether that was too early.
            Err(error) => {
                tracing::debug!(%error, "a stream was cut");
                break;
            }
        };
        passed.now();
        if broken {
            continue;
        }
        match write(&mut writer, &buffer[..read]).await {
            Ok(()) => drop(count.fetch_add(read as u64, Ordering::Relaxed)),
            Err(error) => {
                tracing::debug!(%error, "one side of a stream takes no more");
                broken = true;
            }
        }
    }
    if let Err(error) = writer.shutdown().await {
        tracing::debug!(%error, "one side of a stream had gone before its end");
    }
}

async fn write(writer: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
    writer.write_all(bytes).await?;
    writer.flush().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_nobody_uses_is_cut() {
        const HOUR: Duration = Duration::from_secs(3600);
        let (mut client, near) = tokio::io::duplex(64);
        let (far, mut server) = tokio::io::duplex(64);
        let spliced = tokio::spawn(splice_while_used(near, far, 4 * HOUR));
        let mut byte = [0];
        for _ in 0..3 {
            tokio::time::sleep(3 * HOUR).await;
            client.write_all(b"x").await.unwrap();
            server.read_exact(&mut byte).await.unwrap();
        }
        let last = Instant::now();
        assert_eq!(server.read(&mut byte).await.unwrap(), 0, "it is cut");
        assert!(last.elapsed() >= 4 * HOUR && last.elapsed() < 5 * HOUR, "{:?}", last.elapsed());
        assert_eq!(spliced.await.unwrap(), (3, 0));
    }
}
