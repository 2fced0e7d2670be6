//! MutatingAdmissionWebhook: may change what is written.

use super::annotations::{self, Place};
use super::{Judges, check_conditions, configures, patch, view};
use crate::admission::Plugin;
use crate::admission::request::Judged;
use crate::admission::rounds::Rounds;
use api::{Object, Status};
use async_trait::async_trait;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use registry::{Attempt, Operation};
use tokio::time::Instant;

pub(super) type Kind = MutatingWebhookConfiguration;

const NAME: &str = "MutatingAdmissionWebhook";

pub(super) struct Mutating {
    pub(super) judges: Judges,
}

impl Mutating {
    /// Asks all who are concerned, and returns the object as the last one left it, if one changed it.
    async fn ask(
        &self,
        attempt: &Attempt<'_>,
        object: Option<&dyn Object>,
        old: Option<&dyn Object>,
        rounds: &mut Rounds,
    ) -> Result<Option<Box<dyn Object>>, Status> {
        let hooks = self.judges.webhooks(&Judged { attempt, object, old }).await?;
        let mut changed: Option<Box<dyn Object>> = None;
        let mut views = Vec::new();
        for (index, hook) in hooks.iter().enumerate() {
            let judged = Judged { attempt, object: changed.as_deref().or(object), old };
            if rounds.passes_over(NAME, &hook.id) {
                continue;
            }
            let Some(seen) = self.judges.seen(hook, &judged).await? else { continue };
            let registry = self.judges.world.registry();
            let view = view(registry, &mut views, &judged, seen).await?;
            let place = Place { round: rounds.number(), index };
            let mut wanted = None;
            let (slot, shown) = (&mut wanted, &view.object);
            let take = |answer: super::review::Answer| async move {
                *slot = patch::patched(registry, hook, &answer, &judged, &seen, shown, place).await?;
                Ok(())
            };
            let begun = Instant::now();
            let asked = self.judges.asking.ask(hook, &judged, &seen, &view.object, &view.old, take).await;
            attempt.notes.waited(begun.elapsed());
            let new = wanted.filter(|new| !judged.object.is_some_and(|own| new.equals(own)));
            annotations::mutation(attempt.notes, place, hook, new.is_some())?;
            if asked?.is_none() {
                annotations::failed_open(attempt.notes, place, hook, true);
            }
            if let Some(new) = new {
                changed = Some(new);
                views.clear();
                rounds.changed(NAME);
            }
            if hook.is_asked_again {
                rounds.asked(NAME, &hook.id);
            }
        }
        Ok(changed)
    }
}

#[async_trait]
impl Plugin for Mutating {
    fn judges(&self, attempt: &Attempt<'_>) -> bool {
        self.judges.concern::<Kind>(attempt)
    }

    async fn mutate_in(
        &self,
        attempt: &Attempt<'_>,
        object: &mut Box<dyn Object>,
        old: Option<&dyn Object>,
        rounds: &mut Rounds,
    ) -> Result<(), Status> {
        if configures::<Kind>(attempt) {
            return Ok(());
        }
        rounds.begin(NAME, object.as_ref());
        if let Some(changed) = self.ask(attempt, Some(object.as_ref()), old, rounds).await? {
            *object = changed;
        }
        rounds.end(NAME, object.as_ref());
        Ok(())
    }

    /// A delete has no object to change; what it has is to be asked for all the same.
    async fn validate(
        &self,
        attempt: &Attempt<'_>,
        object: Option<&dyn Object>,
        old: Option<&dyn Object>,
    ) -> Result<(), Status> {
        if configures::<Kind>(attempt) {
            return check_conditions::<Kind>(attempt, object);
        }
        if attempt.operation == Operation::Delete {
            self.ask(attempt, None, old, &mut Rounds::default()).await?;
        }
        Ok(())
    }
}
