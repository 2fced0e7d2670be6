//! DenyServiceExternalIPs: no service takes addresses of others to itself.

use super::{Plugin, Sources, is, refused};
use api::{Object, Status};
use async_trait::async_trait;
use k8s_openapi::api::core::v1::Service;
use registry::{Attempt, Operation};

pub(in crate::admission) fn make(_: &Sources<'_>) -> Box<dyn Plugin> {
    Box::new(ExternalIps)
}

struct ExternalIps;

fn addresses(object: Option<&dyn Object>) -> &[String] {
    let spec = object.and_then(|object| object.downcast::<Service>()).and_then(|service| service.spec.as_ref());
    spec.and_then(|spec| spec.external_ips.as_deref()).unwrap_or_default()
}

#[async_trait]
impl Plugin for ExternalIps {
    fn judges(&self, attempt: &Attempt<'_>) -> bool {
        matches!(attempt.operation, Operation::Create | Operation::Update)
            && attempt.subresource.is_none()
            && is::<Service>(attempt)
    }

    /// Those that a service has it may keep, or give up one by one.
    async fn validate(
        &self,
        attempt: &Attempt<'_>,
        object: Option<&dyn Object>,
        old: Option<&dyn Object>,
    ) -> Result<(), Status> {
        let kept = addresses(old);
        match addresses(object).iter().all(|address| kept.contains(address)) {
            true => Ok(()),
            false => Err(refused(attempt, object, "Use of external IPs is denied by admission control")),
        }
    }
}
