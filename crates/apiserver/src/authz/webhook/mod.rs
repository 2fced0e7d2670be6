//! Another server that is asked whether a request may be.
//!
//! Invariants: what the conditions do not match is not asked; an answer holds for as long as it is configured to, and is
//! given again for the very same question only; who cannot be asked has the configured opinion.
//! Bound: `ANSWERS_MAX` answers remembered, none of a question that is unusually long.

mod conditions;
mod spec;

pub(crate) use conditions::Conditions;
pub(crate) use spec::Version;

use super::attributes::Attributes;
use super::chain::Opinion;
use crate::expiring::Expiring;
use crate::review_webhook::ReviewWebhook;
use api::user::User;
use exposition::{Family, Series};
use k8s_openapi::api::authorization::v1::SubjectAccessReviewSpec;
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

const ANSWERS_MAX: usize = 8192;
/// What a requester may choose of a question, beyond which its answer is not remembered.
const CHOSEN_BYTES_MAX: usize = 10_000;

/// What is thought of a request when the server cannot be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FailurePolicy {
    NoOpinion,
    Deny,
}

/// How one server is asked.
pub(crate) struct Settings {
    pub(crate) version: Version,
    /// `None`: not remembered.
    pub(crate) authorized: Option<Duration>,
    pub(crate) unauthorized: Option<Duration>,
    pub(crate) failure: FailurePolicy,
    pub(crate) conditions: Option<Conditions>,
    /// As upstream calls it where nobody named it: `default`.
    pub(crate) name: String,
}

static EVALUATION_ERRORS: Family = Family::counter(
    "apiserver_authorization_match_condition_evaluation_errors_total",
    "Questions that conditions could not be evaluated for.",
);
static EXCLUSIONS: Family = Family::counter(
    "apiserver_authorization_match_condition_exclusions_total",
    "Questions that conditions kept from the webhook.",
);
static EVALUATIONS: Family = Family::histogram(
    "apiserver_authorization_match_condition_evaluation_seconds",
    "How long a question's conditions took.",
    &[0.001, 0.005, 0.01, 0.025, 0.1, 0.2, 0.25],
);
/// What is counted of conditions.
pub(crate) const CONDITIONS: &[&Family] = &[&EVALUATION_ERRORS, &EVALUATIONS, &EXCLUSIONS];

pub(crate) struct Webhook {
    server: ReviewWebhook,
    settings: Settings,
    answers: Expiring<Arc<Answer>>,
    series: Arc<Series>,
}

/// The status of an answered SubjectAccessReview.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Answer {
    allowed: bool,
    denied: bool,
    reason: String,
}

#[derive(Deserialize)]
struct Answered {
    #[serde(default)]
    status: Answer,
}

/// An opinion, and why it is not the server's.
pub(crate) struct Said {
    pub(crate) opinion: Opinion,
    pub(crate) error: Option<String>,
}

impl From<Opinion> for Said {
    fn from(opinion: Opinion) -> Said {
        Said { opinion, error: None }
    }
}

impl Answer {
    fn said(&self) -> Said {
        let why = Some(self.reason.as_str()).filter(|reason| !reason.is_empty()).map(Arc::from);
        match (self.denied, self.allowed) {
            (true, true) => Said {
                opinion: Opinion::Forbid(why),
                error: Some("webhook subject access review returned both allow and deny response".to_owned()),
            },
            (true, false) => Opinion::Forbid(why).into(),
            (false, true) => Opinion::Allow(why).into(),
            (false, false) => Opinion::None(why).into(),
        }
    }
}

fn chosen_bytes(asked: &Attributes<'_>) -> usize {
    let texts = [
        asked.namespace,
        asked.verb,
        asked.group,
        asked.version,
        asked.resource,
        asked.subresource,
        asked.name,
        asked.path,
        asked.field_selector,
        asked.label_selector,
    ];
    texts.iter().map(|text| text.len()).sum()
}

impl Webhook {
    pub(crate) fn new(server: ReviewWebhook, settings: Settings, series: &Arc<Series>) -> Webhook {
        Webhook { server, settings, answers: Expiring::new(ANSWERS_MAX), series: series.clone() }
    }

    /// Whether the question is one of the server's.
    fn concerns(&self, spec: &SubjectAccessReviewSpec) -> Result<bool, String> {
        let Some(conditions) = &self.settings.conditions else { return Ok(true) };
        let labels = [("name", self.settings.name.as_str()), ("type", "Webhook")];
        let begun = Instant::now();
        let matched = conditions.match_spec(spec);
        self.series.took(&EVALUATIONS, &labels, begun.elapsed());
        match matched {
            Ok(true) => {}
            Ok(false) => self.series.count(&EXCLUSIONS, &labels),
            Err(_) => self.series.count(&EVALUATION_ERRORS, &labels),
        }
        matched
    }

    pub(crate) async fn ask(&self, user: &User, attributes: &Attributes<'_>) -> Said {
        match self.answer(user, attributes).await {
            Ok(Some(answer)) => answer.said(),
            Ok(None) => Opinion::None(None).into(),
            Err(error) => {
                tracing::warn!(%error, "a webhook could not be asked for its authorization");
                let opinion = match self.settings.failure {
                    FailurePolicy::NoOpinion => Opinion::None(None),
                    FailurePolicy::Deny => Opinion::Forbid(None),
                };
                Said { opinion, error: Some(error) }
            }
        }
    }

    /// `None`: the question is none of the server's.
    async fn answer(&self, user: &User, attributes: &Attributes<'_>) -> Result<Option<Arc<Answer>>, String> {
        let spec = spec::of(user, attributes);
        if !self.concerns(&spec)? {
            return Ok(None);
        }
        let text = |error: &dyn std::fmt::Display| error.to_string();
        let question = serde_json::to_vec(&spec).map_err(|error| text(&error))?;
        if let Some(known) = self.answers.get(&question, Instant::now()) {
            return Ok(Some(known));
        }
        let review = self.settings.version.review(&spec).map_err(|error| text(&error))?;
        let answered: Answered = self.server.ask(&review).await.map_err(|error| text(&error))?;
        let answer = Arc::new(answered.status);
        let holds = if answer.allowed { self.settings.authorized } else { self.settings.unauthorized };
        if let Some(holds) = holds.filter(|_| chosen_bytes(attributes) < CHOSEN_BYTES_MAX) {
            let now = Instant::now();
            self.answers.put(&question, answer.clone(), now + holds, now);
        }
        Ok(Some(answer))
    }
}

#[cfg(test)]
mod tests;
