//! Servers that end, hang, come back and lie, on real sockets with real certificates.

use super::*;
use crate::{CacheScope, Client};
use futures::channel::mpsc;
use http_body_util::StreamBody;
use http_body_util::combinators::BoxBody;
use hyper::body::Frame as BodyFrame;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto::Builder;
use k8s_openapi::api::core::v1::ConfigMap;
use parking_lot::Mutex;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

type Answer = http::Response<BoxBody<Bytes, Infallible>>;

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Authority {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Authority(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn acceptor(&self) -> TlsAcceptor {
        let key = KeyPair::generate().unwrap();
        let names = ["127.0.0.1".to_owned()];
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &self.0).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.unwrap().with_no_client_auth();
        let mut config = config.with_single_cert(vec![certificate.der().clone()], key).unwrap();
        config.alpn_protocols = vec![b"h2".to_vec()];
        TlsAcceptor::from(Arc::new(config))
    }
}

/// What a server was asked, and its open watches.
#[derive(Default)]
struct Seen {
    /// Whether every request fails but watches; and whether it says so of itself.
    sick: AtomicBool,
    unready: AtomicBool,
    requests: Mutex<Vec<String>>,
    watches: Mutex<Vec<mpsc::Sender<Result<BodyFrame<Bytes>, Infallible>>>>,
}

impl Seen {
    fn answer(&self, request: &http::Request<Incoming>) -> Answer {
        let path = request.uri().path_and_query().unwrap().as_str();
        self.requests.lock().push(format!("{} {path}", request.method()));
        let fails = if path == "/readyz" { &self.unready } else { &self.sick };
        if fails.load(Ordering::Relaxed) && !path.contains("watch=true") {
            let answer = Full::new(Bytes::from_static(b"etcd does not answer")).boxed();
            return http::Response::builder().status(500).body(answer).unwrap();
        }
        if !path.contains("watch=true") {
            return http::Response::new(Full::new(Bytes::from_static(b"{}")).boxed());
        }
        let (sender, events) = mpsc::channel(16);
        self.watches.lock().push(sender);
        http::Response::new(BodyExt::boxed(StreamBody::new(events)))
    }

    fn tell(&self, event: &str) {
        let line = Bytes::from(format!("{event}\n"));
        for watch in &mut *self.watches.lock() {
            watch.try_send(Ok(BodyFrame::data(line.clone()))).expect("few events fit");
        }
    }

