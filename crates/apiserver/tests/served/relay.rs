//! A wire between a client and the server that a test can cut.

use std::net::SocketAddr;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Passes bytes on, whatever they are.
pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    cuts: watch::Sender<u64>,
    accepting: JoinHandle<()>,
}

impl Relay {
    pub(crate) async fn to(server: SocketAddr) -> Relay {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (cuts, cut) = watch::channel(0);
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass(client, server, cut.clone()));
            }
        });
        Relay { address, cuts, accepting }
    }

    /// Ends every connection there is, in the middle of whatever it does; new ones are taken.
    pub(crate) fn cut(&self) {
        self.cuts.send_modify(|count| *count += 1);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn pass(mut client: TcpStream, server: SocketAddr, mut cut: watch::Receiver<u64>) {
    let Ok(mut server) = TcpStream::connect(server).await else { return };
    cut.mark_unchanged();
    tokio::select! {
        passed = tokio::io::copy_bidirectional(&mut client, &mut server) => if let Err(error) = passed {
            eprintln!("a connection broke: {error}");
        },
        _ = cut.changed() => {}
    }
}
