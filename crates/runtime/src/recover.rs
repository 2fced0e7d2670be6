//! Finds again what an earlier process left: its records, and the shims that went on without it.
//!
//! The shims know best: what they report overrides what was saved. A pod without its shim has failed; a directory
//! without a record is swept.

use std::io;
use std::path::Path;
use std::sync::Arc;

use futures::future::join_all;
use serde::de::DeserializeOwned;

use crate::container;
use crate::embedded::{OpenError, Parts};
use crate::record::{ContainerRecord, Phase, SandboxRecord, SandboxState, now_ns};
use crate::shim::Client;
use crate::table::{Container, Sandbox};

impl Parts {
    /// Fills the table. Nothing is told of it: whoever listens lists first.
    pub(crate) async fn recover(self: &Arc<Self>) -> Result<(), OpenError> {
        let sandboxes: Vec<SandboxRecord> = load(&self.root.join("sandboxes"), "sandbox.json")?;
        for record in sandboxes {
            self.table.put_sandbox(Sandbox { record, shim: None, network: None, gate: Arc::default() });
        }
        let containers: Vec<ContainerRecord> = load(&self.root.join("containers"), "container.json")?;
        for record in containers {
            self.table.put_container(Container::new(record));
        }
        let all = self.table.sandboxes();
        join_all(all.iter().map(|sandbox| self.recover_sandbox(sandbox))).await;
        self.sweep().await?;
        Ok(())
    }

    async fn recover_sandbox(self: &Arc<Self>, sandbox: &Sandbox) {
        let id = &sandbox.record.id;
        let connected = Client::connect(&self.run_directory(id), self.follow(id)).await;
        match connected {
            Ok((client, states, network)) => {
                self.table.change_sandbox(id, |sandbox| {
                    sandbox.shim = Some(client);
                    sandbox.network = Some(Arc::new(network));
                });
                states.iter().for_each(|state| self.learn(state));
                self.settle_unknown(id, &states.iter().map(|state| state.id.as_str()).collect::<Vec<_>>());
            }
            Err(error) => {
                tracing::debug!(sandbox = id, %error, "no shim found");
                self.lose_shim(id).await;
                self.orphan_containers(id).await;
            }
        }
        if sandbox.record.state == SandboxState::Creating {
            tracing::info!(sandbox = id, "removing a sandbox that was never finished");
            if let Err(error) = self.remove_sandbox(id).await {
                tracing::warn!(sandbox = id, %error, "unfinished sandbox not removed");
            }
        }
    }

    /// Containers that ran when they were saved, and of which their shim knows nothing: forgotten in between, or
    /// never begun. Nobody can say more of them.
    fn settle_unknown(&self, sandbox: &str, known: &[&str]) {
        for entry in self.table.containers_of(sandbox) {
            let Phase::Running { started_ns, .. } = entry.record.phase else { continue };
            if !known.contains(&entry.record.id.as_str()) {
                let phase = Phase::Exited {
                    started_ns,
                    finished_ns: now_ns(),
                    exit_code: container::UNKNOWN_EXIT_CODE,
                    reason: "Unknown".into(),
                    message: "the pod's shim does not know this container".into(),
                };
                self.reach(&entry.record.id, phase);
            }
        }
    }

    /// Removes containers without a sandbox and directories without a record.
    async fn sweep(self: &Arc<Self>) -> Result<(), OpenError> {
        for container in self.table.containers() {
            if self.table.sandbox(&container.record.sandbox).is_none()
                && let Err(error) = self.remove_container(&container.record.id).await
            {
                tracing::warn!(container = container.record.id, %error, "container without a sandbox not removed");
            }
        }
        for id in names(&self.run_dir)?.into_iter().chain(names(&self.root.join("sandboxes"))?) {
            if self.table.sandbox(&id).is_none() {
                self.sweep_pod(&id).await;
            }
        }
        for id in names(&self.root.join("containers"))? {
            if self.table.container(&id).is_none() {
                let directory = self.container_directory(&id);
                crate::files::remove_tree(&directory).map_err(|source| OpenError::File {
                    action: "remove",
                    path: directory,
                    source,
                })?;
            }
        }
        Ok(())
    }

    async fn sweep_pod(self: &Arc<Self>, id: &str) {
        tracing::info!(sandbox = id, "removing what is left of an unknown sandbox");
        let ended = match Client::connect(&self.run_directory(id), self.follow(id)).await {
            Ok((client, ..)) => client.shut_down().await.map_err(|error| error.to_string()),
            // No shim is what there should be.
            Err(_) => Ok(()),
        };
        if let Err(error) = ended.and_then(|()| self.sweep_sandbox(id).map_err(|status| status.to_string())) {
            tracing::warn!(sandbox = id, error, "unknown sandbox not removed");
        }
    }
}

/// The names in a directory.
fn names(directory: &Path) -> Result<Vec<String>, OpenError> {
    let failed = |source| OpenError::File { action: "list", path: directory.to_owned(), source };
    let entries = std::fs::read_dir(directory).map_err(failed)?.collect::<io::Result<Vec<_>>>().map_err(failed)?;
    Ok(entries.into_iter().filter_map(|entry| entry.file_name().into_string().ok()).collect())
}

/// Every record below a directory. One that is missing or torn (by a loss of power, which ended what it was of) is
/// passed over, and its directory swept.
fn load<T: DeserializeOwned>(directory: &Path, file: &str) -> Result<Vec<T>, OpenError> {
    let mut records = Vec::new();
    for name in names(directory)? {
        let path = directory.join(&name).join(file);
        let parsed = std::fs::read(&path).and_then(|bytes| Ok(serde_json::from_slice(&bytes)?));
        match parsed {
            Ok(record) => records.push(record),
            Err(error) => tracing::warn!(path = %path.display(), %error, "unreadable record"),
        }
    }
    Ok(records)
}
