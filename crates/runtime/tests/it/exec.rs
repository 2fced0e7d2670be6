//! Commands in containers, attaching, forwarding: in process and over WebSocket.

use std::time::{Duration, Instant};

use cri::Runtime;
use cri::v1;
use futures::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::support::{PATIENCE, secured, sh, with_node};

type Socket = WebSocketStream<TcpStream>;

/// Opens a URL as a client of one protocol would.
async fn connect(url: &str, protocol: &str) -> Result<Socket, String> {
    let url = url.replacen("http://", "ws://", 1);
    let mut request = url.as_str().into_client_request().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", protocol.parse().unwrap());
    let address = url.trim_start_matches("ws://").split('/').next().unwrap().to_owned();
    let stream = TcpStream::connect(address).await.unwrap();
    let connected = tokio_tungstenite::client_async(request, stream).await;
    connected.map(|(socket, _)| socket).map_err(|error| error.to_string())
}

/// Reads until the stream ends: output, errors, and the status.
async fn read_all(socket: &mut Socket) -> (String, String, serde_json::Value) {
    let mut channels = [Vec::new(), Vec::new(), Vec::new(), Vec::new()];
    let read = async {
        while let Some(Ok(Message::Binary(content))) = socket.next().await {
            channels[usize::from(content[0])].extend_from_slice(&content[1..]);
        }
    };
    tokio::time::timeout(PATIENCE, read).await.expect("the stream ends");
    let text = |at: usize| String::from_utf8(channels[at].clone()).unwrap();
    (text(1), text(2), serde_json::from_slice(&channels[3]).expect("a status"))
}

fn send(channel: u8, bytes: &[u8]) -> Message {
    Message::Binary([&[channel], bytes].concat().into())
}

fn exec_request(id: &str, script: &str, tty: bool) -> v1::ExecRequest {
    v1::ExecRequest {
        container_id: id.into(),
        cmd: vec!["sh".into(), "-c".into(), script.into()],
        tty,
        stdin: true,
        stdout: true,
        stderr: !tty,
    }
}

#[tokio::test]
async fn commands_run_to_their_end_or_timeout() {
    with_node(async |node| {
        let pod = node.pod().await;
        let id = node.run(&pod, sh("exec sleep 60")).await;
        let answer = node.exec(&id, &["sh", "-c", "echo out; echo err >&2; id -u; exit 5"], 10).await.unwrap();
        assert_eq!(
            (answer.stdout.as_slice(), answer.stderr.as_slice(), answer.exit_code),
            (&b"out\n0\n"[..], &b"err\n"[..], 5)
        );
        let answer = node.exec(&id, &["sh", "-c", "head -c 300000 /dev/zero"], 0).await.unwrap();
        assert_eq!(answer.stdout.len(), 300_000);
        let error = node.exec(&id, &["nonsense"], 0).await.unwrap_err();
        assert!(error.message().contains("executable file not found in $PATH"), "{error}");
        let began = Instant::now();
        let error = node.exec(&id, &["sh", "-c", "exec sleep 50"], 1).await.unwrap_err();
        assert_eq!(error.code(), tonic::Code::DeadlineExceeded);
        assert!(began.elapsed() < Duration::from_secs(5));
        let left = node.exec(&id, &["ps", "-o", "args"], 0).await.unwrap().stdout;
        assert!(!String::from_utf8_lossy(&left).contains("sleep 50"), "the late command was killed");
        // A background process that keeps the streams open does not keep the caller.
        let answer = node.exec(&id, &["sh", "-c", "sleep 50 & echo done"], 5).await.unwrap();
        assert_eq!(answer.stdout, b"done\n");
        let error = node.exec("none", &["true"], 0).await.unwrap_err();
        assert_eq!(error.code(), tonic::Code::NotFound);
    })
    .await;
}

