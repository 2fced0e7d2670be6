//! A way to a member that can lose its answers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub(super) struct Proxy {
    pub(super) url: String,
    deaf: Arc<AtomicBool>,
    /// Changes when all connections are to end.
    cut: watch::Sender<u64>,
    task: JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Proxy {
    pub(super) async fn to(url: &str) -> Proxy {
        let member: SocketAddr = url.strip_prefix("http://").unwrap().parse().unwrap();
        let listener = TcpListener::bind((super::member::address(), 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (deaf, cut) = (Arc::new(AtomicBool::new(false)), watch::Sender::new(0));
        let (shared, cuts) = (deaf.clone(), cut.clone());
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass(client, member, shared.clone(), cuts.subscribe()));
            }
        });
        Proxy { url, deaf, cut, task }
    }

    /// From now on what the member says goes nowhere.
    pub(super) fn lose_answers(&self) {
        self.deaf.store(true, Ordering::SeqCst);
    }

    /// Ends the connections; later ones work.
    pub(super) fn cut(&self) {
        self.deaf.store(false, Ordering::SeqCst);
        self.cut.send_modify(|times| *times += 1);
    }
}

async fn pass(client: TcpStream, member: SocketAddr, deaf: Arc<AtomicBool>, mut cut: watch::Receiver<u64>) {
    let Ok(member) = TcpStream::connect(member).await else { return };
    let (client_reads, client_writes) = client.into_split();
    let (member_reads, member_writes) = member.into_split();
    let never = Arc::new(AtomicBool::new(false));
    tokio::select! {
        () = copy(client_reads, member_writes, never) => {}
        () = copy(member_reads, client_writes, deaf) => {}
        _ = cut.changed() => {}
    }
}

async fn copy(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, deaf: Arc<AtomicBool>) {
    let mut buffer = vec![0; 16 << 10];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        if !deaf.load(Ordering::SeqCst) && to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}
