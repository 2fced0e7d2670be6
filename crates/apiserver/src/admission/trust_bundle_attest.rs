//! Who speaks for a signer's trust bundle may attest for that signer.

use super::{Plugin, Sources, certificates, is, refused};
use crate::authz::Authorizer;
use api::{Object, Status};
use async_trait::async_trait;
use k8s_openapi::api::certificates::v1::ClusterTrustBundle;
use registry::{Attempt, Operation};
use std::sync::Arc;

pub(crate) fn make(sources: &Sources<'_>) -> Box<dyn Plugin> {
    Box::new(TrustBundleAttest { authorizer: sources.authorizer.clone() })
}

struct TrustBundleAttest {
    authorizer: Arc<Authorizer>,
}

#[async_trait]
impl Plugin for TrustBundleAttest {
    fn judges(&self, attempt: &Attempt<'_>) -> bool {
        is::<ClusterTrustBundle>(attempt) && matches!(attempt.operation, Operation::Create | Operation::Update)
    }

    async fn validate(
        &self,
        attempt: &Attempt<'_>,
        object: Option<&dyn Object>,
        _old: Option<&dyn Object>,
    ) -> Result<(), Status> {
        let bundle = object.and_then(|object| object.downcast::<ClusterTrustBundle>());
        let signer = bundle.and_then(|bundle| bundle.spec.signer_name.as_deref()).unwrap_or_default();
        if signer.is_empty() || certificates::may(&self.authorizer, attempt.user, "attest", signer).await {
            return Ok(());
        }
        Err(refused(attempt, object, &format!("user not permitted to attest for signerName {signer:?}")))
    }
}
