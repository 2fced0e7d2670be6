//! A command's or container's streams: a WebSocket's channels become SPDY streams at the runtime.
//!
//! Channels: 0 input, 1 output, 2 errors, 3 how it ended, 4 terminal size; 255 closes the channel that it names, where
//! the protocol has that.

use super::Streams;
use super::channels::{Channels, Inbound, Outbound};
use super::upgrade::Coding;
use spdy::{Headers, OpenError, Session, Stream, StreamReader, StreamWriter};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const INPUT: u8 = 0;
const OUTPUT: u8 = 1;
const ERRORS: u8 = 2;
const STATUS: u8 = 3;
const SIZE: u8 = 4;
const CLOSE: u8 = 255;

/// Bytes read from a stream at once.
const CHUNK_BYTES: usize = 16 << 10;
/// Of the words of the end.
const STATUS_BYTES_MAX: u64 = 64 << 10;

/// The runtime's side.
struct Opened {
    error: StreamReader,
    outputs: Vec<(u8, StreamReader)>,
    input: Option<StreamWriter>,
    size: Option<StreamWriter>,
    /// Directions that carry nothing, and end with the rest: ended earlier, they tell some runtimes that all is over.
    _unused: (Vec<StreamReader>, Vec<StreamWriter>),
}

impl Opened {
    async fn open(session: &Session, wanted: Streams) -> Result<Opened, OpenError> {
        let open = async |wanted: bool, kind: &str| -> Result<Option<Stream>, OpenError> {
            if !wanted {
                return Ok(None);
            }
            session.open(Headers::of(&[("streamType", kind)])).await.map(Some)
        };
        let mut unused = (Vec::new(), Vec::new());
        let (error, writer) = session.open(Headers::of(&[("streamType", "error")])).await?.into_split();
        unused.1.push(writer);
        let mut writing = |stream: Option<Stream>| {
            let (reader, writer) = stream?.into_split();
            unused.0.push(reader);
            Some(writer)
        };
        let input = writing(open(wanted.stdin, "stdin").await?);
        let mut outputs = Vec::new();
        for (channel, wanted, kind) in [(OUTPUT, wanted.stdout, "stdout"), (ERRORS, wanted.stderr, "stderr")] {
            if let Some(stream) = open(wanted, kind).await? {
                let (reader, writer) = stream.into_split();
                unused.1.push(writer);
                outputs.push((channel, reader));
            }
        }
        let size = writing(open(wanted.tty, "resize").await?);
        Ok(Opened { error, outputs, input, size, _unused: unused })
    }
}

/// Until the command has ended or the client has left.
pub(super) async fn run(channels: Channels, coding: Coding, session: Session, wanted: Streams) {
    let channels = channels.heard().await;
    let opened = match Opened::open(&session, wanted).await {
        Ok(opened) => opened,
        Err(error) => {
            let text = format!("Internal error occurred: opening the runtime's streams: {error}");
            let status = serde_json::json!({
                "metadata": {}, "status": "Failure", "reason": "InternalError", "message": text, "code": 500,
            });
            let tell = async |out: Outbound| {
                // A client that is gone needs no words.
                out.send(STATUS, &words(coding, status.to_string().into_bytes())).await;
            };
            return channels.run(tell, async |mut inbound: Inbound| while inbound.next().await.is_some() {}).await;
        }
    };
    let Opened { error, outputs, input, size, _unused } = opened;
    channels
        .run(|out| send_output(out, coding, outputs, error), |inbound| take_input(inbound, coding, input, size))
        .await;
}

/// Sends output, and when all of it is sent how it ended.
async fn send_output(out: Outbound, coding: Coding, outputs: Vec<(u8, StreamReader)>, mut error: StreamReader) {
    // As upstream: an empty message on the first channel tells the client that the stream stands.
    let first = outputs.first().map_or(STATUS, |(channel, _)| *channel);
    if out.send(first, &[]).await.is_none() {
        return;
    }
    let copies = outputs.into_iter().map(|(channel, reader)| copy(reader, channel, out.clone()));
    let mut status = Vec::new();
    let ending = async {
        // A runtime may reset the stream behind its last words: what came before counts.
        if let Err(error) = (&mut error).take(STATUS_BYTES_MAX).read_to_end(&mut status).await {
            tracing::debug!(%error, "the runtime's words of the end");
        }
    };
    tokio::join!(futures::future::join_all(copies), ending);
    out.send(STATUS, &words(coding, status)).await;
}

/// A runtime always tells a `Status`; elder protocols have words for a failure, and silence for success.
fn words(coding: Coding, status: Vec<u8>) -> Vec<u8> {
    if coding.status {
        return status;
    }
    let parsed: serde_json::Value = serde_json::from_slice(&status).unwrap_or_default();
    parsed["message"].as_str().unwrap_or_default().as_bytes().to_vec()
}

async fn copy(mut reader: StreamReader, channel: u8, out: Outbound) {
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match reader.read(&mut chunk).await {
            Ok(count) if count > 0 => {
                if out.send(channel, &chunk[..count]).await.is_none() {
                    return;
                }
            }
            Ok(_) => return,
            Err(error) => return tracing::debug!(channel, %error, "the runtime cut an output"),
        }
    }
}

/// Takes the client's messages until it leaves. What the runtime takes no more is thrown away: a command that reads
/// nothing may still write.
async fn take_input(
    mut inbound: Inbound,
    coding: Coding,
    mut input: Option<StreamWriter>,
    mut size: Option<StreamWriter>,
) {
    while let Some((channel, bytes)) = inbound.next().await {
        let to = match channel {
            INPUT => &mut input,
            SIZE => &mut size,
            CLOSE if coding.closes && bytes[..] == [INPUT] => {
                if let Some(input) = &mut input
                    && let Err(error) = input.shutdown().await
                {
                    tracing::debug!(%error, "input ended before its end");
                }
                continue;
            }
            _ => continue,
        };
        if let Some(writer) = to
            && let Err(error) = writer.write_all(&bytes).await
        {
            tracing::debug!(channel, %error, "input refused");
            *to = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elder_protocols_are_told_in_words() {
        let check = |status: bool, told: &str| {
            let words = words(Coding { text: false, closes: false, status }, told.as_bytes().to_vec());
            String::from_utf8(words).unwrap()
        };
        assert_eq!(check(false, r#"{"status":"Success"}"#), "");
        assert_eq!(check(false, r#"{"status":"Failure","message":"it failed"}"#), "it failed");
        assert_eq!(check(true, r#"{"status":"Success"}"#), r#"{"status":"Success"}"#);
    }
}
