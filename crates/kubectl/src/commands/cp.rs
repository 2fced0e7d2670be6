//! `cp`: files and folders to and from a container, as a tar archive through a process in it.
//!
//! Invariant: nothing is written outside the folder that was named: links are not made, and `..` is refused.

use super::exec::outcome;
use crate::calls::{At, name_of, namespace_of};
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::server::{Input, Output, Piece, open_exec, with_query};
use crate::workload;
use api::Kind;
use bytes::Bytes;
use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;
use std::io::{self, Read, Write};
use std::path::{Component, Path, PathBuf};
use std::time::Duration;
use tokio::sync::mpsc;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// SOURCE and DESTINATION, one of which is [NAMESPACE/]POD:PATH
    words: Vec<String>,
    #[arg(short = 'c', long, default_value = "", hide_default_value = true)]
    container: String,
    /// Owners and permissions are not kept
    #[arg(long)]
    no_preserve: bool,
    /// How often a copy from a container is begun again; negative is for ever
    #[arg(long, default_value_t = 0, allow_hyphen_values = true)]
    retries: i64,
}

/// Pieces of the archive between the tar and the network.
const PIECES: usize = 16;
/// Before a copy is begun again.
const PAUSE: Duration = Duration::from_millis(500);

/// One end of a copy.
#[derive(Debug, PartialEq)]
struct Place {
    namespace: String,
    /// Empty: this machine.
    pod: String,
    path: String,
}

impl Place {
    fn parse(text: &str) -> Result<Place> {
        let here = |path: &str| Place { namespace: String::new(), pod: String::new(), path: path.to_owned() };
        let Some((pod, path)) = text.split_once(':') else { return Ok(here(text)) };
        // `./a:b` and `/a:b` are files.
        if pod.is_empty() || pod.starts_with(['/', '.']) {
            return Ok(here(text));
        }
        match pod.split('/').collect::<Vec<_>>().as_slice() {
            [pod] => Ok(Place { namespace: String::new(), pod: (*pod).to_owned(), path: path.to_owned() }),
            [namespace, pod] => {
                Ok(Place { namespace: (*namespace).to_owned(), pod: (*pod).to_owned(), path: path.to_owned() })
            }
            _ => Err(Failure::message(format!(
                "Filespec must match the canonical format: [[namespace/]pod:]file/path, not {text}"
            ))),
        }
    }
}

pub(crate) async fn run(context: &Context, arguments: &Arguments) -> Result<()> {
    let [source, destination] = arguments.words.as_slice() else {
        return Err(Failure::message("source and destination are required"));
    };
    let (source, destination) = (Place::parse(source)?, Place::parse(destination)?);
    match (source.pod.is_empty(), destination.pod.is_empty()) {
        (false, false) => Err(Failure::message(format!(
            "one of src or dest must be a local file specification: {source:?} {destination:?}"
        ))),
        (true, true) => Err(Failure::message("one of src or dest must be a remote file specification")),
        _ if source.path.is_empty() || destination.path.is_empty() => {
            Err(Failure::message("filepath can not be empty"))
        }
        (true, false) => upload(context, arguments, &source, &destination).await,
        (false, true) => download(context, arguments, &source, &destination).await,
    }
}

/// A container whose processes read and write archives.
struct Remote<'a> {
    context: &'a Context,
    pod: Value,
    container: String,
}

