//! Follows Pods, Namespaces and NetworkPolicies and keeps the kernel's rules the same.

use super::facts::SlimPod;
use super::script::{Written, base};
use super::view::{AdmittedPod, View};
use crate::ClusterId;
use api::k8s_openapi::api::core::v1::Namespace;
use api::k8s_openapi::api::networking::v1::NetworkPolicy;
use client::{Cache, Change, Changes};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};

/// Pods that wait for their rules; more wait for a place here.
const ADMISSIONS_MAX: usize = 256;
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_MOST: Duration = Duration::from_secs(10);

#[derive(Clone, Debug)]
pub struct PolicyOptions {
    /// Names the table (duty `policy`), and the interfaces of this node's pods.
    pub cluster: ClusterId,
    pub node_name: String,
    /// Service addresses that this node's own processes answer (DNS).
    pub own_vips: Vec<Ipv4Addr>,
}

#[derive(Clone, Debug, thiserror::Error)]
pub enum PolicyError {
    #[error("writing the network policies' rules: {0}")]
    Rules(Arc<kernel::Error>),
    #[error("network policies are not being followed any more")]
    Ended,
}

/// This node's network policies.
pub struct Policies {
    options: PolicyOptions,
    pods: Cache<SlimPod>,
    namespaces: Cache<Namespace>,
    policies: Cache<NetworkPolicy>,
    view: View,
    /// What `admission` lends out; kept, so that requests never end.
    admission: Admission,
    requests: mpsc::Receiver<Request>,
    ready: watch::Sender<bool>,
}

/// Lets pods in; clones are the same.
#[derive(Clone)]
pub struct Admission {
    requests: mpsc::Sender<Request>,
}

struct Request {
    pod: AdmittedPod,
    done: Waiting,
}

impl Admission {
    /// Returns when the policies that are known here hold for the pod; to be called when it has its address and before
    /// its first process starts. Waits for the caches' first state.
    ///
    /// # Errors
    /// The pod must not start: its rules are not in place. To be tried again.
    pub async fn admit(&self, pod: AdmittedPod) -> Result<(), PolicyError> {
        let (done, answer) = oneshot::channel();
        self.requests.send(Request { pod, done }).await.map_err(|_| PolicyError::Ended)?;
        answer.await.map_err(|_| PolicyError::Ended)?
    }
}

/// All that this follows.
struct Inputs {
    pods: Changes<SlimPod>,
    namespaces: Changes<Namespace>,
    policies: Changes<NetworkPolicy>,
    requests: mpsc::Receiver<Request>,
}

enum Input {
    Pod(Change<SlimPod>),
    Namespace(Change<Namespace>),
    Policy(Change<NetworkPolicy>),
    Admission(Request),
}

impl Inputs {
    async fn next(&mut self) -> Input {
        tokio::select! {
            change = self.pods.next() => Input::Pod(change),
            change = self.namespaces.next() => Input::Namespace(change),
            change = self.policies.next() => Input::Policy(change),
            Some(request) = self.requests.recv() => Input::Admission(request),
        }
    }

    fn try_next(&mut self) -> Option<Input> {
        let change = self.policies.try_next().map(Input::Policy);
        let change = change.or_else(|| self.namespaces.try_next().map(Input::Namespace));
        let change = change.or_else(|| self.pods.try_next().map(Input::Pod));
        // Without a sender there is none either; `Policies` holds one.
        change.or_else(|| self.requests.try_recv().ok().map(Input::Admission))
    }
}

impl Policies {
    pub fn new(client: &client::Client, options: PolicyOptions) -> Policies {
        let (sender, requests) = mpsc::channel(ADMISSIONS_MAX);
        Policies {
            pods: client.cache(),
            namespaces: client.cache(),
            policies: client.cache(),
            view: View::new(&options.node_name, options.own_vips.clone()),
            admission: Admission { requests: sender },
            requests,
            ready: watch::Sender::new(false),
            options,
        }
    }

    /// Whether the rules for everything known at the start are in place.
    pub fn ready(&self) -> watch::Receiver<bool> {
        self.ready.subscribe()
    }

    pub fn admission(&self) -> Admission {
        self.admission.clone()
    }

    /// Runs until dropped. The rules stay when it ends, and an earlier process's until the first state is known.
    pub async fn run(self) {
        self.policies.synced().await;
        self.namespaces.synced().await;
        self.pods.synced().await;
        let mut inputs = Inputs {
            pods: self.pods.changes(),
            namespaces: self.namespaces.changes(),
            policies: self.policies.changes(),
            requests: self.requests,
        };
        let mut table =
            Table { view: self.view, written: Written::default(), script: String::new(), options: self.options };
        table.start_over();
        let mut waiting = Vec::new();
        let mut retry = RETRY_FIRST;
        loop {
            while let Some(input) = inputs.try_next() {
                waiting.extend(table.take(input));
            }
            let written = table.write().await;
            for done in waiting.drain(..) {
                answer(done, written.clone());
            }
            match written {
                Ok(()) => {
                    retry = RETRY_FIRST;
                    self.ready.send_replace(true);
                    waiting.extend(table.take(inputs.next().await));
                }
                Err(error) => {
                    tracing::error!(%error, "network policies stay as they were; all are written anew");
                    table.start_over();
                    // A back-off, not a synchronisation: the kernel refused.
                    tokio::time::sleep(retry).await;
                    retry = (retry * 2).min(RETRY_MOST);
                }
            }
        }
    }
}

type Waiting = oneshot::Sender<Result<(), PolicyError>>;

/// Who gave up waiting needs no answer.
fn answer(waiting: Waiting, result: Result<(), PolicyError>) {
    if waiting.send(result).is_err() {
        tracing::debug!("a pod's start was given up while its network policies were written");
    }
}

/// What is known, and what of it is in the kernel.
struct Table {
    options: PolicyOptions,
    view: View,
    written: Written,
    /// To be applied before anything else.
    script: String,
}

impl Table {
    /// The next script replaces everything.
    fn start_over(&mut self) {
        self.view.start_over();
        self.written = Written::default();
        self.script = base(&self.name(), &self.options.cluster);
    }

    fn name(&self) -> String {
        self.options.cluster.table("policy")
    }

    fn take(&mut self, input: Input) -> Option<Waiting> {
        match input {
            Input::Pod(change) => {
                let now = change.new.map(|pod| pod.facts.clone());
                let uid = now.as_ref().map(|facts| facts.uid.as_str());
                let gone = change.old.as_ref().map(|pod| pod.facts.uid.as_str()).filter(|old| uid != Some(old));
                self.view.pod(change.key, gone, now.clone());
            }
            Input::Namespace(change) => {
                let labels = change.new.map(|namespace| namespace.metadata.labels.clone().unwrap_or_default());
                self.view.namespace(&change.key, labels);
            }
            Input::Policy(change) => self.view.policy(change.key, change.new.as_deref()),
            Input::Admission(request) => {
                self.view.admit(request.pod);
                return Some(request.done);
            }
        }
        None
    }

    async fn write(&mut self) -> Result<(), PolicyError> {
        let mut script = std::mem::take(&mut self.script);
        let moves = self.view.moves();
        self.written.change(&self.name(), self.view.plan(), &moves, &mut script);
        if script.is_empty() {
            return Ok(());
        }
        let applied = tokio::task::spawn_blocking(move || kernel::nft::apply(&script)).await;
        applied.expect("applying rules does not panic").map_err(|error| PolicyError::Rules(Arc::new(error)))
    }
}
