//! What a receiver gets, whatever it answers and whatever happens to the files and the process meanwhile.

use super::receiver::{Receiver, Reply};
use super::*;
use crate::archive;
use crate::test_node::{Node, PodLogs, line};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;

type Lines = BTreeMap<String, Vec<Vec<u8>>>;

fn options(directory: &Path, receiver: &Receiver, protocol: Protocol) -> Options {
    let moment = Duration::from_millis(5);
    Options {
        url: receiver.url.clone(),
        protocol,
        node: "n1".into(),
        directory: directory.join("export"),
        bearer_token_file: None,
        headers_file: None,
        ca_file: None,
        gzip: false,
        pace: Pace { linger: moment, save_every: moment, retry_first: moment, retry_most: 8 * moment },
    }
}

fn start(node: &Node, receiver: &Receiver, protocol: Protocol) -> (Arc<Archive>, Export) {
    let archive = Arc::new(node.archive());
    let export = Export::start(archive.clone(), options(node.dir.path(), receiver, protocol)).unwrap();
    (archive, export)
}

/// Numbered lines, which say in what order they were written.
fn say(pod: &PodLogs, container: &str, attempt: u32, numbers: std::ops::Range<usize>) {
    let mut text = Vec::new();
    for number in numbers {
        text.extend_from_slice(&line(number as i64, &number.to_string()));
    }
    let mut file = std::fs::File::options().append(true).create(true).open(pod.log(container, attempt)).unwrap();
    file.write_all(&text).unwrap();
}

/// How many numbers came, from 0 on. What was sent again may come again, but nothing may be left out before what is new.
fn counted(lines: &Lines, container: &str) -> usize {
    let mut next = 0;
    for line in lines.get(container).into_iter().flatten() {
        let number: usize = std::str::from_utf8(line).unwrap().parse().unwrap();
        assert!(number <= next, "{container}: {number} came before {next}");
        next = next.max(number + 1);
    }
    next
}

#[tokio::test]
async fn what_is_there_and_what_comes_is_sent_by_either_protocol() {
    for protocol in [Protocol::Otlp, Protocol::Loki] {
        let node = Node::new();
        let receiver = Receiver::start(None).await;
        let (old, pod) = (node.pod("a", "old-1"), node.pod("a", "web-1"));
        say(&old, "c", 0, 0..100);
        let before = node.archive();
        before.take_over(&old.directory).unwrap();
        before.settle();
        drop(before);
        say(&pod, "c", 0, 0..100);
        let (archive, _export) = start(&node, &receiver, protocol);
        receiver.until(|lines, _| counted(lines, "old-1/c") == 100 && counted(lines, "web-1/c") == 100).await;
        say(&pod, "c", 0, 100..200);
        say(&pod, "side", 0, 0..10);
        let late = node.pod("b", "late-1");
        say(&late, "c", 0, 0..10);
        receiver.until(|lines, _| counted(lines, "web-1/c") == 200 && counted(lines, "web-1/side") == 10).await;
        receiver.until(|lines, _| counted(lines, "late-1/c") == 10).await;
        // A restart, a rotation, and the end of the pod with its last words.
        pod.rotate(&archive, "c", 0);
        say(&pod, "c", 0, 200..210);
        say(&pod, "c", 1, 210..220);
        archive.take_over(&pod.directory).unwrap();
        receiver.until(|lines, _| counted(lines, "web-1/c") == 220).await;
        let all: usize = receiver.lines().values().map(Vec::len).sum();
        assert_eq!(all, 100 + 220 + 10 + 10, "nothing is sent twice where nothing fails");
    }
}

#[tokio::test]
async fn a_receiver_that_fails_gets_everything_in_order() {
    let node = Node::new();
    let receiver = Receiver::start(None).await;
    let slow = Reply::Slow(Duration::from_millis(20));
    let troubles = [Reply::Code(503), Reply::Breaks, slow, Reply::Code(500), Reply::Later(429, 0), Reply::Code(401)];
    receiver.will(&troubles);
    let (archive, _export) = start(&node, &receiver, Protocol::Otlp);
    let pods = [node.pod("a", "web-1"), node.pod("a", "web-2")];
    for round in 0..20 {
        for pod in &pods {
            say(pod, "c", 0, round * 50..(round + 1) * 50);
            if round % 4 == 3 {
                pod.rotate(&archive, "c", 0);
                archive.look();
            }
        }
        if round % 5 == 0 {
            receiver.will(&troubles);
        }
        receiver.until(|lines, _| counted(lines, "web-1/c") >= round * 50).await;
    }
    receiver.until(|lines, _| counted(lines, "web-1/c") == 1000 && counted(lines, "web-2/c") == 1000).await;
    let counts = archive.export_counts().unwrap();
    assert!(counts.retries >= 5 && counts.refused == 0 && counts.lost == 0, "{counts:?}");
}

