//! One HTTP GET to a container.

use super::{host_port, tls};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::{Container, HTTPGetAction};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// Bytes of the answer that are read, as upstream.
const BODY_BYTES_MAX: usize = 10 << 10;
const REDIRECTS_MAX: usize = 10;

/// Where to ask, and what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) https: bool,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
}

impl Target {
    /// From a probe or hook; `address` is the pod's.
    pub(crate) fn new(
        action: &HTTPGetAction,
        container: &Container,
        address: &str,
        agent: &str,
    ) -> Result<Target, String> {
        let host = action.host.as_deref().filter(|host| !host.is_empty()).unwrap_or(address);
        let path = action.path.as_deref().unwrap_or_default();
        let mut headers: Vec<(String, String)> =
            action.http_headers.iter().flatten().map(|header| (header.name.clone(), header.value.clone())).collect();
        for (name, value) in [("User-Agent", agent), ("Accept", "*/*")] {
            if !headers.iter().any(|(own, _)| own.eq_ignore_ascii_case(name)) {
                headers.push((name.to_owned(), value.to_owned()));
            }
        }
        Ok(Target {
            https: action.scheme.as_deref().is_some_and(|scheme| scheme.eq_ignore_ascii_case("https")),
            host: host.to_owned(),
            port: super::port_number(&action.port, container)?,
            path: if path.starts_with('/') { path.to_owned() } else { format!("/{path}") },
            headers,
        })
    }

    pub(crate) fn url(&self) -> String {
        let scheme = if self.https { "https" } else { "http" };
        format!("{scheme}://{}{}", host_port(&self.host, self.port), self.path)
    }

    /// The same host's other page that an answer points to; `None` for another host's.
    fn redirected(&self, location: &str) -> Option<Target> {
        if location.starts_with('/') {
            return Some(Target { path: location.to_owned(), ..self.clone() });
        }
        let uri: http::Uri = location.parse().ok()?;
        (uri.host() == Some(&self.host)).then(|| Target {
            https: uri.scheme_str() == Some("https"),
            port: uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 }),
            path: uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string),
            ..self.clone()
        })
    }
}

pub(crate) struct Answer {
    pub(crate) status: u16,
}

/// Asks, following redirects that stay on the host. The error is what the user reads.
pub(crate) async fn get(target: Target, timeout: Duration) -> Result<Answer, String> {
    let url = target.url();
    match tokio::time::timeout(timeout, follow(target)).await {
        Ok(result) => result.map_err(|error| format!("Get {url:?}: {error}")),
        Err(_) => {
            Err(format!("Get {url:?}: context deadline exceeded (Client.Timeout exceeded while awaiting headers)"))
        }
    }
}

async fn follow(mut target: Target) -> Result<Answer, String> {
    for _ in 0..REDIRECTS_MAX {
        let (answer, location) = Box::pin(once(&target)).await?;
        let next = location.filter(|_| (300..400).contains(&answer.status)).and_then(|to| target.redirected(&to));
        match next {
            Some(next) => target = next,
            None => return Ok(answer),
        }
    }
    Err(format!("stopped after {REDIRECTS_MAX} redirects"))
}

async fn once(target: &Target) -> Result<(Answer, Option<String>), String> {
    let address = host_port(&target.host, target.port);
    let stream = connect(&address).await?;
    if !target.https {
        return exchange(target, stream).await;
    }
    let config = tls::config().map_err(|error| error.to_string())?;
    let name = rustls::pki_types::ServerName::try_from(target.host.clone()).map_err(|error| error.to_string())?;
    let stream = tokio_rustls::TlsConnector::from(config).connect(name, stream).await;
    exchange(target, stream.map_err(|error| format!("tls: {error}"))?).await
}

/// Connects; the error is Go's, which users know.
pub(crate) async fn connect(address: &str) -> Result<TcpStream, String> {
    TcpStream::connect(address).await.map_err(|error| {
        let what = match error.kind() {
            std::io::ErrorKind::ConnectionRefused => "connect: connection refused".to_owned(),
            std::io::ErrorKind::HostUnreachable => "connect: no route to host".to_owned(),
            std::io::ErrorKind::NetworkUnreachable => "connect: network is unreachable".to_owned(),
            _ => error.to_string(),
        };
        format!("dial tcp {address}: {what}")
    })
}

async fn exchange<S>(target: &Target, stream: S) -> Result<(Answer, Option<String>), String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let plain = |error: hyper::Error| error.to_string();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(plain)?;
    let mut request = http::Request::get(&target.path);
    if !target.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        request = request.header("Host", host_port(&target.host, target.port));
    }
    for (name, value) in &target.headers {
        request = request.header(name, value);
    }
    let request =
        request.header("Connection", "close").body(Empty::<Bytes>::new()).map_err(|error| error.to_string())?;
    let answered = async {
        let answer = sender.send_request(request).await.map_err(plain)?;
        let status = answer.status().as_u16();
        let location = answer.headers().get("location").and_then(|value| value.to_str().ok()).map(str::to_owned);
        // Read, so that the server is not cut off in the middle of a short answer; a longer one is as good.
        if let Err(error) = Limited::new(answer.into_body(), BODY_BYTES_MAX).collect().await {
            tracing::trace!(%error, "the rest of a probe's answer is not read");
        }
        Ok((Answer { status }, location))
    };
    // The connection is driven here, so that nothing is left behind when the probe is given up.
    tokio::pin!(answered, connection);
    tokio::select! {
        result = &mut answered => result,
        ended = &mut connection => match ended {
            Ok(()) => answered.await,
            Err(error) => Err(error.to_string()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    fn target(port: u16, path: &str) -> Target {
        Target {
            https: false,
            host: "127.0.0.1".into(),
            port,
            path: path.into(),
            headers: vec![("X-A".into(), "b".into())],
        }
    }

    /// Serves one answer per connection, and answers what was asked.
    async fn serve(answers: Vec<&'static str>) -> (u16, tokio::task::JoinHandle<Vec<String>>) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let task = tokio::spawn(async move {
            let mut asked = Vec::new();
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut buffer = vec![0; 4096];
                let read = stream.read(&mut buffer).await.unwrap();
                asked.push(String::from_utf8_lossy(&buffer[..read]).into_owned());
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
            asked
        });
        (port, task)
    }

    #[tokio::test]
    async fn redirects_on_the_host_are_followed() {
        let moved = "HTTP/1.1 302 Found\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n";
        let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
        let (port, task) = serve(vec![moved, ok]).await;
        let answer = get(target(port, "/here"), Duration::from_secs(5)).await.unwrap();
        assert_eq!(answer.status, 200);
        let asked = task.await.unwrap();
        assert!(asked[0].starts_with("GET /here ") && asked[1].starts_with("GET /there "));
        assert!(asked[0].to_lowercase().contains("x-a: b"));
    }

    #[tokio::test]
    async fn another_hosts_redirect_is_the_answer() {
        let moved = "HTTP/1.1 302 Found\r\nLocation: http://other.example/\r\nContent-Length: 0\r\n\r\n";
        let (port, _task) = serve(vec![moved]).await;
        assert_eq!(get(target(port, "/"), Duration::from_secs(5)).await.unwrap().status, 302);
    }

    #[tokio::test]
    async fn nobody_there_is_said_as_upstream_says_it() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let error = get(target(port, "/x"), Duration::from_secs(5)).await.err().unwrap();
        let url = format!("http://127.0.0.1:{port}/x");
        assert_eq!(error, format!("Get {url:?}: dial tcp 127.0.0.1:{port}: connect: connection refused"));
    }
}