    async fn until<T>(&self, what: &str, look: impl Fn(&Seen) -> Option<T>) -> T {
        let looked = async {
            loop {
                match look(self) {
                    Some(found) => return found,
                    None => tokio::task::yield_now().await,
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(60), looked).await.unwrap_or_else(|_| panic!("waited for {what}"))
    }
}

struct TestServer {
    address: SocketAddr,
    seen: Arc<Seen>,
    task: AbortHandle,
}

impl TestServer {
    async fn start(authority: &Authority, address: &str) -> TestServer {
        let listener = TcpListener::bind(address).await.unwrap();
        let (address, seen, acceptor) = (listener.local_addr().unwrap(), Arc::<Seen>::default(), authority.acceptor());
        let shared = seen.clone();
        let task = tokio::spawn(async move {
            // They end with the task.
            let mut connections = JoinSet::new();
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                let (acceptor, seen) = (acceptor.clone(), shared.clone());
                connections.spawn(async move {
                    // Who does not trust us ends the handshake.
                    let Ok(tls) = acceptor.accept(tcp).await else { return };
                    let service = service_fn(move |request| {
                        let answer = seen.answer(&request);
                        async move { Ok::<_, Infallible>(answer) }
                    });
                    let builder = Builder::new(TokioExecutor::new());
                    let served = builder.serve_connection(TokioIo::new(tls), service).await;
                    assert!(served.is_ok() || served.is_err(), "however a client leaves");
                });
            }
        });
        TestServer { address, seen, task: task.abort_handle() }
    }

    fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// As `kill -9` does: its sockets are closed.
    async fn end(&self) {
        self.task.abort();
        self.seen.until("the listener's end", |_| self.task.is_finished().then_some(())).await;
    }

    fn requests(&self) -> Vec<String> {
        self.seen.requests.lock().clone()
    }
}

fn config(authority: &Authority) -> Config {
    Config {
        server: String::new(),
        ca_pem: authority.0.pem(),
        server_name: None,
        credentials: Credentials::Anonymous,
        namespace: String::new(),
        user_agent: "a test".to_owned(),
    }
}

fn servers(list: &[&TestServer]) -> Arc<Servers> {
    Arc::new(Servers::new(&list[0].url(), list[1..].iter().map(|server| server.url())))
}

fn write() -> Request {
    Request::new(Verb::Create, &<ConfigMap as api::Kind>::DEF, "default", "").body("{}")
}

fn map(kind: &str, name: &str, revision: u64) -> String {
    format!(
        r#"{{"type":"{kind}","object":{{"metadata":{{"name":"{name}","namespace":"default","resourceVersion":"{revision}"}}}}}}"#
    )
}

#[tokio::test]
async fn requests_move_on_when_a_server_ends_and_stay_where_they_are() {
    let authority = Authority::new();
    let first = TestServer::start(&authority, "127.0.0.1:0").await;
    let second = TestServer::start(&authority, "127.0.0.1:0").await;
    let servers = servers(&[&first, &second]);
    let remote = Remote::of(config(&authority), servers.clone()).unwrap();
    for _ in 0..3 {
        remote.get_path("/version").await.unwrap();
    }
    assert_eq!((first.requests().len(), second.requests().len()), (3, 0));
    first.end().await;
    remote.get_path("/version").await.unwrap();
    remote.call(write()).await.unwrap();
    assert_eq!(second.requests(), ["GET /version", "POST /api/v1/namespaces/default/configmaps"]);

    // The first comes back, and nobody changes places for that.
    let first = TestServer::start(&authority, &first.address.to_string()).await;
    remote.get_path("/version").await.unwrap();
    assert_eq!((first.requests().len(), second.requests().len()), (0, 3));
    second.end().await;
    // Nothing was sent yet: a write moves on as well, unless a dying connection took it.
    if remote.call(write()).await.is_err() {
        remote.call(write()).await.unwrap();
    }
    assert_eq!(first.requests(), ["POST /api/v1/namespaces/default/configmaps"]);

    first.end().await;
    let error = remote.get_path("/version").await.unwrap_err();
    assert!(error.code == 503 && error.message.contains("refused"), "{error}");
    let third = TestServer::start(&authority, "127.0.0.1:0").await;
    assert!(servers.replace([third.url()]), "a server that is learnt of");
    remote.get_path("/version").await.unwrap();
    assert_eq!(third.requests(), ["GET /version"]);
}

#[tokio::test]
async fn a_watch_goes_on_at_the_next_server_where_it_was() {
    let authority = Authority::new();
    let first = TestServer::start(&authority, "127.0.0.1:0").await;
    let second = TestServer::start(&authority, "127.0.0.1:0").await;
    let remote = Remote::of(config(&authority), servers(&[&first, &second])).unwrap();
    let cache = Client::new(Arc::new(remote)).cache_of::<ConfigMap>(CacheScope::default());
    first.seen.until("a watch", |seen| (!seen.watches.lock().is_empty()).then_some(())).await;
    first.seen.tell(&map("ADDED", "a", 7));
    first.seen.tell(
        r#"{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"9","annotations":{"k8s.io/initial-events-end":"true"}}}}"#,
    );
    cache.synced().await;
    first.end().await;
    let request = second.seen.until("the watch", |seen| seen.requests.lock().first().cloned()).await;
    assert!(request.contains("resourceVersion=9") && !request.contains("sendInitialEvents"), "{request}");
    second.seen.until("its stream", |seen| (!seen.watches.lock().is_empty()).then_some(())).await;
    second.seen.tell(&map("ADDED", "b", 10));
    second.seen.until("the event", |_| (cache.len() == 2).then_some(())).await;
    assert_eq!(second.requests().len(), 1, "no list, and no second watch");
}

/// A process that is stopped: its kernel answers, and it does not.
#[tokio::test]
async fn a_server_that_hangs_is_left() {
    let authority = Authority::new();
    let first = TestServer::start(&authority, "127.0.0.1:0").await;
    let second = TestServer::start(&authority, "127.0.0.1:0").await;
    let (hangs, hang) = tokio::sync::watch::channel(false);
    let proxy = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let through = format!("https://{}", proxy.local_addr().unwrap());
    tokio::spawn(pass_on(proxy, first.address, hang));
    let servers = Arc::new(Servers::new(&through, [second.url()]));
    let soon = Duration::from_millis(500);
    let patience = Patience { connect: soon * 50, ping_every: soon, pong: soon * 5, silence: None };
    let remote = Remote::with(config(&authority), servers.clone(), patience).unwrap();
    remote.get_path("/version").await.unwrap();
    assert_eq!(first.requests().len(), 1);
    hangs.send_replace(true);
    remote.get_path("/version").await.unwrap();
    assert_eq!((second.requests().len(), servers.current().as_ref()), (1, second.url().as_str()));
}

/// Until it hangs, both ways; then it holds what it has.
async fn pass_on(listener: TcpListener, to: SocketAddr, mut hang: tokio::sync::watch::Receiver<bool>) {
    let (mut client, _) = listener.accept().await.unwrap();
    let mut server = TcpStream::connect(to).await.unwrap();
    tokio::select! {
        copied = tokio::io::copy_bidirectional(&mut client, &mut server) => panic!("it ended too soon: {copied:?}"),
        hung = hang.wait_for(|hangs| *hangs) => drop(hung.unwrap()),
    }
    std::future::pending().await
}

/// As the one above, of which a connection is asked for when it hangs already.
#[tokio::test]
async fn a_server_that_only_takes_connections_is_left() {
    let authority = Authority::new();
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let second = TestServer::start(&authority, "127.0.0.1:0").await;
    let silent = format!("https://{}", silent.local_addr().unwrap());
    let servers = Arc::new(Servers::new(&silent, [second.url()]));
    let soon = Duration::from_secs(3);
    let patience = Patience { connect: soon, ping_every: soon * 20, pong: soon, silence: None };
    let remote = Remote::with(config(&authority), servers.clone(), patience).unwrap();
    remote.call(write()).await.unwrap();
    assert_eq!(second.requests(), ["POST /api/v1/namespaces/default/configmaps"]);
    assert_eq!(*servers.current(), *second.url());
}

/// A server that has lost its store, while the other has it.
#[tokio::test]
async fn a_server_that_cannot_serve_is_left_with_the_watches_that_it_has() {
    let authority = Authority::new();
    let first = TestServer::start(&authority, "127.0.0.1:0").await;
    let second = TestServer::start(&authority, "127.0.0.1:0").await;
    let servers = servers(&[&first, &second]);
    let remote = Remote::of(config(&authority), servers.clone()).unwrap();
    let watch = WatchRequest {
        def: &<ConfigMap as api::Kind>::DEF,
        namespace: String::new(),
        label_selector: String::new(),
        field_selector: String::new(),
        resource_version: "7".to_owned(),
    };
    let mut events = remote.watch(watch).await.unwrap();
    // What fails is one request, it says, and not all of it.
    first.seen.sick.store(true, Ordering::Relaxed);
    assert_eq!(remote.call(write()).await.unwrap_err().code, 500);
    assert_eq!(remote.get_path("/version").await.unwrap_err().code, 500);
    assert_eq!((first.requests().len(), second.requests().len()), (5, 0), "each with a question whether it is ready");

    first.seen.unready.store(true, Ordering::Relaxed);
    assert_eq!(remote.call(write()).await.unwrap_err().message, "etcd does not answer", "a write is not repeated");
    assert_eq!(*servers.current(), *second.url());
    let ended = tokio::time::timeout(Duration::from_secs(60), events.next()).await.expect("the watch ends");
    assert!(ended.unwrap().unwrap_err().message.contains("cannot serve"));
    remote.call(write()).await.unwrap();
    second.seen.sick.store(true, Ordering::Relaxed);
    second.seen.unready.store(true, Ordering::Relaxed);
    first.seen.sick.store(false, Ordering::Relaxed);
    remote.get_path("/version").await.unwrap();
    assert_eq!(*servers.current(), *first.url(), "a read is");
}

#[tokio::test]
async fn a_server_of_another_authority_is_told_nothing() {
    let authority = Authority::new();
    let liar = TestServer::start(&Authority::new(), "127.0.0.1:0").await;
    let honest = TestServer::start(&authority, "127.0.0.1:0").await;
    let remote = Remote::of(config(&authority), servers(&[&liar, &honest])).unwrap();
    remote.call(write()).await.unwrap();
    assert_eq!((liar.requests().len(), honest.requests().len()), (0, 1));
    let remote = Remote::of(config(&authority), servers(&[&liar])).unwrap();
    let error = remote.call(write()).await.unwrap_err().message;
    assert!(error.contains("certificate"), "{error}");
}

#[tokio::test]
async fn what_all_are_told_reaches_those_that_are_there() {
    let authority = Authority::new();
    let first = TestServer::start(&authority, "127.0.0.1:0").await;
    let second = TestServer::start(&authority, "127.0.0.1:0").await;
    let remote = Remote::of(config(&authority), servers(&[&first, &second])).unwrap();
    remote.put_everywhere("/told", "text/plain", Bytes::from_static(b"a")).await.unwrap();
    assert_eq!((first.requests(), second.requests()), (vec!["PUT /told".to_owned()], vec!["PUT /told".to_owned()]));
    first.end().await;
    let one_less = remote.put_everywhere("/told", "text/plain", Bytes::from_static(b"b")).await;
    assert!(one_less.is_err_and(|status| status.message.contains(&first.url())));
    assert_eq!(second.requests().len(), 2);
}
