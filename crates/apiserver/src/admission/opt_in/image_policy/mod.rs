//! ImagePolicyWebhook: another server is asked whether a pod's images may run.
//!
//! Invariant: a server that cannot be asked decides by what the configuration says, and the audit log is told of it.
//! Bound: `ANSWERS_MAX` answers remembered, each for its time.

mod configuration;

pub(in crate::admission) use configuration::{Configuration, read};

use super::{Plugin, Sources, is, refused};
use crate::expiring::Expiring;
use crate::review_webhook::ReviewWebhook;
use api::{Object, Status, Subresource};
use async_trait::async_trait;
use k8s_openapi::api::core::v1::Pod;
use registry::{Attempt, Operation};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

const API_VERSION: &str = "imagepolicy.k8s.io/v1alpha1";
const KIND: &str = "ImageReview";
/// Annotations of the pod that the server is shown are in domains of this name.
const SHOWN: &str = ".image-policy.k8s.io/";
const AUDIT: &str = "imagepolicywebhook.image-policy.k8s.io/";
const ANSWERS_MAX: usize = 1024;
const TIME_MAX: Duration = Duration::from_secs(30);

pub(in crate::admission) fn make(sources: &Sources<'_>) -> Box<dyn Plugin> {
    let policy = sources.settings.plugins.image_policy.as_ref().map(|configuration| Policy {
        server: ReviewWebhook::new(configuration.target.clone(), sources.callout, TIME_MAX)
            .pausing(configuration.pause),
        answers: Expiring::new(ANSWERS_MAX),
        configuration: configuration.clone(),
    });
    Box::new(ImagePolicy { policy })
}

/// `None` where it is not configured, which is an error at the start unless it is not wanted either.
struct ImagePolicy {
    policy: Option<Policy>,
}

struct Policy {
    configuration: Arc<Configuration>,
    server: ReviewWebhook,
    answers: Expiring<Arc<Answer>>,
}

#[derive(Serialize)]
struct Image {
    image: String,
}

/// What the server is asked: the spec of a review.
#[derive(Serialize)]
struct Question {
    containers: Vec<Image>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
    namespace: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Review<'a> {
    api_version: &'static str,
    kind: &'static str,
    metadata: BTreeMap<String, String>,
    spec: &'a Question,
    status: Answer,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
struct Answer {
    allowed: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    reason: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    audit_annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Answered {
    #[serde(default)]
    status: Answer,
}

fn question(attempt: &Attempt<'_>, pod: &Pod) -> Question {
    let spec = pod.spec.as_ref();
    let image = |image: &Option<String>| Image { image: image.clone().unwrap_or_default() };
    let containers = match attempt.subresource {
        Some(_) => {
            let ephemeral = spec.and_then(|spec| spec.ephemeral_containers.as_ref());
            ephemeral.into_iter().flatten().map(|own| image(&own.image)).collect()
        }
        None => {
            let plain = spec.into_iter().flat_map(|spec| &spec.containers);
            let init = spec.and_then(|spec| spec.init_containers.as_ref());
            plain.chain(init.into_iter().flatten()).map(|own| image(&own.image)).collect()
        }
    };
    let annotations = pod.metadata.annotations.iter().flatten().filter(|(name, _)| name.contains(SHOWN));
    let annotations = annotations.map(|(name, value)| (name.clone(), value.clone())).collect();
    Question { containers, annotations, namespace: attempt.namespace.to_owned() }
}

impl Policy {
    async fn answer(&self, question: &Question) -> Result<Arc<Answer>, String> {
        let text = |error: &dyn std::fmt::Display| error.to_string();
        let asked = serde_json::to_vec(question).map_err(|error| text(&error))?;
        if let Some(known) = self.answers.get(&asked, Instant::now()) {
            return Ok(known);
        }
        let (metadata, status) = (BTreeMap::new(), Answer::default());
        let review = Review { api_version: API_VERSION, kind: KIND, metadata, spec: question, status };
        let answered: Answered = self.server.ask(&review).await.map_err(|error| text(&error))?;
        let answer = Arc::new(answered.status);
        let holds = if answer.allowed { self.configuration.allowed } else { self.configuration.denied };
        if !holds.is_zero() {
            let now = Instant::now();
            self.answers.put(&asked, answer.clone(), now + holds, now);
        }
        Ok(answer)
    }

    async fn judge(&self, attempt: &Attempt<'_>, pod: &Pod) -> Result<(), String> {
        let answer = match self.answer(&question(attempt, pod)).await {
            Ok(answer) => answer,
            Err(why) if self.configuration.default_allow => {
                tracing::warn!(why, "the image policy webhook was not heard, and the pod goes on");
                attempt.notes.annotate(&format!("{AUDIT}failed-open"), "true");
                return Ok(());
            }
            Err(why) => return Err(why),
        };
        for (name, value) in &answer.audit_annotations {
            attempt.notes.annotate(&format!("{AUDIT}{name}"), value.as_str());
        }
        match (answer.allowed, answer.reason.as_str()) {
            (true, _) => Ok(()),
            (false, "") => Err("one or more images rejected by webhook backend".to_owned()),
            (false, why) => Err(format!("image policy webhook backend denied one or more images: {why}")),
        }
    }
}

#[async_trait]
impl Plugin for ImagePolicy {
    fn judges(&self, attempt: &Attempt<'_>) -> bool {
        matches!(attempt.operation, Operation::Create | Operation::Update)
            && matches!(attempt.subresource, None | Some(Subresource::EphemeralContainers))
            && is::<Pod>(attempt)
    }

    async fn validate(
        &self,
        attempt: &Attempt<'_>,
        object: Option<&dyn Object>,
        _old: Option<&dyn Object>,
    ) -> Result<(), Status> {
        let pod = object.and_then(|object| object.downcast::<Pod>());
        match (&self.policy, pod) {
            (Some(policy), Some(pod)) => policy.judge(attempt, pod).await.map_err(|why| refused(attempt, object, &why)),
            _ => Ok(()),
        }
    }
}
