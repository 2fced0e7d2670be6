//! Commands in containers, attaching, forwarding: in process and over WebSocket.

use std::time::{Duration, Instant};

use bytes::Bytes;
use cri::Runtime;
use cri::v1;
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use spdy::{Headers, Session, Stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{PATIENCE, secured, sh, with_node};

/// Opens a URL as a client of one protocol would.
async fn upgrade(url: &str, protocol: &str) -> Result<Session, String> {
    let (address, path) = url.trim_start_matches("http://").split_once('/').unwrap();
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection.with_upgrades());
    let request = http::Request::post(format!("/{path}"))
        .header("host", address)
        .header("connection", "Upgrade")
        .header("upgrade", "SPDY/3.1")
        .header("x-stream-protocol-version", protocol)
        .body(Empty::<Bytes>::new())
        .unwrap();
    let response = sender.send_request(request).await.unwrap();
    if response.status() != 101 {
        return Err(response.status().to_string());
    }
    assert_eq!(response.headers()["x-stream-protocol-version"], protocol);
    Ok(Session::client(TokioIo::new(hyper::upgrade::on(response).await.unwrap())))
}

/// What `kubectl` has of a command.
struct Client {
    error: Stream,
    input: Stream,
    output: Stream,
    /// A terminal has one output, and a size.
    errors: Option<Stream>,
    size: Option<Stream>,
}

async fn connect(url: &str, protocol: &str, tty: bool) -> Result<Client, String> {
    let session = upgrade(url, protocol).await?;
    let open = async |kind: &str| session.open(Headers::of(&[("streamType", kind)])).await.unwrap();
    Ok(Client {
        error: open("error").await,
        input: open("stdin").await,
        output: open("stdout").await,
        errors: if tty { None } else { Some(open("stderr").await) },
        size: if tty { Some(open("resize").await) } else { None },
    })
}

impl Client {
    /// Reads until the end: output, errors, and the words of the end.
    async fn read_all(mut self) -> (String, String, String) {
        let (mut out, mut err, mut end) = (String::new(), String::new(), String::new());
        let read = async {
            self.output.read_to_string(&mut out).await.unwrap();
            if let Some(errors) = &mut self.errors {
                errors.read_to_string(&mut err).await.unwrap();
            }
            self.error.read_to_string(&mut end).await.unwrap();
        };
        tokio::time::timeout(PATIENCE, read).await.expect("the streams end");
        (out, err, end)
    }
}

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).expect("a status")
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
        assert!(began.elapsed() < Duration::from_secs(40));
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
async fn a_terminal_has_a_size_and_one_output() {
    with_node(async |node| {
        let pod = node.pod().await;
        let id = node.run(&pod, sh("exec sleep 60")).await;
        let script = "tty; read line; stty size; echo got $line; exit 4";
        let url = node.runtime().exec(exec_request(&id, script, true)).await.unwrap().url;
        let mut client = connect(&url, "v4.channel.k8s.io", true).await.unwrap();
        let size = client.size.as_mut().unwrap();
        size.write_all(b"{\"Width\":1,\"Height\":1}\n{\"Width\":100,\"Hei").await.unwrap();
        size.write_all(b"ght\":40}\n").await.unwrap();
        // Sizes and typing are streams of their own: what is typed waits until the size is there.
        let sized = ["sh", "-c", "until [ \"$(stty size </dev/pts/0)\" = '40 100' ]; do sleep 0.01; done"];
        node.exec(&id, &sized, 10).await.unwrap();
        client.input.write_all(b"hello\n").await.unwrap();
        let (out, _, end) = client.read_all().await;
        let lines: Vec<_> = out.lines().map(str::trim).collect();
        assert_eq!(lines, ["/dev/pts/0", "hello", "40 100", "got hello"]);
        assert_eq!(json(&end)["details"]["causes"][0]["message"], "4");
        assert!(upgrade(&url, "v4.channel.k8s.io").await.is_err(), "a token is good once");
        let url = node.runtime().exec(exec_request(&id, "true", true)).await.unwrap().url;
        assert!(upgrade(&url, "base64.channel.k8s.io").await.is_err());
    })
    .await;
}

