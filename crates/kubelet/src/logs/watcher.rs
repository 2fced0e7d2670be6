//! Tells followers that something happened in a log directory.
//!
//! One inotify instance for the process, however many follow: a kernel gives a user only 128 of them.

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::path::Path;
use std::sync::{Arc, Weak};
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

struct Fd(Inotify);

impl AsRawFd for Fd {
    fn as_raw_fd(&self) -> RawFd {
        let fd: BorrowedFd<'_> = self.0.as_fd();
        fd.as_raw_fd()
    }
}

struct Shared {
    inotify: AsyncFd<Fd>,
    followers: Mutex<HashMap<WatchDescriptor, Vec<Weak<Notify>>>>,
}

pub(crate) struct Watcher {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Watcher {
    pub(crate) fn start() -> io::Result<Watcher> {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
        let shared = Arc::new(Shared { inotify: AsyncFd::new(Fd(inotify))?, followers: Mutex::default() });
        let task = tokio::spawn(read(shared.clone()));
        Ok(Watcher { shared, task })
    }

    /// Is notified whenever a file in `directory` is written, made or renamed, for as long as it is held.
    pub(crate) fn follow(&self, directory: &Path) -> io::Result<Arc<Notify>> {
        let flags = AddWatchFlags::IN_MODIFY | AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVE | AddWatchFlags::IN_DELETE_SELF;
        let notify = Arc::new(Notify::new());
        // Watch and entry are made under one lock, so that no event of it can fall between them.
        let mut followers = self.shared.followers.lock();
        let watch = self.shared.inotify.get_ref().0.add_watch(directory, flags)?;
        followers.entry(watch).or_default().push(Arc::downgrade(&notify));
        Ok(notify)
    }
}

async fn read(shared: Arc<Shared>) {
    loop {
        let Ok(mut ready) = shared.inotify.readable().await else { return };
        match shared.inotify.get_ref().0.read_events() {
            Ok(events) => {
                let mut followers = shared.followers.lock();
                for event in events {
                    tell(&shared, &mut followers, event.wd);
                }
            }
            Err(Errno::EAGAIN) => ready.clear_ready(),
            Err(errno) => {
                tracing::error!(%errno, "log followers hear of no more changes");
                return;
            }
        }
    }
}

fn tell(shared: &Shared, followers: &mut HashMap<WatchDescriptor, Vec<Weak<Notify>>>, watch: WatchDescriptor) {
    let Some(list) = followers.get_mut(&watch) else { return };
    list.retain(|follower| follower.upgrade().is_some_and(|follower| {
        follower.notify_one();
        true
    }));
    if list.is_empty() {
        followers.remove(&watch);
        // EINVAL: the directory is gone, and the watch with it.
        if let Err(errno) = shared.inotify.get_ref().0.rm_watch(watch)
            && errno != Errno::EINVAL
        {
            tracing::warn!(%errno, "a log watch was not removed");
        }
    }
}
