//! Frames read as they were written, however their bytes are cut.

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use spdy::{Decoder, Encoder, Frame, Headers, ProtocolError, Status};

fn headers() -> impl Strategy<Value = Headers> {
    proptest::collection::vec(("[a-z][a-z0-9-]{0,12}", "\\PC{0,40}"), 0..6).prop_map(|pairs| {
        let pairs: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        Headers::of(&pairs)
    })
}

fn frame() -> impl Strategy<Value = Frame> {
    let id = 1_u32..0x8000_0000;
    prop_oneof![
        (id.clone(), 0_u32..0x8000_0000, 0_u8..8, any::<bool>(), any::<bool>(), headers()).prop_map(
            |(id, associated, priority, fin, unidirectional, headers)| Frame::SynStream {
                id,
                associated,
                priority,
                fin,
                unidirectional,
                headers
            }
        ),
        (id.clone(), any::<bool>(), headers()).prop_map(|(id, fin, headers)| Frame::SynReply { id, fin, headers }),
        (id.clone(), any::<bool>(), headers()).prop_map(|(id, fin, headers)| Frame::Headers { id, fin, headers }),
        (id.clone(), any::<u32>()).prop_map(|(id, status)| Frame::RstStream { id, status: Status(status) }),
        proptest::collection::vec((0_u32..0x0100_0000, any::<u32>()), 0..4).prop_map(Frame::Settings),
        any::<u32>().prop_map(Frame::Ping),
        (0_u32..0x8000_0000, any::<u32>()).prop_map(|(last_good, status)| Frame::GoAway { last_good, status }),
        (0_u32..0x8000_0000, 0_u32..0x8000_0000).prop_map(|(id, delta)| Frame::WindowUpdate { id, delta }),
        (id, any::<bool>(), proptest::collection::vec(any::<u8>(), 0..2000)).prop_map(|(id, fin, bytes)| Frame::Data {
            id,
            fin,
            bytes: Bytes::from(bytes)
        }),
    ]
}

/// Pieces of data are joined: where they are cut is nobody's business.
fn joined(frames: Vec<Frame>) -> Vec<Frame> {
    let mut all: Vec<Frame> = Vec::new();
    for frame in frames {
        match (all.last_mut(), frame) {
            (Some(Frame::Data { id, fin, bytes }), Frame::Data { id: next, fin: ends, bytes: more })
                if *id == next && !*fin =>
            {
                *bytes = [&bytes[..], &more].concat().into();
                *fin = ends;
            }
            (_, frame) => all.push(frame),
        }
    }
    all
}

fn decode(decoder: &mut Decoder, bytes: &[u8], cut: usize) -> Result<Vec<Frame>, ProtocolError> {
    let (mut frames, mut buffer) = (Vec::new(), BytesMut::new());
    for chunk in bytes.chunks(cut) {
        buffer.extend_from_slice(chunk);
        while let Some(frame) = decoder.decode(&mut buffer)? {
            frames.push(frame);
        }
    }
    assert!(buffer.is_empty(), "{} bytes were left", buffer.len());
    Ok(frames)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn frames_read_as_they_were_written(frames in proptest::collection::vec(frame(), 1..12), cut in 1_usize..400) {
        let (mut encoder, mut bytes) = (Encoder::default(), BytesMut::new());
        for frame in &frames {
            encoder.encode(frame, &mut bytes);
        }
        let read = decode(&mut Decoder::default(), &bytes, cut).unwrap();
        prop_assert_eq!(joined(read), joined(frames));
    }
}

#[test]
fn long_data_comes_in_pieces() {
    let mut bytes = BytesMut::new();
    let long = Frame::Data { id: 1, fin: true, bytes: Bytes::from(vec![7; 1 << 20]) };
    Encoder::default().encode(&long, &mut bytes);
    let frames = decode(&mut Decoder::default(), &bytes, 10_000).unwrap();
    assert!(frames.len() > 64);
    let fins = frames.iter().filter(|frame| matches!(frame, Frame::Data { fin: true, .. })).count();
    assert_eq!(fins, 1);
    assert!(joined(frames) == [long]);
}

/// Another implementation's compression must be understood, not only our own.
#[test]
fn frames_of_another_implementation_are_understood() {
    // zlib, best compression, with the dictionary, flushed: as `zlib.compressobj` of Python makes it.
    let compressed: &[u8] = &[
        0x78, 0xf9, 0xe3, 0xc6, 0xa7, 0xc2, 0x02, 0xe5, 0x0e, 0x70, 0x3a, 0x2b, 0x29, 0x4a, 0x4d, 0xcc, 0x85, 0x16,
        0x25, 0xac, 0xa9, 0xa0, 0x80, 0x86, 0x14, 0xcb, 0x45, 0xa0, 0x24, 0xcc, 0x64, 0x61, 0x00, 0x00, 0x00, 0x00,
        0xff, 0xff,
    ];
    let mut bytes = vec![0x80, 3, 0, 1, 0, 0, 0, (compressed.len() + 10) as u8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    bytes.extend_from_slice(compressed);
    let frames = decode(&mut Decoder::default(), &bytes, 5).unwrap();
    let Frame::SynStream { id: 1, headers, .. } = &frames[0] else { panic!("{frames:?}") };
    assert_eq!((headers.get("streamtype"), headers.get("port")), (Some("error"), Some("80")));
}

#[test]
fn what_a_peer_must_not_send_is_named() {
    let check = |bytes: &[u8], wanted: ProtocolError| {
        let mut buffer = BytesMut::from(bytes);
        assert_eq!(Decoder::default().decode(&mut buffer).unwrap_err(), wanted, "{bytes:?}");
    };
    check(&[0x80, 2, 0, 1, 0, 0, 0, 0], ProtocolError::Version(2));
    check(&[0, 0, 0, 0, 0, 0, 0, 0], ProtocolError::ZeroStream(0));
    check(&[0x80, 3, 0, 3, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 1], ProtocolError::ZeroStream(3));
    check(&[0x80, 3, 0, 6, 0, 0, 0, 1, 0], ProtocolError::Length { kind: 6, length: 1 });
    check(&[0x80, 3, 0, 4, 0, 0, 0, 4, 0, 0, 0, 9], ProtocolError::Length { kind: 4, length: 4 });
    check(&[0x80, 3, 0, 1, 0, 0xff, 0xff, 0xff], ProtocolError::Length { kind: 1, length: 0x00ff_ffff });
}
