//! `proxy`: the server's API on a port of this machine, spoken to as the user.
//!
//! Invariant: what the filters refuse is not sent; without `--disable-filter` nobody but this machine gets that far.

use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::server::{Connection, Https};
use bytes::Bytes;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use http::{HeaderName, Request, Response, StatusCode, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use regex::Regex;
use std::convert::Infallible;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The hosts that are answered: regular expressions, several with commas
    #[arg(long, default_value = r"^localhost$,^127\.0\.0\.1$,^\[::1\]$")]
    accept_hosts: String,
    /// The paths that are answered
    #[arg(long, default_value = "^.*")]
    accept_paths: String,
    /// The address to listen on
    #[arg(long, default_value = "127.0.0.1")]
    address: String,
    /// Where the API begins
    #[arg(long, default_value = "/")]
    api_prefix: String,
    /// Put the path of the server's address before each path
    #[arg(long)]
    append_server_path: bool,
    /// Answer everything, whoever asks
    #[arg(long)]
    disable_filter: bool,
    /// How often an idle connection to the server is probed; 0 is not at all
    #[arg(long, default_value = "0s")]
    keepalive: String,
    /// The port to listen on; 0 is any that is free
    #[arg(short = 'p', long, default_value_t = 8001)]
    port: u16,
    /// The methods that are refused
    #[arg(long, default_value = "^$")]
    reject_methods: String,
    /// The paths that are refused
    #[arg(long, default_value = "^/api/.*/pods/.*/exec,^/api/.*/pods/.*/attach")]
    reject_paths: String,
    /// A socket to listen on instead
    #[arg(short = 'u', long)]
    unix_socket: Option<PathBuf>,
    /// A folder of files to serve beside the API
    #[arg(short = 'w', long)]
    www: Option<PathBuf>,
    /// Where those files begin
    #[arg(short = 'P', long, default_value = "/static/")]
    www_prefix: String,
}

/// A longer body of a request is refused: objects are at most 3 MiB.
const BODY_BYTES_MAX: usize = 32 << 20;
/// Connections at a time; more wait.
const CONNECTIONS_MAX: usize = 256;
/// Headers that are about one connection, or that the connection to the server has of its own.
const OWN: [HeaderName; 5] =
    [header::CONNECTION, header::HOST, header::TRANSFER_ENCODING, header::UPGRADE, header::CONTENT_LENGTH];

type Body = BoxBody<Bytes, hyper::Error>;

struct Proxy {
    server: Https,
    /// What paths are put behind: `https://host:6443`.
    target: String,
    filter: Option<Filter>,
    /// Where the API begins here, between slashes.
    prefix: String,
    www: Option<(String, PathBuf)>,
}

struct Filter {
    hosts: Vec<Regex>,
    paths: Vec<Regex>,
    refused_paths: Vec<Regex>,
    refused_methods: Vec<Regex>,
}

fn patterns(text: &str) -> Result<Vec<Regex>> {
    let one = |text: &str| {
        Regex::new(text).map_err(|error| Failure::message(format!("invalid regular expression {text:?}: {error}")))
    };
    text.split(',').map(one).collect()
}

impl Filter {
    fn of(arguments: &Arguments) -> Result<Filter> {
        Ok(Filter {
            hosts: patterns(&arguments.accept_hosts)?,
            paths: patterns(&arguments.accept_paths)?,
            refused_paths: patterns(&arguments.reject_paths)?,
            refused_methods: patterns(&arguments.reject_methods)?,
        })
    }

    fn lets(&self, method: &str, host: &str, path: &str) -> bool {
        let any = |patterns: &[Regex], text: &str| patterns.iter().any(|pattern| pattern.is_match(text));
        // A port is no part of the name; the colons of a bracketed address are.
        let host = match host.rsplit_once(':') {
            Some((name, port)) if port.chars().all(|c| c.is_ascii_digit()) => name,
            _ => host,
        };
        any(&self.hosts, host)
            && any(&self.paths, path)
            && !any(&self.refused_paths, path)
            && !any(&self.refused_methods, method)
    }
}

