//! A key management service (KMS v2): it wraps seeds, and values are sealed here with keys derived from them.
//!
//! Invariants: the service is asked about its key once a minute (its protocol has no events), ever sooner while it is
//! not well; a seed seals until `LEASE` after the service last said that its key is the seed's, so that what it no
//! longer answers for is written no more, while everything whose seed is known is still read. Bound: `SEEDS_MAX` seeds.

mod link;
mod proto;

use crate::chain::Pass;
use crate::config::KmsConfig;
use crate::envelope::{Sealed, Seed, SourceId};
use crate::reread::Reread;
use link::{Failure, Link};
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::time::Instant;

/// Unwrapped seeds that are kept; each is one start of a server, or one key of the service.
const SEEDS_MAX: usize = 1_000;
const LEASE: Duration = Duration::from_secs(180);
const ASK_EVERY: Duration = Duration::from_secs(60);
const ASK_EVERY_UNWELL: Duration = Duration::from_secs(10);

pub(crate) struct Kms {
    pub(crate) name: String,
    pub(crate) prefix: String,
    link: Link,
    state: Mutex<State>,
    seeds: Mutex<Seeds>,
    /// Held while a seed is unwrapped, so that a thousand readers ask for it once.
    asking: tokio::sync::Mutex<()>,
    /// Whether a seed was not unwrapped because the service was silent.
    missed: AtomicBool,
}

struct State {
    /// What seals.
    current: Option<Current>,
    health: Result<(), String>,
}

#[derive(Clone)]
struct Current {
    envelope: Arc<Sealed>,
    seed: Arc<Seed>,
    until: Instant,
}

/// The newest unwrapped seeds.
#[derive(Default)]
struct Seeds {
    by_source: HashMap<SourceId, Arc<Seed>>,
    order: VecDeque<SourceId>,
}

impl Seeds {
    fn insert(&mut self, source: SourceId, seed: Arc<Seed>) {
        if self.by_source.insert(source, seed).is_none() {
            self.order.push_back(source);
        }
        while self.order.len() > SEEDS_MAX {
            if let Some(oldest) = self.order.pop_front() {
                self.by_source.remove(&oldest);
            }
        }
    }
}

impl Kms {
    pub(crate) fn new(config: &KmsConfig) -> Result<Kms, String> {
        let link = Link::new(&config.socket, config.timeout).map_err(|error| error.to_string())?;
        Ok(Kms {
            name: config.name.clone(),
            prefix: format!("k8s:enc:kms:v2:{}:", config.name),
            link,
            state: Mutex::new(State { current: None, health: Err("it was not asked yet".to_owned()) }),
            seeds: Mutex::default(),
            asking: tokio::sync::Mutex::default(),
            missed: AtomicBool::new(false),
        })
    }

    pub(crate) fn health(&self) -> Result<(), String> {
        self.state.lock().health.clone().map_err(|why| format!("kms provider {}: {why}", self.name))
    }

    /// Asks how the service is, and has it wrap a new seed when its key is another than before.
    pub(crate) async fn refresh(&self) -> Result<(), String> {
        let asked = self.ask().await;
        let mut state = self.state.lock();
        if let Ok(current) = &asked {
            state.current = Some(current.clone());
        }
        state.health = asked.map(drop);
        state.health.clone()
    }

    async fn ask(&self) -> Result<Current, String> {
        let asked = Instant::now();
        let key_id = self.link.status().await.map_err(|why| format!("failed to get status: {why}"))?;
        let known = self.state.lock().current.clone();
        if let Some(current) = known.filter(|current| current.envelope.is_current(&key_id)) {
            return Ok(Current { until: asked + LEASE, ..current });
        }
        let seed = Arc::new(Seed::new()?);
        let wrapped = self.link.wrap(seed.bytes()).await;
        let envelope = Arc::new(wrapped.map_err(|why| format!("failed to encrypt DEK, error: {why}"))?);
        if !envelope.is_current(&key_id) {
            return Err("the key id of its status is not the one that it encrypts with".to_owned());
        }
        self.seeds.lock().insert(envelope.source_id(), seed.clone());
        Ok(Current { envelope, seed, until: asked + LEASE })
    }

    pub(crate) fn seal(&self, key: &str, plain: &[u8]) -> Result<Vec<u8>, String> {
        let (current, health) = {
            let state = self.state.lock();
            (state.current.clone(), state.health.clone())
        };
        let current = current.filter(|current| Instant::now() < current.until);
        let Some(current) = current else {
            let why = health.err().unwrap_or_else(|| "its lease has ended".to_owned());
            return Err(format!("the kms provider {} has no key to encrypt with: {why}", self.name));
        };
        current.envelope.seal(&current.seed, key, plain, &self.prefix)
    }

    /// `sealed` is without the prefix.
    pub(crate) async fn open(&self, key: &str, sealed: &[u8], pass: &mut Pass) -> Result<Vec<u8>, String> {
        let sealed = Sealed::parse(sealed)?;
        let source = sealed.source_id();
        if let Some(failure) = pass.failed.get(&source) {
            return Err(failure.clone());
        }
        match self.seed(&sealed, source).await {
            Ok(seed) => sealed.open(&seed, key),
            Err(why) => {
                let failure = format!("failed to decrypt DEK, error: {why}");
                pass.failed.insert(source, failure.clone());
                Err(failure)
            }
        }
    }

    async fn seed(&self, sealed: &Sealed, source: SourceId) -> Result<Arc<Seed>, String> {
        let known = || self.seeds.lock().by_source.get(&source).cloned();
        if let Some(seed) = known() {
            return Ok(seed);
        }
        let _turn = self.asking.lock().await;
        if let Some(seed) = known() {
            return Ok(seed);
        }
        let unwrapped = self.link.unwrap(sealed).await.map_err(|failure| {
            if matches!(failure, Failure::Silent(_)) {
                self.missed.store(true, Ordering::Release);
            }
            failure.to_string()
        })?;
        let seed = Arc::new(Seed::of(unwrapped)?);
        self.seeds.lock().insert(source, seed.clone());
        Ok(seed)
    }

    pub(crate) fn is_stale(&self, sealed: &[u8]) -> bool {
        let current = self.state.lock().current.clone();
        let Some(current) = current else { return false };
        Sealed::parse(sealed).map_or(true, |sealed| !sealed.is_current(&current.envelope.key_id))
    }
}

/// Asks the service again and again, for as long as anybody has it.
pub(crate) async fn follow(kms: Weak<Kms>, reread: Arc<Reread>) {
    let mut pause = ASK_EVERY_UNWELL;
    loop {
        tokio::time::sleep(pause).await;
        let Some(kms) = kms.upgrade() else { return };
        let was_well = kms.health().is_ok();
        match kms.refresh().await {
            Ok(()) => {
                pause = ASK_EVERY;
                if !was_well {
                    tracing::info!(provider = kms.name, "the key management service is well again");
                }
                if kms.missed.swap(false, Ordering::AcqRel) {
                    reread.tell();
                }
            }
            Err(why) => {
                pause = ASK_EVERY_UNWELL;
                tracing::warn!(provider = kms.name, why, "the key management service is not well");
            }
        }
    }
}
