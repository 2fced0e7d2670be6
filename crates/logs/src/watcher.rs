//! Tells followers that something happened in a log directory.
//!
//! One inotify instance for the process, however many follow: a kernel gives a user only 128 of them.

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent, WatchDescriptor};
use parking_lot::Mutex;
use rustix::event::{PollFd, PollFlags, poll};
use std::collections::HashMap;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use tokio::sync::Notify;

/// That something happened in a directory, until somebody has looked. Held for as long as that is of interest.
pub struct Signal {
    happened: AtomicBool,
    wake: Arc<Notify>,
    /// Whose list it is in, and which.
    watcher: Weak<Shared>,
    watch: WatchDescriptor,
}

impl Drop for Signal {
    /// Without it a quiet directory's list would keep all who ever followed it.
    fn drop(&mut self) {
        if let Some(shared) = self.watcher.upgrade() {
            shared.followers.lock().leave(&shared.inotify, self.watch);
        }
    }
}

impl Signal {
    /// Waits for the next time.
    pub async fn notified(&self) {
        self.wake.notified().await;
    }

    /// Whether something happened since this was asked before.
    pub(crate) fn take(&self) -> bool {
        self.happened.swap(false, Ordering::AcqRel)
    }

    /// As if something had happened: there is more to look at than was looked at.
    pub(crate) fn again(&self) {
        self.happened.store(true, Ordering::Release);
        self.wake.notify_one();
    }
}

struct Shared {
    inotify: Inotify,
    followers: Mutex<Followers>,
}

#[derive(Default)]
struct Followers(HashMap<WatchDescriptor, Vec<Weak<Signal>>>);

impl Followers {
    /// Forgets who is gone; a directory that nobody follows is watched no more.
    fn leave(&mut self, inotify: &Inotify, watch: WatchDescriptor) {
        let Some(list) = self.0.get_mut(&watch) else { return };
        list.retain(|follower| follower.strong_count() > 0);
        if !list.is_empty() {
            return;
        }
        self.0.remove(&watch);
        // EINVAL: the directory is gone, and the watch with it.
        if let Err(errno) = inotify.rm_watch(watch)
            && errno != Errno::EINVAL
        {
            tracing::warn!(%errno, "a log watch was not removed");
        }
    }

    /// Those who follow a directory. Dropped only when the lock is let go, which their end takes.
    fn of(&self, watch: WatchDescriptor) -> impl Iterator<Item = Arc<Signal>> {
        self.0.get(&watch).into_iter().flatten().filter_map(Weak::upgrade)
    }
}

pub struct Watcher {
    shared: Arc<Shared>,
    /// Closed with the watcher, which ends the reading thread.
    _open: UnixStream,
}

impl Watcher {
    /// Starts the one thread that reads; it sleeps while nothing happens.
    ///
    /// # Errors
    /// The kernel gives no instance, or no thread.
    pub fn start() -> io::Result<Watcher> {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
        let shared = Arc::new(Shared { inotify, followers: Mutex::default() });
        let (open, closed) = UnixStream::pair()?;
        let reader = shared.clone();
        std::thread::Builder::new().name("log-watcher".into()).spawn(move || read(&reader, &closed))?;
        Ok(Watcher { shared, _open: open })
    }

    /// Is notified whenever a file in `directory` is written, made or renamed, for as long as it is held.
    ///
    /// # Errors
    /// The directory cannot be watched.
    pub fn follow(&self, directory: &Path) -> io::Result<Arc<Signal>> {
        self.join(directory, Arc::new(Notify::new()))
    }

    /// The same; `wake` may be that of other directories too.
    pub(crate) fn join(&self, directory: &Path, wake: Arc<Notify>) -> io::Result<Arc<Signal>> {
        let flags = AddWatchFlags::IN_MODIFY
            | AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_MOVE
            | AddWatchFlags::IN_MOVE_SELF
            | AddWatchFlags::IN_DELETE_SELF;
        // Watch and entry are made under one lock, so that no event of it can fall between them.
        let mut followers = self.shared.followers.lock();
        let watch = self.shared.inotify.add_watch(directory, flags)?;
        let watcher = Arc::downgrade(&self.shared);
        let signal = Arc::new(Signal { happened: AtomicBool::new(false), wake, watcher, watch });
        followers.0.entry(watch).or_default().push(Arc::downgrade(&signal));
        Ok(signal)
    }
}

fn read(shared: &Shared, closed: &UnixStream) {
    loop {
        let mut ready = [PollFd::new(&shared.inotify, PollFlags::IN), PollFd::new(closed, PollFlags::IN)];
        match poll(&mut ready, None) {
            Ok(_) if !ready[1].revents().is_empty() => return,
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return tracing::error!(%errno, "log followers hear of no more changes"),
        }
        match shared.inotify.read_events() {
            Ok(events) => heard(shared, &events),
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(errno) => return tracing::error!(%errno, "log followers hear of no more changes"),
        }
    }
}

fn heard(shared: &Shared, events: &[InotifyEvent]) {
    let mut told: Vec<Arc<Signal>> = Vec::new();
    let followers = shared.followers.lock();
    for event in events {
        if event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW) {
            // Too much happened to tell what: everybody looks.
            told.extend(followers.0.keys().flat_map(|watch| followers.of(*watch)));
        }
        told.extend(followers.of(event.wd));
    }
    drop(followers);
    told.iter().for_each(|follower| follower.again());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_gone_is_forgotten_though_nothing_happens() {
        let directory = tempfile::tempdir().unwrap();
        let watcher = Watcher::start().unwrap();
        let stays = watcher.follow(directory.path()).unwrap();
        for _ in 0..100 {
            drop(watcher.follow(directory.path()).unwrap());
        }
        let followers = |count: usize| {
            let lists = watcher.shared.followers.lock();
            assert_eq!(lists.0.values().map(Vec::len).sum::<usize>(), count);
            assert_eq!(lists.0.len(), count, "an empty list is not kept");
        };
        followers(1);
        assert!(!stays.take());
        std::fs::write(directory.path().join("0.log"), "x").unwrap();
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
        while !stays.take() {
            assert!(std::time::Instant::now() < deadline, "who stays is told");
            std::thread::yield_now();
        }
        drop(stays);
        followers(0);
    }
}
