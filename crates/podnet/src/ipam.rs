//! A node's pod addresses: which are taken, by which sandbox.
//!
//! Invariants: an address has one owner; the owner is on disk (one file per address) before the address is used, so
//! that a crash leaks none: `reconcile` frees what no living sandbox owns. A freed address is the last to be reused.

use ipnet::Ipv4Net;
use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

#[derive(Debug, thiserror::Error)]
pub enum IpamError {
    #[error("no address is free in {ranges}: {used} pods hold one each")]
    Exhausted { ranges: String, used: usize },
    #[error("the node has no pod address range yet")]
    NoRange,
    #[error("{attempted} {path}: {source}")]
    File { attempted: &'static str, path: PathBuf, source: std::io::Error },
}

/// The ranges' addresses and their owners.
#[derive(Debug)]
pub struct Pool {
    folder: PathBuf,
    ranges: Vec<Ipv4Net>,
    owners: BTreeMap<Ipv4Addr, String>,
    /// The search goes on after the last one given.
    last: Option<Ipv4Addr>,
}

impl Pool {
    /// Reads the owners that `folder` has on disk.
    pub fn open(folder: &Path) -> Result<Pool, IpamError> {
        let failed = |attempted, path: &Path| {
            let path = path.to_owned();
            move |source| IpamError::File { attempted, path, source }
        };
        std::fs::create_dir_all(folder).map_err(failed("creating", folder))?;
        let mut owners = BTreeMap::new();
        for entry in std::fs::read_dir(folder).map_err(failed("reading", folder))? {
            let path = entry.map_err(failed("reading", folder))?.path();
            let address = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse().ok());
            let Some(address) = address else { continue };
            owners.insert(address, std::fs::read_to_string(&path).map_err(failed("reading", &path))?);
        }
        Ok(Pool { folder: folder.to_owned(), ranges: Vec::new(), last: owners.keys().next_back().copied(), owners })
    }

    /// Sets what may be given out from here on; addresses outside that are taken stay taken.
    pub fn set_ranges(&mut self, ranges: Vec<Ipv4Net>) {
        self.ranges = ranges;
    }

    pub fn ranges(&self) -> &[Ipv4Net] {
        &self.ranges
    }

    /// The address that `owner` holds; takes one if it holds none.
    pub fn take(&mut self, owner: &str) -> Result<Ipv4Addr, IpamError> {
        if let Some(address) = self.address_of(owner) {
            return Ok(address);
        }
        let address = self.free_address()?;
        let path = self.folder.join(address.to_string());
        std::fs::write(&path, owner).map_err(|source| IpamError::File { attempted: "writing", path, source })?;
        self.owners.insert(address, owner.to_owned());
        self.last = Some(address);
        Ok(address)
    }

    pub fn address_of(&self, owner: &str) -> Option<Ipv4Addr> {
        self.owners.iter().find(|(_, own)| *own == owner).map(|(address, _)| *address)
    }

    /// Gives back what `owner` holds, if anything.
    pub fn release(&mut self, owner: &str) -> Result<(), IpamError> {
        let Some(address) = self.address_of(owner) else { return Ok(()) };
        let path = self.folder.join(address.to_string());
        match std::fs::remove_file(&path) {
            Err(source) if source.kind() != ErrorKind::NotFound => {
                return Err(IpamError::File { attempted: "removing", path, source });
            }
            _ => {}
        }
        self.owners.remove(&address);
        Ok(())
    }

    /// Frees every address whose owner is not among `living`; returns the owners it freed.
    pub fn reconcile(&mut self, living: &BTreeSet<String>) -> Result<Vec<String>, IpamError> {
        let dead: Vec<String> = self.owners.values().filter(|owner| !living.contains(*owner)).cloned().collect();
        for owner in &dead {
            self.release(owner)?;
        }
        Ok(dead)
    }

    /// The first free one after the last given, around all ranges; never a range's first (network) or last address.
    fn free_address(&self) -> Result<Ipv4Addr, IpamError> {
        if self.ranges.is_empty() {
            return Err(IpamError::NoRange);
        }
        let usable = |address: &Ipv4Addr| !self.owners.contains_key(address);
        let all = || self.ranges.iter().flat_map(|range| range.hosts());
        let after = all().skip_while(|address| self.last.is_some_and(|last| *address != last)).skip(1).find(usable);
        after.or_else(|| all().find(usable)).ok_or_else(|| {
            let ranges: Vec<String> = self.ranges.iter().map(ToString::to_string).collect();
            IpamError::Exhausted { ranges: ranges.join(", "), used: self.owners.len() }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(folder: &Path, range: &str) -> Pool {
        let mut pool = Pool::open(folder).unwrap();
        pool.set_ranges(vec![range.parse().unwrap()]);
        pool
    }

    #[test]
    fn addresses_go_around_and_survive_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let mut first = pool(folder.path(), "10.42.0.0/29");
        let taken: Vec<Ipv4Addr> = ["a", "b", "c"].iter().map(|owner| first.take(owner).unwrap()).collect();
        assert_eq!(taken.iter().collect::<BTreeSet<_>>().len(), 3);
        assert_eq!(first.take("b").unwrap(), taken[1], "an owner keeps its address");
        first.release("a").unwrap();
        let fourth = first.take("d").unwrap();
        assert_ne!(fourth, taken[0], "a freed address is the last to be reused");

        let mut second = pool(folder.path(), "10.42.0.0/29");
        assert_eq!(second.address_of("d"), Some(fourth));
        assert_eq!(second.reconcile(&BTreeSet::from(["b".to_owned(), "c".to_owned()])).unwrap(), ["d"]);
        assert_eq!(second.address_of("d"), None);
    }

    #[test]
    fn a_full_range_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let mut pool = pool(folder.path(), "10.42.0.0/30");
        pool.take("a").unwrap();
        pool.take("b").unwrap();
        let error = pool.take("c").unwrap_err().to_string();
        assert_eq!(error, "no address is free in 10.42.0.0/30: 2 pods hold one each");
        pool.set_ranges(Vec::new());
        assert!(matches!(pool.take("c"), Err(IpamError::NoRange)));
    }
}
