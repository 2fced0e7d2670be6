//! Objects live in namespaces that exist, nothing new begins in one that ends, and some namespaces never end.

use super::{Plugin, Sources, find, is, refused};
use api::{Kind, Object, Status};
use async_trait::async_trait;
use client::{Cache, Client};
use k8s_openapi::api::authorization::v1::SubjectAccessReview;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::StatusCause;
use registry::{Attempt, Operation};

/// What the cluster cannot do without.
const IMMORTAL: [&str; 4] = ["default", "kube-system", "kube-public", "kube-node-lease"];

pub(crate) fn make(sources: &Sources<'_>) -> Box<dyn Plugin> {
    Box::new(NamespaceLifecycle { client: sources.client.clone(), namespaces: sources.client.cache() })
}

struct NamespaceLifecycle {
    client: Client,
    namespaces: Cache<Namespace>,
}

/// The refusal of a write into a namespace as it stands, if it is one. Updates go on to the end, so that finalizers
/// can be taken off.
pub(crate) fn judge(
    attempt: &Attempt<'_>,
    object: Option<&dyn Object>,
    namespace: Option<&Namespace>,
) -> Result<(), Status> {
    let Some(namespace) = namespace else {
        return Err(Status::not_found(&Namespace::DEF, attempt.namespace));
    };
    let phase = namespace.status.as_ref().and_then(|status| status.phase.as_deref());
    let ending = phase == Some("Terminating") || namespace.metadata.deletion_timestamp.is_some();
    if attempt.operation != Operation::Create || !ending {
        return Ok(());
    }
    let name = attempt.namespace;
    let why = format!("unable to create new content in namespace {name} because it is being terminated");
    let mut status = refused(attempt, object, &why);
    if let Some(details) = &mut status.details {
        details.causes = Some(vec![StatusCause {
            reason: Some("NamespaceTerminating".to_owned()),
            message: Some(format!("namespace {name} is being terminated")),
            field: Some("metadata.namespace".to_owned()),
        }]);
    }
    Err(status)
}

#[async_trait]
impl Plugin for NamespaceLifecycle {
    fn judges(&self, attempt: &Attempt<'_>) -> bool {
        match attempt.operation {
            Operation::Delete => is::<Namespace>(attempt),
            Operation::Connect => false,
            // Asking what one may do in a namespace is no content of it.
            _ if attempt.def.group == SubjectAccessReview::DEF.group => false,
            Operation::Create | Operation::Update => !attempt.namespace.is_empty() && !is::<Namespace>(attempt),
        }
    }

    async fn mutate(
        &self,
        attempt: &Attempt<'_>,
        object: &mut Box<dyn Object>,
        _old: Option<&dyn Object>,
    ) -> Result<(), Status> {
        let namespace = find(&self.client, &self.namespaces, "", attempt.namespace).await?;
        judge(attempt, Some(object.as_ref()), namespace.as_deref())
    }

    async fn validate(
        &self,
        attempt: &Attempt<'_>,
        object: Option<&dyn Object>,
        _old: Option<&dyn Object>,
    ) -> Result<(), Status> {
        if attempt.operation == Operation::Delete && IMMORTAL.contains(&attempt.name) {
            return Err(refused(attempt, object, "this namespace may not be deleted"));
        }
        Ok(())
    }
}
