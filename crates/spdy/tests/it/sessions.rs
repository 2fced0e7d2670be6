//! A client's and a server's end, joined.

use bytes::{Bytes, BytesMut};
use spdy::{Decoder, Encoder, Frame, Headers, Incoming, OpenError, Session, Status, limits};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

fn pair() -> (Session, Incoming) {
    let (one, other) = tokio::io::duplex(8 << 10);
    (Session::client(one), Session::server(other))
}

fn headers(kind: &str) -> Headers {
    Headers::of(&[("streamType", kind)])
}

#[tokio::test]
async fn streams_carry_bytes_both_ways_and_half_close() {
    let (client, mut server) = pair();
    let echo = tokio::spawn(async move {
        while let Some(stream) = server.next().await {
            tokio::spawn(async move {
                let kind = stream.headers().get("streamtype").unwrap().to_owned();
                let (mut reader, mut writer) = stream.into_split();
                writer.write_all(kind.as_bytes()).await.unwrap();
                tokio::io::copy(&mut reader, &mut writer).await.unwrap();
                writer.shutdown().await.unwrap();
            });
        }
    });
    let one = |number: usize| {
        let client = client.clone();
        async move {
            let kind = format!("kind-{number}");
            let (mut reader, mut writer) = client.open(headers(&kind)).await.unwrap().into_split();
            let said: Vec<u8> = (0..200_000).map(|at| (at * number) as u8).collect();
            let expected = [kind.as_bytes(), &said].concat();
            let write = async {
                writer.write_all(&said).await.unwrap();
                writer.shutdown().await.unwrap();
            };
            let mut heard = Vec::new();
            let (_, read) = tokio::join!(write, reader.read_to_end(&mut heard));
            read.unwrap();
            assert!(heard == expected, "stream {number}");
        }
    };
    futures::future::join_all((1..20).map(one)).await;
    drop(client);
    echo.await.unwrap();
}

#[tokio::test]
async fn what_was_written_before_the_end_arrives() {
    let (client, mut server) = pair();
    let mut stream = client.open(headers("error")).await.unwrap();
    let mut theirs = server.next().await.unwrap();
    drop(server);
    theirs.write_all(&[b'x'; 100_000]).await.unwrap();
    theirs.shutdown().await.unwrap();
    drop(theirs);
    let mut heard = Vec::new();
    stream.read_to_end(&mut heard).await.unwrap();
    assert_eq!(heard.len(), 100_000);
    assert!(matches!(client.open(headers("late")).await, Err(OpenError::Ended | OpenError::GoneAway)));
}

#[tokio::test]
async fn a_dropped_stream_is_reset() {
    let (client, mut server) = pair();
    let mut stream = client.open(headers("data")).await.unwrap();
    drop(server.next().await.unwrap());
    let error = stream.read(&mut [0; 1]).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    assert_eq!(stream.write(b"x").await.unwrap_err().kind(), std::io::ErrorKind::BrokenPipe);
    // The connection goes on.
    let mut next = client.open(headers("data")).await.unwrap();
    let mut theirs = server.next().await.unwrap();
    theirs.write_all(b"hi").await.unwrap();
    let mut heard = [0; 2];
    next.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"hi");
}

#[tokio::test]
async fn a_stream_that_is_not_read_holds_the_peer_back() {
    let (client, mut server) = pair();
    let mut stream = client.open(headers("data")).await.unwrap();
    let theirs = server.next().await.unwrap();
    let mut written = 0;
    let fill = async {
        loop {
            stream.write_all(&[0; 1000]).await.unwrap();
            written += 1000;
        }
    };
    let filling = tokio::time::timeout(std::time::Duration::from_millis(200), fill);
    assert!(filling.await.is_err());
    assert!(written < limits::INBOX_BYTES_MAX + (1 << 20), "{written} bytes wait");
    // Read or abandoned, it goes on.
    drop(theirs);
    assert_eq!(stream.read(&mut [0; 1]).await.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
}

/// A peer whose frames are written by hand.
struct Scripted {
    io: DuplexStream,
    encoder: Encoder,
    decoder: Decoder,
    bytes: BytesMut,
}

impl Scripted {
    fn new(io: DuplexStream) -> Scripted {
        Scripted { io, encoder: Encoder::default(), decoder: Decoder::default(), bytes: BytesMut::new() }
    }

    async fn send(&mut self, frame: Frame) {
        let mut bytes = BytesMut::new();
        self.encoder.encode(&frame, &mut bytes);
        self.io.write_all(&bytes).await.unwrap();
    }

    async fn hear(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.decoder.decode(&mut self.bytes).unwrap() {
                return Some(frame);
            }
            if self.io.read_buf(&mut self.bytes).await.unwrap() == 0 {
                return None;
            }
        }
    }
}

