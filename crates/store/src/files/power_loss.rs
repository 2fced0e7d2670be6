//! A disk in memory that forgets what was not synced, and breaks when told to.
//!
//! It keeps no promise that a real disk does not: after a power cut, of the unsynced writes of a file any 512-byte
//! sectors may be there, the file may be as long as it was or shorter, and of the unsynced changes of names any.

use super::{File, Files};
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::Arc;

const SECTOR: usize = 512;

#[derive(Clone)]
pub(crate) struct Disk(Arc<Mutex<State>>);

struct State {
    random: StdRng,
    inodes: HashMap<u64, Inode>,
    names: BTreeMap<String, u64>,
    durable_names: BTreeMap<String, u64>,
    unsynced_names: Vec<NameChange>,
    next_inode: u64,
    /// Changes until the power fails.
    cut_after: Option<u32>,
    fault: Option<Fault>,
}

#[derive(Clone, Default)]
struct Inode {
    now: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<Change>,
}

#[derive(Clone)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Length(usize),
}

#[derive(Clone)]
enum NameChange {
    Create(String, u64),
    Rename(String, String),
    Remove(String),
}

/// What goes wrong, once `after` operations of that sort have gone well.
#[derive(Clone, Copy)]
pub(crate) struct Fault {
    pub(crate) on: Operation,
    pub(crate) after: u32,
    pub(crate) errno: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Write,
    Sync,
    Create,
}

pub(crate) const EIO: i32 = 5;
pub(crate) const ENOSPC: i32 = 28;

fn apply_name(names: &mut BTreeMap<String, u64>, change: &NameChange) {
    match change {
        NameChange::Create(name, inode) => {
            names.insert(name.clone(), *inode);
        }
        NameChange::Rename(from, to) => {
            if let Some(inode) = names.remove(from) {
                names.insert(to.clone(), inode);
            }
        }
        NameChange::Remove(name) => {
            names.remove(name);
        }
    }
}

fn write(content: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    if content.len() < offset + bytes.len() {
        content.resize(offset + bytes.len(), 0);
    }
    content[offset..offset + bytes.len()].copy_from_slice(bytes);
}

impl Inode {
    /// What the platter has after a cut, when each unsynced sector was lucky with probability `luck`.
    fn after_cut(&self, random: &mut StdRng, luck: f64) -> Vec<u8> {
        let mut content = self.durable.clone();
        for change in &self.unsynced {
            match change {
                Change::Length(length) if random.random_bool(luck) => content.resize(*length, 0),
                Change::Length(_) => {}
                Change::Write { offset, bytes } => {
                    let mut done = 0;
                    while done < bytes.len() {
                        let sector_end = SECTOR - (offset + done) % SECTOR;
                        let part = sector_end.min(bytes.len() - done);
                        if random.random_bool(luck) {
                            write(&mut content, offset + done, &bytes[done..done + part]);
                        }
                        done += part;
                    }
                    // The length may be on the disk although the last sectors are not.
                    if random.random_bool(luck) && content.len() < offset + bytes.len() {
                        content.resize(offset + bytes.len(), 0);
                    }
                }
            }
        }
        content
    }
}

