//! Every sandbox and container this process knows: immutable entries, replaced whole.
//!
//! Invariants: the lock is held for a lookup or a replacement, never across I/O; a container's phase only goes
//! forward, whoever reports it.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use parking_lot::RwLock;
use tokio::sync::watch;

use crate::record::{ContainerRecord, Phase, SandboxRecord};
use crate::shim::Client;

/// A sandbox and the way to its shim.
#[derive(Clone, Debug)]
pub(crate) struct Sandbox {
    pub(crate) record: SandboxRecord,
    /// `None` when it has none (any more).
    pub(crate) shim: Option<Client>,
    /// The pod's network namespace, alive as long as this is open.
    pub(crate) network: Option<Arc<OwnedFd>>,
    /// Held by whoever changes this sandbox or its containers' existence.
    pub(crate) gate: Arc<tokio::sync::Mutex<()>>,
}

/// A container.
#[derive(Clone, Debug)]
pub(crate) struct Container {
    pub(crate) record: ContainerRecord,
    /// True once it has exited.
    pub(crate) exited: Arc<watch::Sender<bool>>,
}

impl Container {
    pub(crate) fn new(record: ContainerRecord) -> Container {
        let exited = matches!(record.phase, Phase::Exited { .. });
        Container { record, exited: Arc::new(watch::Sender::new(exited)) }
    }

    /// Returns once it has exited.
    pub(crate) async fn wait(&self) {
        // The sender is in our hands, so waiting cannot fail.
        self.exited.subscribe().wait_for(|exited| *exited).await.ok();
    }
}

/// Everything known.
#[derive(Default)]
pub(crate) struct Table {
    sandboxes: RwLock<BTreeMap<String, Arc<Sandbox>>>,
    containers: RwLock<BTreeMap<String, Arc<Container>>>,
}

impl Table {
    pub(crate) fn sandbox(&self, id: &str) -> Option<Arc<Sandbox>> {
        find(&self.sandboxes.read(), id)
    }

    pub(crate) fn container(&self, id: &str) -> Option<Arc<Container>> {
        find(&self.containers.read(), id)
    }

    pub(crate) fn sandboxes(&self) -> Vec<Arc<Sandbox>> {
        self.sandboxes.read().values().cloned().collect()
    }

    pub(crate) fn containers(&self) -> Vec<Arc<Container>> {
        self.containers.read().values().cloned().collect()
    }

    pub(crate) fn containers_of(&self, sandbox: &str) -> Vec<Arc<Container>> {
        self.containers.read().values().filter(|container| container.record.sandbox == sandbox).cloned().collect()
    }

    pub(crate) fn put_sandbox(&self, sandbox: Sandbox) -> Arc<Sandbox> {
        let entry = Arc::new(sandbox);
        self.sandboxes.write().insert(entry.record.id.clone(), entry.clone());
        entry
    }

    pub(crate) fn put_container(&self, container: Container) -> Arc<Container> {
        let entry = Arc::new(container);
        self.containers.write().insert(entry.record.id.clone(), entry.clone());
        entry
    }

    /// Replaces a sandbox; `None` when there is none.
    pub(crate) fn change_sandbox(&self, id: &str, change: impl FnOnce(&mut Sandbox)) -> Option<Arc<Sandbox>> {
        let mut sandboxes = self.sandboxes.write();
        let entry = sandboxes.get_mut(id)?;
        change(Arc::make_mut(entry));
        Some(entry.clone())
    }

    /// Replaces a container; `None` when there is none.
    pub(crate) fn change_container(
        &self,
        id: &str,
        change: impl FnOnce(&mut ContainerRecord),
    ) -> Option<Arc<Container>> {
        let mut containers = self.containers.write();
        let entry = containers.get_mut(id)?;
        change(&mut Arc::make_mut(entry).record);
        Some(entry.clone())
    }

    /// Takes a container forward to `phase`; `None` when there is none or it is there already.
    pub(crate) fn advance(&self, id: &str, phase: Phase) -> Option<(Phase, Arc<Container>)> {
        let mut containers = self.containers.write();
        let entry = containers.get_mut(id)?;
        if entry.record.phase.rank() >= phase.rank() {
            return None;
        }
        let before = std::mem::replace(&mut Arc::make_mut(entry).record.phase, phase);
        Some((before, entry.clone()))
    }

    pub(crate) fn drop_sandbox(&self, id: &str) {
        self.sandboxes.write().remove(id);
    }

    pub(crate) fn drop_container(&self, id: &str) {
        self.containers.write().remove(id);
    }
}

/// By id, or by the beginning of one that no other has, as command line tools show them.
fn find<T>(map: &BTreeMap<String, Arc<T>>, id: &str) -> Option<Arc<T>> {
    if let Some(entry) = map.get(id) {
        return Some(entry.clone());
    }
    if id.is_empty() {
        return None;
    }
    let mut candidates = map.range(id.to_owned()..).take_while(|(full, _)| full.starts_with(id));
    match (candidates.next(), candidates.next()) {
        (Some((_, entry)), None) => Some(entry.clone()),
        _ => None,
    }
}
