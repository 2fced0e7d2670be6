//! ResourceQuota: no namespace comes to use more than its quotas allow.
//!
//! The last judge: what it claims is held only while the write is stored. `ledger` says why quotas hold; `keeper`
//! writes what is used into the quotas' status.

mod book;
mod keeper;
mod ledger;
mod limited;
mod measure;
mod pods;
mod scope;

pub(super) use limited::LimitedResource;

use super::{Plugin, Sources, refused};
use api::{Object, Reason, Status};
use async_trait::async_trait;
use book::Ask;
use ledger::Ledger;
use limited::Uncovered;
use measure::{Usage, charges, measure};
use registry::{Attempt, Claim};
use std::sync::Arc;
use tokio_util::task::AbortOnDropHandle;

pub(crate) fn make(sources: &Sources<'_>) -> Box<dyn Plugin> {
    let ledger = Ledger::new(sources.registry);
    let keeper = AbortOnDropHandle::new(tokio::spawn(keeper::keep(ledger.clone(), sources.client.clone())));
    Box::new(Quotas { ledger, limited: sources.settings.plugins.limited.clone(), _keeper: keeper })
}

struct Quotas {
    ledger: Arc<Ledger>,
    limited: Arc<[LimitedResource]>,
    _keeper: AbortOnDropHandle<()>,
}

impl Quotas {
    fn limits(&self, attempt: &Attempt<'_>) -> impl Iterator<Item = &LimitedResource> {
        limited::of_kind(&self.limited, (attempt.def.group, attempt.def.plural))
    }

    /// Refuses what only a quota may allow.
    async fn judge_limits(&self, attempt: &Attempt<'_>, object: &dyn Object, usage: &Usage) -> Result<(), Status> {
        let limits: Vec<&LimitedResource> = self.limits(attempt).collect();
        if limits.is_empty() {
            return Ok(());
        }
        let kind = (attempt.def.group, attempt.def.plural);
        let covered = self.ledger.covered(attempt.namespace, kind, &usage.traits).await?;
        limited::judge(&limits, usage, &covered).map_err(|uncovered| match uncovered {
            Uncovered::Measures(why) => refused(attempt, Some(object), &why),
            Uncovered::Scopes(why) => Status { code: 500, ..Status::new(Reason::Unknown, why) },
        })
    }
}

#[async_trait]
impl Plugin for Quotas {
    fn judges(&self, attempt: &Attempt<'_>) -> bool {
        !attempt.namespace.is_empty()
            && charges(attempt.def, attempt.operation, attempt.subresource)
            && (self.ledger.guards(attempt.namespace) || self.limits(attempt).next().is_some())
    }

    async fn claim(
        &self,
        attempt: &Attempt<'_>,
        object: Option<&dyn Object>,
        old: Option<&dyn Object>,
    ) -> Result<Option<Claim>, Status> {
        let Some(object) = object else { return Ok(None) };
        let (def, now) = (attempt.def, self.ledger.now());
        let new = measure(def, Some(object), now).now;
        self.judge_limits(attempt, object, &new).await?;
        let ask = Ask {
            id: ((def.group, def.plural), object.name().into()),
            object,
            new,
            old: old.map(|old| measure(def, Some(old), now).now),
        };
        let claimed = self.ledger.claim(attempt.namespace, &ask, attempt.dry_run).await?;
        claimed.map_err(|why| refused(attempt, Some(object), &why))
    }
}

#[cfg(test)]
mod tests;
