//! The wrapper itself: any engine below, sealed values in it.

use crate::chain::{Chain, Pass, Provider};
use crate::config::{Configuration, ProviderConfig};
use crate::kms::{self, Kms};
use crate::opened::Opened;
use crate::reread::Reread;
use crate::rules::Rules;
use arc_swap::ArcSwap;
use async_trait::async_trait;
use bytes::Bytes;
use std::sync::Arc;
use store::{KeyValue, Op, Outcome, Range, Revision, Store, StoreError, Txn, Watch, unreadable};

#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    #[error("the kms provider {name}: {reason}")]
    Kms { name: String, reason: String },
}

/// A store that seals what another one keeps.
pub struct Vault {
    engine: Arc<dyn Store>,
    shared: Arc<Shared>,
}

/// What watches need too.
pub(crate) struct Shared {
    rules: ArcSwap<Rules>,
    pub(crate) reread: Arc<Reread>,
}

impl Vault {
    /// Asks every key management service once; one that does not answer is asked again in the background, and what it
    /// sealed is unreadable until then.
    pub async fn open(engine: Arc<dyn Store>, configuration: Configuration) -> Result<Vault, VaultError> {
        let rules = build(configuration)?;
        for service in &rules.services {
            if let Err(reason) = service.refresh().await {
                tracing::error!(provider = service.name, reason, "the key management service is not well");
            }
        }
        let shared = Shared { rules: ArcSwap::from_pointee(rules), reread: Arc::default() };
        let vault = Vault { engine, shared: Arc::new(shared) };
        vault.follow();
        Ok(vault)
    }

    /// Goes on with another configuration: what it seals first with is written from now on.
    ///
    /// # Errors
    /// When one of its services is not well; then nothing changes.
    pub async fn replace(&self, configuration: Configuration) -> Result<(), VaultError> {
        let rules = build(configuration)?;
        for service in &rules.services {
            let asked = service.refresh().await;
            asked.map_err(|reason| VaultError::Kms { name: service.name.clone(), reason })?;
        }
        self.shared.rules.store(Arc::new(rules));
        self.follow();
        self.shared.reread.tell();
        Ok(())
    }

    /// How the key management services are; the first that is not well is named.
    pub fn health(&self) -> Result<(), String> {
        self.shared.rules.load().services.iter().try_for_each(|service| service.health())
    }

    /// Ends by itself when the rules are replaced: the services go with them.
    fn follow(&self) {
        for service in &self.shared.rules.load().services {
            tokio::spawn(kms::follow(Arc::downgrade(service), self.shared.reread.clone()));
        }
    }

    async fn open_all(&self, prefix: &str, items: &mut [KeyValue]) {
        let (occasion, mut pass, mut stand_ins) = (self.shared.reread.occasion(), Pass::default(), false);
        for item in items {
            let (value, readable) = self.shared.open(&item.key, &item.value, &mut pass).await;
            item.value = value;
            stand_ins |= !readable;
        }
        self.shared.reread.read(prefix, occasion, stand_ins);
    }
}

fn build(configuration: Configuration) -> Result<Rules, VaultError> {
    let mut rules = Rules { rules: Vec::new(), services: Vec::new(), other: Arc::new(Chain::identity()) };
    for rule in configuration.rules {
        let mut chain = Chain(Vec::new());
        for provider in rule.providers {
            match provider {
                ProviderConfig::Identity => chain.0.push(Provider::Identity),
                ProviderConfig::Keys(keys) => chain.0.extend(keys.into_iter().map(Provider::Key)),
                ProviderConfig::Kms(config) => {
                    let service = Kms::new(&config).map_err(|reason| VaultError::Kms { name: config.name, reason })?;
                    let service = Arc::new(service);
                    rules.services.push(service.clone());
                    chain.0.push(Provider::Kms(service));
                }
            }
        }
        rules.rules.push((rule.patterns, Arc::new(chain)));
    }
    Ok(rules)
}

impl Shared {
    /// The value, or its stand-in; and whether it could be read.
    pub(crate) async fn open(&self, key: &str, value: &Bytes, pass: &mut Pass) -> (Bytes, bool) {
        let chain = self.rules.load().of(key).clone();
        match chain.open(key, value, pass).await {
            Ok(value) => (value, true),
            Err(reason) => (unreadable(&reason), false),
        }
    }

    fn seal(&self, txn: Txn) -> Result<Txn, StoreError> {
        let rules = self.rules.load();
        let seal = |op: Op| match op {
            Op::Put { key, value } => match rules.of(&key).seal(&key, &value) {
                Ok(value) => Ok(Op::Put { key, value }),
                Err(reason) => Err(StoreError::Unsealed { attempted: format!("encrypting {key}"), reason }),
            },
            delete => Ok(delete),
        };
        let ops = txn.ops.into_iter().map(seal).collect::<Result<_, _>>()?;
        Ok(Txn { checks: txn.checks, ops })
    }
}

#[async_trait]
impl Store for Vault {
    async fn revision(&self) -> Result<Revision, StoreError> {
        self.engine.revision().await
    }

    async fn get(&self, key: &str) -> Result<Option<KeyValue>, StoreError> {
        let Some(mut found) = self.engine.get(key).await? else { return Ok(None) };
        found.value = self.shared.open(key, &found.value, &mut Pass::default()).await.0;
        Ok(Some(found))
    }

    async fn range(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
        at: Option<Revision>,
    ) -> Result<Range, StoreError> {
        let mut range = self.engine.range(prefix, after, limit, at).await?;
        self.open_all(prefix, &mut range.items).await;
        Ok(range)
    }

    async fn commit(&self, txn: Txn) -> Result<Outcome, StoreError> {
        match self.engine.commit(self.shared.seal(txn)?).await? {
            Outcome::Conflict(mut states) => {
                let mut pass = Pass::default();
                for state in states.iter_mut().flatten() {
                    state.value = self.shared.open(&state.key, &state.value, &mut pass).await.0;
                }
                Ok(Outcome::Conflict(states))
            }
            committed => Ok(committed),
        }
    }

    async fn watch(&self, prefix: &str, after: Revision) -> Result<Box<dyn Watch>, StoreError> {
        let inner = self.engine.watch(prefix, after).await?;
        Ok(Box::new(Opened::new(inner, self.shared.clone(), prefix, after)))
    }

    async fn compact(&self, revision: Revision) -> Result<(), StoreError> {
        self.engine.compact(revision).await
    }

    async fn is_stale(&self, key: &str) -> Result<bool, StoreError> {
        let found = self.engine.get(key).await?;
        Ok(found.is_some_and(|found| self.shared.rules.load().of(key).is_stale(&found.value)))
    }
}