#[tokio::test]
async fn otlp_is_compressed_for_who_wants_it() {
    let node = Node::new();
    let receiver = Receiver::start(None).await;
    let archive = Arc::new(node.archive());
    let options = Options { gzip: true, ..options(node.dir.path(), &receiver, Protocol::Otlp) };
    let _export = Export::start(archive, options).unwrap();
    say(&node.pod("a", "web-1"), "c", 0, 0..1000);
    receiver.until(|lines, _| counted(lines, "web-1/c") == 1000).await;
    let encoded = receiver.requests().iter().all(|(_, headers, ..)| headers["content-encoding"] == "gzip");
    assert!(encoded, "every request says how it is compressed");
}

#[tokio::test]
async fn a_receiver_is_asked_again_when_it_said_to() {
    let node = Node::new();
    let receiver = Receiver::start(None).await;
    receiver.will(&[Reply::Later(503, 1)]);
    let (_archive, _export) = start(&node, &receiver, Protocol::Otlp);
    say(&node.pod("a", "web-1"), "c", 0, 0..1);
    receiver.until(|lines, _| counted(lines, "web-1/c") == 1).await;
    let requests = receiver.requests();
    assert!(requests[1].3 - requests[0].3 >= Duration::from_secs(1));
}

#[tokio::test]
async fn what_is_refused_is_counted_and_holds_up_nothing() {
    let node = Node::new();
    let receiver = Receiver::start(None).await;
    let (archive, _export) = start(&node, &receiver, Protocol::Otlp);
    let pod = node.pod("a", "web-1");
    receiver.will(&[Reply::Code(400)]);
    pod.say("c", 0, &[(1, "not for you")]);
    receiver.until(|_, requests| requests == 1).await;
    receiver.will(&[Reply::AllBut(1)]);
    pod.say("c", 0, &[(2, "one"), (3, "two")]);
    receiver.until(|lines, _| lines.contains_key("web-1/c")).await;
    pod.say("c", 0, &[(4, "three")]);
    receiver.until(|lines, _| lines["web-1/c"].len() == 3).await;
    let lines = receiver.lines();
    assert_eq!(lines["web-1/c"], [b"one".as_slice(), b"two", b"three"]);
    // The counters follow the answers.
    let deadline = Instant::now() + Duration::from_secs(60);
    while archive.export_counts().unwrap().sent < 2 {
        assert!(Instant::now() < deadline, "{:?}", archive.export_counts());
        tokio::task::yield_now().await;
    }
    let counts = archive.export_counts().unwrap();
    assert_eq!((counts.sent, counts.refused), (2, 2));
    assert!(counts.exposition().contains("sampan_log_export_lines_total{result=\"refused\"} 2\n"));
}

#[tokio::test]
async fn requests_that_are_too_large_are_made_smaller() {
    let node = Node::new();
    let receiver = Receiver::start(None).await;
    receiver.takes_at_once(30);
    let pod = node.pod("a", "web-1");
    say(&pod, "c", 0, 0..1000);
    let (archive, export) = start(&node, &receiver, Protocol::Loki);
    receiver.until(|lines, _| counted(lines, "web-1/c") == 1000).await;
    assert_eq!(receiver.lines()["web-1/c"].len(), 1000);
    drop((archive, export));
    // Even where a request ended in the middle of what was read at once, another process goes on behind it.
    receiver.takes_at_once(1000);
    let (_archive, _export) = start(&node, &receiver, Protocol::Loki);
    say(&pod, "c", 0, 1000..1010);
    receiver.until(|lines, _| counted(lines, "web-1/c") == 1010).await;
}

