//! What commands of this machine ask a running server beside the API: one line of JSON, answered by one.
//!
//! Invariants: only root is heard; one question is answered at a time, and none may be longer than a path.

use crate::files;
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use store::Embedded;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};

/// Room for a path of `PATH_MAX` bytes, each escaped.
const LINE_BYTES_MAX: u64 = 32 << 10;
/// Who connects has its question ready.
const QUESTION_TIME_MAX: Duration = Duration::from_secs(5);

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Question {
    /// Copies the newest state into this empty directory.
    Backup(PathBuf),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Answer {
    /// The state's revision.
    Backup(u64),
    Failed(String),
}

/// Answers for as long as connections come. Whoever has the store open is the only server here, so that a socket which
/// is there already is a dead one's.
pub(crate) async fn serve(path: PathBuf, store: Arc<Embedded>) -> Result<()> {
    answer_all(listen(&path)?, &store).await
}

fn listen(path: &Path) -> Result<UnixListener> {
    files::remove_if_there(path)?;
    UnixListener::bind(path).with_context(|| format!("listening on {}", path.display()))
}

async fn answer_all(listener: UnixListener, store: &Arc<Embedded>) -> Result<()> {
    loop {
        let (stream, _) = listener.accept().await.context("accepting a connection")?;
        if let Err(error) = answer(stream, store).await {
            tracing::warn!("a command's question was not answered: {error:#}");
        }
    }
}

async fn answer(mut stream: UnixStream, store: &Arc<Embedded>) -> Result<()> {
    let peer = stream.peer_cred().context("asking who connects")?;
    if peer.uid() != 0 {
        bail!("user {} may not ask", peer.uid());
    }
    let line = tokio::time::timeout(QUESTION_TIME_MAX, line(&mut stream)).await.context("waiting for a question")??;
    let question = serde_json::from_str(&line).context("reading a question")?;
    let answer = match question {
        Question::Backup(dir) => {
            let store = store.clone();
            let copied = tokio::task::spawn_blocking(move || store.backup(dir)).await.context("copying the store")?;
            copied.map_or_else(|error| Answer::Failed(error.to_string()), |revision| Answer::Backup(revision.0))
        }
    };
    say(&mut stream, &answer).await
}

/// Asks the server that listens at `path`.
pub(crate) async fn ask(path: &Path, question: &Question) -> Result<Answer> {
    let place = || format!("asking the running server over {}", path.display());
    let mut stream = UnixStream::connect(path).await.with_context(place)?;
    say(&mut stream, question).await?;
    let line = line(&mut stream).await.with_context(place)?;
    serde_json::from_str(&line).with_context(place)
}

async fn say(stream: &mut UnixStream, words: &impl Serialize) -> Result<()> {
    let mut line = serde_json::to_vec(words).context("encoding a message")?;
    line.push(b'\n');
    stream.write_all(&line).await.context("sending a message")
}

async fn line(stream: &mut UnixStream) -> Result<String> {
    let mut line = String::new();
    BufReader::new(stream.take(LINE_BYTES_MAX)).read_line(&mut line).await.context("reading a message")?;
    if !line.ends_with('\n') {
        bail!("the connection ended in the middle of a message");
    }
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_running_server_copies_its_store() {
        if !nix::unistd::geteuid().is_root() {
            return eprintln!("SKIPPED: only root is heard");
        }
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("socket");
        let store = Arc::new(Embedded::open(folder.path().join("store"), store::Options::default()).unwrap());
        std::fs::write(&socket, "a dead one's").unwrap();
        let listener = listen(&socket).unwrap();
        tokio::spawn(async move { answer_all(listener, &store).await });
        let copy = folder.path().join("copy");
        let question = Question::Backup(copy.clone());
        assert!(matches!(ask(&socket, &question).await.unwrap(), Answer::Backup(0)));
        let Answer::Failed(reason) = ask(&socket, &question).await.unwrap() else { panic!("copied over a copy") };
        assert!(reason.contains("holds a store already"), "{reason}");
        let mut nonsense = UnixStream::connect(&socket).await.unwrap();
        nonsense.write_all(b"{}\n").await.unwrap();
        assert!(line(&mut nonsense).await.is_err());
    }
}
