//! Tells followers that something happened in a log directory.
//!
//! One inotify instance for the process, however many follow: a kernel gives a user only 128 of them.

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};
use parking_lot::Mutex;
use rustix::event::{PollFd, PollFlags, poll};
use std::collections::HashMap;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, Weak};
use tokio::sync::Notify;

struct Shared {
    inotify: Inotify,
    followers: Mutex<HashMap<WatchDescriptor, Vec<Weak<Notify>>>>,
}

pub(crate) struct Watcher {
    shared: Arc<Shared>,
    /// Closed with the watcher, which ends the reading thread.
    _open: UnixStream,
}

impl Watcher {
    /// Starts the one thread that reads; it sleeps while nothing happens.
    pub(crate) fn start() -> io::Result<Watcher> {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
        let shared = Arc::new(Shared { inotify, followers: Mutex::default() });
        let (open, closed) = UnixStream::pair()?;
        let reader = shared.clone();
        std::thread::Builder::new().name("log-watcher".into()).spawn(move || read(&reader, &closed))?;
        Ok(Watcher { shared, _open: open })
    }

    /// Is notified whenever a file in `directory` is written, made or renamed, for as long as it is held.
    pub(crate) fn follow(&self, directory: &Path) -> io::Result<Arc<Notify>> {
        let flags = AddWatchFlags::IN_MODIFY
            | AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_MOVE
            | AddWatchFlags::IN_DELETE_SELF;
        let notify = Arc::new(Notify::new());
        // Watch and entry are made under one lock, so that no event of it can fall between them.
        let mut followers = self.shared.followers.lock();
        let watch = self.shared.inotify.add_watch(directory, flags)?;
        followers.entry(watch).or_default().push(Arc::downgrade(&notify));
        Ok(notify)
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
            Ok(events) => {
                let mut followers = shared.followers.lock();
                for event in events {
                    tell(shared, &mut followers, event.wd);
                }
            }
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(errno) => return tracing::error!(%errno, "log followers hear of no more changes"),
        }
    }
}

fn tell(shared: &Shared, followers: &mut HashMap<WatchDescriptor, Vec<Weak<Notify>>>, watch: WatchDescriptor) {
    let Some(list) = followers.get_mut(&watch) else { return };
    list.retain(|follower| {
        follower.upgrade().is_some_and(|follower| {
            follower.notify_one();
            true
        })
    });
    if list.is_empty() {
        followers.remove(&watch);
        // EINVAL: the directory is gone, and the watch with it.
        if let Err(errno) = shared.inotify.rm_watch(watch)
            && errno != Errno::EINVAL
        {
            tracing::warn!(%errno, "a log watch was not removed");
        }
    }
}