/// The exporter is ended at any moment, and its files are rotated and archived while it is away.
#[tokio::test]
async fn another_process_goes_on_where_one_ended() {
    let node = Node::new();
    let receiver = Receiver::start(None).await;
    let pod = node.pod("a", "web-1");
    let mut written = 0;
    let mut write = |archive: Option<&Archive>| {
        for _ in 0..3 {
            say(&pod, "c", 0, written..written + 40);
            written += 40;
            if let Some(archive) = archive {
                pod.rotate(archive, "c", 0);
            }
        }
        written
    };
    for round in 0..12 {
        let (archive, export) = start(&node, &receiver, Protocol::Otlp);
        let wanted = write((round % 3 == 0).then_some(&archive));
        if round % 2 == 0 {
            receiver.until(|lines, _| counted(lines, "web-1/c") == wanted).await;
        } else {
            receiver.until(|lines, _| counted(lines, "web-1/c") >= wanted - 100).await;
        }
        drop(export);
        write(Some(&archive));
        if round % 4 < 2 {
            archive.settle();
        }
    }
    let (_archive, _export) = start(&node, &receiver, Protocol::Otlp);
    let wanted = write(None);
    receiver.until(|lines, _| counted(lines, "web-1/c") == wanted).await;
}

#[tokio::test]
async fn an_end_in_good_order_leaves_nothing_to_be_sent_again() {
    let node = Node::new();
    let receiver = Receiver::start(None).await;
    let pod = node.pod("a", "web-1");
    for round in 1..=3 {
        let (archive, export) = start(&node, &receiver, Protocol::Otlp);
        say(&pod, "c", 0, (round - 1) * 100..round * 100);
        receiver.until(|lines, _| counted(lines, "web-1/c") == round * 100).await;
        let deadline = Instant::now() + Duration::from_secs(60);
        while archive.export_counts().unwrap().sent < 100 {
            assert!(Instant::now() < deadline, "{:?}", archive.export_counts());
            tokio::task::yield_now().await;
        }
        export.end().await;
        assert_eq!(receiver.lines()["web-1/c"].len(), round * 100);
    }
}

const CHILD: &str = "LOGS_EXPORT_CHILD";