pub(crate) async fn run(context: &Context, arguments: &Arguments) -> Result<()> {
    let keep_alive = crate::duration::parse(&arguments.keepalive)?.filter(|period| !period.is_zero());
    let connection = Connection { tcp_keep_alive: keep_alive, ..context.connection.clone() };
    let (origin, path) = origin_and_path(&connection.config.server);
    let proxy = Arc::new(Proxy {
        server: Https::new(&connection)?,
        target: if arguments.append_server_path { format!("{origin}{path}") } else { origin.to_owned() },
        filter: if arguments.disable_filter { None } else { Some(Filter::of(arguments)?) },
        prefix: with_slashes(&arguments.api_prefix),
        www: arguments.www.clone().map(|folder| (arguments.www_prefix.clone(), folder)),
    });
    let failed = |error: std::io::Error| Failure::message(format!("listening: {error}"));
    if let Some(path) = &arguments.unix_socket {
        let listener = UnixListener::bind(path).map_err(failed)?;
        context.line(format_args!("Starting to serve on {}", path.display()))?;
        return serve(proxy, || listener.accept().map(|accepted| accepted.map(|(stream, _)| stream))).await;
    }
    let listener = TcpListener::bind((arguments.address.as_str(), arguments.port)).await.map_err(failed)?;
    let local = listener.local_addr().map_err(failed)?;
    context.line(format_args!("Starting to serve on {local}"))?;
    serve(proxy, || listener.accept().map(|accepted| accepted.map(|(stream, _)| stream))).await
}

/// `https://host:6443`, and where the API begins there: `/k8s/clusters/c1`, or nothing.
fn origin_and_path(server: &str) -> (&str, &str) {
    let begin = server.find("://").map_or(0, |at| at + 3);
    let end = server[begin..].find('/').map_or(server.len(), |at| begin + at);
    let (origin, path) = server.split_at(end);
    (origin, path.trim_end_matches('/'))
}

/// `api` is `/api/`.
fn with_slashes(prefix: &str) -> String {
    match prefix.trim_matches('/') {
        "" => "/".to_owned(),
        inner => format!("/{inner}/"),
    }
}

/// The path below the prefix, as the server has it; `None` where it is elsewhere.
fn below<'a>(prefix: &str, path: &'a str) -> Option<&'a str> {
    // The slash that the prefix ends in is the one that the rest begins with.
    path.starts_with(prefix).then(|| &path[prefix.len() - 1..])
}

