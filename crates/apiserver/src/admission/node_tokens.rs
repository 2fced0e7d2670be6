//! What a node may have tokens for: pods that are bound to it, and one audience that such a pod uses.
//!
//! Invariant: a request without an audience is one for the API server's, which a pod names by the empty one; who may
//! `request-serviceaccounts-token-audience` of it need not have it in a pod.

use super::{Sources, refused};
use crate::authz::{Attributes, Authorizer};
use api::{Kind, Object, Status};
use client::Client;
use k8s_openapi::api::authentication::v1::TokenRequestSpec;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod, Volume};
use k8s_openapi::api::storage::v1::CSIDriver;
use registry::Attempt;
use std::sync::Arc;

const VERB: &str = "request-serviceaccounts-token-audience";

pub(super) struct NodeTokens {
    client: Client,
    authorizer: Arc<Authorizer>,
}

/// The driver of volumes that were once part of Kubernetes; volumes and persistent volumes have the same fields, but
/// share no trait.
macro_rules! migrated {
    ($source:expr) => {{
        let source = $source;
        [
            (source.aws_elastic_block_store.is_some(), "ebs.csi.aws.com"),
            (source.azure_disk.is_some(), "disk.csi.azure.com"),
            (source.azure_file.is_some(), "file.csi.azure.com"),
            (source.cinder.is_some(), "cinder.csi.openstack.org"),
            (source.gce_persistent_disk.is_some(), "pd.csi.storage.gke.io"),
            (source.portworx_volume.is_some(), "pxd.portworx.com"),
            (source.vsphere_volume.is_some(), "csi.vsphere.vmware.com"),
        ]
        .into_iter()
        .find_map(|(is_own, driver)| is_own.then(|| driver.to_owned()))
    }};
}

/// What is behind a volume.
enum Behind {
    Driver(String),
    Claim(String),
    /// Of the pod's own, if it is: another of that name may have been there before.
    OwnClaim(String),
}

fn behind(pod: &str, volume: &Volume) -> Option<Behind> {
    if let Some(own) = &volume.csi {
        return Some(Behind::Driver(own.driver.clone()));
    }
    if let Some(claim) = &volume.persistent_volume_claim {
        return Some(Behind::Claim(claim.claim_name.clone()));
    }
    if volume.ephemeral.is_some() {
        return Some(Behind::OwnClaim(format!("{pod}-{}", volume.name)));
    }
    migrated!(volume).map(Behind::Driver)
}

fn driver_of(volume: &PersistentVolume) -> Option<String> {
    let spec = volume.spec.as_ref()?;
    spec.csi.as_ref().map(|csi| csi.driver.clone()).or_else(|| migrated!(spec))
}

fn projects(volume: &Volume, audience: &str) -> bool {
    let sources = volume.projected.iter().flat_map(|projected| projected.sources.iter().flatten());
    let mut tokens = sources.filter_map(|source| source.service_account_token.as_ref());
    tokens.any(|token| token.audience.as_deref().unwrap_or_default() == audience)
}

/// The pod that the token is to be bound to: its name and uid.
fn bound_pod(spec: &TokenRequestSpec) -> Result<(&str, &str), &'static str> {
    let reference = spec.bound_object_ref.as_ref().filter(|reference| {
        reference.api_version.as_deref() == Some("v1") && reference.kind.as_deref() == Some(Pod::DEF.kind)
    });
    let text = |text: &Option<String>| text.as_deref().is_some_and(|text| !text.is_empty());
    match reference {
        Some(reference) if text(&reference.name) => match (&reference.name, &reference.uid) {
            (Some(name), Some(uid)) if !uid.is_empty() => Ok((name, uid)),
            _ => Err("node requested token with a pod binding without a uid"),
        },
        _ => Err("node requested token not bound to a pod"),
    }
}

impl NodeTokens {
    pub(super) fn new(sources: &Sources<'_>) -> NodeTokens {
        NodeTokens { client: sources.client.clone(), authorizer: sources.authorizer.clone() }
    }

