//! One question to one webhook.

use super::configurations::Webhook;
use super::metrics::{Metrics, Question, Rejection};
use super::review::{self, Answer, Bad};
use crate::admission::request::{Judged, Seen, request};
use crate::callout::{Callout, CalloutError};
use api::Status;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{StatusCause, StatusDetails};
use serde_json::Value;
use std::sync::Arc;
use tokio::time::Instant;

/// The most of an answer: a patch of the largest object, in base64, and what goes with it.
const ANSWER_BYTES_MAX: usize = 8 << 20;

/// What both plugins ask with.
#[derive(Clone)]
pub(super) struct Asking {
    pub(super) callout: Callout,
    pub(super) metrics: Arc<Metrics>,
    pub(super) may_patch: bool,
}

/// Why there is no consent.
#[derive(Debug)]
pub(super) enum Failure {
    /// It was not heard, or answered nonsense: its failure policy decides. The code is what it answered instead.
    Unheard(String, u16),
    /// It said no.
    Refused(Status),
    /// It could not be asked, whatever its failure policy: the server's fault, or the client's.
    Unaskable(Status),
}

/// As upstream's `NewInternalError`.
pub(super) fn internal(why: &str) -> Status {
    let mut status = Status::internal(why);
    let cause = StatusCause { message: Some(why.to_owned()), ..StatusCause::default() };
    status.details = Some(Box::new(StatusDetails { causes: Some(vec![cause]), ..StatusDetails::default() }));
    status
}

impl Failure {
    fn rejection(&self) -> (Rejection, u16) {
        match self {
            Failure::Unheard(_, code) => (Rejection::Unheard, *code),
            Failure::Refused(status) => (Rejection::Own, status.code),
            Failure::Unaskable(_) => (Rejection::Server, 0),
        }
    }
}

impl Asking {
    /// Asks, and lets the failure policy decide where there is no answer: `Ok(None)` is a failure that is ignored.
    ///
    /// # Errors
    /// The client's answer.
    pub(super) async fn ask<F: Future<Output = Result<(), Failure>> + Send>(
        &self,
        hook: &Webhook,
        judged: &Judged<'_>,
        seen: &Seen,
        object: &Value,
        old: &Value,
        take: impl FnOnce(Answer) -> F + Send,
    ) -> Result<Option<()>, Status> {
        let begun = Instant::now();
        let heard = match self.answer(hook, judged, seen, object, old).await {
            Ok(answer) => take(answer).await,
            Err(failure) => Err(failure),
        };
        let ignored = hook.ignores_failure && matches!(heard, Err(Failure::Unheard(..)));
        let question = Question::of(hook, self.may_patch, judged.attempt.operation);
        let rejection = heard.as_ref().err().map(Failure::rejection);
        self.metrics.asked(&question, begun.elapsed(), rejection, ignored);
        match heard {
            Ok(()) => Ok(Some(())),
            Err(Failure::Unheard(why, _)) => {
                let why = format!("failed calling webhook {:?}: {why}", hook.name);
                if !ignored {
                    tracing::warn!(webhook = hook.name, why, "a webhook was not heard, and the write is refused");
                    return Err(internal(&why));
                }
                tracing::warn!(webhook = hook.name, why, "a webhook was not heard, and the write goes on");
                Ok(None)
            }
            Err(Failure::Refused(status) | Failure::Unaskable(status)) => Err(status),
        }
    }

    async fn answer(
        &self,
        hook: &Webhook,
        judged: &Judged<'_>,
        seen: &Seen,
        object: &Value,
        old: &Value,
    ) -> Result<Answer, Failure> {
        let attempt = judged.attempt;
        if attempt.dry_run && hook.has_side_effects {
            let why = format!("admission webhook {:?} does not support dry run", hook.name);
            return Err(Failure::Unaskable(Status::bad_request(why)));
        }
        let Some(version) = hook.version else {
            let why = "could not create admission objects: webhook does not accept known AdmissionReview versions \
                       (v1, v1beta1)";
            return Err(Failure::Unheard(why.to_owned(), 400));
        };
        let target = hook.target.as_ref();
        let target = target.map_err(|why| Failure::Unheard(format!("could not get REST client: {why}"), 500))?;
        let uid = uuid::Uuid::new_v4().to_string();
        let body = review::encode(version, &uid, &request(judged, seen), object, old);
        let body = body.map_err(|error| Failure::Unaskable(Status::internal(error)))?;
        let answered = self.callout.post_json(target, body.into(), hook.timeout, ANSWER_BYTES_MAX).await;
        let body = answered.map_err(|error| {
            let code = match &error {
                CalloutError::Refused { code, .. } => *code,
                _ => 503,
            };
            Failure::Unheard(format!("failed to call webhook: {error}"), code)
        })?;
        let answer = review::decode(&body, version, &uid, self.may_patch).map_err(|bad| match bad {
            Bad::Undecodable(why) => Failure::Unheard(format!("failed to call webhook: {why}"), 503),
            Bad::Invalid(why) => Failure::Unheard(format!("received invalid webhook response: {why}"), 503),
        })?;
        for (key, value) in &answer.annotations {
            attempt.notes.annotate(&format!("{}/{key}", hook.name), value.as_str());
        }
        for warning in &answer.warnings {
            attempt.notes.warn(warning.as_str());
        }
        match answer.allowed {
            true => Ok(answer),
            false => Err(Failure::Refused(review::refusal(&hook.name, answer.status))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::configurations::tests::compiled;
    use super::*;
    use crate::authz::memory;
    use api::user::User;
    use registry::{Attempt, Books, Notes, Operation};
    use serde_json::json;

    #[tokio::test]
    async fn a_webhook_with_side_effects_is_not_asked_about_a_trial() {
        let (client, _memory) = memory::client();
        let asking = Asking { callout: Callout::new(&client), metrics: Arc::default(), may_patch: true };
        let (user, kind) = (User::default(), api::object::find("", "v1", "configmaps").unwrap());
        let attempt = Attempt {
            def: kind.def(),
            kind,
            operation: Operation::Create,
            namespace: "a",
            name: "c",
            subresource: None,
            user: &user,
            dry_run: true,
            options: None,
            notes: Notes::unheard(),
            books: Books::default(),
        };
        let judged = Judged { attempt: &attempt, object: None, old: None };
        // Its failure policy does not count: it cannot be asked at all.
        let hook = compiled(json!({"sideEffects": "Some", "failurePolicy": "Ignore"}));
        let null = Value::Null;
        let asked =
            asking.ask(&hook, &judged, &judged.own(), &null, &null, |_| std::future::ready(Ok(()))).await.unwrap_err();
        let says = "admission webhook \"w.a.b\" does not support dry run";
        assert_eq!((asked.code, asked.message.as_str()), (400, says));
    }
}