/// A path as the server reads it: what is escaped would pass the filters otherwise.
fn unescaped(path: &str) -> String {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = after.get(..2).filter(|_| *first == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

async fn serve<S, A>(proxy: Arc<Proxy>, accept: impl Fn() -> A) -> Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    A: Future<Output = std::io::Result<S>>,
{
    let mut connections = FuturesUnordered::new();
    loop {
        tokio::select! {
            accepted = accept(), if connections.len() < CONNECTIONS_MAX => {
                let stream = accepted.map_err(|error| Failure::message(format!("accepting: {error}")))?;
                let proxy = proxy.clone();
                let answer = service_fn(move |request| answer(proxy.clone(), request));
                connections.push(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
            }
            // A client that left early is its own business.
            Some(_ended) = connections.next() => {}
        }
    }
}

fn plain(code: StatusCode, text: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Full::new(text.into()).map_err(|never: Infallible| match never {}).boxed());
    *response.status_mut() = code;
    response
}

async fn answer(proxy: Arc<Proxy>, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let (method, path) = (request.method().as_str(), request.uri().path());
    let file = proxy.www.as_ref().and_then(|(prefix, folder)| Some((folder, path.strip_prefix(prefix.as_str())?)));
    let api = if file.is_none() { below(&proxy.prefix, path) } else { None };
    let asked = unescaped(api.unwrap_or(path));
    if proxy.filter.as_ref().is_some_and(|filter| !filter.lets(method, host, &asked)) {
        return Ok(plain(StatusCode::FORBIDDEN, "Forbidden"));
    }
    if let Some((folder, file)) = file {
        return Ok(static_file(folder, file));
    }
    let Some(path) = api else { return Ok(plain(StatusCode::NOT_FOUND, "404 page not found\n")) };
    let path = request.uri().query().map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
    Ok(match forward(&proxy, request, &path).await {
        Ok(response) => response,
        Err(failure) => plain(StatusCode::BAD_GATEWAY, failure.report()),
    })
}

fn static_file(folder: &Path, file: &str) -> Response<Body> {
    let relative = Path::new(if file.is_empty() { "index.html" } else { file });
    // Only what lies below the folder.
    if !relative.components().all(|part| matches!(part, Component::Normal(_))) {
        return plain(StatusCode::NOT_FOUND, "404 page not found");
    }
    match std::fs::read(folder.join(relative)) {
        Ok(content) => plain(StatusCode::OK, content),
        Err(_) => plain(StatusCode::NOT_FOUND, "404 page not found"),
    }
}

async fn forward(proxy: &Proxy, request: Request<Incoming>, path: &str) -> Result<Response<Body>> {
    let (mut parts, body) = request.into_parts();
    let body = Limited::new(body, BODY_BYTES_MAX).collect().await;
    let body = body.map_err(|error| Failure::message(format!("reading the request: {error}")))?.to_bytes();
    for name in OWN {
        parts.headers.remove(name);
    }
    let uri = format!("{}{path}", proxy.target);
    let response = proxy.server.forward(parts.method, &uri, parts.headers, body).await?;
    let (mut parts, body) = response.into_parts();
    parts.headers.remove(header::CONNECTION);
    parts.headers.remove(header::TRANSFER_ENCODING);
    // The server may have spoken HTTP/2; this side speaks 1.1.
    parts.version = http::Version::HTTP_11;
    Ok(Response::from_parts(parts, body.boxed()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_and_allowed_paths_pass() {
        let of = |hosts: &str| Filter {
            hosts: patterns(hosts).unwrap(),
            paths: patterns("^.*").unwrap(),
            refused_paths: patterns("^/api/.*/pods/.*/exec").unwrap(),
            refused_methods: patterns("^DELETE$").unwrap(),
        };
        let filter = of(r"^localhost$,^127\.0\.0\.1$,^\[::1\]$");
        assert!(filter.lets("GET", "localhost:8001", "/api") && filter.lets("GET", "[::1]:8001", "/api"));
        assert!(!filter.lets("GET", "evil.example:8001", "/api") && !filter.lets("DELETE", "localhost", "/api"));
        assert!(!filter.lets("GET", "localhost", "/api/v1/namespaces/n/pods/p/exec"));
    }

    #[test]
    fn the_api_begins_at_the_prefix_alone() {
        for (prefix, path, expected) in [
            ("/", "/version", Some("/version")),
            ("/", "/", Some("/")),
            ("/k8s", "/k8s/version", Some("/version")),
            ("k8s/", "/k8s/", Some("/")),
            ("/k8s/", "/version", None),
            ("/k8s/", "/k8sx/version", None),
            ("/k8s/", "/k8s", None),
        ] {
            assert_eq!(below(&with_slashes(prefix), path), expected, "{prefix} {path}");
        }
        assert_eq!(origin_and_path("https://h:1/a/b/"), ("https://h:1", "/a/b"));
        assert_eq!(origin_and_path("https://h"), ("https://h", ""));
        assert_eq!(unescaped("/pods/p/%65xec%2f%zz%"), "/pods/p/exec/%zz%");
    }

    #[test]
    fn files_outside_the_folder_are_not_served() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.txt"), "a").unwrap();
        assert_eq!(static_file(folder.path(), "a.txt").status(), StatusCode::OK);
        for outside in ["../a.txt", "/etc/passwd", "b.txt"] {
            assert_eq!(static_file(folder.path(), outside).status(), StatusCode::NOT_FOUND, "{outside}");
        }
    }
}