impl State {
    /// Whether the power is on for another change.
    fn powered(&mut self) -> io::Result<()> {
        match &mut self.cut_after {
            Some(0) => Err(io::Error::other("the power is off")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn healthy(&mut self, operation: Operation) -> io::Result<()> {
        match &mut self.fault {
            Some(fault) if fault.on == operation && fault.after == 0 => Err(io::Error::from_raw_os_error(fault.errno)),
            Some(fault) if fault.on == operation => {
                fault.after -= 1;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn change_name(&mut self, change: NameChange) {
        apply_name(&mut self.names, &change);
        self.unsynced_names.push(change);
    }

    fn inode(&mut self, inode: u64) -> &mut Inode {
        self.inodes.get_mut(&inode).expect("an open file has an inode")
    }

    fn named(&self, name: &str) -> io::Result<u64> {
        self.names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Disk {
    pub(crate) fn new(seed: u64) -> Disk {
        Disk(Arc::new(Mutex::new(State {
            random: StdRng::seed_from_u64(seed),
            inodes: HashMap::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            unsynced_names: Vec::new(),
            next_inode: 0,
            cut_after: None,
            fault: None,
        })))
    }

    /// Lets the power fail after so many more changes.
    pub(crate) fn cut_after(&self, changes: u32) {
        self.0.lock().cut_after = Some(changes);
    }

    pub(crate) fn set_fault(&self, fault: Fault) {
        self.0.lock().fault = Some(fault);
    }

    /// The disk as it comes back after the power failed just now.
    pub(crate) fn after_power_loss(&self) -> Disk {
        let mut state = self.0.lock();
        let state = &mut *state;
        let seed = state.random.random();
        let random = &mut state.random;
        let luck = [0.0, 0.5, 0.9, 1.0][random.random_range(0..4)];
        let mut names = state.durable_names.clone();
        let survived = state.unsynced_names.iter().filter(|_| random.random_bool(luck));
        survived.for_each(|change| apply_name(&mut names, change));
        let back = Disk::new(seed);
        {
            let mut new = back.0.lock();
            for inode in names.values() {
                let content = state.inodes[inode].after_cut(random, luck);
                new.inodes.insert(*inode, Inode { now: content.clone(), durable: content, unsynced: Vec::new() });
            }
            new.next_inode = state.next_inode;
            new.names = names.clone();
            new.durable_names = names;
        }
        back
    }

    /// The disk as the next process finds it after a `kill -9` just now: what was not synced is there, and still is
    /// not synced.
    pub(crate) fn after_kill(&self) -> Disk {
        let mut state = self.0.lock();
        let back = Disk::new(state.random.random());
        {
            let mut new = back.0.lock();
            new.inodes = state.inodes.clone();
            new.names = state.names.clone();
            new.durable_names = state.durable_names.clone();
            new.unsynced_names = state.unsynced_names.clone();
            new.next_inode = state.next_inode;
        }
        back
    }

    /// The names and contents as a process sees them.
    pub(crate) fn contents(&self) -> BTreeMap<String, Vec<u8>> {
        let state = self.0.lock();
        state.names.iter().map(|(name, inode)| (name.clone(), state.inodes[inode].now.clone())).collect()
    }

    /// Damages a file behind everyone's back.
    pub(crate) fn edit(&self, name: &str, edit: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.0.lock();
        let inode = state.named(name).expect("the file is there");
        let inode = state.inode(inode);
        edit(&mut inode.now);
        inode.durable = inode.now.clone();
    }
}

impl Files for Disk {
    fn place(&self) -> String {
        "disk".to_owned()
    }

    fn names(&self) -> io::Result<Vec<String>> {
        Ok(self.0.lock().names.keys().cloned().collect())
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn File>> {
        let inode = self.0.lock().named(name)?;
        Ok(Box::new(Handle { disk: self.clone(), inode }))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn File>> {
        let mut state = self.0.lock();
        state.powered()?;
        state.healthy(Operation::Create)?;
        let inode = match state.named(name) {
            Ok(inode) => {
                let file = state.inode(inode);
                file.now.clear();
                file.unsynced.push(Change::Length(0));
                inode
            }
            Err(_) => {
                let inode = state.next_inode;
                state.next_inode += 1;
                state.inodes.insert(inode, Inode::default());
                state.change_name(NameChange::Create(name.to_owned(), inode));
                inode
            }
        };
        Ok(Box::new(Handle { disk: self.clone(), inode }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.0.lock();
        state.powered()?;
        state.named(from)?;
        state.change_name(NameChange::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.0.lock();
        state.powered()?;
        state.named(name)?;
        state.change_name(NameChange::Remove(name.to_owned()));
        Ok(())
    }

    fn sync_names(&self) -> io::Result<()> {
        let mut state = self.0.lock();
        state.powered()?;
        state.healthy(Operation::Sync)?;
        state.durable_names = state.names.clone();
        state.unsynced_names.clear();
        Ok(())
    }
}

struct Handle {
    disk: Disk,
    inode: u64,
}

impl File for Handle {
    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.0.lock().inode(self.inode).now.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut state = self.disk.0.lock();
        let content = &state.inode(self.inode).now;
        let rest = content.get(offset as usize..).unwrap_or(&[]);
        let read = rest.len().min(buffer.len());
        buffer[..read].copy_from_slice(&rest[..read]);
        Ok(read)
    }

    /// Short every other time. The write during which the power fails is begun all the same.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let mut state = self.disk.0.lock();
        let off = state.cut_after == Some(0);
        let powered = state.powered();
        state.healthy(Operation::Write)?;
        let short = bytes.len() > 1 && state.random.random_bool(0.5);
        let written = if short { state.random.random_range(1..bytes.len()) } else { bytes.len() };
        let last = state.cut_after == Some(0);
        if !off {
            let inode = state.inode(self.inode);
            write(&mut inode.now, offset as usize, &bytes[..written]);
            inode.unsynced.push(Change::Write { offset: offset as usize, bytes: bytes[..written].to_vec() });
        }
        powered?;
        if last { Err(io::Error::other("the power is off")) } else { Ok(written) }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.disk.0.lock();
        state.powered()?;
        let inode = state.inode(self.inode);
        inode.now.resize(len as usize, 0);
        inode.unsynced.push(Change::Length(len as usize));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.0.lock();
        state.powered()?;
        state.healthy(Operation::Sync)?;
        let inode = state.inode(self.inode);
        inode.durable = inode.now.clone();
        inode.unsynced.clear();
        Ok(())
    }
}