/// A process of its own, which is killed while it sends.
#[tokio::test]
async fn a_kill_loses_nothing() {
    let node = Node::new();
    let receiver = Receiver::start(None).await;
    if let Some(child) = std::env::var_os(CHILD) {
        return send_until_killed(&child.into_string().unwrap()).await;
    }
    let pod = node.pod("a", "web-1");
    let spawn = || {
        let mut command = std::process::Command::new(std::env::current_exe().unwrap());
        command.args(["export::tests::a_kill_loses_nothing", "--exact", "--nocapture"]);
        command.env(CHILD, format!("{} {}", receiver.url, node.dir.path().display())).spawn().unwrap()
    };
    let mut written = 0;
    for round in 0..6 {
        let mut child = spawn();
        for _ in 0..5 {
            say(&pod, "c", 0, written..written + 200);
            written += 200;
            if round % 2 == 1 {
                let log = pod.log("c", 0);
                let number = archive::claim_rotation(&log).unwrap();
                std::fs::rename(&log, log.with_file_name(format!("0.log.{number:06}-x"))).unwrap();
                say(&pod, "c", 0, written..written + 1);
                written += 1;
            }
        }
        let enough = written - 150 * (round % 3);
        receiver.until(|lines, _| counted(lines, "web-1/c") >= enough).await;
        child.kill().unwrap();
        child.wait().unwrap();
    }
    // As many lines as no other part has at any time.
    say(&pod, "c", 0, written..written + 7);
    written += 7;
    let mut child = spawn();
    receiver.until(|lines, _| counted(lines, "web-1/c") == written).await;
    // What has been written down as delivered is not sent again.
    let key = ledger::Key::new(pod.directory.file_name().unwrap().to_str().unwrap(), "c");
    let there = std::fs::read(pod.log("c", 0)).unwrap().iter().filter(|byte| **byte == b'\n').count() as u64;
    let deadline = Instant::now() + Duration::from_secs(60);
    let delivered = || Ledger::open(&node.dir.path().join("export")).unwrap().position(&key).map(|at| at.lines);
    while delivered() != Some(there) {
        assert!(Instant::now() < deadline, "{:?} of {there}", delivered());
        tokio::task::yield_now().await;
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let before = receiver.lines()["web-1/c"].len();
    let mut child = spawn();
    say(&pod, "c", 0, written..written + 1);
    receiver.until(|lines, _| counted(lines, "web-1/c") == written + 1).await;
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(receiver.lines()["web-1/c"].len(), before + 1);
}

async fn send_until_killed(told: &str) {
    let (url, directory) = told.split_once(' ').unwrap();
    let path = |name: &str| Path::new(directory).join(name);
    let archive = Archive::open(archive::Options {
        live: path("live"),
        ended: path("ended"),
        archive: path("archive"),
        age_max: Duration::from_secs(3600),
        bytes_max: Some(1 << 30),
    });
    let receiver = Receiver::start(None).await;
    let options = Options { url: url.to_owned(), ..options(Path::new(directory), &receiver, Protocol::Otlp) };
    let _export = Export::start(Arc::new(archive.unwrap()), options).unwrap();
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn what_the_archive_let_go_of_undelivered_is_counted() {
    let node = Node::new();
    let receiver = Receiver::start(None).await;
    receiver.always(Reply::Code(503));
    let archive = archive::Options { bytes_max: Some(64 << 10), ..node.options() };
    let archive = Arc::new(Archive::open(archive).unwrap());
    let _export = Export::start(archive.clone(), options(node.dir.path(), &receiver, Protocol::Otlp)).unwrap();
    for number in 0..40 {
        let pod = node.pod("shop", &format!("job-{number}"));
        pod.say("c", 0, &[(number, "done")]);
        archive.take_over(&pod.directory).unwrap();
        archive.settle();
    }
    receiver.always(Reply::Takes);
    receiver.until(|lines, _| lines.contains_key("job-39/c")).await;
    let lost = archive.export_counts().unwrap().lost;
    let came = receiver.lines().len() as u64;
    assert!(came >= 8 && lost >= 24 && came + lost >= 40, "{came} came, {lost} are known to be lost");
}

#[tokio::test]
async fn bytes_and_long_lines_come_as_they_were_written() {
    let node = Node::new();
    let receiver = Receiver::start(None).await;
    let pod = node.pod("a", "web-1");
    let junk: Vec<u8> = (0..=255).filter(|byte| *byte != b'\n').collect();
    let long = vec![b'x'; (2 << 20) + 17];
    let mut text = Vec::new();
    for line in [b"torn \xff at the beginning".as_slice(), &junk, b"\tat a trace", b"", &long, b"end"] {
        text.extend_from_slice(&if line.starts_with(b"torn") {
            [line, b"\n"].concat()
        } else {
            [b"2026-01-01T00:00:00Z stdout F ", line, b"\n"].concat()
        });
    }
    std::fs::write(pod.log("c", 0), text).unwrap();
    let (_archive, _export) = start(&node, &receiver, Protocol::Otlp);
    receiver.until(|lines, _| lines.values().flatten().any(|line| line == b"end")).await;
    let lines = &receiver.lines()["web-1/c"];
    assert_eq!(lines[..4], [b"torn \xff at the beginning".to_vec(), junk, b"\tat a trace".to_vec(), Vec::new()]);
    // Longer than any line should be, it comes in pieces.
    assert_eq!(lines[4..lines.len() - 1].concat().len(), long.len());
}

#[tokio::test]
async fn credentials_and_authorities_come_from_files() {
    let node = Node::new();
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![own.cert.der().clone()], key).unwrap();
    let receiver = Receiver::start(Some(tokio_rustls::TlsAcceptor::from(Arc::new(config)))).await;
    let path = |name: &str| node.dir.path().join(name);
    std::fs::write(path("ca.pem"), own.cert.pem()).unwrap();
    std::fs::write(path("token"), "secret\n").unwrap();
    std::fs::write(path("headers"), "X-Scope-OrgID: shop\n\nx-other: a: b\n").unwrap();
    let options = Options {
        bearer_token_file: Some(path("token")),
        headers_file: Some(path("headers")),
        ca_file: Some(path("ca.pem")),
        ..options(node.dir.path(), &receiver, Protocol::Loki)
    };
    let unknown = Options { ca_file: None, ..options.clone() };
    let refused = Export::start(Arc::new(node.archive()), unknown);
    assert!(matches!(refused, Err(ExportError::Target(TargetError::Sender(sender::SenderError::NoAuthority)))));
    let _export = Export::start(Arc::new(node.archive()), options).unwrap();
    say(&node.pod("a", "web-1"), "c", 0, 0..3);
    receiver.until(|lines, _| counted(lines, "web-1/c") == 3).await;
    let (_, headers, ..) = &receiver.requests()[0];
    let header = |name: &str| headers[name].to_str().unwrap();
    assert_eq!(
        (header("authorization"), header("x-scope-orgid"), header("x-other")),
        ("Bearer secret", "shop", "a: b")
    );
    assert_eq!(header("content-type"), "application/x-protobuf");
}
