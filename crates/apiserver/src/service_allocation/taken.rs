//! Who has which address and port, and which are claimed by writes under way.
//!
//! Bound: one entry per address and port of a stored service, and per claim of a write under way.

use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;

pub(super) struct Taken {
    addresses: HashMap<IpAddr, String>,
    ports: HashMap<u16, String>,
    claimed_addresses: HashSet<IpAddr>,
    claimed_ports: HashSet<u16>,
    /// Where the search goes on, so that a freed number is not given away again at once.
    next_address: HashMap<usize, u128>,
    next_port: Option<u128>,
    /// Where it begins in a range: an arbitrary number, or 0 for the start.
    seed: u128,
}

impl Taken {
    pub(super) fn new(scattered: bool) -> Taken {
        let seed = if scattered { u128::from(RandomState::new().hash_one(std::process::id())) } else { 0 };
        Taken {
            addresses: HashMap::new(),
            ports: HashMap::new(),
            claimed_addresses: HashSet::new(),
            claimed_ports: HashSet::new(),
            next_address: HashMap::new(),
            next_port: None,
            seed,
        }
    }

    fn first(&self, band: &Range<u128>) -> u128 {
        band.start + self.seed % (band.end - band.start).max(1)
    }

    pub(super) fn hold(&mut self, owner: &str, addresses: &[IpAddr], ports: &[u16]) {
        self.addresses.extend(addresses.iter().map(|address| (*address, owner.to_owned())));
        self.ports.extend(ports.iter().map(|port| (*port, owner.to_owned())));
    }

    pub(super) fn release(&mut self, owner: &str, addresses: &[IpAddr], ports: &[u16]) {
        for address in addresses {
            if self.addresses.get(address).is_some_and(|own| own == owner) {
                self.addresses.remove(address);
            }
        }
        for port in ports {
            if self.ports.get(port).is_some_and(|own| own == owner) {
                self.ports.remove(port);
            }
        }
    }

    fn claim_address(&mut self, address: IpAddr) -> bool {
        !self.addresses.contains_key(&address) && self.claimed_addresses.insert(address)
    }

    fn claim_port(&mut self, port: u16) -> bool {
        !self.ports.contains_key(&port) && self.claimed_ports.insert(port)
    }
}

/// What one write has claimed; dropped, it is free again unless a stored service has it by then.
pub(super) struct Claimed {
    taken: Arc<Mutex<Taken>>,
    addresses: Vec<IpAddr>,
    ports: Vec<u16>,
}

impl Claimed {
    pub(super) fn new(taken: Arc<Mutex<Taken>>) -> Claimed {
        Claimed { taken, addresses: Vec::new(), ports: Vec::new() }
    }

    /// Whether the address was free.
    pub(super) fn address(&mut self, address: IpAddr) -> bool {
        let free = self.taken.lock().claim_address(address);
        if free {
            self.addresses.push(address);
        }
        free
    }

    /// Whether the port was free, or is this write's already: protocols share a number.
    pub(super) fn port(&mut self, port: u16) -> bool {
        if self.ports.contains(&port) {
            return true;
        }
        let free = self.taken.lock().claim_port(port);
        if free {
            self.ports.push(port);
        }
        free
    }

    /// A free address of the bands, searched in their order; `at` makes an address of an offset.
    pub(super) fn any_address(
        &mut self,
        range: usize,
        bands: [Range<u128>; 2],
        at: impl Fn(u128) -> Option<IpAddr>,
    ) -> Option<IpAddr> {
        let mut taken = self.taken.lock();
        let start = taken.next_address.get(&range).copied().unwrap_or_else(|| taken.first(&bands[0]));
        let found = offsets(bands, start).find_map(|offset| {
            let address = at(offset)?;
            taken.claim_address(address).then_some((offset, address))
        });
        let (offset, address) = found?;
        taken.next_address.insert(range, offset + 1);
        drop(taken);
        self.addresses.push(address);
        Some(address)
    }

    /// A free port, likewise.
    pub(super) fn any_port(&mut self, bands: [Range<u128>; 2]) -> Option<u16> {
        let mut taken = self.taken.lock();
        let start = taken.next_port.unwrap_or_else(|| taken.first(&bands[0]));
        let found = offsets(bands, start).find_map(|offset| {
            let port = u16::try_from(offset).ok()?;
            taken.claim_port(port).then_some(port)
        });
        let port = found?;
        taken.next_port = Some(u128::from(port) + 1);
        drop(taken);
        self.ports.push(port);
        Some(port)
    }
}

/// All of the first band from `start` on and around, then all of the second.
fn offsets(bands: [Range<u128>; 2], start: u128) -> impl Iterator<Item = u128> {
    let [first, second] = bands;
    let start = if first.contains(&start) { start } else { first.start };
    (start..first.end).chain(first.start..start).chain(second)
}

impl Drop for Claimed {
    fn drop(&mut self) {
        let mut taken = self.taken.lock();
        for address in &self.addresses {
            taken.claimed_addresses.remove(address);
        }
        for port in &self.ports {
            taken.claimed_ports.remove(port);
        }
    }
}
