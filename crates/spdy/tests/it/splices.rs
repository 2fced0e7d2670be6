//! Joined connections end in order.

use spdy::splice;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

async fn connected() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (one, other) = tokio::join!(TcpStream::connect(address), listener.accept());
    (one.unwrap(), other.unwrap().0)
}

/// A server that answers and closes while its client still sends: the answer arrives all the same.
#[tokio::test]
async fn the_last_word_outlives_unread_input() {
    for _ in 0..20 {
        let (mut client, near) = connected().await;
        let (far, mut server) = connected().await;
        let joined = tokio::spawn(splice(near, far));
        let serving = tokio::spawn(async move {
            let mut some = vec![0; 1000];
            server.read_exact(&mut some).await.unwrap();
            server.write_all(b"the last word").await.unwrap();
            server.shutdown().await.unwrap();
            // Closed with input unread: the kernel resets the connection.
        });
        let (mut reader, mut writer) = client.split();
        let mut sent = 0;
        let send = async {
            while writer.write_all(&[b'x'; 10_000]).await.is_ok() && sent < 2_000_000 {
                sent += 10_000;
            }
        };
        send.await;
        serving.await.unwrap();
        let mut word = String::new();
        reader.read_to_string(&mut word).await.unwrap();
        assert_eq!(word, "the last word");
        drop(client);
        joined.await.unwrap();
    }
}