fn open(id: u32) -> Frame {
    let headers = headers("data");
    Frame::SynStream { id, associated: 0, priority: 0, fin: false, unidirectional: false, headers }
}

#[tokio::test]
async fn a_server_answers_as_the_protocol_has_it() {
    let (io, own) = tokio::io::duplex(1 << 20);
    let mut server = Session::server(own);
    let mut peer = Scripted::new(io);
    peer.send(open(1)).await;
    assert!(matches!(peer.hear().await, Some(Frame::SynReply { id: 1, fin: false, .. })));
    peer.send(Frame::Ping(5)).await;
    assert_eq!(peer.hear().await, Some(Frame::Ping(5)));
    // An answer to a ping of ours is not answered; an id that is not new, or not the client's, is refused.
    peer.send(Frame::Ping(4)).await;
    for id in [1, 2] {
        peer.send(open(id)).await;
        assert_eq!(peer.hear().await, Some(Frame::RstStream { id, status: Status::PROTOCOL_ERROR }));
    }
    // Data for a stream that is not there is passed over: it may be on its way since before a reset.
    peer.send(Frame::Data { id: 99, fin: true, bytes: Bytes::from_static(b"x") }).await;
    let mut stream = server.next().await.unwrap();
    // One who keeps windows is told that they grow.
    peer.send(Frame::Settings(vec![(7, 65_536)])).await;
    peer.send(Frame::Data { id: 1, fin: false, bytes: Bytes::from_static(b"four") }).await;
    assert_eq!(peer.hear().await, Some(Frame::WindowUpdate { id: 1, delta: 4 }));
    assert_eq!(peer.hear().await, Some(Frame::WindowUpdate { id: 0, delta: 4 }));
    let mut heard = [0; 4];
    stream.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"four");
    stream.write_all(b"back").await.unwrap();
    assert_eq!(peer.hear().await, Some(Frame::Data { id: 1, fin: false, bytes: Bytes::from_static(b"back") }));
    stream.shutdown().await.unwrap();
    assert_eq!(peer.hear().await, Some(Frame::Data { id: 1, fin: true, bytes: Bytes::new() }));
    drop((stream, server));
    assert_eq!(peer.hear().await, Some(Frame::GoAway { last_good: 1, status: 0 }));
    assert_eq!(peer.hear().await, None);
}

#[tokio::test]
async fn a_client_waits_for_the_answer() {
    let (io, own) = tokio::io::duplex(1 << 20);
    let client = Session::client(own);
    let mut peer = Scripted::new(io);
    let opening = tokio::spawn({
        let client = client.clone();
        async move { client.open(headers("error")).await.map(drop) }
    });
    assert!(matches!(peer.hear().await, Some(Frame::SynStream { id: 1, .. })));
    peer.send(Frame::RstStream { id: 1, status: Status::REFUSED_STREAM }).await;
    assert!(matches!(opening.await.unwrap(), Err(OpenError::Refused(Status::REFUSED_STREAM))));
    // A server has no business opening streams.
    peer.send(open(2)).await;
    assert_eq!(peer.hear().await, Some(Frame::RstStream { id: 2, status: Status::REFUSED_STREAM }));
    peer.send(Frame::GoAway { last_good: 1, status: 0 }).await;
    peer.send(Frame::Ping(2)).await;
    assert_eq!(peer.hear().await, Some(Frame::Ping(2)));
    assert!(matches!(client.open(headers("data")).await, Err(OpenError::GoneAway)));
}
