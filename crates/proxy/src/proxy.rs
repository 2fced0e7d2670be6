//! Follows Services and EndpointSlices and keeps the kernel's rules the same.

use crate::conntrack;
use crate::script::{Written, base};
use crate::view::{Front, Place, ServiceRules, rules};
use api::k8s_openapi::api::core::v1::Service;
use api::k8s_openapi::api::discovery::v1::EndpointSlice;
use client::{Cache, Grouped, ObjectKey};
use ipnet::Ipv4Net;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::Ipv4Addr;
use std::sync::Arc;
use tokio::sync::watch;

const SERVICE_LABEL: &str = "kubernetes.io/service-name";

#[derive(Clone, Debug)]
pub struct Options {
    pub node_name: String,
    /// The source of what is sent on for others (node ports) or back to the sender itself (hairpin).
    pub node_ip: Ipv4Addr,
    pub service_cidr: Ipv4Net,
    /// The nft table's name; clusters on one machine have different ones.
    pub table: String,
    /// Service addresses that this node's own processes answer (DNS); they get no rules.
    pub own_vips: Vec<Ipv4Addr>,
}

#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    #[error("writing the service rules: {0}")]
    Rules(#[from] kernel::Error),
}

/// This node's service rules.
pub struct Proxy {
    options: Options,
    place: Place,
    services: Cache<Service>,
    slices: Cache<EndpointSlice>,
    written: Written,
    rules: HashMap<ObjectKey, ServiceRules>,
    slices_of: Grouped<EndpointSlice>,
    claims: Claims,
    ready: watch::Sender<bool>,
}

impl Proxy {
    pub fn new(client: &client::Client, options: Options) -> Proxy {
        let place = Place { node_name: options.node_name.clone(), own_vips: options.own_vips.clone() };
        Proxy {
            options,
            place,
            services: client.cache(),
            slices: client.cache(),
            written: Written::default(),
            rules: HashMap::new(),
            slices_of: Grouped::new(service_of),
            claims: Claims::default(),
            ready: watch::Sender::new(false),
        }
    }

    /// Whether the rules for everything known at the start are in place.
    pub fn ready(&self) -> watch::Receiver<bool> {
        self.ready.subscribe()
    }

    /// Runs until dropped. The rules stay when it ends: services go on while the node process restarts.
    pub async fn run(mut self) -> Result<(), ProxyError> {
        self.services.synced().await;
        self.slices.synced().await;
        let mut services = self.services.changes();
        let mut slices = self.slices.changes();
        // The first transaction replaces what an earlier process left, and holds everything: no packet meets a gap.
        let mut script = base(&self.options.table, self.options.service_cidr, self.options.node_ip);
        let mut dirty = BTreeSet::new();
        loop {
            while let Some(change) = slices.try_next() {
                dirty.extend(self.slices_of.apply(change));
            }
            while let Some(change) = services.try_next() {
                dirty.insert(change.key);
            }
            let stale = self.write(std::mem::take(&mut dirty), &mut script);
            if !script.is_empty() {
                apply(std::mem::take(&mut script)).await?;
            }
            for (address, endpoint) in stale {
                conntrack::forget(address, endpoint).await;
            }
            self.ready.send_replace(true);
            tokio::select! {
                change = services.next() => { dirty.insert(change.key); }
                change = slices.next() => dirty.extend(self.slices_of.apply(change)),
            }
        }
    }

    /// Appends the difference of the services named to `script`; returns the UDP flows to forget.
    fn write(&mut self, mut dirty: BTreeSet<ObjectKey>, script: &mut String) -> Vec<(Option<Ipv4Addr>, Ipv4Addr)> {
        let mut stale = Vec::new();
        while let Some(key) = dirty.pop_first() {
            let slices: Vec<Arc<EndpointSlice>> = self.slices_of.get(&key).cloned().collect();
            let mut new =
                self.services.get_key(&key).map(|service| rules(&service, &slices, &self.place)).unwrap_or_default();
            let old = self.rules.remove(&key).unwrap_or_default();
            self.claims.settle(&key, &old, &mut new, &mut dirty);
            self.written.change(&self.options.table, &old, &new, script);
            stale.extend(conntrack::stale(&old, &new));
            if new != ServiceRules::default() {
                self.rules.insert(key, new);
            }
        }
        stale
    }
}

/// The service that a slice belongs to.
fn service_of(slice: &EndpointSlice) -> Option<ObjectKey> {
    let service = slice.metadata.labels.as_ref()?.get(SERVICE_LABEL)?;
    Some(format!("{}/{service}", slice.metadata.namespace.as_deref().unwrap_or_default()).into())
}

/// Which service has a front: two may name the same external address, and the first keeps it.
#[derive(Default)]
struct Claims {
    owner: HashMap<Front, ObjectKey>,
    waiting: BTreeMap<Front, BTreeSet<ObjectKey>>,
}

impl Claims {
    /// Takes from `new` what another service has; names those in `dirty` that waited for what `key` gives up.
    fn settle(&mut self, key: &ObjectKey, old: &ServiceRules, new: &mut ServiceRules, dirty: &mut BTreeSet<ObjectKey>) {
        for front in old.fronts.keys().filter(|front| !new.fronts.contains_key(front)) {
            self.owner.remove(front);
            dirty.extend(self.waiting.remove(front).into_iter().flatten());
        }
        new.fronts.retain(|front, _| {
            let owner = self.owner.entry(*front).or_insert_with(|| key.clone());
            if owner == key {
                return true;
            }
            tracing::warn!(service = &**key, %owner, ?front, "another service has this address and port already");
            self.waiting.entry(*front).or_default().insert(key.clone());
            false
        });
    }
}

async fn apply(script: String) -> Result<(), kernel::Error> {
    tokio::task::spawn_blocking(move || kernel::nft::apply(&script)).await.expect("applying rules does not panic")
}
