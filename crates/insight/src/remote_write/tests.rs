//! A store that is busy at first gets everything in the end; what it refuses for good does not hold up the rest.

use super::*;
use crate::Metric;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

fn sample(time_ms: i64) -> Arc<NodeSample> {
    let mut sample = NodeSample { node: "n1".into(), time_ms, ..NodeSample::default() };
    sample.reading.set(Metric::CpuUsage, 2_500_000);
    Arc::new(sample)
}

/// One request: its head and what its body says.
async fn received(stream: &mut TcpStream) -> (String, WriteRequest) {
    let mut bytes = Vec::new();
    let head_ends = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        assert!(stream.read_buf(&mut bytes).await.unwrap() > 0);
    };
    let head = String::from_utf8(bytes[..head_ends].to_vec()).unwrap().to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let length: usize = length.parse().unwrap();
    while bytes.len() < head_ends + length {
        assert!(stream.read_buf(&mut bytes).await.unwrap() > 0);
    }
    let plain = snap::raw::Decoder::new().decompress_vec(&bytes[head_ends..]).unwrap();
    (head, WriteRequest::decode(plain.as_slice()).unwrap())
}

async fn reply(stream: &mut TcpStream, code: &str) {
    let text = format!("HTTP/1.1 {code}\r\ncontent-length: 0\r\nretry-after: 0\r\n\r\n");
    stream.write_all(text.as_bytes()).await.unwrap();
}

#[tokio::test]
async fn a_busy_store_gets_everything_in_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "secret\n").unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/api/v1/write", listener.local_addr().unwrap());
    let queue = start(Options { url, bearer_token_file: Some(token), ca_file: None }).unwrap();
    for time_ms in [1, 2, 3] {
        queue.send(sample(time_ms)).await.unwrap();
    }
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut times = Vec::new();
    for code in ["503 Service Unavailable", "204 No Content", "400 Bad Request", "200 OK"] {
        let (head, request) = received(&mut stream).await;
        assert!(head.starts_with("post /api/v1/write ") && head.contains("authorization: bearer secret"), "{head}");
        assert!(head.contains("content-encoding: snappy"), "{head}");
        let series = &request.timeseries[0];
        let labels: Vec<_> = series.labels.iter().map(|label| format!("{}={}", label.name, label.value)).collect();
        assert_eq!(labels, ["__name__=node_cpu_usage_seconds_total", "instance=n1", "node=n1"]);
        assert_eq!(series.samples[0].value, 2.5);
        times.push(series.samples[0].timestamp);
        reply(&mut stream, code).await;
    }
    assert_eq!(times, [1, 1, 2, 3]);
}

#[test]
fn large_samples_go_in_several_requests() {
    let pod = |number: usize| crate::sample::PodSample {
        name: format!("p{number}"),
        reading: sample(0).reading,
        ..Default::default()
    };
    let large = NodeSample { pods: (0..SERIES_MAX + 5).map(pod).collect(), ..(*sample(7)).clone() };
    let sizes: Vec<_> = requests(&large).iter().map(|request| request.timeseries.len()).collect();
    assert_eq!(sizes, [SERIES_MAX, 6]);
}

#[test]
fn https_needs_an_authority() {
    let options = Options { url: "https://store/".into(), bearer_token_file: None, ca_file: None };
    assert!(matches!(Writer::new(options), Err(RemoteWriteError::Sender(sender::SenderError::NoAuthority))));
}
