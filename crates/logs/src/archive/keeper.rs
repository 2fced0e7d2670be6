//! The archive's thread: takes in what has ended, and lets go of what is too old or too much.

use super::intake::{directories_in, remove_if_there};
use super::{Order, Shared};
use std::io;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, SystemTime};

/// How often what is too old is looked for when nothing else happens.
const AGE_LOOK: Duration = Duration::from_secs(3600);
/// Behind containers and the node's own work.
const NICENESS: i32 = 10;

pub(super) fn run(shared: &Shared, orders: &Receiver<Order>) {
    if let Err(errno) = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICENESS) {
        tracing::debug!(%errno, "the log archive works at normal priority");
    }
    if let Err(error) = shared.load() {
        tracing::error!(%error, "what the log archive holds was not read whole");
    }
    shared.catalog.lock().set_loaded();
    shared.loaded.notify_all();
    shared.work();
    loop {
        match orders.recv_timeout(AGE_LOOK) {
            Ok(Order::Look) | Err(RecvTimeoutError::Timeout) => shared.work(),
            Ok(Order::Settle(done)) => {
                shared.work();
                if done.send(()).is_err() {
                    tracing::trace!("nobody waits for the log archive any more");
                }
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

fn report(path: &Path, result: io::Result<()>) {
    match result {
        // A pod's directory can go while it is looked at: then another look has it where it went.
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(path = %path.display(), %error, "logs were not archived; it is tried again");
        }
        _ => {}
    }
}

impl Shared {
    fn work(&self) {
        self.each(&self.options.ended, |directory| self.take_ended(directory));
        self.each(&self.options.live, |directory| self.take_rotated(directory));
        self.expire(self.bytes_max);
        if let Err(error) = self.bound_waiting() {
            report(&self.options.ended, Err(error));
        }
    }

    fn each(&self, root: &Path, take: impl Fn(&Path) -> io::Result<()>) {
        match directories_in(root) {
            Ok(directories) => directories.iter().for_each(|directory| report(directory, take(directory))),
            Err(error) => report(root, Err(error)),
        }
    }

    /// Frees some of the disk, at the cost of the oldest.
    pub(super) fn make_room(&self, bytes: u64) {
        let held = self.catalog.lock().bytes().min(self.bytes_max);
        self.expire(held.saturating_sub(bytes));
    }

    /// What could not be archived, as nothing can be written, must not grow for as long as that lasts: the oldest pods'
    /// logs go, as those of the archive do.
    fn bound_waiting(&self) -> io::Result<()> {
        let mut waiting = Vec::new();
        for directory in directories_in(&self.options.ended)? {
            let since = std::fs::metadata(&directory)?.modified()?;
            waiting.push((since, size_of(&directory)?, directory));
        }
        waiting.sort();
        let mut bytes: u64 = waiting.iter().map(|(_, bytes, _)| bytes).sum();
        for (_, own, directory) in waiting {
            if bytes <= self.bytes_max {
                break;
            }
            tracing::error!(path = %directory.display(), bytes = own, "logs that cannot be archived are given up");
            std::fs::remove_dir_all(&directory)?;
            bytes -= own;
        }
        Ok(())
    }

    fn expire(&self, bytes_max: u64) {
        let gone = self.catalog.lock().expire(SystemTime::now(), self.options.age_max, bytes_max);
        for (pod, part, lines) in gone {
            if let Some(ledger) = self.exported.get() {
                ledger.expired(&pod, &part, lines);
            }
            let path = self.segment_path(&pod, &part);
            if let Err(error) = remove_if_there(&path) {
                tracing::warn!(path = %path.display(), %error, "old logs were not removed");
            }
            let directory = self.options.archive.join(&pod);
            if let Err(error) = std::fs::remove_dir(&directory)
                && !matches!(error.kind(), io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::NotFound)
            {
                tracing::warn!(path = %directory.display(), %error, "an empty directory of logs was not removed");
            }
        }
    }
}

/// Of a pod's logs that wait.
fn size_of(directory: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for container in directories_in(directory)? {
        for entry in std::fs::read_dir(container)? {
            bytes += entry?.metadata()?.len();
        }
    }
    Ok(bytes)
}
