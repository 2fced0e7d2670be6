//! WebSockets that end at the node, before a runtime that speaks SPDY as all runtimes do.

use crate::server::{SERVER, ask, body};
use crate::support::{TestNode, node};
use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use http::{Request, Response, StatusCode};
use http_body_util::{Empty, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use kubelet::Kubelet;
use spdy::{Headers, Session, Stream};
use std::convert::Infallible;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::{Error, Message};

const PATIENCE: Duration = Duration::from_secs(60);

type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// A runtime's streaming server: commands echo their input and end with its length; ports say which they are.
async fn streaming(node: &TestNode) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    *node.runtime.stream_url.lock().unwrap() = format!("http://{}/any/token", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let server = hyper::server::conn::http1::Builder::new();
            tokio::spawn(server.serve_connection(TokioIo::new(stream), service_fn(upgrade)).with_upgrades());
        }
    });
}

async fn upgrade(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let protocol = request.headers()["x-stream-protocol-version"].clone();
    assert_eq!(request.headers()["upgrade"], "SPDY/3.1");
    let ports = protocol == "portforward.k8s.io";
    tokio::spawn(async move {
        let io = TokioIo::new(hyper::upgrade::on(request).await.unwrap());
        if ports { forward(Session::server(io)).await } else { command(Session::server(io)).await }
    });
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert("connection", "Upgrade".parse().unwrap());
    headers.insert("upgrade", "SPDY/3.1".parse().unwrap());
    headers.insert("x-stream-protocol-version", protocol);
    Ok(response)
}

fn kind(stream: &Stream) -> String {
    stream.headers().get("streamtype").unwrap().to_owned()
}

async fn command(mut incoming: spdy::Incoming) {
    let [mut error, mut input, mut output] = [const { None }; 3];
    while error.is_none() || input.is_none() || output.is_none() {
        let stream = incoming.next().await.unwrap();
        match kind(&stream).as_str() {
            "error" => error = Some(stream),
            "stdin" => input = Some(stream),
            "stdout" => output = Some(stream),
            other => panic!("{other}"),
        }
    }
    let (mut error, mut input, mut output): (Stream, Stream, Stream) =
        (error.unwrap(), input.unwrap(), output.unwrap());
    let (mut chunk, mut count) = ([0; 1000], 0);
    // `quit` needs no end of the input.
    loop {
        let read = input.read(&mut chunk).await.unwrap();
        if read == 0 || chunk[..read].starts_with(b"quit") {
            break;
        }
        count += read;
        output.write_all(&chunk[..read]).await.unwrap();
    }
    output.shutdown().await.unwrap();
    let status = format!("{{\"status\":\"Failure\",\"message\":\"{count} bytes\"}}");
    error.write_all(status.as_bytes()).await.unwrap();
    error.shutdown().await.unwrap();
}

async fn forward(mut incoming: spdy::Incoming) {
    while let Some(mut error) = incoming.next().await {
        let mut data = incoming.next().await.unwrap();
        assert_eq!((kind(&error).as_str(), kind(&data).as_str()), ("error", "data"));
        let port = data.headers().get("port").unwrap().to_owned();
        assert_eq!(data.headers().get("requestid"), error.headers().get("requestid"));
        tokio::spawn(async move {
            if port == "81" {
                error.write_all(b"nobody listens on 81").await.unwrap();
            } else {
                let mut said = [0; 4];
                data.read_exact(&mut said).await.unwrap();
                data.write_all(&[port.as_bytes(), b" heard ", &said].concat()).await.unwrap();
            }
            data.shutdown().await.unwrap();
            error.shutdown().await.unwrap();
        });
    }
}

