//! Goes on where a search ended: lines as they are written, of containers that are there and that come.
//!
//! Invariants: nothing is polled; what the search saw is not told again, and nothing between it and now is left out, across
//! rotations, restarts and the end of pods; a container's lines keep their order. Lines of one look are merged by time.
//! Memory: [`LOOK_BYTES_MAX`] of lines.

mod position;
mod tail;

pub(crate) use position::Position;
pub(crate) use tail::{Look, Tail, Taken};

use crate::archive::{Archive, directories_in};
use crate::block::Decoder;
use crate::identity::Identity;
use crate::query::{Filter, Order};
use crate::search::{Entry, Found, Live, Search, Source, plan};
use crate::time::Nanoseconds;
use crate::watcher::{Signal, Watcher};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::Notify;

/// What one look takes in; the rest is for the next.
const LOOK_BYTES_MAX: usize = 8 << 20;

struct Pod {
    directory: PathBuf,
    signal: Arc<Signal>,
    /// Its logs have gone to the archive.
    ended: bool,
    /// `None` until the pod's file says whether it is wanted.
    identity: Option<Arc<Identity>>,
    containers: BTreeMap<Box<str>, Tail>,
}

/// Follows what a filter wants.
pub struct Follower {
    archive: Arc<Archive>,
    watcher: Arc<Watcher>,
    filter: Filter,
    wake: Arc<Notify>,
    root: Arc<Signal>,
    pods: BTreeMap<String, Pod>,
    /// Pods that are gone and were told of, by the search or here.
    told: BTreeSet<String>,
    /// Those of which nothing was told while they were there.
    missed: VecDeque<Search>,
    decoder: Decoder,
}

impl Follower {
    /// A search of what there is, and a follower that begins where it ends. Blocks.
    ///
    /// # Errors
    /// The directories of logs cannot be read or watched.
    pub fn begin(archive: &Arc<Archive>, watcher: &Arc<Watcher>, filter: Filter) -> io::Result<(Search, Follower)> {
        let wake = Arc::new(Notify::new());
        // Watched before they are read: what comes in between is looked for afterwards.
        let root = watcher.join(&archive.shared().options.live, wake.clone())?;
        root.again();
        let mut follower = Follower {
            archive: archive.clone(),
            watcher: watcher.clone(),
            filter: filter.clone().reordered(Order::OldestFirst, None),
            wake,
            root,
            pods: BTreeMap::new(),
            told: BTreeSet::new(),
            missed: VecDeque::new(),
            decoder: Decoder::new()?,
        };
        follower.told = follower.gone()?;
        let mut found = plan(archive.shared(), &filter)?;
        for own in &mut found {
            match own.live.take() {
                Some(live) => follower.go_on(own, live)?,
                None => drop(follower.told.insert(own.source.pod.directory())),
            }
        }
        Ok((Search::over(filter, found)?, follower))
    }

    /// Is notified when there may be more to `take`.
    pub fn wake(&self) -> Arc<Notify> {
        self.wake.clone()
    }

