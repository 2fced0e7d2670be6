//! NamespaceAutoProvision and NamespaceExists: what is written into a namespace that is not there makes it, or is
//! refused.

use super::{Plugin, Sources, is, refused};
use crate::admission::find;
use api::{Kind, Object, Reason, Status};
use async_trait::async_trait;
use client::{Cache, Client};
use k8s_openapi::api::core::v1::Namespace;
use registry::{Attempt, Operation};

struct Known {
    client: Client,
    namespaces: Cache<Namespace>,
}

impl Known {
    fn of(sources: &Sources<'_>) -> Known {
        Known { client: sources.client.clone(), namespaces: sources.client.cache() }
    }

    async fn has(&self, name: &str) -> Result<bool, Status> {
        Ok(find(&self.client, &self.namespaces, "", name).await?.is_some())
    }
}

fn is_in_namespace(attempt: &Attempt<'_>) -> bool {
    !attempt.namespace.is_empty() && !is::<Namespace>(attempt)
}

pub(in crate::admission) fn provision(sources: &Sources<'_>) -> Box<dyn Plugin> {
    Box::new(Provision(Known::of(sources)))
}

struct Provision(Known);

#[async_trait]
impl Plugin for Provision {
    fn judges(&self, attempt: &Attempt<'_>) -> bool {
        attempt.operation == Operation::Create && !attempt.dry_run && is_in_namespace(attempt)
    }

    async fn mutate(
        &self,
        attempt: &Attempt<'_>,
        object: &mut Box<dyn Object>,
        _old: Option<&dyn Object>,
    ) -> Result<(), Status> {
        let Provision(known) = self;
        if known.has(attempt.namespace).await? {
            return Ok(());
        }
        let mut namespace = Namespace::default();
        namespace.metadata.name = Some(attempt.namespace.to_owned());
        match known.client.create(&namespace).await {
            Err(status) if status.reason != Reason::AlreadyExists => {
                Err(refused(attempt, Some(object.as_ref()), &status.message))
            }
            _ => Ok(()),
        }
    }
}

pub(in crate::admission) fn exists(sources: &Sources<'_>) -> Box<dyn Plugin> {
    Box::new(Exists(Known::of(sources)))
}

struct Exists(Known);

#[async_trait]
impl Plugin for Exists {
    fn judges(&self, attempt: &Attempt<'_>) -> bool {
        attempt.operation != Operation::Connect && is_in_namespace(attempt)
    }

    async fn validate(
        &self,
        attempt: &Attempt<'_>,
        _object: Option<&dyn Object>,
        _old: Option<&dyn Object>,
    ) -> Result<(), Status> {
        match self.0.has(attempt.namespace).await? {
            true => Ok(()),
            false => Err(Status::not_found(&Namespace::DEF, attempt.namespace)),
        }
    }
}