async fn socket(node: &TestNode, kubelet: &Kubelet, path: &str, protocol: &str) -> Result<Socket, (u16, String)> {
    let mut request = Request::get(path)
        .header("host", "node")
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    if !protocol.is_empty() {
        request = request.header("sec-websocket-protocol", protocol);
    }
    let response = ask(node, kubelet, SERVER, request.body(Empty::new()).unwrap()).await;
    if response.status() != 101 {
        return Err((response.status().as_u16(), body(response).await));
    }
    assert_eq!(response.headers()["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert_eq!(response.headers().get("sec-websocket-protocol").map_or("", |value| value.to_str().unwrap()), protocol);
    let io = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
    Ok(WebSocketStream::from_raw_socket(io, Role::Client, None).await)
}

fn send(channel: u8, bytes: &[u8]) -> Message {
    Message::Binary([&[channel], bytes].concat().into())
}

/// The next message that is no ping.
async fn said(stream: &mut (impl StreamExt<Item = Result<Message, Error>> + Unpin)) -> Option<Message> {
    loop {
        match stream.next().await?.unwrap() {
            Message::Ping(_) => {}
            message => return Some(message),
        }
    }
}

/// All messages until the goodbye, by channel.
async fn read_all(socket: &mut Socket) -> [Vec<u8>; 8] {
    let mut channels: [Vec<u8>; 8] = Default::default();
    let read = async {
        loop {
            match said(socket).await.unwrap() {
                Message::Close(frame) => return assert_eq!(u16::from(frame.unwrap().code), 1000),
                message => {
                    let content = message.into_data();
                    channels[usize::from(content[0])].extend_from_slice(&content[1..]);
                }
            }
        }
    };
    tokio::time::timeout(PATIENCE, read).await.expect("the stream ends");
    channels
}

async fn start(name: &str) -> Option<(TestNode, Kubelet)> {
    let node = node(name)?;
    let kubelet = node.start().await;
    node.create("{metadata: {name: web}, spec: {containers: [{name: a, image: 'busybox:1'}]}}").await;
    node.until_ready("web").await;
    streaming(&node).await;
    Some((node, kubelet))
}

const EXEC: &str = "/exec/default/web/a?command=sh&input=1&output=1";

#[tokio::test]
async fn commands_over_every_websocket_protocol() {
    let Some((node, kubelet)) = start("ws-exec").await else { return };
    let mut v5 = socket(&node, &kubelet, EXEC, "v5.channel.k8s.io").await.unwrap();
    v5.send(send(0, b"hello")).await.unwrap();
    v5.send(Message::Binary(vec![255, 0].into())).await.unwrap();
    let channels = read_all(&mut v5).await;
    assert_eq!(channels[1], b"hello");
    assert_eq!(channels[3], br#"{"status":"Failure","message":"5 bytes"}"#);

    // Python's client sends text; v4 cannot end the input.
    let mut v4 = socket(&node, &kubelet, EXEC, "v4.channel.k8s.io").await.unwrap();
    v4.send(Message::Text("\u{0}quit".into())).await.unwrap();
    assert_eq!(read_all(&mut v4).await[3], br#"{"status":"Failure","message":"0 bytes"}"#);

    for protocol in ["", "channel.k8s.io"] {
        let mut elder = socket(&node, &kubelet, EXEC, protocol).await.unwrap();
        elder.send(send(0, b"quit")).await.unwrap();
        assert_eq!(read_all(&mut elder).await[3], b"0 bytes", "{protocol}");
    }
    let mut text = socket(&node, &kubelet, EXEC, "base64.channel.k8s.io").await.unwrap();
    text.send(Message::Text("0cXVpdA==".into())).await.unwrap();
    assert_eq!(said(&mut text).await, Some(Message::Text("1".into())));
    assert_eq!(said(&mut text).await, Some(Message::Text("3MCBieXRlcw==".into())));

    let refused = socket(&node, &kubelet, EXEC, "v9.channel.k8s.io").await.map(drop).unwrap_err();
    assert!(refused.0 == 403 && refused.1.starts_with("unable to negotiate protocol"), "{refused:?}");
    kubelet.shutdown().await;
}

/// Older clients throw away what comes before they listen: nothing is begun until one does.
#[tokio::test]
async fn a_command_begins_when_its_client_listens() {
    let Some((node, kubelet)) = start("ws-listen").await else { return };
    let mut socket = socket(&node, &kubelet, EXEC, "v5.channel.k8s.io").await.unwrap();
    assert!(matches!(socket.next().await, Some(Ok(Message::Ping(_)))), "the client is asked first");
    assert_eq!(socket.next().await.unwrap().unwrap(), send(1, b""), "it answered, and is told that the stream stands");
    socket.send(send(0, b"quit")).await.unwrap();
    assert_eq!(read_all(&mut socket).await[3], br#"{"status":"Failure","message":"0 bytes"}"#);
    kubelet.shutdown().await;
}

/// Whoever still sends when all is over hears how it ended.
#[tokio::test]
async fn the_end_is_told_while_input_is_sent() {
    let Some((node, kubelet)) = start("ws-end").await else { return };
    for _ in 0..10 {
        let socket = socket(&node, &kubelet, EXEC, "v5.channel.k8s.io").await.unwrap();
        let (mut sink, mut stream) = socket.split();
        let sending = async {
            sink.send(send(0, b"quit")).await.unwrap();
            while sink.send(send(0, &[b'x'; 10_000])).await.is_ok() {}
        };
        let hearing = async {
            let mut told = Vec::new();
            while let Some(Message::Binary(content)) = said(&mut stream).await {
                if content[0] == 3 {
                    told.extend_from_slice(&content[1..]);
                }
            }
            assert_eq!(told, br#"{"status":"Failure","message":"0 bytes"}"#);
        };
        tokio::time::timeout(PATIENCE, async { tokio::join!(sending, hearing) }).await.unwrap();
    }
    kubelet.shutdown().await;
}

#[tokio::test]
async fn ports_over_channels() {
    let Some((node, kubelet)) = start("ws-ports").await else { return };
    let path = "/portForward/default/web?port=80,81&port=82";
    let mut ports = socket(&node, &kubelet, path, "v4.channel.k8s.io").await.unwrap();
    ports.send(send(0, b"ping")).await.unwrap();
    ports.send(send(4, b"pong")).await.unwrap();
    let channels = read_all(&mut ports).await;
    let begun = |port: u16, rest: &str| [&port.to_le_bytes()[..], rest.as_bytes()].concat();
    assert_eq!(
        channels[..6],
        [
            begun(80, "80 heard ping"),
            begun(80, ""),
            begun(81, ""),
            begun(81, "nobody listens on 81"),
            begun(82, "82 heard pong"),
            begun(82, "")
        ]
    );
    let wrong = socket(&node, &kubelet, "/portForward/default/web?port=http", "v4.channel.k8s.io").await;
    assert_eq!(wrong.map(drop).unwrap_err().0, 400);
    kubelet.shutdown().await;
}

#[tokio::test]
async fn ports_over_a_tunnel() {
    let Some((node, kubelet)) = start("ws-tunnel").await else { return };
    let path = "/portForward/default/web";
    let socket = socket(&node, &kubelet, path, "SPDY/3.1+portforward.k8s.io").await.unwrap();
    let (near, far) = tokio::io::duplex(64 << 10);
    let (mut sink, mut stream) = socket.split();
    let (mut reader, mut writer) = tokio::io::split(far);
    let up = tokio::spawn(async move {
        let mut chunk = vec![0; 100];
        loop {
            let count = reader.read(&mut chunk).await.unwrap();
            if count == 0 {
                return sink.close().await.unwrap();
            }
            sink.send(Message::Binary(chunk[..count].to_vec().into())).await.unwrap();
        }
    });
    let down = tokio::spawn(async move {
        while let Some(Ok(Message::Binary(bytes))) = stream.next().await {
            // The session may have ended first.
            if writer.write_all(&bytes).await.is_err() {
                return;
            }
        }
    });
    let session = Session::client(near);
    for port in ["80", "81"] {
        let open = async |kind: &str| {
            session.open(Headers::of(&[("streamType", kind), ("port", port), ("requestID", port)])).await.unwrap()
        };
        let (mut error, mut data) = (open("error").await, open("data").await);
        data.write_all(b"ping").await.unwrap();
        let (mut heard, mut words) = (String::new(), String::new());
        data.read_to_string(&mut heard).await.unwrap();
        error.read_to_string(&mut words).await.unwrap();
        let wanted = if port == "80" { ("80 heard ping", "") } else { ("", "nobody listens on 81") };
        assert_eq!((heard.as_str(), words.as_str()), wanted);
    }
    drop(session);
    tokio::time::timeout(PATIENCE, async { (up.await.unwrap(), down.await.unwrap()) }).await.unwrap();
    kubelet.shutdown().await;
}
