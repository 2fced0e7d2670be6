//! CertificateSigningRequest: approves what nodes ask for themselves, signs what is approved, forgets what is old.
//!
//! Invariant: what may be approved and how it is signed is the `Signer`'s; here is only when, and what becomes of it.

mod plan;

use crate::table::Start;
use api::{Reason, Subresource};
use async_trait::async_trait;
use client::{Cache, Change};
use k8s_openapi::ByteString;
use k8s_openapi::api::certificates::v1::{CertificateSigningRequest, CertificateSigningRequestCondition};
use k8s_openapi::api::core::v1::{Node, NodeAddress};
use plan::Step;
use reconcile::{Action, Context, Controller, Error, Key, Reconcile, key_of};
use serde::Serialize;
use std::sync::Arc;

/// Decides about requests and signs them: the certificate authority, as the program hands it in.
pub trait Signer: Send + Sync {
    /// The approval's message, if the request may be approved without a human. `node`: the requester's own, if it is
    /// a node that has registered.
    fn approves(&self, request: &CertificateSigningRequest, node: Option<&Node>) -> Option<String>;

    /// The certificate in PEM.
    ///
    /// # Errors
    /// Why this request can never be signed.
    fn sign(&self, request: &CertificateSigningRequest) -> Result<Vec<u8>, String>;
}

/// The signers that are this cluster's own; requests to others are for others to approve and sign.
const SIGNERS: [&str; 3] = [
    "kubernetes.io/kube-apiserver-client",
    "kubernetes.io/kube-apiserver-client-kubelet",
    "kubernetes.io/kubelet-serving",
];
const NODE_USER: &str = "system:node:";

pub(crate) fn controller(start: &Start) -> Option<Controller> {
    let signer = start.options.signer.clone()?;
    let (requests, nodes) = (start.client.cache::<CertificateSigningRequest>(), start.client.cache::<Node>());
    let waiting = requests.clone();
    let reconciler = Requests { requests: requests.clone(), nodes: nodes.clone(), signer };
    let controller = Controller::new("csr", reconciler)
        .watches(requests, reconcile::each)
        .watches(nodes, move |change| waiting_for_node(&waiting, change));
    Some(controller)
}

/// A serving certificate is approved by the node's addresses, so a node that tells of them may end a wait.
fn waiting_for_node(requests: &Cache<CertificateSigningRequest>, change: &Change<Node>) -> Vec<Key> {
    let Some(node) = change.new.as_deref() else { return Vec::new() };
    if change.old.as_deref().is_some_and(|old| addresses(old) == addresses(node)) {
        return Vec::new();
    }
    let asked_by_node = |request: &CertificateSigningRequest| node_of(request) == node.metadata.name.as_deref();
    let all = requests.list().into_iter();
    all.filter(|request| plan::is_undecided(request) && asked_by_node(request))
        .map(|request| key_of(&*request))
        .collect()
}

fn addresses(node: &Node) -> &[NodeAddress] {
    node.status.as_ref().and_then(|status| status.addresses.as_deref()).unwrap_or_default()
}

fn node_of(request: &CertificateSigningRequest) -> Option<&str> {
    request.spec.username.as_deref()?.strip_prefix(NODE_USER)
}

struct Requests {
    requests: Cache<CertificateSigningRequest>,
    nodes: Cache<Node>,
    signer: Arc<dyn Signer>,
}

#[async_trait]
impl Reconcile for Requests {
    async fn reconcile(&self, ctx: &Context, key: &Key) -> Result<Action, Error> {
        let Some(request) = self.requests.get_key(key) else { return Ok(Action::Done) };
        let ours = SIGNERS.contains(&request.spec.signer_name.as_str());
        let mut request = (*request).clone();
        loop {
            let (step, action) = plan::next(&request, ctx.now());
            // Signing follows approval at once: a starting node waits for it.
            let written = match step {
                Step::Delete => {
                    ctx.delete(&request, None).await.map_err(Error::api("deleting an old request"))?;
                    None
                }
                Step::Approve if ours => self.approve(ctx, &request).await?,
                Step::Sign if ours => self.sign(ctx, &request).await?,
                Step::Approve | Step::Sign | Step::Wait => None,
            };
            match written {
                Some(written) => request = written,
                None => return Ok(action),
            }
        }
    }
}

#[derive(Serialize)]
struct Patch<'a> {
    metadata: PatchMeta<'a>,
    status: PatchStatus,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PatchMeta<'a> {
    /// The conditions are replaced whole.
    resource_version: Option<&'a str>,
}

#[derive(Serialize)]
struct PatchStatus {
    conditions: Vec<CertificateSigningRequestCondition>,
}

impl Requests {
    async fn approve(
        &self,
        ctx: &Context,
        request: &CertificateSigningRequest,
    ) -> Result<Option<CertificateSigningRequest>, Error> {
        let node = node_of(request).and_then(|name| self.nodes.get("", name));
        let Some(message) = self.signer.approves(request, node.as_deref()) else { return Ok(None) };
        let mut conditions = plan::conditions(request).to_vec();
        conditions.push(plan::condition("Approved", "AutoApproved", message, ctx.now()));
        let meta = &request.metadata;
        let patch = Patch {
            metadata: PatchMeta { resource_version: meta.resource_version.as_deref() },
            status: PatchStatus { conditions },
        };
        let name = meta.name.as_deref().unwrap_or_default();
        found(ctx.merge("", name, Some(Subresource::Approval), &patch).await, "approving a request")
    }

    async fn sign(
        &self,
        ctx: &Context,
        request: &CertificateSigningRequest,
    ) -> Result<Option<CertificateSigningRequest>, Error> {
        let mut new = request.clone();
        let status = new.status.get_or_insert_default();
        match self.signer.sign(request) {
            Ok(pem) => status.certificate = Some(ByteString(pem)),
            Err(why) => {
                let failed = plan::condition("Failed", "SignerValidationFailure", why, ctx.now());
                status.conditions.get_or_insert_default().push(failed);
            }
        }
        found(ctx.update_status(&new).await, "writing a certificate")
    }
}

/// Gone meanwhile: there is nothing more to do.
fn found<T>(answer: Result<T, api::Status>, what: &str) -> Result<Option<T>, Error> {
    match answer {
        Err(status) if status.reason == Reason::NotFound => Ok(None),
        answer => answer.map(Some).map_err(Error::api(what)),
    }
}
