//! ValidatingAdmissionWebhook: may refuse what is written.

use super::annotations::{self, Place};
use super::{Judges, check_conditions, configures, view};
use crate::admission::Plugin;
use crate::admission::request::Judged;
use api::{Object, Status};
use async_trait::async_trait;
use futures::future::{join_all, ready};
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use registry::Attempt;
use tokio::time::Instant;

pub(super) type Kind = ValidatingWebhookConfiguration;

pub(super) struct Validating {
    pub(super) judges: Judges,
}

impl Validating {
    async fn ask(&self, judged: &Judged<'_>) -> Result<(), Status> {
        let hooks = self.judges.webhooks(judged).await?;
        let mut views = Vec::new();
        let mut questions = Vec::new();
        for (index, hook) in hooks.iter().enumerate() {
            let Some(seen) = self.judges.seen(hook, judged).await? else { continue };
            let view = view(self.judges.world.registry(), &mut views, judged, seen).await?;
            questions.push((index, hook, seen, view.object.clone(), view.old.clone()));
        }
        let asking = &self.judges.asking;
        let asked = join_all(questions.iter().map(|(index, hook, seen, object, old)| async move {
            let heard = asking.ask(hook, judged, seen, object, old, |_| ready(Ok(()))).await?;
            if heard.is_none() {
                annotations::failed_open(judged.attempt.notes, Place { round: 0, index: *index }, hook, false);
            }
            Ok(())
        }));
        let begun = Instant::now();
        let asked = asked.await;
        judged.attempt.notes.waited(begun.elapsed());
        asked.into_iter().collect()
    }
}

#[async_trait]
impl Plugin for Validating {
    fn judges(&self, attempt: &Attempt<'_>) -> bool {
        self.judges.concern::<Kind>(attempt)
    }

    async fn validate(
        &self,
        attempt: &Attempt<'_>,
        object: Option<&dyn Object>,
        old: Option<&dyn Object>,
    ) -> Result<(), Status> {
        if configures::<Kind>(attempt) {
            return check_conditions::<Kind>(attempt, object);
        }
        self.ask(&Judged { attempt, object, old }).await
    }
}