impl<'a> Remote<'a> {
    async fn of(context: &'a Context, arguments: &Arguments, place: &Place) -> Result<Remote<'a>> {
        let namespace = if place.namespace.is_empty() { &context.namespace } else { &place.namespace };
        let pod = context.get(At::object(&Pod::DEF, namespace, &place.pod)).await?;
        let container = match arguments.container.as_str() {
            "" => workload::default_container(context, &pod)?,
            name => workload::known_container(&pod, name)?,
        };
        Ok(Remote { context, pod, container })
    }

    async fn start(&self, command: &[&str], stdin: bool) -> Result<(Input, Output)> {
        let at =
            At { def: &Pod::DEF, namespace: namespace_of(&self.pod), name: name_of(&self.pod), subresource: "exec" };
        let mut query: Vec<(&str, &str)> = command.iter().map(|word| ("command", *word)).collect();
        query.extend([
            ("container", self.container.as_str()),
            ("stdin", super::exec::flag(stdin)),
            ("stdout", "true"),
            ("stderr", "true"),
        ]);
        let remote = open_exec(&self.context.connection, &with_query(at.path(), &query)).await?;
        Ok((remote.input, remote.output))
    }

    async fn is_folder(&self, path: &str) -> Result<bool> {
        let (_input, mut output) = self.start(&["test", "-d", path], false).await?;
        while let Some(piece) = output.next().await? {
            if let Piece::Ended(status) = piece {
                return Ok(outcome(&status).is_ok());
            }
        }
        Ok(false)
    }
}

fn ended() -> Failure {
    Failure::message("the connection closed before the command's end was known")
}

fn base(path: &str) -> &str {
    path.trim_end_matches('/').rsplit('/').next().unwrap_or_default()
}

/// Where a file or folder of this machine comes to be in a folder of the container: under the name that it was called
/// by, which of a symbolic link is the link's own. `.` is what lies in the folder.
fn within(folder: &str, local: &Path) -> Result<String> {
    let unknown = |error: io::Error| Failure::message(format!("{}: {error}", local.display()));
    let name = match local.components().next_back() {
        Some(Component::Normal(name)) => name.to_owned(),
        Some(Component::CurDir) => return Ok(folder.to_owned()),
        _ => local.canonicalize().map_err(unknown)?.file_name().unwrap_or_default().to_owned(),
    };
    Ok(format!("{}/{}", folder.trim_end_matches('/'), name.to_string_lossy()))
}

async fn upload(context: &Context, arguments: &Arguments, source: &Place, destination: &Place) -> Result<()> {
    let local = PathBuf::from(&source.path);
    if local.symlink_metadata().is_err() {
        return Err(Failure::message(format!("{} doesn't exist in local filesystem", source.path)));
    }
    let remote = Remote::of(context, arguments, destination).await?;
    let mut path = destination.path.clone();
    if remote.is_folder(&path).await? {
        path = within(&path, &local)?;
    }
    let trimmed = path.trim_end_matches('/');
    let folder = match trimmed.rsplit_once('/') {
        Some(("", _)) => "/",
        Some((folder, _)) => folder,
        None => "",
    };
    let mut command = if arguments.no_preserve {
        vec!["tar", "--no-same-permissions", "--no-same-owner", "-xmf", "-"]
    } else {
        vec!["tar", "-xmf", "-"]
    };
    if !folder.is_empty() {
        command.extend(["-C", folder]);
    }
    let (mut input, mut output) = remote.start(&command, true).await?;
    let (sink, mut pieces) = mpsc::channel::<Bytes>(PIECES);
    let inside = base(trimmed).to_owned();
    let packing = tokio::task::spawn_blocking(move || pack(&local, &inside, ChannelWriter { sink }));
    let feeding = async {
        while let Some(piece) = pieces.recv().await {
            input.stdin(&piece).await?;
        }
        packing
            .await
            .map_err(|error| Failure::message(error.to_string()))?
            .map_err(|error| Failure::message(format!("packing {}: {error}", source.path)))?;
        input.close_stdin().await?;
        Ok::<_, Failure>(input)
    };
    let showing = async {
        while let Some(piece) = output.next().await? {
            match piece {
                Piece::Stdout(bytes) => context.print(bytes)?,
                Piece::Stderr(bytes) => context.complain(&bytes)?,
                Piece::Ended(status) => return outcome(&status),
            }
        }
        Err(ended())
    };
    let (feeding, showing) = (std::pin::pin!(feeding), std::pin::pin!(showing));
    match futures::future::select(feeding, showing).await {
        // The archive is out; the process says how it ended. The input stays open until then.
        futures::future::Either::Left((Ok(_input), showing)) => showing.await,
        futures::future::Either::Left((Err(failure), _)) => Err(failure),
        futures::future::Either::Right((ended, _)) => ended,
    }
}

/// A file or folder under another name; symbolic links as they are.
fn pack(path: &Path, inside: &str, sink: impl Write) -> io::Result<()> {
    let mut archive = tar::Builder::new(sink);
    archive.follow_symlinks(false);
    if path.symlink_metadata()?.is_dir() {
        archive.append_dir_all(inside, path)?;
    } else {
        archive.append_path_with_name(path, inside)?;
    }
    archive.finish()
}

async fn download(context: &Context, arguments: &Arguments, source: &Place, destination: &Place) -> Result<()> {
    let remote = Remote::of(context, arguments, source).await?;
    let local = PathBuf::from(&destination.path);
    let target = if local.is_dir() { local.join(base(&source.path)) } else { local };
    again(context, arguments.retries, async || fetch(context, &remote, &source.path, &target).await).await
}

/// How a copy ended that did not fail.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fetched {
    Whole,
    /// The connection ended before the archive did.
    Part,
}

