//! Texts at a URL, for `-f`.
//!
//! Invariant: a server that fails is asked again, one that refuses is not.

use super::connection::Connection;
use super::dial::Dial;
use super::https::unreachable;
use crate::failure::{Failure, Result};
use bytes::Bytes;
use http::{StatusCode, Uri, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use std::time::Duration;

/// As often as upstream asks, and as long as it waits between.
const ATTEMPTS_MAX: usize = 3;
const PAUSE: Duration = Duration::from_secs(1);
const REDIRECTS_MAX: usize = 10;
/// No manifest is larger than what a server takes many times over.
const TEXT_BYTES_MAX: usize = 256 << 20;

type Http = Client<HttpsConnector<Dial>, Empty<Bytes>>;

pub(crate) async fn fetch(url: &str) -> Result<String> {
    let http = client()?;
    let mut attempt = 1;
    loop {
        match once(&http, url).await {
            Ok(Answered::Text(text)) => return Ok(text),
            Ok(Answered::Refused(failure)) => return Err(failure),
            Ok(Answered::Failed(failure)) | Err(failure) if attempt == ATTEMPTS_MAX => return Err(failure),
            Ok(Answered::Failed(_)) | Err(_) => attempt += 1,
        }
        tokio::time::sleep(PAUSE).await;
    }
}

enum Answered {
    Text(String),
    /// The server's own trouble, which may pass.
    Failed(Failure),
    Refused(Failure),
}

fn client() -> Result<Http> {
    let nobody = Connection::anonymous();
    let tls = nobody.tls()?;
    let dial = Dial::new(&nobody, &tls)?;
    let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1();
    Ok(Client::builder(TokioExecutor::new()).build(connector.wrap_connector(dial)))
}

/// One answer, at the end of its redirections.
async fn once(http: &Http, url: &str) -> Result<Answered> {
    let bad = |url: &str, error: &dyn std::fmt::Display| Failure::message(format!("Get {url:?}: {error}"));
    let mut uri: Uri = url.parse().map_err(|error: http::uri::InvalidUri| bad(url, &error))?;
    for _ in 0..=REDIRECTS_MAX {
        let server = uri.authority().map(ToString::to_string).unwrap_or_default();
        let answer = http.get(uri.clone()).await.map_err(|error| unreachable(&server, &error))?;
        let place = answer.headers().get(header::LOCATION).and_then(|place| place.to_str().ok());
        match place.filter(|_| answer.status().is_redirection()) {
            Some(place) => uri = moved(&uri, place).map_err(|error| bad(url, &error))?,
            None => return read(url, answer).await,
        }
    }
    Ok(Answered::Refused(bad(url, &format_args!("stopped after {REDIRECTS_MAX} redirects"))))
}

async fn read(url: &str, answer: http::Response<Incoming>) -> Result<Answered> {
    let code = answer.status();
    if code != StatusCode::OK {
        let reason = answer.extensions().get::<hyper::ext::ReasonPhrase>();
        let reason = reason.map(|reason| String::from_utf8_lossy(reason.as_bytes()).into_owned());
        let reason = reason.unwrap_or_else(|| code.canonical_reason().unwrap_or_default().to_owned());
        let number = code.as_u16();
        let text = format!("unable to read URL {url:?}, server reported {number} {reason}, status code={number}");
        let failure = Failure::message(text);
        return Ok(if code.is_server_error() { Answered::Failed(failure) } else { Answered::Refused(failure) });
    }
    let unread = |error: &dyn std::fmt::Display| Failure::message(format!("error parsing {url}: {error}"));
    let body = Limited::new(answer.into_body(), TEXT_BYTES_MAX).collect().await;
    let body = body.map_err(|error| unread(&error))?.to_bytes();
    String::from_utf8(body.into()).map(Answered::Text).map_err(|error| unread(&error))
}

/// Where a redirection leads: a whole URL, or a path of the same server.
fn moved(from: &Uri, place: &str) -> Result<Uri, http::Error> {
    if place.contains("://") {
        return Ok(place.parse()?);
    }
    let path = match (place.starts_with('/'), from.path().rsplit_once('/')) {
        (false, Some((folder, _))) => format!("{folder}/{place}"),
        _ => place.to_owned(),
    };
    let scheme = from.scheme_str().unwrap_or("http");
    let server = from.authority().map(ToString::to_string).unwrap_or_default();
    Uri::builder().scheme(scheme).authority(server).path_and_query(path).build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
    use tokio::net::TcpListener;

    /// Answers each connection with the next of these, and keeps the paths that were asked for.
    async fn serve(answers: &'static [&'static str]) -> (String, tokio::task::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let serving = tokio::spawn(async move {
            let mut asked = Vec::new();
            for answer in answers {
                let mut stream = BufReader::new(listener.accept().await.unwrap().0);
                let mut first = String::new();
                stream.read_line(&mut first).await.unwrap();
                asked.push(first.split(' ').nth(1).unwrap().to_owned());
                let mut line = String::new();
                while line != "\r\n" {
                    line.clear();
                    stream.read_line(&mut line).await.unwrap();
                }
                stream.write_all(answer.as_bytes()).await.unwrap();
                stream.shutdown().await.unwrap();
            }
            asked
        });
        (url, serving)
    }

    const OK: &str = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\na: 1\n";
    const BUSY: &str = "HTTP/1.1 503 Busy\r\nConnection: close\r\n\r\n";

    #[tokio::test]
    async fn a_failing_server_is_asked_again_and_a_moved_text_followed() {
        let (url, serving) =
            serve(&[BUSY, "HTTP/1.1 302 Found\r\nConnection: close\r\nLocation: there.yaml?x=1\r\n\r\n", OK]).await;
        assert_eq!(fetch(&format!("{url}/a/here.yaml")).await.unwrap(), "a: 1\n");
        assert_eq!(serving.await.unwrap(), ["/a/here.yaml", "/a/here.yaml", "/a/there.yaml?x=1"]);
    }

    #[tokio::test]
    async fn a_refusal_is_final() {
        let (url, serving) = serve(&["HTTP/1.1 404 File not found\r\nConnection: close\r\n\r\n"]).await;
        let refused = fetch(&format!("{url}/x.yaml")).await.unwrap_err().report();
        let words = "server reported 404 File not found, status code=404";
        assert_eq!(refused, format!("error: unable to read URL \"{url}/x.yaml\", {words}"));
        assert_eq!(serving.await.unwrap(), ["/x.yaml"]);
    }
}
