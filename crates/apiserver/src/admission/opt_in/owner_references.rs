//! OwnerReferencesPermissionEnforcement: who names owners may delete what is owned, and who blocks the deletion of an
//! owner may set that owner's finalizers.

use super::{Plugin, Sources, refused};
use crate::authz::{Attributes, Authorizer, Verdict};
use api::{Object, Status, Subresource};
use async_trait::async_trait;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use registry::{Attempt, Operation, Registry};
use std::sync::Arc;

pub(in crate::admission) fn make(sources: &Sources<'_>) -> Box<dyn Plugin> {
    Box::new(OwnerReferences { registry: sources.registry.clone(), authorizer: sources.authorizer.clone() })
}

struct OwnerReferences {
    registry: Arc<Registry>,
    authorizer: Arc<Authorizer>,
}

fn owners(object: &dyn Object) -> &[OwnerReference] {
    object.meta().owner_references.as_deref().unwrap_or_default()
}

fn blocks(reference: &OwnerReference) -> bool {
    reference.block_owner_deletion == Some(true)
}

/// References that block the deletion of their owner and did not before.
fn newly_blocking<'a>(new: &'a [OwnerReference], old: &[OwnerReference]) -> Vec<&'a OwnerReference> {
    let was = |reference: &OwnerReference| old.iter().any(|own| own.uid == reference.uid && blocks(own));
    new.iter().filter(|reference| blocks(reference) && !was(reference)).collect()
}

impl OwnerReferences {
    /// `Err` says why not, as upstream ends its sentences.
    async fn may(&self, attempt: &Attempt<'_>, asked: &Attributes<'_>) -> Result<(), String> {
        match self.authorizer.verdict(attempt.user, asked).await {
            Verdict::Allow(_) => Ok(()),
            Verdict::Refuse(refusal) => {
                let error = refusal.error().unwrap_or_else(|| "<nil>".to_owned());
                Err(format!("{}, {error}", refusal.reasons.join("\n")))
            }
        }
    }

    async fn may_delete(&self, attempt: &Attempt<'_>) -> Result<(), String> {
        // The one who creates an object may give it an owner: it could as well not be there.
        if attempt.operation == Operation::Create {
            return Ok(());
        }
        let def = attempt.def;
        let asked = Attributes {
            verb: "delete",
            group: def.group,
            version: def.version,
            resource: def.plural,
            namespace: attempt.namespace,
            name: attempt.name,
            is_resource: true,
            ..Attributes::default()
        };
        let may = self.may(attempt, &asked).await;
        may.map_err(|why| format!("cannot set an ownerRef on a resource you can't delete: {why}"))
    }

    /// A kind may be that of several resources: all of them count.
    async fn may_block(&self, attempt: &Attempt<'_>, owner: &OwnerReference) -> Result<(), String> {
        let (group, version) = owner.api_version.split_once('/').unwrap_or(("", &owner.api_version));
        let served = self.registry.served();
        let is_own = |def: &api::ResourceDef| (def.group, def.version, def.kind) == (group, version, &*owner.kind);
        let defs: Vec<_> = served.iter().map(|resource| resource.def).filter(|def| is_own(def)).collect();
        if defs.is_empty() {
            let (version, kind) = (&owner.api_version, &owner.kind);
            return Err(format!(
                "cannot set blockOwnerDeletion in this case because cannot find RESTMapping for APIVersion {version} \
                 Kind {kind}: no matches for kind {kind:?} in version {version:?}"
            ));
        }
        for def in defs {
            let asked = Attributes {
                verb: "update",
                group,
                version,
                resource: def.plural,
                subresource: "finalizers",
                namespace: if def.namespaced() { attempt.namespace } else { "" },
                name: &owner.name,
                is_resource: true,
                ..Attributes::default()
            };
            self.may(attempt, &asked).await.map_err(|why| {
                format!(
                    "cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't set finalizers \
                     on: {why}"
                )
            })?;
        }
        Ok(())
    }
}

#[async_trait]
impl Plugin for OwnerReferences {
    fn judges(&self, attempt: &Attempt<'_>) -> bool {
        let is_pod_status = attempt.def.group.is_empty()
            && attempt.def.plural == "pods"
            && attempt.subresource == Some(Subresource::Status);
        matches!(attempt.operation, Operation::Create | Operation::Update) && !is_pod_status
    }

    async fn validate(
        &self,
        attempt: &Attempt<'_>,
        object: Option<&dyn Object>,
        old: Option<&dyn Object>,
    ) -> Result<(), Status> {
        let Some(object) = object else { return Ok(()) };
        let (new, old) = (owners(object), old.map(owners).unwrap_or_default());
        if new == old {
            return Ok(());
        }
        let refuse = |why: String| refused(attempt, Some(object), &why);
        self.may_delete(attempt).await.map_err(refuse)?;
        for owner in newly_blocking(new, old) {
            self.may_block(attempt, owner).await.map_err(refuse)?;
        }
        Ok(())
    }
}
