//! A kubelet of a few commands: logs that name their request, and processes that talk over a WebSocket.

use crate::cluster::{Cluster, now};
use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::{DaemonEndpoint, Node, NodeAddress, NodeDaemonEndpoints, NodeStatus};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};

const PROTOCOL: &str = "v5.channel.k8s.io";

/// Node `n1`, whose kubelet it is.
pub(crate) async fn start(cluster: &Cluster) {
    let serving = cluster.pki.issue_kubelet_serving("n1", &["127.0.0.1".parse().unwrap()], now()).unwrap();
    let (chain, key) = serving.tls().unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(chain, key).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(serve(listener, TlsAcceptor::from(Arc::new(config))));
    let mut node = Node::default();
    node.metadata.name = Some("n1".to_owned());
    cluster.client.create(&node).await.unwrap();
    node.status = Some(NodeStatus {
        addresses: Some(vec![NodeAddress { address: "127.0.0.1".to_owned(), type_: "InternalIP".to_owned() }]),
        daemon_endpoints: Some(NodeDaemonEndpoints { kubelet_endpoint: Some(DaemonEndpoint { port: port.into() }) }),
        ..NodeStatus::default()
    });
    let status = json!({"status": node.status});
    let patch = client::PatchType::Merge;
    cluster.client.patch::<Node>("", "n1", patch, Some(api::Subresource::Status), &status).await.unwrap();
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            let stream = acceptor.accept(stream).await.unwrap();
            let http = hyper::server::conn::http1::Builder::new();
            http.serve_connection(TokioIo::new(stream), service_fn(answer)).with_upgrades().await.unwrap();
        });
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let Some(key) = request.headers().get(header::SEC_WEBSOCKET_KEY).cloned() else {
        // The namespace is left out: it is another for each client.
        let uri = request.uri().to_string();
        let rest = uri.splitn(4, '/').last().unwrap_or_default();
        return Ok(Response::new(Full::new(Bytes::from(format!("first line\n{rest}\n")))));
    };
    let query = request.uri().query().unwrap_or_default().to_owned();
    tokio::spawn(async move {
        let stream = TokioIo::new(hyper::upgrade::on(request).await.unwrap());
        process(WebSocketStream::from_raw_socket(stream, Role::Server, None).await, &query).await;
    });
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(PROTOCOL));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, derive_accept_key(key.as_bytes()).parse().unwrap());
    Ok(response)
}

/// `echo WORD…`, `complain WORD…`, `cat`, `sh`, `exit CODE`, and anything else fails to start.
async fn process<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin>(mut socket: WebSocketStream<S>, query: &str) {
    let words: Vec<&str> = query.split('&').filter_map(|pair| pair.strip_prefix("command=")).collect();
    let code = match words.as_slice() {
        ["echo", words @ ..] => say(&mut socket, 1, &words.join(" ")).await,
        ["complain", words @ ..] => say(&mut socket, 2, &words.join(" ")).await,
        ["cat"] => cat(&mut socket).await,
        ["sh"] => shell(&mut socket).await,
        ["exit", code] => code.parse().unwrap(),
        _ => -1,
    };
    let status = match code {
        0 => json!({"status": "Success"}),
        -1 => json!({"status": "Failure", "reason": "InternalError", "message": "no such command", "code": 500}),
        code => failure(code),
    };
    send(&mut socket, 3, status.to_string().as_bytes()).await;
    let normal = CloseFrame { code: CloseCode::Normal, reason: "".into() };
    socket.close(Some(normal)).await.unwrap();
}

fn failure(code: i32) -> Value {
    let causes = json!([{"reason": "ExitCode", "message": code.to_string()}]);
    let message = format!("command terminated with non-zero exit code: {code}");
    json!({"status": "Failure", "reason": "NonZeroExitCode", "message": message, "details": {"causes": causes}})
}

async fn send<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin>(
    socket: &mut WebSocketStream<S>,
    channel: u8,
    bytes: &[u8],
) {
    socket.send(Message::Binary([&[channel], bytes].concat().into())).await.unwrap();
}

async fn say<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin>(
    socket: &mut WebSocketStream<S>,
    channel: u8,
    text: &str,
) -> i32 {
    send(socket, channel, format!("{text}\n").as_bytes()).await;
    0
}

/// Says what is typed in brackets, until `q`.
async fn shell<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin>(socket: &mut WebSocketStream<S>) -> i32 {
    send(socket, 1, b"a shell\r\n").await;
    while let Some(Ok(message)) = socket.next().await {
        match message.into_data().as_ref() {
            [0, b'q'] => return 0,
            [0, bytes @ ..] => send(socket, 1, &[b"[", bytes, b"]"].concat()).await,
            _ => {}
        }
    }
    1
}

/// Until standard input is closed, which only the fifth protocol can say.
async fn cat<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin>(socket: &mut WebSocketStream<S>) -> i32 {
    while let Some(Ok(message)) = socket.next().await {
        match message.into_data().as_ref() {
            [0, bytes @ ..] => send(socket, 1, bytes).await,
            [255, 0] => return 0,
            _ => {}
        }
    }
    1
}
