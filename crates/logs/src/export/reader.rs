//! Reads what has not been delivered yet, of all containers of the node: live ones as they write, and those of pods that
//! are gone from where their logs went.
//!
//! Nothing is copied aside: what waits for delivery is where it is anyway, within the archive's bounds. Bounds: a batch has
//! some [`BATCH_BYTES`] and containers take turns of [`TURN_BYTES`]; of pods that are gone [`OPEN_MAX`] logs are read at
//! one time.

use super::batch::Batch;
use super::ledger::{Key, Ledger};
use crate::archive::{Archive, directories_in};
use crate::block::Decoder;
use crate::follow::{Look, Tail};
use crate::identity::Identity;
use crate::query::{Filter, Query, QueryError};
use crate::search::Source;
use crate::watcher::{Signal, Watcher};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::Notify;

const BATCH_BYTES: usize = 1 << 20;
const TURN_BYTES: usize = 128 << 10;
const OPEN_MAX: usize = 16;

/// A pod that is there.
struct Pod {
    directory: PathBuf,
    signal: Arc<Signal>,
}

struct Own {
    tail: Tail,
    is_live: bool,
    /// It is in the line for its turn.
    is_queued: bool,
}

pub(super) struct Reader {
    archive: Arc<Archive>,
    watcher: Watcher,
    ledger: Arc<Ledger>,
    filter: Filter,
    decoder: Decoder,
    wake: Arc<Notify>,
    root: Arc<Signal>,
    live: BTreeMap<String, Pod>,
    /// Pods that are gone and whose containers are in `past` or done.
    gone: BTreeSet<String>,
    past: VecDeque<Arc<Source>>,
    containers: BTreeMap<Key, Own>,
    turns: VecDeque<Key>,
}

/// Why reading does not begin.
#[derive(Debug, thiserror::Error)]
pub enum ReaderError {
    #[error("watching the logs: {0}")]
    Watch(#[from] io::Error),
    #[error(transparent)]
    Filter(#[from] QueryError),
}

impl Reader {
    pub(super) fn new(archive: Arc<Archive>, ledger: Arc<Ledger>) -> Result<Reader, ReaderError> {
        let watcher = Watcher::start()?;
        let wake = Arc::new(Notify::new());
        let root = watcher.join(&archive.shared().options.live, wake.clone())?;
        root.again();
        Ok(Reader {
            filter: Filter::new(Query::default())?,
            decoder: Decoder::new()?,
            archive,
            watcher,
            ledger,
            wake,
            root,
            live: BTreeMap::new(),
            gone: BTreeSet::new(),
            past: VecDeque::new(),
            containers: BTreeMap::new(),
            turns: VecDeque::new(),
        })
    }

    /// Is notified when there may be more.
    pub(super) fn wake(&self) -> Arc<Notify> {
        self.wake.clone()
    }

    /// What comes next; empty when everything that is written has been read. Blocks.
    pub(super) fn next_batch(&mut self) -> io::Result<Batch> {
        if self.root.take() {
            self.look_for_pods()?;
            self.look_for_gone()?;
        }
        self.look_at_pods()?;
        for (key, own) in &mut self.containers {
            if own.tail.signal.take() && !std::mem::replace(&mut own.is_queued, true) {
                self.turns.push_back(key.clone());
            }
        }
        let mut batch = Batch::default();
        while batch.bytes() < BATCH_BYTES {
            self.open_past()?;
            let Some(key) = self.turns.pop_front() else { break };
            self.turn(key, &mut batch);
        }
        Ok(batch)
    }

    fn turn(&mut self, key: Key, batch: &mut Batch) {
        let Some(own) = self.containers.get_mut(&key) else { return };
        own.is_queued = false;
        let mut look = Look {
            shared: self.archive.shared(),
            filter: &self.filter,
            decoder: &mut self.decoder,
            left: TURN_BYTES,
            taken: Vec::new(),
        };
        let read = own.tail.read(&mut look);
        batch.taken.append(&mut look.taken);
        self.ledger.counters.unreadable.fetch_add(own.tail.take_lost(), Ordering::Relaxed);
        if let Err(error) = read {
            // It is taken up again from where it was delivered.
            tracing::warn!(pod = &*key.pod, container = &*key.container, %error, "a log is not exported for now");
            self.gone.remove(&*key.pod);
            self.live.remove(&*key.pod);
            self.containers.remove(&key);
            self.root.again();
        } else if !own.tail.is_drained() {
            // Its own sign that there is more is for this line.
            own.tail.signal.take();
            own.is_queued = true;
            self.turns.push_back(key);
        } else if !own.is_live {
            self.containers.remove(&key);
            batch.finished.push(key);
        }
    }

    fn look_for_pods(&mut self) -> io::Result<()> {
        for directory in directories_in(&self.archive.shared().options.live)? {
            let Some(name) = name_of(&directory) else { continue };
            if self.live.contains_key(name) {
                continue;
            }
            let signal = match self.watcher.join(&directory, self.wake.clone()) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                signal => signal?,
            };
            signal.again();
            self.gone.remove(name);
            self.live.insert(name.to_owned(), Pod { directory: directory.clone(), signal });
        }
        Ok(())
    }

    /// Looks at the pods that something happened to.
    fn look_at_pods(&mut self) -> io::Result<()> {
        let names: Vec<String> =
            self.live.iter().filter(|(_, pod)| pod.signal.take()).map(|(name, _)| name.clone()).collect();
        let mut is_any_gone = false;
        for name in names {
            let Some(directory) = self.live.get(&name).map(|pod| pod.directory.clone()) else { continue };
            if !directory.exists() {
                self.live.remove(&name);
                is_any_gone = true;
                for (key, own) in self.containers.iter_mut().filter(|(key, _)| *key.pod == *name) {
                    own.is_live = false;
                    if !std::mem::replace(&mut own.is_queued, true) {
                        self.turns.push_back(key.clone());
                    }
                }
            } else if let Some(identity) = Identity::written(&directory) {
                self.look_for_containers(&directory, &Arc::new(identity))?;
            }
        }
        if is_any_gone { self.look_for_gone() } else { Ok(()) }
    }

    fn look_for_containers(&mut self, directory: &Path, identity: &Arc<Identity>) -> io::Result<()> {
        for container in directories_in(directory)? {
            let Some(name) = name_of(&container) else { continue };
            let key = Key::new(&identity.directory(), name);
            if self.containers.get(&key).is_some_and(|own| own.is_live) {
                continue;
            }
            let signal = match self.watcher.join(&container, self.wake.clone()) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                signal => signal?,
            };
            let source = Arc::new(Source { pod: identity.clone(), container: name.into() });
            self.take_up(key, source, container.clone(), signal, true);
        }
        Ok(())
    }