/// Begins a copy again for as often as `retries` says when the connection is lost: what it wrote is written again.
async fn again(context: &Context, retries: i64, mut fetch: impl AsyncFnMut() -> Result<Fetched>) -> Result<()> {
    let mut tries = 0;
    loop {
        let lost = match fetch().await {
            Ok(Fetched::Whole) => return Ok(()),
            Ok(Fetched::Part) => ended(),
            Err(failure @ Failure::Unreachable { .. }) => failure,
            Err(failure) => return Err(failure),
        };
        if retries >= 0 && tries >= retries {
            return Err(lost);
        }
        tries += 1;
        context.remark(format_args!("The connection was lost; copying again, retry {tries}/{retries}"))?;
        tokio::time::sleep(PAUSE).await;
    }
}

async fn fetch(context: &Context, remote: &Remote<'_>, path: &str, target: &Path) -> Result<Fetched> {
    let (_input, mut output) = remote.start(&["tar", "cf", "-", path], false).await?;
    let (sink, pieces) = mpsc::channel::<Bytes>(PIECES);
    let (prefix, target) = (PathBuf::from(path.trim_start_matches('/')), target.to_owned());
    let unpacking =
        tokio::task::spawn_blocking(move || unpack(ChannelReader { pieces, rest: Bytes::new() }, &prefix, &target));
    let (mut status, mut given_up) = (None, false);
    // A connection that broke and one that was closed too early are the same loss.
    while let Ok(Some(piece)) = output.next().await {
        match piece {
            // An unpacker that gave up says why below.
            Piece::Stdout(bytes) => {
                given_up = sink.send(bytes).await.is_err();
                if given_up {
                    break;
                }
            }
            Piece::Stderr(bytes) => context.complain(&bytes)?,
            Piece::Ended(ended) => {
                status = Some(ended);
                break;
            }
        }
    }
    drop(sink);
    let unpacked = unpacking.await.map_err(|error| Failure::message(error.to_string()))?;
    if status.is_none() && !given_up {
        return Ok(Fetched::Part);
    }
    let skipped = unpacked.map_err(|error| Failure::message(format!("unpacking: {error}")))?;
    for link in skipped {
        context.remark(format_args!("warning: skipping symlink: {link}"))?;
    }
    outcome(&status.unwrap_or_default()).map(|()| Fetched::Whole)
}

/// Writes the archive's files below `target`, which takes the place of `prefix`; answers the links that were not made.
fn unpack(source: impl Read, prefix: &Path, target: &Path) -> io::Result<Vec<String>> {
    let mut archive = tar::Archive::new(source);
    let mut skipped = Vec::new();
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        let clean: PathBuf =
            path.components().filter(|part| !matches!(part, Component::CurDir | Component::RootDir)).collect();
        let prefix: PathBuf = prefix.components().filter(|part| !matches!(part, Component::CurDir)).collect();
        let relative = clean.strip_prefix(&prefix).map_err(|_| {
            io::Error::other(format!("the archive has {}, which is not below {}", path.display(), prefix.display()))
        })?;
        if relative.components().any(|part| !matches!(part, Component::Normal(_))) {
            return Err(io::Error::other(format!("the archive has {}, which leads out of its folder", path.display())));
        }
        let place = if relative.as_os_str().is_empty() { target.to_owned() } else { target.join(relative) };
        match entry.header().entry_type() {
            tar::EntryType::Directory => std::fs::create_dir_all(&place)?,
            tar::EntryType::Symlink | tar::EntryType::Link => {
                let to = entry.link_name()?.map(|to| to.display().to_string()).unwrap_or_default();
                skipped.push(format!("{:?} -> {to:?}", place.display().to_string()));
            }
            kind if kind.is_file() => {
                if let Some(folder) = place.parent() {
                    std::fs::create_dir_all(folder)?;
                }
                // A link that stands there already must not be written through.
                if place.symlink_metadata().is_ok_and(|there| there.is_symlink()) {
                    std::fs::remove_file(&place)?;
                }
                io::copy(&mut entry, &mut std::fs::File::create(&place)?)?;
            }
            _ => {}
        }
    }
    Ok(skipped)
}

