//! Joins two connections that speak one protocol, which is none of this code's business.
//!
//! Invariant: what either side sent before it closed reaches the other. A socket that is closed while bytes wait in it
//! is reset, and a reset throws away what its peer has not read yet: so each side is read to its end, even when the
//! other takes nothing any more.

use crate::limits::LINGER;
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

const COPY_BYTES: usize = 32 << 10;

/// Copies both ways until both have ended, and answers how many bytes went from `a` to `b` and from `b` to `a`.
///
/// No upgraded protocol outlives one direction: when one has ended, the other has [`LINGER`].
pub async fn splice<A, B>(a: A, b: B) -> (u64, u64)
where
    A: AsyncRead + AsyncWrite,
    B: AsyncRead + AsyncWrite,
{
    let (a_reader, a_writer) = tokio::io::split(a);
    let (b_reader, b_writer) = tokio::io::split(b);
    let (mut up, mut down) = (0, 0);
    {
        let upwards = copy(a_reader, b_writer, &mut up);
        let downwards = copy(b_reader, a_writer, &mut down);
        tokio::pin!(upwards, downwards);
        let rest = tokio::select! {
            () = &mut upwards => tokio::time::timeout(LINGER, downwards).await,
            () = &mut downwards => tokio::time::timeout(LINGER, upwards).await,
        };
        if rest.is_err() {
            tracing::debug!("one side of a stream did not leave in time");
        }
    }
    (up, down)
}

async fn copy(mut reader: impl AsyncRead + Unpin, mut writer: impl AsyncWrite + Unpin, count: &mut u64) {
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
        if broken {
            continue;
        }
        match write(&mut writer, &buffer[..read]).await {
            Ok(()) => *count += read as u64,
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
