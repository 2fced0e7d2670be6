//! StorageVersionMigration: every object of a resource is written again, so that none is stored in an old version, or
//! sealed with an old key.
//!
//! Keys are resources: of several migrations of one resource the oldest goes first. Invariants: what changed after the
//! migration began is stored anew already and is left alone; a definition's stored versions are cut down only if nobody
//! changed the definition meanwhile. Bounds: a page of objects at a time, of which `IN_FLIGHT_MAX` are being written.

mod objects;
mod status;

use crate::table::Start;
use api::{Reason, Status};
use async_trait::async_trait;
use client::{Cache, Change};
use k8s_openapi::api::storagemigration::v1::StorageVersionMigration;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use k8s_openapi::jiff::SignedDuration;
use objects::Failure;
use reconcile::{Action, Context, Controller, Error, Key, Reconcile};
use status::Outcome;
use std::sync::Arc;
use std::time::Duration;

/// How long a resource that nobody knows may take to appear, as upstream waits for it.
const UNKNOWN_TIME_MAX: SignedDuration = SignedDuration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_secs(5);

pub(crate) fn controller(start: &Start) -> Controller {
    let migrations = start.client.cache::<StorageVersionMigration>();
    let reconciler = Migrations { migrations: migrations.clone() };
    Controller::new("storage-version-migrator", reconciler).watches(migrations, |change: &Change<_>| {
        let of = |own: &Option<Arc<StorageVersionMigration>>| own.as_deref().map(|own| resource_of(own).into());
        of(&change.new).or_else(|| of(&change.old)).into_iter().collect()
    })
}

/// `PLURAL.GROUP`, which is the name of its definition too.
fn resource_of(migration: &StorageVersionMigration) -> String {
    let resource = migration.spec.as_ref().map(|spec| spec.resource.clone()).unwrap_or_default();
    format!("{}.{}", resource.resource, resource.group)
}

struct Migrations {
    migrations: Cache<StorageVersionMigration>,
}

#[async_trait]
impl Reconcile for Migrations {
    async fn reconcile(&self, ctx: &Context, resource: &Key) -> Result<Action, Error> {
        let all = self.migrations.list();
        let waiting = all.iter().filter(|own| *resource_of(own) == **resource && !status::is_over(own));
        let first = waiting.min_by_key(|own| {
            let created = own.metadata.creation_timestamp.as_ref().map(|time| time.0);
            (created, own.metadata.name.clone())
        });
        match first {
            Some(first) => self.migrate(ctx, resource, first).await,
            None => Ok(Action::Done),
        }
    }
}

impl Migrations {
    async fn migrate(&self, ctx: &Context, resource: &str, found: &StorageVersionMigration) -> Result<Action, Error> {
        let name = found.metadata.name.clone().unwrap_or_default();
        let definition = ctx.client().find::<CustomResourceDefinition>("", resource).await;
        let definition = definition.map_err(Error::api("reading a custom kind's definition"))?;
        let Some(def) = objects::resource(resource, definition.as_ref())? else {
            return self.unknown(ctx, found).await;
        };
        let mut migration = found.clone();
        if status::begun_at(&migration).is_none() {
            if let Some(definition) = definition {
                let mut marked = definition;
                status::mark_running(&mut marked, &name, ctx.now());
                ctx.update_status(&marked).await.map_err(Error::api("marking a custom kind's definition"))?;
            }
            let revision = objects::revision(ctx.client(), def).await?;
            status::begin(&mut migration, revision, ctx.now());
            migration = ctx.update_status(&migration).await.map_err(Error::api("beginning a storage migration"))?;
        }
        let begun = status::begun_at(&migration).unwrap_or_default().to_owned();
        match objects::rewrite(ctx, def, &begun).await {
            Ok(()) => self.finish(ctx, resource, migration, Outcome::Succeeded).await,
            Err(Failure::Retriable(error)) => Err(error),
            Err(Failure::Final(why)) => self.finish(ctx, resource, migration, Outcome::Failed(why)).await,
        }
    }

    /// A resource that may be about to be defined.
    async fn unknown(&self, ctx: &Context, migration: &StorageVersionMigration) -> Result<Action, Error> {
        let created = migration.metadata.creation_timestamp.as_ref().map_or(ctx.now(), |time| time.0);
        if ctx.now().duration_since(created) < UNKNOWN_TIME_MAX {
            return Ok(Action::after(LOOK_AGAIN));
        }
        let mut migration = migration.clone();
        let why = "unable to obtain GVR from discovery".to_owned();
        status::finish(&mut migration, &Outcome::Failed(why), ctx.now());
        done(ctx.update_status(&migration).await)
    }

    /// The definition first: who sees the migration's end may drop a version.
    async fn finish(
        &self,
        ctx: &Context,
        resource: &str,
        mut migration: StorageVersionMigration,
        outcome: Outcome,
    ) -> Result<Action, Error> {
        let definition = ctx.client().find::<CustomResourceDefinition>("", resource).await;
        if let Some(mut definition) = definition.map_err(Error::api("reading a custom kind's definition"))? {
            status::mark_over(&mut definition, &outcome, ctx.now());
            ctx.update_status(&definition).await.map_err(Error::api("writing a custom kind's stored versions"))?;
        }
        status::finish(&mut migration, &outcome, ctx.now());
        done(ctx.update_status(&migration).await)
    }
}

/// One that is gone meanwhile is over too.
fn done<K>(answer: Result<K, Status>) -> Result<Action, Error> {
    match answer {
        Err(status) if status.reason != Reason::NotFound => {
            Err(Error::Api { what: "ending a storage migration".to_owned(), status })
        }
        _ => Ok(Action::Done),
    }
}