#[tokio::test]
async fn commands_have_the_containers_limits_and_user() {
    with_node(async |node| {
        let pod = node.pod().await;
        let config = secured(sh("exec sleep 60"), |context| {
            context.run_as_user = Some(v1::Int64Value { value: 33 });
            context.no_new_privs = true;
        });
        let id = node.run(&pod, config).await;
        let script = "id -u; id -G; grep -E 'Cap(Bnd|Eff)|NoNewPrivs|Seccomp:' /proc/self/status; cat /proc/self/cgroup | head -1; cat /proc/1/cgroup | head -1";
        let answer = node.exec(&id, &["sh", "-c", script], 0).await.unwrap();
        let text = String::from_utf8(answer.stdout).unwrap();
        let lines: Vec<_> = text.lines().map(|line| line.replace('\t', " ")).collect();
        assert_eq!(lines[..2], ["33", "34 63"]);
        assert_eq!(lines[2..6], ["CapEff: 0000000000000000", "CapBnd: 00000000a80425fb", "NoNewPrivs: 1", "Seccomp: 2"]);
        assert_eq!(lines[6], lines[7], "the same cgroup");
    })
    .await;
}

#[tokio::test]
async fn a_terminal_over_websocket() {
    with_node(async |node| {
        let pod = node.pod().await;
        let id = node.run(&pod, sh("exec sleep 60")).await;
        let script = "tty; read line; stty size; echo got $line; exit 4";
        let url = node.runtime().exec(exec_request(&id, script, true)).await.unwrap().url;
        let mut socket = connect(&url, "v5.channel.k8s.io").await.unwrap();
        socket.send(send(4, br#"{"Width":100,"Height":40}"#)).await.unwrap();
        let mut before = String::new();
        while !before.ends_with('\n') {
            let content = socket.next().await.unwrap().unwrap().into_data();
            before.push_str(std::str::from_utf8(&content[1..]).unwrap());
        }
        socket.send(send(0, b"hello\n")).await.unwrap();
        let (out, err, status) = read_all(&mut socket).await;
        let out = before + &out;
        let lines: Vec<_> = out.lines().map(str::trim).collect();
        assert_eq!(lines, ["/dev/pts/0", "hello", "40 100", "got hello"]);
        assert_eq!(err, "");
        assert_eq!(status["details"]["causes"][0]["message"], "4");
        assert!(connect(&url, "v5.channel.k8s.io").await.is_err(), "a token is good once");
        let url = node.runtime().exec(exec_request(&id, "true", true)).await.unwrap().url;
        assert!(connect(&url, "base64.channel.k8s.io").await.is_err());
    })
    .await;
}

#[tokio::test]
async fn streams_over_websocket_in_both_versions() {
    with_node(async |node| {
        let pod = node.pod().await;
        let id = node.run(&pod, sh("exec sleep 60")).await;
        // Version 5 can close standard input; both copy large input while output flows.
        let url = node.runtime().exec(exec_request(&id, "cat; echo end >&2", false)).await.unwrap().url;
        let mut socket = connect(&url, "v4.channel.k8s.io, v5.channel.k8s.io").await.unwrap();
        let (mut sink, mut stream) = socket.split();
        let writer = tokio::spawn(async move {
            for _ in 0..100 {
                sink.send(send(0, &[b'x'; 10_000])).await.unwrap();
            }
            sink.send(Message::Binary(vec![255, 0].into())).await.unwrap();
            sink
        });
        let mut out = 0;
        let mut rest = Vec::new();
        while let Some(Ok(Message::Binary(content))) = stream.next().await {
            match content[0] {
                1 => out += content.len() - 1,
                channel => rest.push((channel, String::from_utf8_lossy(&content[1..]).into_owned())),
            }
        }
        socket = writer.await.unwrap().reunite(stream).unwrap();
        drop(socket);
        assert_eq!(out, 1_000_000);
        assert_eq!(rest[0], (2, "end\n".into()));
        assert!(rest[1].1.contains("Success"), "{rest:?}");

        let url = node.runtime().exec(exec_request(&id, "echo a; echo b >&2; exit 0", false)).await.unwrap().url;
        let mut socket = connect(&url, "v4.channel.k8s.io").await.unwrap();
        let (out, err, status) = read_all(&mut socket).await;
        assert_eq!((out.as_str(), err.as_str(), status["status"].as_str()), ("a\n", "b\n", Some("Success")));
        let mut missing = exec_request(&id, "", false);
        missing.cmd = vec!["nonsense".into()];
        let url = node.runtime().exec(missing).await.unwrap().url;
        let (_, _, status) = read_all(&mut connect(&url, "v4.channel.k8s.io").await.unwrap()).await;
        assert!(status["message"].as_str().unwrap().contains("not found in $PATH"), "{status}");
    })
    .await;
}

#[tokio::test]
async fn attaching_sees_and_feeds_the_program() {
    with_node(async |node| {
        let pod = node.pod().await;
        let mut config = sh("echo before; while read line; do echo got $line; done; echo over");
        (config.stdin, config.stdin_once) = (true, true);
        let id = node.run(&pod, config).await;
        node.wait_for_log(&id, "before").await;
        let request =
            v1::AttachRequest { container_id: id.clone(), stdin: true, stdout: true, stderr: true, tty: false };
        let url = node.runtime().attach(request).await.unwrap().url;
        let mut socket = connect(&url, "v5.channel.k8s.io").await.unwrap();
        socket.send(send(0, b"one\n")).await.unwrap();
        node.wait_for_log(&id, "got one").await;
        // Standard input was asked for once: it ends with the client.
        socket.close(None).await.unwrap();
        drop(socket);
        assert_eq!(node.wait(&id).await.exit_code, 0);
        assert_eq!(node.log(&node.status(&id).await.log_path), "before\ngot one\nover\n");

        let mut config = sh("read line; echo tty says $line; exit 3");
        (config.stdin, config.tty) = (true, true);
        let id = node.run(&pod, config).await;
        let request =
            v1::AttachRequest { container_id: id.clone(), stdin: true, stdout: true, stderr: false, tty: true };
        let url = node.runtime().attach(request).await.unwrap().url;
        let mut socket = connect(&url, "v5.channel.k8s.io").await.unwrap();
        socket.send(send(0, b"hi\n")).await.unwrap();
        let (out, _, status) = read_all(&mut socket).await;
        assert!(out.contains("tty says hi"), "{out}");
        assert_eq!(status["status"], "Success");
        assert_eq!(node.wait(&id).await.exit_code, 3);
    })
    .await;
}

#[tokio::test]
async fn ports_of_the_pod_are_forwarded() {
    with_node(async |node| {
        let pod = node.pod().await;
        let id = node.run(&pod, sh("echo up; while :; do echo answer | nc -l -p 8080; done")).await;
        node.wait_for_log(&id, "up").await;
        let listening = ["sh", "-c", "until grep -q :1F90 /proc/net/tcp /proc/net/tcp6; do sleep 0.01; done"];
        node.exec(&id, &listening, 10).await.unwrap();
        let request = v1::PortForwardRequest { pod_sandbox_id: pod.clone(), port: vec![8080, 81] };
        let url = node.runtime().port_forward(request).await.unwrap().url;
        let mut socket = connect(&url, "v4.channel.k8s.io").await.unwrap();
        let mut channels: Vec<Vec<u8>> = vec![Vec::new(); 4];
        let done = |channels: &[Vec<u8>]| channels[0].ends_with(b"answer\n") && channels[3].len() > 2;
        while !done(&channels) {
            let message = tokio::time::timeout(PATIENCE, socket.next()).await.unwrap().unwrap().unwrap();
            let content = message.into_data();
            channels[usize::from(content[0])].extend_from_slice(&content[1..]);
        }
        assert_eq!(channels[0], [&8080_u16.to_le_bytes()[..], b"answer\n"].concat());
        assert!(String::from_utf8_lossy(&channels[3][2..]).contains("port 81"));
    })
    .await;
}