    fn take_up(&mut self, key: Key, source: Arc<Source>, directory: PathBuf, signal: Arc<Signal>, is_live: bool) {
        let tail = Tail::new(source, directory, signal, self.ledger.position(&key));
        let before = self.containers.insert(key.clone(), Own { tail, is_live, is_queued: true });
        if !before.is_some_and(|own| own.is_queued) {
            self.turns.push_back(key);
        }
    }

    /// Pods that are there no more, and have logs that were not delivered.
    fn look_for_gone(&mut self) -> io::Result<()> {
        let shared = self.archive.shared();
        let mut present: BTreeSet<String> = self.live.keys().cloned().collect();
        let mut found: BTreeMap<Key, Arc<Source>> = BTreeMap::new();
        let mut find = |identity: &Arc<Identity>, container: &str| {
            let source = Source { pod: identity.clone(), container: container.into() };
            found.entry(Key::new(&identity.directory(), container)).or_insert_with(|| Arc::new(source));
        };
        for directory in directories_in(&shared.options.ended)? {
            let Some(identity) = Identity::read(&directory).map(Arc::new) else { continue };
            present.insert(identity.directory());
            for container in directories_in(&directory)? {
                name_of(&container).into_iter().for_each(|name| find(&identity, name));
            }
        }
        let (live, gone) = (&self.live, &self.gone);
        let is_new = |name: &str| !live.contains_key(name) && !gone.contains(name);
        present.extend(shared.held_names());
        for (identity, parts) in shared.held(|pod| is_new(&pod.directory())) {
            parts.keys().for_each(|part| find(&identity, &part.container));
        }
        let fresh = found
            .into_iter()
            .filter(|(key, _)| is_new(&key.pod) && !self.containers.contains_key(key) && !self.ledger.is_finished(key));
        self.past.extend(fresh.map(|(_, source)| source));
        self.gone = present.iter().filter(|name| !self.live.contains_key(*name)).cloned().collect();
        self.ledger.keep(&present);
        Ok(())
    }

    fn open_past(&mut self) -> io::Result<()> {
        while self.turns.len() < OPEN_MAX
            && let Some(source) = self.past.pop_front()
        {
            let name = source.pod.directory();
            let key = Key::new(&name, &source.container);
            if self.containers.contains_key(&key) {
                continue;
            }
            let live = &self.archive.shared().options.live;
            let directory = live.join(&name).join(&*source.container);
            let signal = self.watcher.join(live, self.wake.clone())?;
            let is_live = self.live.contains_key(&name);
            if !is_live {
                self.take_up(key, source, directory, signal, false);
            }
        }
        Ok(())
    }
}

fn name_of(path: &Path) -> Option<&str> {
    path.file_name().and_then(|name| name.to_str())
}