    /// Judges a node's request for a token of the account that the attempt names.
    pub(super) async fn judge(
        &self,
        node: &str,
        attempt: &Attempt<'_>,
        object: Option<&dyn Object>,
        spec: &TokenRequestSpec,
    ) -> Result<(), Status> {
        let refuse = |why: &str| refused(attempt, object, why);
        let (name, uid) = bound_pod(spec).map_err(refuse)?;
        // Live: what a node was given a moment ago may not have reached a cache.
        let pod: Pod = self.client.get(attempt.namespace, name).await?;
        if pod.metadata.uid.as_deref() != Some(uid) {
            return Err(refuse(&format!(
                "the UID in the bound object reference ({uid}) does not match the UID in record. The object might \
                 have been deleted and then recreated"
            )));
        }
        if pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()) != Some(node) {
            return Err(refuse("node requested token bound to a pod scheduled on a different node"));
        }
        let audience = match spec.audiences.as_deref().unwrap_or_default() {
            [] => "",
            [one] => one,
            _ => return Err(refuse("node may only request 0 or 1 audiences")),
        };
        match self.uses(&pod, audience).await {
            Ok(true) => Ok(()),
            Ok(false) if self.may(attempt, audience).await => Ok(()),
            Ok(false) => Err(refuse(&format!(
                "audience {audience:?} not found in pod spec volume, {} is not authorized to request tokens for this \
                 audience",
                attempt.user.name
            ))),
            Err(status) => Err(refuse(&format!("error validating audience {audience:?}: {}", status.message))),
        }
    }

    /// The audience stands in the place of a resource, the account in that of its name.
    async fn may(&self, attempt: &Attempt<'_>, audience: &str) -> bool {
        let asked = Attributes {
            verb: VERB,
            version: "v1",
            resource: audience,
            namespace: attempt.namespace,
            name: attempt.name,
            is_resource: true,
            ..Attributes::default()
        };
        self.authorizer.may(attempt.user, &asked).await
    }

    /// Whether the pod projects tokens for it, or a volume's driver asks for them. What cannot be looked up is an error
    /// only where no other volume is the answer.
    async fn uses(&self, pod: &Pod, audience: &str) -> Result<bool, Status> {
        let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
        let mut failed = None;
        for volume in volumes {
            if projects(volume, audience) {
                return Ok(true);
            }
            match self.driver_asks(pod, volume, audience).await {
                Ok(true) => return Ok(true),
                Ok(false) => {}
                Err(status) => failed = Some(status),
            }
        }
        failed.map_or(Ok(false), Err)
    }

    async fn driver_asks(&self, pod: &Pod, volume: &Volume, audience: &str) -> Result<bool, Status> {
        let driver = match behind(pod.metadata.name.as_deref().unwrap_or_default(), volume) {
            Some(Behind::Driver(driver)) => Some(driver),
            Some(Behind::Claim(claim)) => self.driver_behind(pod, &claim, false).await?,
            Some(Behind::OwnClaim(claim)) => self.driver_behind(pod, &claim, true).await?,
            None => None,
        };
        let Some(driver) = driver else { return Ok(false) };
        let driver: Option<CSIDriver> = self.client.find("", &driver).await?;
        let mut asked = driver.iter().flat_map(|driver| driver.spec.token_requests.iter().flatten());
        Ok(asked.any(|request| request.audience == audience))
    }

    async fn driver_behind(&self, pod: &Pod, claim: &str, is_own: bool) -> Result<Option<String>, Status> {
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        let claim: PersistentVolumeClaim = self.client.get(namespace, claim).await?;
        let mut owners = claim.metadata.owner_references.iter().flatten();
        if is_own && !owners.any(|owner| Some(&owner.uid) == pod.metadata.uid.as_ref()) {
            return Ok(None);
        }
        let volume = claim.spec.and_then(|spec| spec.volume_name).filter(|name| !name.is_empty());
        let Some(volume) = volume else { return Ok(None) };
        Ok(driver_of(&self.client.get("", &volume).await?))
    }
}
