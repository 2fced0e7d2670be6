//! Claims grow only where their class says that its volumes can.

use super::{Plugin, Sources, find, is, refused};
use api::quantity::Quantity;
use api::{Object, Status};
use async_trait::async_trait;
use client::{Cache, Client};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::api::storage::v1::StorageClass;
use registry::{Attempt, Operation};

const OLD_CLASS: &str = "volume.beta.kubernetes.io/storage-class";

pub(crate) fn make(sources: &Sources<'_>) -> Box<dyn Plugin> {
    Box::new(ClaimResize { client: sources.client.clone(), classes: sources.client.cache() })
}

struct ClaimResize {
    client: Client,
    classes: Cache<StorageClass>,
}

fn size(claim: &PersistentVolumeClaim) -> Option<Quantity> {
    let requests = claim.spec.as_ref()?.resources.as_ref()?.requests.as_ref()?;
    Quantity::try_from(requests.get("storage")?).ok()
}

fn class(claim: &PersistentVolumeClaim) -> &str {
    let annotated = claim.metadata.annotations.as_ref().and_then(|own| own.get(OLD_CLASS));
    let own = claim.spec.as_ref().and_then(|spec| spec.storage_class_name.as_ref());
    annotated.or(own).map(String::as_str).unwrap_or_default()
}

fn is_bound(claim: &PersistentVolumeClaim) -> bool {
    claim.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Bound")
}

#[async_trait]
impl Plugin for ClaimResize {
    fn judges(&self, attempt: &Attempt<'_>) -> bool {
        is::<PersistentVolumeClaim>(attempt) && attempt.operation == Operation::Update && attempt.subresource.is_none()
    }

    async fn validate(
        &self,
        attempt: &Attempt<'_>,
        object: Option<&dyn Object>,
        old: Option<&dyn Object>,
    ) -> Result<(), Status> {
        let new = object.and_then(|object| object.downcast::<PersistentVolumeClaim>());
        let old = old.and_then(|old| old.downcast::<PersistentVolumeClaim>());
        let (Some(new), Some(old)) = (new, old) else { return Ok(()) };
        if size(new) <= size(old) {
            return Ok(());
        }
        if !is_bound(old) {
            return Err(refused(attempt, object, "Only bound persistent volume claims can be expanded"));
        }
        let name = class(new);
        let class = match name.is_empty() || name != class(old) {
            true => None,
            false => find(&self.client, &self.classes, "", name).await?,
        };
        if class.is_some_and(|class| class.allow_volume_expansion == Some(true)) {
            return Ok(());
        }
        let why = "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must \
                   support resize";
        Err(refused(attempt, object, why))
    }
}