/// Bytes of a thread that go to a task.
struct ChannelWriter {
    sink: mpsc::Sender<Bytes>,
}

impl Write for ChannelWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let piece = Bytes::copy_from_slice(bytes);
        self.sink.blocking_send(piece).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Bytes of a task that a thread reads.
struct ChannelReader {
    pieces: mpsc::Receiver<Bytes>,
    rest: Bytes,
}

impl Read for ChannelReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            match self.pieces.blocking_recv() {
                Some(piece) => self.rest = piece,
                None => return Ok(0),
            }
        }
        let count = self.rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.rest.split_to(count));
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_file_or_a_pods() {
        let place = |namespace: &str, pod: &str, path: &str| Place {
            namespace: namespace.into(),
            pod: pod.into(),
            path: path.into(),
        };
        assert_eq!(Place::parse("a/b").unwrap(), place("", "", "a/b"));
        assert_eq!(Place::parse("p:/b").unwrap(), place("", "p", "/b"));
        assert_eq!(Place::parse("n/p:b").unwrap(), place("n", "p", "b"));
        assert_eq!(Place::parse("./a:b").unwrap(), place("", "", "./a:b"));
        assert!(Place::parse("a/b/c:d").is_err());
    }

    #[test]
    fn a_copy_has_the_name_that_it_was_called_by() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("/etc/passwd", &link).unwrap();
        assert_eq!(within("/x/", &link).unwrap(), "/x/link");
        assert_eq!(within("/x", Path::new("a/b/")).unwrap(), "/x/b");
        assert_eq!(within("/x", Path::new(".")).unwrap(), "/x");
        let above = folder.path().join("..");
        assert_eq!(within("/x", &above).unwrap(), format!("/x{}", above.canonicalize().unwrap().display()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_connection_is_made_again_as_often_as_told() {
        let (context, words) = crate::server::testing::silent();
        for (retries, losses, tries, succeeds) in
            [(0, 1, 1, false), (2, 2, 3, true), (2, 3, 3, false), (-1, 5, 6, true)]
        {
            let mut tried = 0;
            let copied = again(&context, retries, async || {
                tried += 1;
                Ok(if tried > losses { Fetched::Whole } else { Fetched::Part })
            });
            assert_eq!((copied.await.is_ok(), tried), (succeeds, tries), "{retries} {losses}");
        }
        assert!(words().contains("copying again, retry 1/2"), "{}", words());
        let mut tried = 0;
        let refused = again(&context, 5, async || {
            tried += 1;
            Err(Failure::message("tar: x: No such file"))
        });
        assert_eq!((refused.await.unwrap_err().report().as_str(), tried), ("error: tar: x: No such file", 1));
    }

    #[test]
    fn what_is_packed_is_unpacked_elsewhere() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        std::fs::create_dir_all(from.join("deep")).unwrap();
        std::fs::write(from.join("deep/file"), "content").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", from.join("link")).unwrap();
        let mut archive = Vec::new();
        pack(&from, "x", &mut archive).unwrap();
        let skipped = unpack(&archive[..], Path::new("x"), &to).unwrap();
        assert_eq!(std::fs::read_to_string(to.join("deep/file")).unwrap(), "content");
        assert!(skipped.len() == 1 && skipped[0].ends_with("-> \"/etc/passwd\""), "{skipped:?}");
        assert!(to.join("link").symlink_metadata().is_err());
    }

    #[test]
    fn an_archive_that_leads_out_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut archive = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        // The safe way to set a name refuses this one.
        header.as_old_mut().name[..11].copy_from_slice(b"x/../../bad");
        header.set_size(1);
        header.set_mode(0o644);
        header.set_cksum();
        archive.append(&header, &b"y"[..]).unwrap();
        let archive = archive.into_inner().unwrap();
        let error = unpack(&archive[..], Path::new("x"), &folder.path().join("to")).unwrap_err().to_string();
        assert!(error.contains("leads out of its folder"), "{error}");
    }
}