#[tokio::test]
async fn streams_flow_and_end_in_every_version() {
    with_node(async |node| {
        let pod = node.pod().await;
        let id = node.run(&pod, sh("exec sleep 60")).await;
        // Large input is copied while output flows, and its end is an end.
        let url = node.runtime().exec(exec_request(&id, "cat; echo end >&2", false)).await.unwrap().url;
        let Client { mut error, mut input, mut output, errors, .. } =
            connect(&url, "v4.channel.k8s.io", false).await.unwrap();
        let write = async {
            input.write_all(&[b'x'; 1_000_000]).await.unwrap();
            input.shutdown().await.unwrap();
        };
        let (mut out, mut err, mut end) = (Vec::new(), String::new(), String::new());
        let (_, read) = tokio::join!(write, output.read_to_end(&mut out));
        read.unwrap();
        errors.unwrap().read_to_string(&mut err).await.unwrap();
        error.read_to_string(&mut end).await.unwrap();
        assert_eq!((out.len(), err.as_str(), json(&end)["status"].as_str()), (1_000_000, "end\n", Some("Success")));

        for protocol in ["v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io"] {
            let run = async |script: &str| {
                let url = node.runtime().exec(exec_request(&id, script, false)).await.unwrap().url;
                connect(&url, protocol, false).await.unwrap().read_all().await
            };
            let (out, err, end) = run("echo a; echo b >&2").await;
            assert_eq!((out.as_str(), err.as_str()), ("a\n", "b\n"));
            let (_, _, failed) = run("exit 3").await;
            if protocol == "v4.channel.k8s.io" {
                assert_eq!(
                    (&json(&end)["status"], &json(&failed)["reason"]),
                    (&"Success".into(), &"NonZeroExitCode".into())
                );
            } else {
                assert_eq!(end, "");
                assert!(failed.starts_with("command terminated with non-zero exit code"), "{failed}");
            }
        }
    })
    .await;
}

/// Whoever still sends input when nothing could be run hears why.
#[tokio::test]
async fn a_failure_is_told_while_input_is_sent() {
    with_node(async |node| {
        let pod = node.pod().await;
        let id = node.run(&pod, sh("exec sleep 60")).await;
        for _ in 0..10 {
            let mut missing = exec_request(&id, "", false);
            missing.cmd = vec!["nonsense".into()];
            let url = node.runtime().exec(missing).await.unwrap().url;
            let mut client = connect(&url, "v4.channel.k8s.io", false).await.unwrap();
            let mut input = client.input;
            let (mut end, sending) = (String::new(), async { while input.write_all(&[b'x'; 10_000]).await.is_ok() {} });
            tokio::join!(sending, client.error.read_to_string(&mut end)).1.unwrap();
            assert!(json(&end)["message"].as_str().unwrap().contains("not found in $PATH"), "{end}");
        }
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
        let mut client = connect(&url, "v4.channel.k8s.io", false).await.unwrap();
        client.input.write_all(b"one\n").await.unwrap();
        node.wait_for_log(&id, "got one").await;
        // Standard input was asked for once: it ends with the client.
        drop(client);
        assert_eq!(node.wait(&id).await.exit_code, 0);
        assert_eq!(node.log(&node.status(&id).await.log_path), "before\ngot one\nover\n");

        let mut config = sh("read line; echo tty says $line; exit 3");
        (config.stdin, config.tty) = (true, true);
        let id = node.run(&pod, config).await;
        let request =
            v1::AttachRequest { container_id: id.clone(), stdin: true, stdout: true, stderr: false, tty: true };
        let url = node.runtime().attach(request).await.unwrap().url;
        let mut client = connect(&url, "v4.channel.k8s.io", true).await.unwrap();
        client.input.write_all(b"hi\n").await.unwrap();
        let (out, _, end) = client.read_all().await;
        assert!(out.contains("tty says hi"), "{out}");
        assert_eq!(json(&end)["status"], "Success");
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
        let request = v1::PortForwardRequest { pod_sandbox_id: pod.clone(), port: Vec::new() };
        let url = node.runtime().port_forward(request).await.unwrap().url;
        let session = upgrade(&url, "portforward.k8s.io").await.unwrap();
        let open = async |kind: &str, port: &str, request: &str| {
            let headers = Headers::of(&[("streamType", kind), ("port", port), ("requestID", request)]);
            session.open(headers).await.unwrap()
        };
        // One after another, on one connection; both ends of each are told.
        for request in ["0", "1"] {
            node.exec(&id, &listening, 10).await.unwrap();
            let mut error = open("error", "8080", request).await;
            let mut data = open("data", "8080", request).await;
            let (mut heard, mut end) = (String::new(), String::new());
            tokio::time::timeout(PATIENCE, data.read_to_string(&mut heard)).await.unwrap().unwrap();
            tokio::time::timeout(PATIENCE, error.read_to_string(&mut end)).await.unwrap().unwrap();
            assert_eq!((heard.as_str(), end.as_str()), ("answer\n", ""));
        }
        let (mut data, mut error, mut end) =
            (open("data", "81", "2").await, open("error", "81", "2").await, String::new());
        error.read_to_string(&mut end).await.unwrap();
        let refused =
            format!("error forwarding port 81 to pod {pod}, uid : dial tcp4 127.0.0.1:81: connect: connection refused");
        assert_eq!((end, data.read(&mut [0; 1]).await.unwrap()), (refused, 0));
    })
    .await;
}