    /// Gives `sink` what has been written since; if there is more, `wake` is notified. Blocks.
    ///
    /// # Errors
    /// The directories of logs cannot be read.
    pub fn take(&mut self, mut sink: impl FnMut(Entry<'_>)) -> io::Result<()> {
        if self.root.take() {
            self.look_for_pods()?;
            self.look_for_missed()?;
        }
        let mut look = Look {
            shared: self.archive.shared(),
            filter: &self.filter,
            decoder: &mut self.decoder,
            left: LOOK_BYTES_MAX,
            taken: Vec::new(),
        };
        let mut ended = Vec::new();
        let names: Vec<String> = self.pods.keys().cloned().collect();
        for name in names {
            let Some(pod) = self.pods.get_mut(&name) else { continue };
            if pod.signal.take() {
                look_for_containers(pod, &self.filter, &self.watcher, &self.wake)?;
                pod.ended = !pod.directory.exists();
            }
            for tail in pod.containers.values_mut() {
                if tail.signal.take() || pod.ended {
                    tail.read(&mut look)?;
                }
            }
            let drained = pod.containers.values().all(Tail::is_drained);
            if pod.ended && drained {
                ended.push(name);
            }
        }
        let Look { left, taken, .. } = look;
        for name in ended {
            self.forget(name)?;
        }
        emit(taken, &mut sink);
        self.tell_missed(left, &mut sink);
        Ok(())
    }

    /// Pods that are wanted by their names and have no directory of the runtime's any more.
    fn gone(&self) -> io::Result<BTreeSet<String>> {
        let options = &self.archive.shared().options;
        let mut names = BTreeSet::new();
        for directory in directories_in(&options.ended)?.into_iter().chain(directories_in(&options.archive)?) {
            let Some(name) = directory.file_name().and_then(|name| name.to_str()) else { continue };
            if self.is_wanted(name) && !options.live.join(name).exists() {
                names.insert(name.to_owned());
            }
        }
        Ok(names)
    }

    fn is_wanted(&self, name: &str) -> bool {
        Identity::of_directory(name).is_some_and(|named| self.filter.wants_named(&named.namespace, &named.pod))
    }

    /// Pods that came and went since the last look.
    fn look_for_missed(&mut self) -> io::Result<()> {
        let gone = self.gone()?;
        for name in &gone {
            if !self.pods.contains_key(name) && !self.told.contains(name) {
                self.miss(name, &BTreeMap::new())?;
            }
        }
        // What the archive let go of comes no more.
        self.told = gone.into_iter().filter(|name| !self.pods.contains_key(name)).collect();
        Ok(())
    }

    /// A pod's end: what its containers said that were not seen while it was there is found where it went.
    fn forget(&mut self, name: String) -> io::Result<()> {
        if let Some(pod) = self.pods.remove(&name) {
            self.miss(&name, &pod.containers)?;
            self.told.insert(name);
        }
        Ok(())
    }

    fn miss(&mut self, name: &str, heard: &BTreeMap<Box<str>, Tail>) -> io::Result<()> {
        let Some(named) = Identity::of_directory(name) else { return Ok(()) };
        let filter = self.filter.clone().of_pod(&named);
        let mut found = plan(self.archive.shared(), &filter)?;
        found.retain(|own| own.source.pod.directory() == name && !heard.contains_key(&own.source.container));
        if !found.is_empty() {
            self.missed.push_back(Search::over(filter, found)?);
        }
        Ok(())
    }

    fn tell_missed(&mut self, mut left: usize, sink: &mut impl FnMut(Entry<'_>)) {
        while let Some(search) = self.missed.front_mut() {
            while let Some(entry) = search.next_entry() {
                left = left.saturating_sub(entry.text.len() + 1);
                sink(entry);
                if left == 0 {
                    return self.root.again();
                }
            }
            self.missed.pop_front();
        }
    }

    /// Watches a directory, which is then looked at once in any case. Of a pod that has ended meanwhile that look finds
    /// all there is, and nothing more comes.
    fn join(&self, directory: &Path) -> io::Result<Arc<Signal>> {
        let signal = match self.watcher.join(directory, self.wake.clone()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.watcher.join(&self.archive.shared().options.live, self.wake.clone())?
            }
            signal => signal?,
        };
        signal.again();
        Ok(signal)
    }

    fn pod(&mut self, directory: &Path, name: &str) -> io::Result<&mut Pod> {
        if !self.pods.contains_key(name) {
            let signal = self.join(directory)?;
            let pod = Pod {
                directory: directory.to_owned(),
                signal,
                ended: false,
                identity: None,
                containers: BTreeMap::new(),
            };
            self.pods.insert(name.to_owned(), pod);
        }
        self.pods.get_mut(name).ok_or_else(|| io::Error::other("a pod was lost"))
    }

    /// Takes up a container where the search ends.
    fn go_on(&mut self, found: &Found, live: Live) -> io::Result<()> {
        let Some(directory) = live.path.parent().map(Path::to_owned) else { return Ok(()) };
        let Some(of_pod) = directory.parent().map(Path::to_owned) else { return Ok(()) };
        let signal = self.join(&directory)?;
        let tail = Tail::go_on(found.source.clone(), directory, live, signal);
        let name = found.source.pod.directory();
        let pod = self.pod(&of_pod, &name)?;
        pod.identity = Some(found.source.pod.clone());
        pod.containers.insert(found.source.container.clone(), tail);
        Ok(())
    }

    fn look_for_pods(&mut self) -> io::Result<()> {
        for directory in directories_in(&self.archive.shared().options.live)? {
            let Some(name) = directory.file_name().and_then(|name| name.to_str()) else { continue };
            if !self.is_wanted(name) || self.pods.contains_key(name) {
                continue;
            }
            self.pod(&directory, name)?;
        }
        Ok(())
    }
}

fn look_for_containers(pod: &mut Pod, filter: &Filter, watcher: &Watcher, wake: &Arc<Notify>) -> io::Result<()> {
    if pod.identity.is_none() {
        // It is written before the first container starts.
        let Some(identity) = Identity::written(&pod.directory) else { return Ok(()) };
        pod.identity = Some(Arc::new(identity));
    }
    let Some(identity) = pod.identity.clone().filter(|identity| filter.wants_pod(identity)) else { return Ok(()) };
    for directory in directories_in(&pod.directory)? {
        let Some(name) = directory.file_name().and_then(|name| name.to_str()) else { continue };
        if !filter.wants_container(name) || pod.containers.contains_key(name) {
            continue;
        }
        let signal = match watcher.join(&directory, wake.clone()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            signal => signal?,
        };
        signal.again();
        let source = Arc::new(Source { pod: identity.clone(), container: name.into() });
        pod.containers.insert(name.into(), Tail::new(source, directory.clone(), signal, None));
    }
    Ok(())
}

/// By time, each container's lines in their order.
fn emit(mut taken: Vec<Taken>, sink: &mut impl FnMut(Entry<'_>)) {
    let mut order: Vec<(Nanoseconds, usize, usize)> = Vec::new();
    let mut floors: BTreeMap<*const Source, Nanoseconds> = BTreeMap::new();
    for (number, own) in taken.iter_mut().enumerate() {
        let floor = floors.entry(Arc::as_ptr(&own.source)).or_insert(Nanoseconds::MIN);
        for line in 0..own.block.len() {
            *floor = (*floor).max(own.block.lines()[line].time);
            order.push((*floor, number, line));
        }
    }
    order.sort_unstable();
    for (_, number, index) in order {
        let own = &taken[number];
        let line = own.block.lines()[index];
        sink(Entry {
            source: &own.source,
            time: line.time,
            stderr: line.is_stderr(),
            partial: line.is_partial(),
            level: line.level(),
            text: own.block.text(index),
        });
    }
}

#[cfg(test)]
mod tests;
