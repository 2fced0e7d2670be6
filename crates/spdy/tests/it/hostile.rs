//! Junk, whole or as damage to what was good: no panic, no hang, no growth without bound.

use bytes::{Bytes, BytesMut};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use spdy::{Decoder, Encoder, Frame, Headers, Session, Status, limits};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn good(encoder: &mut Encoder, random: &mut StdRng) -> BytesMut {
    let mut bytes = BytesMut::new();
    for id in (1..40_u32).step_by(2) {
        let headers = Headers::of(&[("streamType", "data"), ("port", "8080"), ("requestID", &id.to_string())]);
        let open =
            Frame::SynStream { id, associated: 0, priority: 0, fin: random.random(), unidirectional: false, headers };
        encoder.encode(&open, &mut bytes);
        let data = Bytes::from(vec![id as u8; random.random_range(0..300)]);
        encoder.encode(&Frame::Data { id, fin: random.random(), bytes: data }, &mut bytes);
        encoder.encode(&Frame::Ping(id), &mut bytes);
        encoder.encode(&Frame::Settings(vec![(7, 65_536)]), &mut bytes);
        encoder.encode(&Frame::WindowUpdate { id, delta: 100 }, &mut bytes);
        encoder.encode(&Frame::RstStream { id, status: Status::CANCEL }, &mut bytes);
    }
    bytes
}

#[test]
fn damaged_frames_end_in_an_error_or_in_frames() {
    let mut random = StdRng::seed_from_u64(31);
    for _ in 0..2_000 {
        let mut bytes = good(&mut Encoder::default(), &mut random);
        for _ in 0..random.random_range(1..8) {
            let at = random.random_range(0..bytes.len());
            bytes[at] = random.random();
        }
        let mut decoder = Decoder::default();
        while let Ok(Some(_)) = decoder.decode(&mut bytes) {}
    }
}

#[test]
fn junk_ends_in_an_error_or_in_frames() {
    let mut random = StdRng::seed_from_u64(32);
    for _ in 0..5_000 {
        let mut junk = vec![0; random.random_range(1..400)];
        random.fill(&mut junk[..]);
        // Most junk is data of a nonsensical stream: half of it is made to look like something else.
        if random.random() {
            junk.splice(0..0, [0x80, 3, 0, random.random_range(0..12), 0, 0, 0, random.random()]);
        }
        let (mut bytes, mut decoder) = (BytesMut::from(&junk[..]), Decoder::default());
        while let Ok(Some(_)) = decoder.decode(&mut bytes) {}
    }
}

/// Whole sessions: whatever comes, the server's end is reached.
#[tokio::test]
async fn a_session_survives_any_peer() {
    let mut random = StdRng::seed_from_u64(33);
    for _ in 0..100 {
        let mut bytes = good(&mut Encoder::default(), &mut random);
        let at = random.random_range(0..bytes.len());
        bytes[at] = random.random();
        let (mut peer, own) = tokio::io::duplex(4 << 10);
        let mut incoming = Session::server(own);
        let server = tokio::spawn(async move {
            while let Some(mut stream) = incoming.next().await {
                tokio::spawn(async move {
                    let mut all = Vec::new();
                    // A reset or a lost connection is as good an end.
                    stream.read_to_end(&mut all).await.is_ok()
                });
            }
        });
        let write = async {
            // The server may have hung up on the damage.
            peer.write_all(&bytes).await.is_ok() && peer.shutdown().await.is_ok()
        };
        write.await;
        let mut rest = Vec::new();
        peer.read_to_end(&mut rest).await.unwrap();
        drop(peer);
        server.await.unwrap();
    }
}

/// A peer that asks and never reads the answers is cut off; one that opens streams without end is refused.
#[tokio::test]
async fn what_a_peer_makes_wait_is_bounded() {
    let (peer, own) = tokio::io::duplex(1 << 10);
    let mut incoming = Session::server(own);
    let (mut reader, mut writer) = tokio::io::split(peer);
    let mut pings = BytesMut::new();
    for id in 0..1_000_u32 {
        Encoder::default().encode(&Frame::Ping(2 * id + 1), &mut pings);
    }
    while writer.write_all(&pings).await.is_ok() {}
    assert!(incoming.next().await.is_none());
    let mut rest = Vec::new();
    reader.read_to_end(&mut rest).await.unwrap();

    let (mut peer, own) = tokio::io::duplex(1 << 20);
    let incoming = Session::server(own);
    let (mut encoder, mut bytes) = (Encoder::default(), BytesMut::new());
    let opened = limits::STREAMS_MAX as u32 + 10;
    for id in 0..opened {
        let headers = Headers::of(&[("a", "b")]);
        let frame =
            Frame::SynStream { id: 2 * id + 1, associated: 0, priority: 0, fin: false, unidirectional: false, headers };
        encoder.encode(&frame, &mut bytes);
    }
    peer.write_all(&bytes).await.unwrap();
    let (mut decoder, mut answers, mut replies, mut refused) = (Decoder::default(), BytesMut::new(), 0, 0);
    while replies + refused < opened {
        while let Some(frame) = decoder.decode(&mut answers).unwrap() {
            match frame {
                Frame::SynReply { .. } => replies += 1,
                Frame::RstStream { status: Status::REFUSED_STREAM, .. } => refused += 1,
                other => panic!("{other:?}"),
            }
        }
        assert!(replies + refused >= opened || peer.read_buf(&mut answers).await.unwrap() > 0);
    }
    assert!(replies > 0 && refused >= 10, "{replies} {refused}");
    drop(incoming);
}
